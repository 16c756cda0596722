/* port/posix - MQTT 5 over TLS: one connection that comes back by itself, driven by the caller's poll. Uses: base;
 * libmosquitto. Each try is a new struct mosquitto: what libmosquitto would repeat by itself after a reconnect is
 * the node's to repeat. */
#include "port/posix/posix_internal.h"

#include "port/openssl/openssl.h"

#include <errno.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { KEEPALIVE_S = 60, CONNECT_MS = 20000, RETRY_MS = 1000, RETRY_MAX_MS = 60000, MISC_MS = 1000, QOS = 1 };
enum { REFUSED = 128 /* reason codes from here on are refusals */, RECEIVE_MAXIMUM = 100, HOST_MAX = 256, ID_MAX = 64 };

enum state { IDLE, WAITING, CONNECTING, SUBSCRIBING, UP };

struct hf_posix_mqtt {
	struct hf_posix_mqtt_owner owner;
	struct hf_posix_store *store;
	struct mosquitto *client;
	enum state state;
	bool lost; /* seen in a callback: to be torn down once libmosquitto has returned */
	bool anew, stop; /* wished for, perhaps in a callback: at the next turn */
	unsigned port, tries, keepalive_s;
	int64_t due_ms, misc_ms; /* next try or end of patience; next look at the keepalive */
	char host[HOST_MAX], id[ID_MAX], topic[HF_WIRE_TOPIC_MAX];
	struct hf_posix_tls_told told;
};

/* --- address ------------------------------------------------------------------------------------------------------ */

static bool cut_start(struct hf_span *text, const char *start)
{
	size_t len = strlen(start);

	if (text->len < len || memcmp(text->ptr, start, len) != 0)
		return false;
	*text = hf_span_of(text->ptr + len, text->len - len);
	return true;
}

static size_t index_of(struct hf_span text, uint8_t c)
{
	size_t i = 0;

	while (i < text.len && text.ptr[i] != c)
		i++;
	return i;
}

enum hf_err hf_posix_address(struct hf_span text, struct hf_wr *host, unsigned *port)
{
	uint64_t number = 0;

	if (!cut_start(&text, "mqtts://"))
		(void)cut_start(&text, "mqtt://");
	bool v6 = cut_start(&text, "[");
	size_t len = index_of(text, v6 ? ']' : ':');
	struct hf_span name = hf_span_of(text.ptr, len), rest = hf_span_of(text.ptr + len, text.len - len);

	if (len == 0 || (v6 && !cut_start(&rest, "]")) || index_of(name, '/') < name.len || index_of(name, '\0') < name.len)
		return HF_E_TEXT;
	if (rest.len > 0 &&
	    (!cut_start(&rest, ":") || hf_dec_parse(rest, &number) != HF_E_OK || number == 0 || number > 65535))
		return HF_E_TEXT;
	*port = (unsigned)number;
	hf_wr_put(host, name);
	hf_wr_nul(host);
	return host->err;
}

/* --- a connection's end ------------------------------------------------------------------------------------------- */

static int64_t backoff_ms(unsigned tries)
{
	const struct hf_seal_crypto *c = hf_openssl_crypto();
	int64_t wait_ms = RETRY_MS;
	uint32_t random = 0;

	while (tries-- > 0 && wait_ms < RETRY_MAX_MS)
		wait_ms *= 2;
	wait_ms = wait_ms < RETRY_MAX_MS ? wait_ms : RETRY_MAX_MS;
	if (c->random(c->ctx, &random, sizeof random) != HF_E_OK)
		return wait_ms;
	return wait_ms - random % (wait_ms / 2 + 1);
}

/* The state that is left. */
static enum state drop(struct hf_posix_mqtt *m)
{
	enum state before = m->state;

	mosquitto_destroy(m->client);
	m->client = NULL;
	m->lost = false;
	m->state = WAITING;
	return before;
}

