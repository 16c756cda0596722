/* link - one MQTT connection in our loop: what it acknowledges leaves only after the commit. Uses: base os; libmosquitto, libssl.
 * Recipes: mosquitto_threaded_set without a thread holds all output back until mosquitto_loop_write. */
#include "link/link_internal.h"

#include "port/openssl/openssl.h"

#include <errno.h>
#include <mqtt_protocol.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum {
	KEEPALIVE_S = 30,
	MISC_MS = 1000,
	CONNECT_MS = 5000, /* TCP, TLS and CONNACK */
	RECEIVE_MAXIMUM = 1000,
	SESSION_EXPIRY_S = 7 * 24 * 3600,
	LINK_LOG_MS = 1000,
	NO_PORT = -1
};

static X509 *read_cert(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;

	BIO_free(bio);
	return cert;
}

static bool expect_host(SSL_CTX *ctx, const char *host)
{
	X509_VERIFY_PARAM *p = SSL_CTX_get0_param(ctx);

	return X509_VERIFY_PARAM_set1_ip_asc(p, host) == 1 || X509_VERIFY_PARAM_set1_host(p, host, 0) == 1;
}

enum hf_err link_tls(const struct link_setup *s, const char *cert_pem, SSL_CTX **out)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	X509 *cert = read_cert(cert_pem), *ca = read_cert(s->broker_ca_pem);
	bool ok = ctx && cert && ca && SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
	          SSL_CTX_use_certificate(ctx, cert) == 1 &&
	          SSL_CTX_use_PrivateKey(ctx, hf_openssl_pkey(s->access_key)) == 1 &&
	          X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca) == 1 && expect_host(ctx, s->broker_name);

	X509_free(cert);
	X509_free(ca);
	if (!ok) {
		SSL_CTX_free(ctx);
		return HF_E_CRYPTO;
	}
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	link_record_context(ctx);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	*out = ctx;
	return HF_E_OK;
}

static void watch(struct link_conn *c)
{
	int fd = mosquitto_socket(c->m);
	bool write = mosquitto_want_write(c->m) || link_record_waits(c);

	if (fd != c->watch.fd)
		os_watch_clear(&c->watch);
	if (fd < 0)
		return;
	c->watch.fd = fd;
	if (os_watch_set(c->link->s.loop, &c->watch, write ? OS_READ | OS_WRITE : OS_READ) != HF_E_OK)
		os_log(OS_LOG_FAILED, "what=\"cannot watch the broker's socket\" client=%s", c->client_id);
}

/* The connection is gone, or does not come up: say so once, and try again later. */
static void down(struct link_conn *c, const char *why)
{
	bool was_up = c->up;

	os_watch_clear(&c->watch);
	c->watch.fd = -1;
	c->up = false;
	c->has_read = false;
	os_timer_clear(c->link->s.loop, &c->misc);
	os_timer_clear(c->link->s.loop, &c->overdue);
	if (was_up || (c->backoff_ms >= LINK_LOG_MS && !c->told)) /* and once while it does not come up at all */
		os_log(OS_LOG_LINK_DOWN, "client=%s broker=%s:%u why=\"%s\"", c->client_id, c->link->s.host, c->link->s.port,
		       why);
	c->told |= c->backoff_ms >= LINK_LOG_MS;
	os_timer_set(c->link->s.loop, &c->retry, os_monotonic_ms() + c->backoff_ms);
	c->backoff_ms = c->backoff_ms * 2 < LINK_BACKOFF_MAX_MS ? c->backoff_ms * 2 : LINK_BACKOFF_MAX_MS;
	link_on_down(c);
}

/* libmosquitto's reasons, and errno behind one of them. */
static const char *why_of(int rc)
{
	return rc == MOSQ_ERR_ERRNO ? strerror(errno) : mosquitto_strerror(rc);
}

/* CONNECT's properties are kept for every later connect by the one call that takes them, which would also connect, and
 * wait for that; the port that there cannot be stops it behind the keeping. */
static bool keep_properties(struct link_conn *c)
{
	mosquitto_property *p = NULL;
	bool ok = mosquitto_property_add_int16(&p, MQTT_PROP_RECEIVE_MAXIMUM, RECEIVE_MAXIMUM) == MOSQ_ERR_SUCCESS;

	if (!c->clean)
		ok = ok &&
		     mosquitto_property_add_int32(&p, MQTT_PROP_SESSION_EXPIRY_INTERVAL, SESSION_EXPIRY_S) == MOSQ_ERR_SUCCESS;
	ok = ok && mosquitto_connect_bind_v5(c->m, "localhost", NO_PORT, KEEPALIVE_S, NULL, p) == MOSQ_ERR_INVAL;
	mosquitto_property_free_all(&p);
	return ok;
}

