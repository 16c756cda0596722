/* http - libmicrohttpd in our loop: a request is handled inside the turn and answered after its commit.
 * Uses: base os; libmicrohttpd. Traps and recipes: docs/adr/0003-http.md. */
#include "http/http_internal.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

enum {
	RUNS_A_TURN = 64,
	FLOOR_MS = 10,
	CEILING_MS = 1000,
	IDLE_RUNS = 3,
	REPLY_MAX = 16 * 1024 * 1024,
	LINES_MAX = 100, /* refusals in the log, in LINES_MS; the counters count all */
	LINES_MS = 60000
};

/* TLS 1.2 and 1.3, forward secrecy and authenticated encryption only. */
static const char tls_priority[] =
	"NONE:+VERS-TLS1.3:+VERS-TLS1.2:+ECDHE-ECDSA:+ECDHE-RSA:+AES-256-GCM:+AES-128-GCM:"
	"+CHACHA20-POLY1305:+AEAD:+SIGN-ALL:-SIGN-RSA-SHA1:-SIGN-ECDSA-SHA1:+GROUP-X25519:+GROUP-SECP256R1:"
	"+GROUP-SECP384R1:+COMP-NULL:+CTYPE-X509:%SAFE_RENEGOTIATION:%SERVER_PRECEDENCE";

struct http {
	struct os_loop *loop;
	struct http_setup setup;
	struct MHD_Daemon *daemon;
	struct os_watch watch;
	struct os_timer tick, deadline;
	struct http_call *calls; /* all that live */
	struct http_conns conns;
	int64_t lines_ms;
	unsigned lines;
	bool progress, stopping;
	struct http_counts counts;
};

static void set_deadline(struct http *h)
{
	int64_t first = INT64_MAX;

	for (struct http_call *c = h->calls; c; c = c->next)
		if (c->phase == HTTP_PARKED && c->deadline_ms < first)
			first = c->deadline_ms;
	if (first == INT64_MAX)
		os_timer_clear(h->loop, &h->deadline);
	else
		os_timer_set(h->loop, &h->deadline, first);
}

/* Runs the handler; whatever it says leaves only after the commit. */
static void handle(struct http_call *c)
{
	enum http_verdict v = c->route->handler(c);

	c->handled = true;
	c->phase = v == HTTP_DONE ? HTTP_ANSWERED : HTTP_PARKED;
	if (v == HTTP_WAIT) {
		c->http->counts.parked++;
		set_deadline(c->http);
	}
}

void http_wake(struct http_call *c)
{
	if (c->phase == HTTP_PARKED)
		handle(c);
}

void http_wake_all(struct http *h, uint64_t mask)
{
	for (struct http_call *c = h->calls; c; c = c->next)
		if (c->phase == HTTP_PARKED && (c->wake_mask & mask))
			handle(c);
}

static void on_deadline(struct os_timer *t)
{
	struct http *h = t->ctx;
	int64_t now = os_monotonic_ms();

	for (struct http_call *c = h->calls; c; c = c->next)
		if (c->phase == HTTP_PARKED && c->deadline_ms <= now)
			handle(c);
	set_deadline(h);
}

static struct http_call *call_new(struct http *h, struct MHD_Connection *connection, const char *url)
{
	struct http_call *c = calloc(1, sizeof *c);

	if (!c)
		return NULL;
	c->http = h;
	c->ctx = h->setup.ctx;
	c->connection = connection;
	c->body = os_buf_of(h->setup.body_max);
	c->reply = os_buf_of(REPLY_MAX);
	c->content_type = "application/json";
	http_path_take(c, h->setup.secret_prefix, url);
	c->next = h->calls;
	if (h->calls)
		h->calls->prev = c;
	h->calls = c;
	h->counts.requests++;
	return c;
}

static void call_free(struct http_call *c)
{
	if (c->prev)
		c->prev->next = c->next;
	else
		c->http->calls = c->next;
	if (c->next)
		c->next->prev = c->prev;
	if (c->free_state)
		c->free_state(c->state);
	if (c->free_caller)
		c->free_caller(c->caller);
	os_buf_release(&c->body);
	os_buf_release(&c->reply);
	hf_wipe(c->secret, sizeof c->secret);
	free(c);
}

static void add_number(struct MHD_Response *r, const char *name, unsigned value)
{
	char text[16];

	(void)snprintf(text, sizeof text, "%u", value);
	MHD_add_response_header(r, name, text);
}

static enum MHD_Result send_reply(struct http_call *c)
{
	struct MHD_Response *r = http_response(c);
	char file[sizeof c->file_name + 32];