static void tear_down(struct hf_posix_mqtt *m, const char *reason)
{
	char line[sizeof m->told.why.text + HOST_MAX + 64];
	bool was_up = drop(m) == UP, expired = m->told.expired;
	int64_t wait_ms = backoff_ms(m->tries++);

	m->due_ms = hf_posix_now_ms() + wait_ms;
	(void)snprintf(line, sizeof line, "broker %s:%u: %s; next try in %lld ms", m->host, m->port,
	               m->told.why.text[0] ? m->told.why.text : reason, (long long)wait_ms);
	m->told = (struct hf_posix_tls_told){.expired = false};
	m->owner.log(m->owner.ctx, line);
	if (was_up && !m->stop)
		m->owner.down(m->owner.ctx);
	if (expired)
		m->owner.expired(m->owner.ctx);
}

/* A connection that is ended by our own wish: for ever, or to make another at once. */
static void part(struct hf_posix_mqtt *m)
{
	bool stop = m->stop, up = m->state == UP;

	if (up)
		(void)mosquitto_disconnect_v5(m->client, 0, NULL);
	(void)drop(m);
	m->anew = m->stop = false;
	m->told = (struct hf_posix_tls_told){.expired = false};
	m->tries = 0;
	m->due_ms = hf_posix_now_ms();
	if (stop)
		m->state = IDLE;
	else if (up)
		m->owner.down(m->owner.ctx);
}

/* --- what libmosquitto tells -------------------------------------------------------------------------------------- */

static void lose(struct hf_posix_mqtt *m, const char *what, int reason)
{
	if (!m->lost && m->told.why.text[0] == '\0') /* below the refusals libmosquitto means its own errors */
		hf_posix_say(&m->told.why, "%s: %s", what,
		             reason >= REFUSED ? mosquitto_reason_string(reason) : mosquitto_strerror(reason));
	m->lost = true;
}

static void on_connack(struct mosquitto *client, void *ctx, int reason, int flags, const mosquitto_property *props)
{
	struct hf_posix_mqtt *m = ctx;

	(void)flags, (void)props;
	if (reason != 0) {
		lose(m, "it refuses us", reason);
		return;
	}
	m->state = SUBSCRIBING;
	if (mosquitto_subscribe_v5(client, NULL, m->topic, QOS, 0, NULL) != MOSQ_ERR_SUCCESS)
		m->lost = true;
}

static void on_suback(struct mosquitto *client, void *ctx, int mid, int count, const int *granted,
                      const mosquitto_property *props)
{
	struct hf_posix_mqtt *m = ctx;

	(void)client, (void)mid, (void)props;
	if (m->state != SUBSCRIBING)
		return;
	if (count != 1 || granted[0] >= REFUSED) {
		lose(m, "it refuses our topic", count == 1 ? granted[0] : REFUSED);
		return;
	}
	m->state = UP;
	m->tries = 0;
	m->owner.up(m->owner.ctx);
}

static void on_message(struct mosquitto *client, void *ctx, const struct mosquitto_message *msg,
                       const mosquitto_property *props)
{
	struct hf_posix_mqtt *m = ctx;

	(void)client, (void)props;
	if (m->state == UP && !m->stop && msg->topic && msg->payloadlen >= 0)
		m->owner.message(m->owner.ctx, hf_span_text(msg->topic), hf_span_of(msg->payload, (size_t)msg->payloadlen));
}

static void on_puback(struct mosquitto *client, void *ctx, int mid, int reason, const mosquitto_property *props)
{
	struct hf_posix_mqtt *m = ctx;

	(void)client, (void)props;
	if (m->state == UP && !m->stop)
		m->owner.published(m->owner.ctx, (uint16_t)mid, reason < REFUSED);
}

static void on_end(struct mosquitto *client, void *ctx, int reason, const mosquitto_property *props)
{
	(void)client, (void)props;
	lose(ctx, "the connection ended", reason);
}

static void on_log(struct mosquitto *client, void *ctx, int level, const char *text)
{
	struct hf_posix_mqtt *m = ctx;

	(void)client;
	if (level == MOSQ_LOG_ERR && m->told.why.text[0] == '\0')
		hf_posix_say(&m->told.why, "%s", text);
}

/* --- a connection's beginning ------------------------------------------------------------------------------------- */