/* The next address to try. Errors: BUSY (being asked for), NOT_FOUND. */
static enum hf_err next_address(struct link_conn *c, const char **out)
{
	struct link_address *a = &c->link->address;
	int64_t now = os_monotonic_ms();
	bool old = a->known_ms == 0 || now - a->known_ms > LINK_ADDRESS_FRESH_MS, asked = a->resolve.request || old;
	enum hf_err err = !a->resolve.request && old ? os_resolve_start(&a->resolve, c->link->s.host) : HF_E_BUSY;

	if (err == HF_E_BUSY)
		err = os_resolve_step(&a->resolve);
	if (asked && err != HF_E_BUSY)
		a->known_ms = err == HF_E_OK ? now : 0;
	if (err == HF_E_OK)
		*out = a->resolve.address[c->tries++ % a->resolve.count];
	return err;
}

/* Begins to connect and comes back at once: a broker that does not answer must not hold the loop up. */
void link_conn_connect(struct link_conn *c)
{
	const struct link_setup *s = &c->link->s;
	const char *address = NULL;
	enum hf_err err = next_address(c, &address);

	if (err == HF_E_BUSY) {
		os_timer_set(s->loop, &c->retry, os_monotonic_ms() + LINK_ADDRESS_POLL_MS);
		return;
	}
	if (err != HF_E_OK) {
		down(c, "its name has no address");
		return;
	}
	int rc = mosquitto_connect_bind_async(c->m, address, (int)s->port, KEEPALIVE_S, NULL);

	if (rc != MOSQ_ERR_SUCCESS) {
		down(c, why_of(rc));
		return;
	}
	os_timer_set(s->loop, &c->misc, os_monotonic_ms() + MISC_MS);
	os_timer_set(s->loop, &c->overdue, os_monotonic_ms() + CONNECT_MS);
	watch(c);
}

static void on_retry(struct os_timer *t)
{
	link_conn_connect(t->ctx);
}

void link_conn_hurry(struct link_conn *c)
{
	c->backoff_ms = LINK_BACKOFF_MIN_MS;
	if (c->retry.armed)
		os_timer_set(c->link->s.loop, &c->retry, os_monotonic_ms() + LINK_BACKOFF_MIN_MS);
}

static void on_overdue(struct os_timer *t)
{
	struct link_conn *c = t->ctx;

	if (c->backoff_ms < LINK_LOG_MS)
		c->backoff_ms = LINK_LOG_MS; /* it has waited long enough to be told of */
	down(c, "no answer in time");
}

static void on_misc(struct os_timer *t)
{
	struct link_conn *c = t->ctx;
	int rc = mosquitto_loop_misc(c->m);

	if (rc != MOSQ_ERR_SUCCESS) {
		down(c, why_of(rc));
		return;
	}
	os_timer_set(c->link->s.loop, t, os_monotonic_ms() + MISC_MS);
	watch(c);
}

void link_conn_flush(struct link_conn *c)
{
	if (c->watch.fd < 0)
		return;
	int rc = mosquitto_want_write(c->m) ? mosquitto_loop_write(c->m, 1) : MOSQ_ERR_SUCCESS;

	if (rc == MOSQ_ERR_SUCCESS && !link_record_flush(c))
		rc = MOSQ_ERR_CONN_LOST;
	if (rc == MOSQ_ERR_SUCCESS)
		watch(c);
	else
		down(c, why_of(rc));
}

/* The turn failed: what was read must come again, and no acknowledgement may leave. */
void link_conn_restart(struct link_conn *c)
{
	if (!c->has_read || c->watch.fd < 0)
		return;
	os_watch_clear(&c->watch);
	c->watch.fd = -1;
	c->up = false;
	c->has_read = false;
	/* A new connection may have to wait for an address; until then nothing may touch the old one, whose acknowledgements wait. */
	os_timer_clear(c->link->s.loop, &c->misc);
	os_timer_clear(c->link->s.loop, &c->more);
	os_timer_clear(c->link->s.loop, &c->overdue);
	link_conn_connect(c);
}

/* Reads while there is something, at most LINK_READS_A_TURN packets or LINK_TURN_MS: the turn's transaction carries them all. What
 * TLS has read already does not show in epoll. One read without a record may have ended one that had begun; after two there is
 * nothing whole left. */
static int read_some(struct link_conn *c)
{
	int64_t until = os_monotonic_ms() + LINK_TURN_MS;
	unsigned reads = 0, idle = 0;
	int rc;

	do {
		uint64_t before = c->link->counts.received + c->records;

		rc = mosquitto_loop_read(c->m, 1);
		c->has_read = true;
		idle = c->link->counts.received + c->records == before ? idle + 1 : 0;
	} while (rc == MOSQ_ERR_SUCCESS && (idle == 0 || (idle == 1 && link_record_unread(c))) &&
	         ++reads < LINK_READS_A_TURN && os_monotonic_ms() < until);
	if (rc == MOSQ_ERR_SUCCESS && idle < 2 && link_record_unread(c))
		os_timer_set(c->link->s.loop, &c->more, 0);
	return rc;
}