	if (!r)
		return MHD_NO;
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, c->content_type);
	MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
	if (c->file_name[0] && c->more) {
		snprintf(file, sizeof file, "attachment; filename=\"%s\"", c->file_name);
		MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_DISPOSITION, file);
	}
	if (c->status == MHD_HTTP_TOO_MANY_REQUESTS)
		add_number(r, MHD_HTTP_HEADER_RETRY_AFTER, c->retry_after_s);
	if (c->ambiguous)
		MHD_add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
	if (c->status == MHD_HTTP_UNAUTHORIZED)
		MHD_add_response_header(r, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
	enum MHD_Result result = MHD_queue_response(c->connection, c->status, r);

	MHD_destroy_response(r);
	c->phase = HTTP_SENDING;
	c->http->counts.streams += c->more != NULL;
	if (c->refused)
		c->http->counts.refused++;
	return result;
}

struct headers {
	unsigned lengths, hosts;
	bool odd;
};

/* No header name holds a blank, no value a control character. Source: RFC 9110 sections 5.1, 5.5. */
static bool odd(const char *text, char least)
{
	for (; *text; text++)
		if ((*text < least && *text != '\t' && *text >= 0) || *text == 0x7f || (least > ' ' && *text == '\t'))
			return true;
	return false;
}

static enum MHD_Result look_at(void *ctx, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct headers *h = ctx;

	(void)kind;
	bool length = strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0 ||
	              strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0;

	h->lengths += length;
	h->odd |= length && (!value || !*value);
	h->hosts += strcasecmp(name, MHD_HTTP_HEADER_HOST) == 0;
	h->odd |= odd(name, '!') || (value && odd(value, ' '));
	return MHD_YES;
}

/* As many bytes came as the header tells. */
static bool length_holds(const struct http_call *c)
{
	const char *text = http_header(c, MHD_HTTP_HEADER_CONTENT_LENGTH);
	uint64_t len = 0;

	if (!text || c->body.err != HF_E_OK)
		return true;
	return hf_dec_parse(hf_span_text(text), &len) == HF_E_OK && len == c->body.len;
}

/* Two opinions on where the body ends, or a header that others may read as another one: a proxy may have had the other opinion.
 * The library drops a length whose line is folded, so a body needs one that it sees. Source: RFC 9112 sections 5.1, 6.3. */
static bool ambiguous(const struct http_call *c, const char *method)
{
	bool has_body = strcmp(method, MHD_HTTP_METHOD_POST) == 0 || strcmp(method, MHD_HTTP_METHOD_PUT) == 0;
	struct headers h = {0};

	MHD_get_connection_values(c->connection, MHD_HEADER_KIND, look_at, &h);
	return h.lengths > 1 || (has_body && h.lengths == 0) || h.hosts > 1 || h.odd || !length_holds(c);
}

/* Everything that can refuse a request before its handler runs. */
static enum hf_err admit(struct http_call *c, const char *method)
{
	enum hf_err err;

	c->ambiguous = ambiguous(c, method);
	if (c->ambiguous)
		return HF_E_INPUT;
	err = http_route_find(&c->http->setup, method, c);
	enum hf_err limit = c->http->setup.limit(c);

	if (limit != HF_E_OK || err != HF_E_OK)
		return limit != HF_E_OK ? limit : err;
	if (c->http->stopping)
		return HF_E_BUSY;
	return c->http->setup.allow(c);
}

static const char *why_refused(const struct http_call *c, enum hf_err err)
{
	if (c->ambiguous)
		return "the headers can be read in more than one way: give one Host, one Content-Length (0 for an empty body), "
			   "no folded lines, no blanks in names";
	if (c->body.err == HF_E_TOO_BIG)
		return "the body is larger than the server takes; see http_body_max";
	return err == HF_E_NOT_FOUND ? "no such path; docs/generated/routes.md lists them" : NULL;
}

/* A flood must not fill the disk. */
static void log_refusal(struct http_call *c)
{
	struct http *h = c->http;
	char path[HTTP_SHOWN_MAX];
	int64_t now = os_monotonic_ms();

	if (now - h->lines_ms >= LINES_MS) {
		h->lines_ms = now;
		h->lines = 0;
	}
	if (h->lines++ >= LINES_MAX)
		return;
	http_path_shown(c->path, path);
	os_log(OS_LOG_HTTP_REFUSED, "status=%u path=%s", c->status, path);
}

static struct http_conn *conn_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