static bool set_up(struct hf_posix_mqtt *m, SSL_CTX *tls)
{
	struct mosquitto *c = m->client;

	mosquitto_connect_v5_callback_set(c, on_connack);
	mosquitto_subscribe_v5_callback_set(c, on_suback);
	mosquitto_message_v5_callback_set(c, on_message);
	mosquitto_publish_v5_callback_set(c, on_puback);
	mosquitto_disconnect_v5_callback_set(c, on_end);
	mosquitto_log_callback_set(c, on_log);
	return mosquitto_int_option(c, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5) == MOSQ_ERR_SUCCESS &&
	       mosquitto_int_option(c, MOSQ_OPT_TCP_NODELAY, 1) == MOSQ_ERR_SUCCESS &&
	       mosquitto_int_option(c, MOSQ_OPT_RECEIVE_MAXIMUM, RECEIVE_MAXIMUM) == MOSQ_ERR_SUCCESS &&
	       mosquitto_int_option(c, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0) == MOSQ_ERR_SUCCESS &&
	       mosquitto_void_option(c, MOSQ_OPT_SSL_CTX, tls) == MOSQ_ERR_SUCCESS;
}

static void try_connect(struct hf_posix_mqtt *m, int64_t now_ms)
{
	SSL_CTX *tls = NULL;
	enum hf_err err = hf_posix_tls_new(m->store, m->host, &m->told, &tls);

	m->state = CONNECTING;
	m->due_ms = now_ms + CONNECT_MS;
	m->misc_ms = now_ms + MISC_MS;
	m->client = err == HF_E_OK ? mosquitto_new(m->id, true, m) : NULL;
	if (err != HF_E_OK || !m->client || !set_up(m, tls)) {
		SSL_CTX_free(tls);
		tear_down(m, err != HF_E_OK ? hf_err_text(err) : "libmosquitto refuses its options");
		return;
	}
	int rc = mosquitto_connect_bind_async(m->client, m->host, (int)m->port, (int)m->keepalive_s, NULL);

	SSL_CTX_free(tls); /* libmosquitto holds its own reference */
	if (rc != MOSQ_ERR_SUCCESS)
		tear_down(m, rc == MOSQ_ERR_ERRNO ? strerror(errno) : mosquitto_strerror(rc));
}

/* --- outside ------------------------------------------------------------------------------------------------------ */

enum hf_err hf_posix_mqtt_new(const struct hf_posix_mqtt_owner *owner, struct hf_posix_store *store,
                              unsigned keepalive_s, struct hf_posix_mqtt **out)
{
	struct hf_posix_mqtt *m = calloc(1, sizeof *m);

	if (!m || mosquitto_lib_init() != MOSQ_ERR_SUCCESS) {
		free(m);
		return HF_E_MEMORY;
	}
	m->owner = *owner;
	m->store = store;
	m->keepalive_s = keepalive_s != 0 ? keepalive_s : KEEPALIVE_S;
	*out = m;
	return HF_E_OK;
}

void hf_posix_mqtt_free(struct hf_posix_mqtt *m)
{
	if (!m)
		return;
	if (m->client && m->state == UP)
		(void)mosquitto_disconnect_v5(m->client, 0, NULL);
	mosquitto_destroy(m->client);
	(void)mosquitto_lib_cleanup();
	free(m);
}

enum hf_err hf_posix_mqtt_start(struct hf_posix_mqtt *m, const struct hf_node_link *link, unsigned port_default,
                                bool port_forced)
{
	struct hf_wr host = hf_wr_of(m->host, sizeof m->host);
	SSL_CTX *tls = NULL;
	unsigned port = 0;
	enum hf_err err = hf_posix_address(link->broker, &host, &port);

	if (err == HF_E_OK && (strlen(link->client_id) >= sizeof m->id || strlen(link->topic) >= sizeof m->topic))
		err = HF_E_NO_SPACE;
	if (err == HF_E_OK)
		err = hf_posix_tls_new(m->store, m->host, &m->told, &tls); /* trouble shows here, not at the first try */
	SSL_CTX_free(tls);
	if (err != HF_E_OK)
		return err;
	m->port = port == 0 || port_forced ? port_default : port;
	(void)snprintf(m->id, sizeof m->id, "%s", link->client_id);
	(void)snprintf(m->topic, sizeof m->topic, "%s", link->topic);
	m->anew = true;
	m->stop = false;
	return HF_E_OK;
}

