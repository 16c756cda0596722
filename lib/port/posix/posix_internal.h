/* port/posix, inside - what its files share. */
#ifndef HF_POSIX_INTERNAL_H
#define HF_POSIX_INTERNAL_H
#include "port/posix/posix.h"

#include <poll.h>

void hf_posix_say(struct hf_posix_why *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* --- store.c: files ----------------------------------------------------------------------------------------------- */

enum { HF_POSIX_NAME_MAX = 64 };
/* Replaces a file of 0600 in the directory. Durable once it is OK: the old file or the new one, never a part. IO. */
enum hf_err hf_posix_replace_file(int dir, const char *name, struct hf_span bytes);
/* Reads a whole file of at most cap bytes. NOT_FOUND, IO, TOO_BIG. */
enum hf_err hf_posix_read_file(int dir, const char *name, void *out, size_t cap, size_t *len);
int hf_posix_store_dir(const struct hf_posix_store *s);

/* --- http.c: one request at a time to one server ------------------------------------------------------------------ */

struct hf_posix_http;
/* How much of a URL may be shown: scheme, host and port. The path may hold an enrolment token. */
size_t hf_posix_authority_len(const char *url);
enum hf_err hf_posix_http_new(const char *base_url, const char *ca_file, struct hf_posix_why *why,
                              struct hf_posix_http **out);
void hf_posix_http_free(struct hf_posix_http *h);
enum hf_err hf_posix_http_start(struct hf_posix_http *h, const char *method, const char *path, struct hf_span body);
/* Waits at most wait_ms for the request or for fds (revents are filled in). */
void hf_posix_http_wait(struct hf_posix_http *h, struct pollfd *fds, size_t count, int64_t wait_ms);
/* Goes on with the request; true once, when it is done. status 0: no answer, and why says so. body lives until the
 * next start. */
bool hf_posix_http_done(struct hf_posix_http *h, unsigned *status, struct hf_span *body, struct hf_posix_why *why);

/* --- tls.c: the broker's side ------------------------------------------------------------------------------------- */

typedef struct ssl_ctx_st SSL_CTX;
/* What a connection's TLS tells: why a certificate of the broker was refused; that ours was, as its time is over. */
struct hf_posix_tls_told {
	struct hf_posix_why why;
	bool expired;
};
/* A client context from what the store holds: our certificate and key, one trusted CA; host or address to be checked.
 * told must outlive the context. Errors: NOT_FOUND, KEY, IO, MEMORY, INPUT (host). */
enum hf_err hf_posix_tls_new(struct hf_posix_store *store, const char *host, struct hf_posix_tls_told *told,
                             SSL_CTX **out);
void hf_posix_tls_free(SSL_CTX *tls);
/* As check_access of struct hf_node_env. */
enum hf_err hf_posix_tls_check(const struct hf_node_access *access, struct hf_node_validity *out);

/* --- mqtt.c: one connection that comes back ----------------------------------------------------------------------- */

struct hf_posix_mqtt;
/* Told to the owner, never from within start or publish. */
struct hf_posix_mqtt_owner {
	void *ctx;
	void (*up)(void *ctx);
	void (*down)(void *ctx);
	void (*expired)(void *ctx); /* the broker refused our certificate, as its time is over */
	void (*message)(void *ctx, struct hf_span topic, struct hf_span payload);
	void (*published)(void *ctx, uint16_t ticket, bool accepted);
	void (*log)(void *ctx, const char *line);
};
enum hf_err hf_posix_mqtt_new(const struct hf_posix_mqtt_owner *owner, struct hf_posix_store *store,
                              unsigned keepalive_s, struct hf_posix_mqtt **out);
void hf_posix_mqtt_free(struct hf_posix_mqtt *m);
/* Where to, and as whom; a connection that is there is made anew at the next turn. port_default counts when the
 * broker's text names none. */
enum hf_err hf_posix_mqtt_start(struct hf_posix_mqtt *m, const struct hf_node_link *link, unsigned port_default,
                                bool port_forced);
/* Says goodbye at the next turn and then does nothing any more; tells nothing. */
void hf_posix_mqtt_stop(struct hf_posix_mqtt *m);
enum hf_err hf_posix_mqtt_publish(struct hf_posix_mqtt *m, const char *topic, struct hf_span payload, uint16_t *ticket);
/* What to wait for: fd -1 when there is no connection; and until when. */
struct pollfd hf_posix_mqtt_poll(const struct hf_posix_mqtt *m);
int64_t hf_posix_mqtt_deadline_ms(const struct hf_posix_mqtt *m);
void hf_posix_mqtt_turn(struct hf_posix_mqtt *m, int64_t now_ms, short revents);
/* The address in a broker's text: [mqtt[s]://]host[:port] or [v6]:port; port 0 if there is none. Errors: TEXT,
 * NO_SPACE. */
enum hf_err hf_posix_address(struct hf_span text, struct hf_wr *host, unsigned *port);
#endif