static void dispatch(struct http_call *c, const char *method)
{
	http_conn_complete(conn_of(c->connection));
	enum hf_err err = admit(c, method);

	if (err == HF_E_OK) {
		handle(c);
	} else {
		http_fail(c, err, why_refused(c, err));
		c->phase = HTTP_ANSWERED;
		log_refusal(c);
	}
	os_log(OS_LOG_HTTP_REQUEST, "method=%s route=%s status=%u", method, c->route ? c->route->pattern : "-", c->status);
	if (c->http->stopping) { /* nobody would resume it, and the library aborts over a suspended connection */
		(void)send_reply(c);
		return;
	}
	c->suspended = true;
	MHD_suspend_connection(c->connection);
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *upload, size_t *upload_len, void **slot)
{
	struct http *h = ctx;
	struct http_call *c = *slot;

	(void)version;
	h->progress = true;
	if (!c) {
		*slot = c = call_new(h, connection, url);
		return c ? MHD_YES : MHD_NO;
	}
	if (*upload_len > 0) {
		os_buf_put(&c->body, hf_span_of(upload, *upload_len));
		if (c->body.err == HF_E_TOO_BIG)
			h->counts.too_big++;
		*upload_len = 0;
		return MHD_YES;
	}
	if (c->phase == HTTP_READING) {
		dispatch(c, method);
		return MHD_YES;
	}
	return send_reply(c);
}

static void on_completed(void *ctx, struct MHD_Connection *connection, void **slot, enum MHD_RequestTerminationCode why)
{
	struct http *h = ctx;

	(void)why;
	if (*slot)
		call_free(*slot);
	*slot = NULL;
	http_conn_await(&h->conns, conn_of(connection));
}

static uint64_t address_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

	return info && info->client_addr ? http_address_of(info->client_addr) : 0;
}

uint64_t http_address(const struct http_call *c)
{
	return address_of(c->connection);
}

static enum MHD_Result on_accept(void *ctx, const struct sockaddr *address, socklen_t len)
{
	struct http *h = ctx;

	(void)len;
	return http_conn_fits(&h->conns, http_address_of(address)) ? MHD_YES : MHD_NO;
}

static void on_connection(void *ctx, struct MHD_Connection *connection, void **slot,
                          enum MHD_ConnectionNotificationCode code)
{
	struct http *h = ctx;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

		*slot = info ? http_conn_add(&h->conns, address_of(connection), info->connect_fd) : NULL;
	} else if (*slot) {
		http_conn_remove(&h->conns, *slot);
		*slot = NULL;
	}
}

void http_resume(struct http_call *c)
{
	c->suspended = false;
	MHD_resume_connection(c->connection); /* it wakes nobody when the loop is ours */
	os_timer_set(c->http->loop, &c->http->tick, 0);
}

void http_moved(struct http_call *c)
{
	c->http->progress = true;
}

void http_turn_done(struct http *h, bool committed)
{
	for (struct http_call *c = h->calls; c; c = c->next) {
		bool undone = !committed && c->handled && (c->phase == HTTP_PARKED || c->status < 400);

		c->handled = false;
		if (undone) { /* what it wrote is gone, also when it waits for something that will come of it */
			http_fail(c, HF_E_DATABASE, NULL);
			c->phase = HTTP_ANSWERED;
			h->counts.errors++;
		}
		if (c->phase == HTTP_ANSWERED && c->suspended)
			http_resume(c);
	}
}

static int64_t clamp_ms(int64_t ms)
{
	return ms < FLOOR_MS ? FLOOR_MS : ms > CEILING_MS ? CEILING_MS : ms;
}

/* libmicrohttpd asks for no pause at all while a TLS handshake is unfinished: without a floor that spins a core. A step that
 * calls no handler can still lead on to the next, so it gets IDLE_RUNS before it has to wait for its socket.
 * Out of descriptors it takes its listening socket out of epoll, and puts it back only at the start of a later run: so it is run once
 * a second also when it asks for nothing, or nobody would ever be let in again. */
static void run(struct http *h)
{
	MHD_UNSIGNED_LONG_LONG left = 0;
	unsigned runs = 0, idle = 0;
	bool wait;

	do {
		h->progress = false;
		MHD_run(h->daemon);
		wait = MHD_get_timeout(h->daemon, &left) == MHD_YES;
		idle = h->progress ? 0 : idle + 1;
	} while (wait && left == 0 && idle < IDLE_RUNS && ++runs < RUNS_A_TURN);
	os_timer_set(h->loop, &h->tick, os_monotonic_ms() + (wait ? clamp_ms((int64_t)left) : CEILING_MS));
}

static void on_tick(struct os_timer *t)
{
	run(t->ctx);
}

static void on_ready(struct os_watch *w, uint32_t events)
{
	(void)events;
	run(w->ctx);
}