void hf_posix_mqtt_stop(struct hf_posix_mqtt *m)
{
	m->stop = true;
	m->anew = false;
}

enum hf_err hf_posix_mqtt_publish(struct hf_posix_mqtt *m, const char *topic, struct hf_span payload, uint16_t *ticket)
{
	int mid = 0;

	if (m->state != UP || m->lost || m->anew || m->stop)
		return HF_E_UNREACHABLE;
	if (payload.len > HF_WIRE_SEND_MAX)
		return HF_E_TOO_BIG;
	if (mosquitto_publish_v5(m->client, &mid, topic, (int)payload.len, payload.ptr, QOS, false, NULL) !=
	    MOSQ_ERR_SUCCESS)
		return HF_E_UNREACHABLE;
	*ticket = (uint16_t)mid;
	return HF_E_OK;
}

struct pollfd hf_posix_mqtt_poll(const struct hf_posix_mqtt *m)
{
	int fd = m->client ? mosquitto_socket(m->client) : -1;

	return (struct pollfd){.fd = fd,
	                       .events = (short)(POLLIN | (fd >= 0 && mosquitto_want_write(m->client) ? POLLOUT : 0))};
}

int64_t hf_posix_mqtt_deadline_ms(const struct hf_posix_mqtt *m)
{
	if (m->anew || m->stop)
		return 0;
	if (m->state == IDLE)
		return INT64_MAX;
	return m->state == UP || (m->client && m->misc_ms < m->due_ms) ? m->misc_ms : m->due_ms;
}

static bool tls_pending(const struct hf_posix_mqtt *m)
{
	const SSL *ssl = mosquitto_ssl_get(m->client);

	return ssl && SSL_pending(ssl) > 0;
}

/* libmosquitto takes about one packet a call, and what OpenSSL has already decrypted wakes no poll. */
static int read_packets(struct hf_posix_mqtt *m)
{
	int rc = MOSQ_ERR_SUCCESS;

	do {
		rc = mosquitto_loop_read(m->client, 1);
	} while (rc == MOSQ_ERR_SUCCESS && !m->lost && tls_pending(m));
	return rc;
}

static void drive(struct hf_posix_mqtt *m, int64_t now_ms, short revents)
{
	int rc = MOSQ_ERR_SUCCESS;

	if (revents & (POLLIN | POLLERR | POLLHUP))
		rc = read_packets(m);
	if (rc == MOSQ_ERR_SUCCESS && mosquitto_want_write(m->client))
		rc = mosquitto_loop_write(m->client, 1);
	if (rc == MOSQ_ERR_SUCCESS && now_ms >= m->misc_ms) {
		m->misc_ms = now_ms + MISC_MS;
		rc = mosquitto_loop_misc(m->client);
	}
	if (rc != MOSQ_ERR_SUCCESS)
		lose(m, "the connection broke", rc);
}

/* A connection that never came about: libmosquitto keeps silent about it, and OpenSSL may have taken the socket's
 * error away. */
static void look_at_socket(struct hf_posix_mqtt *m)
{
	int fd = mosquitto_socket(m->client), problem = 0;
	socklen_t len = sizeof problem;

	if (fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &len) == 0 && problem != 0 &&
	    m->told.why.text[0] == '\0')
		hf_posix_say(&m->told.why, "%s", strerror(problem));
}

void hf_posix_mqtt_turn(struct hf_posix_mqtt *m, int64_t now_ms, short revents)
{
	if (m->anew || m->stop) {
		part(m);
		return;
	}
	if (m->state == WAITING && now_ms >= m->due_ms)
		try_connect(m, now_ms);
	if (!m->client)
		return;
	bool broken = (revents & (POLLERR | POLLHUP)) != 0;

	if (broken && m->state == CONNECTING)
		look_at_socket(m);
	drive(m, now_ms, revents); /* what was sent before the end, such as the reason for it, is still read */
	if (m->lost || mosquitto_socket(m->client) < 0 || (broken && m->state == CONNECTING))
		tear_down(m, "cannot connect");
	else if (m->state != UP && now_ms >= m->due_ms)
		tear_down(m, "no answer");
}
