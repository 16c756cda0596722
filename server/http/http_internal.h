/* http, inside - routing, responses, connections. */
#ifndef HTTP_INTERNAL_H
#define HTTP_INTERNAL_H
#include "http/http.h"

#include <gnutls/abstract.h>
#include <sys/socket.h>

struct MHD_Response;

enum { HTTP_RETRY_AFTER_S = 60, HTTP_SHOWN_MAX = 512, HTTP_SEGMENT_SHOWN_MAX = 24 };

/* Splits what the client asked for into c->secret and c->path; of several leading slashes one stays. */
void http_path_take(struct http_call *c, const char *prefix, const char *url);
/* The path for the log: a segment that is long enough to be a secret is left out. */
void http_path_shown(const char *path, char out[HTTP_SHOWN_MAX]);
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

/* A connection. reading: a request is awaited or on its way, since since_ms. */
struct http_conn {
	uint64_t address;
	int fd;
	int64_t since_ms;
	bool reading;
	struct http_conn *prev, *next;
};
/* All of them, those that are read from in the order of since_ms. */
struct http_conns {
	struct http_conn *first, *last;
	struct os_loop *loop;
	struct os_timer timer;
	int64_t request_ms;
	unsigned address_max;
	struct http_counts *counts;
};
uint64_t http_address_of(const struct sockaddr *address);
/* Is there room for one more of this address? Counts it when not. */
bool http_conn_fits(struct http_conns *l, uint64_t address);
/* NULL when there is no memory: it then has no limit but the idle one. */
struct http_conn *http_conn_add(struct http_conns *l, uint64_t address, int fd);
void http_conn_remove(struct http_conns *l, struct http_conn *c);
/* The request is complete; the reply is out and the next request may come. c may be NULL. */
void http_conn_complete(struct http_conn *c);
void http_conn_await(struct http_conns *l, struct http_conn *c);

#endif
