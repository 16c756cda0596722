/* http, inside - routing. */
#ifndef HTTP_INTERNAL_H
#define HTTP_INTERNAL_H
#include "http/http.h"

/* Sets c->route and c->place from c->path. Errors: NOT_FOUND, UNSUPPORTED (another method would do). */
HF_NODISCARD enum hf_err http_route_find(const struct http_setup *s, const char *method, struct http_call *c);
/* The body of an error reply. */
void http_error_body(struct os_buf *out, enum hf_err err, const char *sentence);
#endif
