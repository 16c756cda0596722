/* http, inside - routing. */
#ifndef HTTP_INTERNAL_H
#define HTTP_INTERNAL_H
#include "http/http.h"

#include <gnutls/abstract.h>

struct MHD_Response;

/* Sets c->route and c->place from c->path. Errors: NOT_FOUND, UNSUPPORTED (another method would do). */
HF_NODISCARD enum hf_err http_route_find(const struct http_setup *s, const char *method, struct http_call *c);
/* The body of an error reply. */
void http_error_body(struct os_buf *out, enum hf_err err, const char *sentence);
/* The library's response to c->reply, or to the pieces that are to come. NULL: no memory. */
struct MHD_Response *http_response(struct http_call *c);
/* A suspended connection goes on, in the next turn. */
void http_resume(struct http_call *c);
/* Something was done for this call: the library is run again at once. */
void http_moved(struct http_call *c);

/* GnuTLS asks for the certificate of a new connection. */
int http_certificate_choose(gnutls_session_t session, const gnutls_datum_t *names, int name_count,
                            const gnutls_pk_algorithm_t *kinds, int kind_count, gnutls_pcert_st **chain,
                            unsigned *count, gnutls_privkey_t *key);
void http_certificate_release(void);
#endif
