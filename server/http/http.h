/* http - HTTPS on libmicrohttpd inside our loop: routing by table, replies that wait for the commit, long polls. Uses: base os. */
#ifndef HTTP_H
#define HTTP_H
#include "base/base.h"
#include "os/os.h"

struct MHD_Connection;
struct http;
struct http_call;

/* What a handler says: the reply is complete, or call me again when http_wake or the deadline comes. */
enum http_verdict { HTTP_DONE, HTTP_WAIT };
typedef enum http_verdict (*http_handler)(struct http_call *c);

/* What comes after a piece of a reply: another one, its end, or nothing, as it broke off and the client must see that. */
enum http_piece { HTTP_MORE, HTTP_LAST, HTTP_BROKEN };

/* A route. pattern has {name} places, each one path segment. access is the caller's own number, judged by http_setup.allow. */
struct http_route {
	const char *method, *pattern;
	http_handler handler;
	int access;
	const char *doc;
};

enum { HTTP_PLACES = 3, HTTP_PLACE_MAX = 128 };

/* One request from its first byte to its last. */
struct http_call {
	void *ctx; /* http_setup.ctx */
	const struct http_route *route;
	struct hf_span place[HTTP_PLACES]; /* what stands in the pattern's places */
	struct os_buf body;
	/* The reply. Set status and fill reply, or call http_fail or http_reply. */
	unsigned status, retry_after_s; /* retry_after_s: with 429, see http_fail */
	const char *content_type;
	struct os_buf reply;
	char file_name[64]; /* under which a browser stores the reply; "" = it shows it */
	void (*more)(struct http_call *c); /* of a reply that is made piece by piece; see http_stream */
	/* The handler's own memory between calls, and how to free it. */
	int stage;
	void *state;
	void (*free_state)(void *state);
	int64_t deadline_ms; /* monotonic; a waiting handler is called again then */
	uint64_t wake_mask; /* which http_wake_all masks wake it */
	void *caller; /* who asks; set by allow, freed with free_caller */
	void (*free_caller)(void *caller);
	/* Inside: */
	struct MHD_Connection *connection;
	struct http *http;
	char path[512];
	char secret[HTTP_PLACE_MAX + 1]; /* what stood in the path behind secret_prefix; "" = nothing */
	enum { HTTP_READING, HTTP_ANSWERED, HTTP_PARKED, HTTP_SENDING } phase;
	enum http_piece stream;
	size_t sent; /* of the piece in reply */
	bool suspended, refused, ambiguous, handled; /* handled: in this turn */
	struct http_call *prev, *next;
};

struct http_setup {
	const char *listen; /* address */
	uint16_t port;
	const char *key_pem, *certificate_pem;
	const struct http_route *routes;
	size_t route_count;
	size_t body_max;
	unsigned connections_max, address_max; /* at a time: in all, of one address */
	unsigned timeout_s, request_s; /* idle; for a whole request, however steadily it comes */
	const char
		*secret_prefix; /* "/e/": what follows in the path up to the next slash is a secret and no part of the route */
	void *ctx;
	/* May this request be made at all, whatever it asks for (route may be NULL)? OK, or RATE with retry_after_s set. */
	enum hf_err (*limit)(struct http_call *c);
	/* May this request reach its route? OK, LOGIN, DENIED, or what body.err says. Runs inside the turn's transaction. */
	enum hf_err (*allow)(struct http_call *c);
};

/* Counters for /metrics. */
struct http_counts {
	uint64_t requests, refused, errors, too_big, parked, streams, slow, crowded; /* crowded: over address_max */
};

/* Listens. Errors: INPUT (listen is no IP address), IO (address taken, key or certificate not usable; logged with why), MEMORY. */
HF_NODISCARD enum hf_err http_start(struct os_loop *loop, const struct http_setup *setup, struct http **out);
/* No new connections; what waits is answered 503. Frees all. */
void http_stop(struct http *h);
/* Another key and certificate (PEM, the server's first) for new connections. Errors: KEY (they cannot be read, or do not
 * belong together; the old ones stay), MEMORY. */
HF_NODISCARD enum hf_err http_certificate_set(const char *key_pem, const char *certificate_pem);
/* Another limit for the bodies of new requests. */
void http_body_max(struct http *h, size_t body_max);
/* After the turn: replies leave, or become 503 when the commit failed. */
void http_turn_done(struct http *h, bool committed);
/* Calls a waiting handler again, within this turn. */
void http_wake(struct http_call *c);
/* Wakes every waiting call whose wake_mask meets mask. */
void http_wake_all(struct http *h, uint64_t mask);
const struct http_counts *http_counts(const struct http *h);

/* Where the request comes from: an IPv4 address or an IPv6 /64, as a number. */
uint64_t http_address(const struct http_call *c);
/* A query parameter or header, NULL when it is not there. */
const char *http_query(const struct http_call *c, const char *name);
const char *http_header(const struct http_call *c, const char *name);
/* The whole reply: a JSON error object with the err's status, name and sentence, or another sentence. With status 429 it tells when
 * to come again: retry_after_s, or a minute. */
enum http_verdict http_fail(struct http_call *c, enum hf_err err, const char *sentence);
/* The whole reply: text or JSON that is already there. */
enum http_verdict http_reply(struct http_call *c, unsigned status, const char *content_type, struct hf_span body);
/* The start of a reply of unknown length, status 200. Whenever the client has taken what there was, more is called; it answers with
 * http_piece, at once or in a later turn. A client that goes away ends the call as always: free_state. */
enum http_verdict http_stream(struct http_call *c, const char *content_type, void (*more)(struct http_call *c));
void http_piece(struct http_call *c, struct hf_span bytes, enum http_piece then);

#endif