/* Why a socket that does not come up has ended. libmosquitto's handshake may have taken the reason away already. */
static const char *why_ended(int fd)
{
	int value = 0;
	socklen_t len = sizeof value;

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &len) == 0 && value ? strerror(value) : "refused or closed";
}

static void on_ready(struct os_watch *w, uint32_t events)
{
	struct link_conn *c = w->ctx;
	int rc = MOSQ_ERR_SUCCESS;

	if (!c->up && (events & (EPOLLERR | EPOLLHUP))) { /* libmosquitto would go on with its handshake for ever */
		down(c, why_ended(w->fd));
		return;
	}
	if (events & ~(uint32_t)OS_WRITE)
		rc = read_some(c);
	if (rc == MOSQ_ERR_SUCCESS && (events & OS_WRITE) && !c->up) /* handshake; once up, output waits for the commit */
		rc = mosquitto_loop_write(c->m, 1);
	if (rc != MOSQ_ERR_SUCCESS)
		down(c, why_of(rc));
	else
		watch(c);
}

static void on_more(struct os_timer *t)
{
	struct link_conn *c = t->ctx;

	if (c->watch.fd >= 0)
		on_ready(&c->watch, OS_READ);
}

static void on_connect(struct mosquitto *m, void *ctx, int rc, int flags, const mosquitto_property *p)
{
	struct link_conn *c = ctx;

	(void)m, (void)flags, (void)p;
	if (rc != 0)
		return; /* the broker closes; on_ready sees that */
	os_timer_clear(c->link->s.loop, &c->overdue);
	c->up = true;
	c->told = false;
	c->backoff_ms = LINK_BACKOFF_MIN_MS;
	link_record_begin(c);
	os_log(OS_LOG_LINK_UP, "client=%s", c->client_id);
	link_on_up(c);
}

static void on_message(struct mosquitto *m, void *ctx, const struct mosquitto_message *msg, const mosquitto_property *p)
{
	struct link_conn *c = ctx;

	(void)m, (void)p;
	c->link->counts.received++;
	link_on_message(c, msg->topic, hf_span_of(msg->payload, (size_t)msg->payloadlen));
}

static void on_publish(struct mosquitto *m, void *ctx, int mid, int reason, const mosquitto_property *p)
{
	(void)m, (void)p;
	link_on_published(ctx, mid, reason < 0x80);
}

enum hf_err link_conn_open(struct link_conn *c, const char *client_id, SSL_CTX *tls, bool clean)
{
	snprintf(c->client_id, sizeof c->client_id, "%s", client_id);
	c->m = mosquitto_new(client_id, clean, c);
	c->clean = clean;
	if (!c->m)
		return HF_E_MEMORY;
	c->backoff_ms = LINK_BACKOFF_MIN_MS;
	c->watch = (struct os_watch){.fd = -1, .on_ready = on_ready, .ctx = c};
	c->retry = (struct os_timer){.on_due = on_retry, .ctx = c};
	c->misc = (struct os_timer){.on_due = on_misc, .ctx = c};
	c->more = (struct os_timer){.on_due = on_more, .ctx = c};
	c->overdue = (struct os_timer){.on_due = on_overdue, .ctx = c};
	if (mosquitto_int_option(c->m, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5) != MOSQ_ERR_SUCCESS ||
	    mosquitto_int_option(c->m, MOSQ_OPT_TCP_NODELAY, 1) != MOSQ_ERR_SUCCESS ||
	    mosquitto_int_option(c->m, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0) != MOSQ_ERR_SUCCESS ||
	    mosquitto_void_option(c->m, MOSQ_OPT_SSL_CTX, tls) != MOSQ_ERR_SUCCESS ||
	    mosquitto_threaded_set(c->m, true) != MOSQ_ERR_SUCCESS || !keep_properties(c))
		return HF_E_CRYPTO;
	mosquitto_connect_v5_callback_set(c->m, on_connect);
	mosquitto_message_v5_callback_set(c->m, on_message);
	mosquitto_publish_v5_callback_set(c->m, on_publish);
	return HF_E_OK;
}

void link_conn_close(struct link_conn *c)
{
	if (!c->m)
		return;
	os_watch_clear(&c->watch);
	os_timer_clear(c->link->s.loop, &c->retry);
	os_timer_clear(c->link->s.loop, &c->misc);
	os_timer_clear(c->link->s.loop, &c->more);
	os_timer_clear(c->link->s.loop, &c->overdue);
	if (c->up && mosquitto_disconnect(c->m) == MOSQ_ERR_SUCCESS && mosquitto_loop_write(c->m, 1) == MOSQ_ERR_SUCCESS)
		(void)link_record_flush(c);
	mosquitto_destroy(c->m);
	c->m = NULL;
}