static void on_library_log(void *ctx, const char *fmt, va_list args) __attribute__((format(printf, 2, 0)));
static void on_library_log(void *ctx, const char *fmt, va_list args)
{
	char text[256];

	(void)ctx;
	vsnprintf(text, sizeof text, fmt, args);
	text[strcspn(text, "\n")] = 0;
	os_log(OS_LOG_HTTP_TLS, "why=\"%s\"", text);
}

/* %XX as usual, but %00 stays as it is, so that it cannot cut a path short. */
static size_t unescape(void *ctx, struct MHD_Connection *connection, char *s)
{
	char *to = s;

	(void)ctx, (void)connection;
	for (const char *p = s; *p;) {
		uint8_t byte = 0;
		struct hf_wr w = hf_wr_of(&byte, 1);

		if (*p == '%' && p[1] && p[2] && hf_hex_decode(hf_span_of(p + 1, 2), &w) == HF_E_OK && byte != 0) {
			*to++ = (char)byte;
			p += 3;
		} else {
			*to++ = *p++;
		}
	}
	*to = 0;
	return (size_t)(to - s);
}

static enum hf_err listen_on(struct http *h)
{
	const struct http_setup *s = &h->setup;
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(s->port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(s->port)};
	bool is_v4 = inet_pton(AF_INET, s->listen, &v4.sin_addr) == 1;
	const union MHD_DaemonInfo *info;

	if (!is_v4 && inet_pton(AF_INET6, s->listen, &v6.sin6_addr) != 1)
		return HF_E_INPUT;
	h->daemon =
		MHD_start_daemon((is_v4 ? 0u : (unsigned)MHD_USE_DUAL_STACK) | MHD_USE_EPOLL | MHD_USE_TLS |
	                         MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG,
	                     s->port, on_accept, h, on_request, h, MHD_OPTION_EXTERNAL_LOGGER, on_library_log, NULL,
	                     MHD_OPTION_SOCK_ADDR, is_v4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6,
	                     MHD_OPTION_HTTPS_CERT_CALLBACK, http_certificate_choose, MHD_OPTION_HTTPS_PRIORITIES,
	                     tls_priority, MHD_OPTION_CONNECTION_LIMIT, s->connections_max, MHD_OPTION_NOTIFY_CONNECTION,
	                     on_connection, h, MHD_OPTION_CONNECTION_TIMEOUT, s->timeout_s, MHD_OPTION_UNESCAPE_CALLBACK,
	                     unescape, NULL, MHD_OPTION_NOTIFY_COMPLETED, on_completed, h,
	                     MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_END);
	if (!h->daemon)
		return HF_E_IO;
	info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	if (!info)
		return HF_E_IO;
	h->watch = (struct os_watch){.fd = info->epoll_fd, .on_ready = on_ready, .ctx = h};
	return os_watch_set(h->loop, &h->watch, OS_READ);
}

enum hf_err http_start(struct os_loop *loop, const struct http_setup *setup, struct http **out)
{
	struct http *h = calloc(1, sizeof *h);

	if (!h)
		return HF_E_MEMORY;
	h->loop = loop;
	h->setup = *setup;
	h->tick = (struct os_timer){.on_due = on_tick, .ctx = h};
	h->deadline = (struct os_timer){.on_due = on_deadline, .ctx = h};
	h->conns = (struct http_conns){.loop = loop,
	                               .request_ms = (int64_t)setup->request_s * 1000,
	                               .address_max = setup->address_max,
	                               .counts = &h->counts};

	enum hf_err err = http_certificate_set(setup->key_pem, setup->certificate_pem);

	if (err == HF_E_OK)
		err = listen_on(h);
	if (err != HF_E_OK) {
		http_stop(h);
		return err;
	}
	*out = h;
	return HF_E_OK;
}

void http_stop(struct http *h)
{
	if (!h)
		return;
	h->stopping = true;
	for (struct http_call *c = h->calls; c; c = c->next) {
		c->stream = HTTP_BROKEN; /* a reply under way ends where it is */
		if (!c->suspended)
			continue;
		if (c->phase == HTTP_PARKED)
			http_fail(c, HF_E_BUSY, "the server is stopping");
		if (c->phase == HTTP_PARKED)
			c->phase = HTTP_ANSWERED;
		http_resume(c);
	}
	os_watch_clear(&h->watch);
	os_timer_clear(h->loop, &h->tick);
	os_timer_clear(h->loop, &h->deadline);
	if (h->daemon) {
		MHD_run(h->daemon);
		MHD_stop_daemon(h->daemon);
	}
	os_timer_clear(h->loop, &h->conns.timer); /* the last requests to end have set it */
	http_certificate_release();
	free(h);
}

void http_body_max(struct http *h, size_t body_max)
{
	h->setup.body_max = body_max;
}

const struct http_counts *http_counts(const struct http *h)
{
	return &h->counts;
}
