/* link - one MQTT connection in our loop: what it acknowledges leaves only after the commit. Uses: base os; libmosquitto, libssl.
 * Recipes: mosquitto_threaded_set without a thread holds all output back until mosquitto_loop_write. */
#include "link/link_internal.h"

#include "port/openssl/openssl.h"

#include <mqtt_protocol.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

enum { KEEPALIVE_S = 30, MISC_MS = 1000, RECEIVE_MAXIMUM = 1000, SESSION_EXPIRY_S = 7 * 24 * 3600, LINK_LOG_MS = 1000 };

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

/* The connection is gone: say so once, and try again later. */
static void down(struct link_conn *c)
{
	bool was_up = c->up;

	os_watch_clear(&c->watch);
	c->watch.fd = -1;
	c->up = false;
	c->has_read = false;
	os_timer_clear(c->link->s.loop, &c->misc);
	if (was_up || (c->backoff_ms >= LINK_LOG_MS && !c->told)) /* and once while it does not come up at all */
		os_log(OS_LOG_LINK_DOWN, "client=%s broker=%s:%u", c->client_id, c->link->s.host, c->link->s.port);
	c->told |= c->backoff_ms >= LINK_LOG_MS;
	os_timer_set(c->link->s.loop, &c->retry, os_monotonic_ms() + c->backoff_ms);
	c->backoff_ms = c->backoff_ms * 2 < LINK_BACKOFF_MAX_MS ? c->backoff_ms * 2 : LINK_BACKOFF_MAX_MS;
	link_on_down(c);
}

static mosquitto_property *connect_properties(bool clean)
{
	mosquitto_property *p = NULL;

	mosquitto_property_add_int16(&p, MQTT_PROP_RECEIVE_MAXIMUM, RECEIVE_MAXIMUM);
	if (!clean)
		mosquitto_property_add_int32(&p, MQTT_PROP_SESSION_EXPIRY_INTERVAL, SESSION_EXPIRY_S);
	return p;
}

void link_conn_connect(struct link_conn *c)
{
	const struct link_setup *s = &c->link->s;
	mosquitto_property *p = connect_properties(c->clean);
	int rc = mosquitto_connect_bind_v5(c->m, s->host, (int)s->port, KEEPALIVE_S, NULL, p);

	mosquitto_property_free_all(&p);
	if (rc != MOSQ_ERR_SUCCESS) {
		down(c);
		return;
	}
	os_timer_set(s->loop, &c->misc, os_monotonic_ms() + MISC_MS);
	watch(c);
}

static void on_retry(struct os_timer *t)
{
	link_conn_connect(t->ctx);
}

static void on_misc(struct os_timer *t)
{
	struct link_conn *c = t->ctx;

	if (mosquitto_loop_misc(c->m) != MOSQ_ERR_SUCCESS) {
		down(c);
		return;
	}
	os_timer_set(c->link->s.loop, t, os_monotonic_ms() + MISC_MS);
	watch(c);
}

void link_conn_flush(struct link_conn *c)
{
	if (c->watch.fd < 0)
		return;
	if ((mosquitto_want_write(c->m) && mosquitto_loop_write(c->m, 1) != MOSQ_ERR_SUCCESS) || !link_record_flush(c)) {
		down(c);
		return;
	}
	watch(c);
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
	if (mosquitto_reconnect(c->m) == MOSQ_ERR_SUCCESS)
		watch(c);
	else
		down(c);
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

static void on_ready(struct os_watch *w, uint32_t events)
{
	struct link_conn *c = w->ctx;
	int rc = MOSQ_ERR_SUCCESS;

	if (events & ~(uint32_t)OS_WRITE)
		rc = read_some(c);
	if (rc == MOSQ_ERR_SUCCESS && (events & OS_WRITE) && !c->up) /* handshake; once up, output waits for the commit */
		rc = mosquitto_loop_write(c->m, 1);
	if (rc != MOSQ_ERR_SUCCESS)
		down(c);
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
	if (mosquitto_int_option(c->m, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5) != MOSQ_ERR_SUCCESS ||
	    mosquitto_int_option(c->m, MOSQ_OPT_TCP_NODELAY, 1) != MOSQ_ERR_SUCCESS ||
	    mosquitto_int_option(c->m, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0) != MOSQ_ERR_SUCCESS ||
	    mosquitto_void_option(c->m, MOSQ_OPT_SSL_CTX, tls) != MOSQ_ERR_SUCCESS ||
	    mosquitto_threaded_set(c->m, true) != MOSQ_ERR_SUCCESS)
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
	if (c->up && mosquitto_disconnect(c->m) == MOSQ_ERR_SUCCESS && mosquitto_loop_write(c->m, 1) == MOSQ_ERR_SUCCESS)
		(void)link_record_flush(c);
	mosquitto_destroy(c->m);
	c->m = NULL;
}
