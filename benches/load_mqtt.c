/* load - MQTT 5 packets and their TLS. Uses: base os ca port/openssl; OpenSSL. Source: MQTT 5.0, sections 2 and 3. */
#include "benches/load_mqtt.h"

#include "ca/ca.h"
#include "os/os.h"
#include "port/openssl/openssl.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	KEEPALIVE_S = 3600,
	QOS_1 = 2,
	VERSION = 5,
	CLEAN_START = 2,
	RECEIVE_MAXIMUM = 0x21,
	RECEIVE_MAXIMUM_OF_THE_SERVER = 1000,
	PEM_MAX = 65536
};

static bool failed(const char *what)
{
	(void)fprintf(stderr, "load: %s\n", what);
	ERR_print_errors_fp(stderr);
	return false;
}

/* --- writing ------------------------------------------------------------------------------------------------------- */

static void put_number(struct hf_wr *w, size_t v)
{
	for (; v >= 128; v /= 128)
		hf_wr_be(w, v % 128 | 128, 1);
	hf_wr_be(w, v, 1);
}

static void put_head(struct hf_wr *w, unsigned kind, unsigned flags, size_t body_len)
{
	hf_wr_be(w, kind << 4 | flags, 1);
	put_number(w, body_len);
}

void load_put_publish(struct hf_wr *w, const char *topic, uint16_t packet_id, struct hf_span payload)
{
	put_head(w, LOAD_PUBLISH, packet_id ? QOS_1 : 0, 2 + strlen(topic) + (packet_id ? 2 : 0) + 1 + payload.len);
	hf_wr_lp(w, hf_span_text(topic));
	if (packet_id)
		hf_wr_be(w, packet_id, 2);
	hf_wr_be(w, 0, 1); /* no properties */
	hf_wr_put(w, payload);
}

bool load_send(struct load_link *l, struct hf_span bytes)
{
	return SSL_write(l->ssl, bytes.ptr, (int)bytes.len) == (int)bytes.len;
}

/* --- reading ------------------------------------------------------------------------------------------------------- */

bool load_read(struct load_link *l)
{
	if (!l->in)
		l->in = malloc(LOAD_IN_MAX);
	if (!l->in)
		return false;
	memmove(l->in, l->in + l->in_at, l->in_len - l->in_at);
	l->in_len -= l->in_at;
	l->in_at = 0;
	int n = SSL_read(l->ssl, l->in + l->in_len, (int)(LOAD_IN_MAX - l->in_len));

	if (n > 0)
		l->in_len += (size_t)n;
	return n > 0 || SSL_get_error(l->ssl, n) == SSL_ERROR_WANT_READ;
}

/* A variable byte integer; r->err SHORT when it is not whole. */
static size_t take_number(struct hf_rd *r)
{
	size_t v = 0, byte = 128;

	for (unsigned shift = 0; shift < 28 && byte >= 128 && r->err == HF_E_OK; shift += 7) {
		byte = (size_t)hf_rd_be(r, 1);
		v |= (byte & 127) << shift;
	}
	return v;
}

static void read_body(unsigned flags, struct hf_span body, struct load_received *out)
{
	struct hf_rd r = hf_rd_of(body);

	if (out->kind == LOAD_CONNACK) {
		(void)hf_rd_be(&r, 1);
		out->reason = (uint8_t)hf_rd_be(&r, 1);
	} else if (out->kind == LOAD_PUBLISH) {
		(void)hf_rd_lp(&r);
		out->packet_id = flags & QOS_1 ? (uint16_t)hf_rd_be(&r, 2) : 0;
		(void)hf_rd_take(&r, take_number(&r));
		out->payload = hf_rd_take(&r, hf_rd_left(&r));
	} else {
		out->packet_id = (uint16_t)hf_rd_be(&r, 2);
		out->reason = body.len ? body.ptr[body.len - 1] : 0;
	}
}

bool load_take(struct load_link *l, struct load_received *out)
{
	struct hf_rd r = hf_rd_of(hf_span_of(l->in + l->in_at, l->in_len - l->in_at));
	unsigned head = (unsigned)hf_rd_be(&r, 1);
	size_t len = take_number(&r);
	struct hf_span body = hf_rd_take(&r, len);

	if (r.err != HF_E_OK)
		return false;
	*out = (struct load_received){.kind = (enum load_packet)(head >> 4)};
	read_body(head & 15, body, out);
	l->in_at = l->in_len - hf_rd_left(&r);
	return true;
}

static bool acknowledge(struct load_link *l, const struct load_received *p)
{
	uint8_t bytes[4];
	struct hf_wr w = hf_wr_of(bytes, sizeof bytes);

	if (p->kind != LOAD_PUBLISH || p->packet_id == 0)
		return true;
	put_head(&w, LOAD_PUBACK, 0, 2);
	hf_wr_be(&w, p->packet_id, 2);
	return load_send(l, hf_wr_span(&w));
}

bool load_wait(struct load_link *l, enum load_packet kind, struct load_received *out)
{
	do {
		while (!load_take(l, out))
			if (!load_read(l))
				return false;
		if (!acknowledge(l, out))
			return false;
	} while (out->kind != kind);
	return true;
}

/* --- connecting ---------------------------------------------------------------------------------------------------- */

static enum hf_err read_keys(struct load_stage *s, const char *keys)
{
	char path[1024];
	OS_BUF_SCOPED cert = os_buf_of(PEM_MAX);
	OS_BUF_SCOPED key = os_buf_of(PEM_MAX);

	(void)snprintf(path, sizeof path, "%s/broker_ca.crt", keys);
	enum hf_err err = os_read_file(path, &cert);

	(void)snprintf(path, sizeof path, "%s/broker_ca.key", keys);
	if (err == HF_E_OK)
		err = os_read_file(path, &key);
	if (err == HF_E_OK)
		err = ca_cert_read(os_buf_span(&cert), &s->ca);
	return err == HF_E_OK ? hf_openssl_private_pem(os_buf_span(&key), &s->ca_key) : err;
}

bool load_stage_open(struct load_stage *s, const char *keys, unsigned port)
{
	*s = (struct load_stage){.port = port, .ctx = SSL_CTX_new(TLS_client_method())};
	if (!s->ctx || read_keys(s, keys) != HF_E_OK || hf_openssl_generate(HF_OPENSSL_P256, &s->access) != HF_E_OK ||
	    X509_STORE_add_cert(SSL_CTX_get_cert_store(s->ctx), s->ca) != 1)
		return failed("no usable key folder");
	SSL_CTX_set_verify(s->ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_session_cache_mode(s->ctx, SSL_SESS_CACHE_OFF);
	return true;
}

void load_stage_close(struct load_stage *s)
{
	SSL_CTX_free(s->ctx);
	ca_cert_free(s->ca);
	hf_openssl_key_free(s->access);
	hf_openssl_key_free(s->ca_key);
}

X509 *load_certify(const struct load_stage *s, const char *name)
{
	const struct ca_subject subject = {.name = name};
	const struct ca_issuer issuer = {s->ca, s->ca_key};
	const struct ca_leaf leaf = {.subject = &subject, .use = CA_USE_CLIENT, .days = 1};
	X509 *cert = NULL;

	if (ca_leaf_make(&issuer, s->access, &leaf, os_now_ms() / 1000, &cert) != HF_E_OK)
		(void)failed("no certificate");
	return cert;
}

static int dial(unsigned port)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
	                         .sin_port = htons((uint16_t)port),
	                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0 &&
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static bool say_connect(struct load_link *l, const char *client_id)
{
	uint8_t bytes[256];
	struct hf_wr w = hf_wr_of(bytes, sizeof bytes);

	put_head(&w, 1, 0, 6 + 1 + 1 + 2 + 1 + 3 + 2 + strlen(client_id));
	hf_wr_lp(&w, hf_span_text("MQTT"));
	hf_wr_be(&w, VERSION, 1);
	hf_wr_be(&w, CLEAN_START, 1);
	hf_wr_be(&w, KEEPALIVE_S, 2);
	hf_wr_be(&w, 3, 1); /* bytes of properties */
	hf_wr_be(&w, RECEIVE_MAXIMUM, 1);
	hf_wr_be(&w, RECEIVE_MAXIMUM_OF_THE_SERVER, 2);
	hf_wr_lp(&w, hf_span_text(client_id));
	return w.err == HF_E_OK && load_send(l, hf_wr_span(&w));
}

bool load_connect(struct load_link *l, const struct load_stage *s, X509 *cert, const char *client_id)
{
	struct load_received got;

	*l = (struct load_link){.fd = dial(s->port), .ssl = SSL_new(s->ctx)};
	if (l->fd < 0 || !l->ssl || SSL_use_certificate(l->ssl, cert) != 1 ||
	    SSL_use_PrivateKey(l->ssl, hf_openssl_pkey(s->access)) != 1 || SSL_set_fd(l->ssl, l->fd) != 1 ||
	    SSL_connect(l->ssl) != 1)
		return failed("no TLS connection to the broker");
	if (!say_connect(l, client_id) || !load_wait(l, LOAD_CONNACK, &got) || got.reason != 0)
		return failed("the broker refused the connection");
	return true;
}

bool load_subscribe(struct load_link *l, const char *filter)
{
	uint8_t bytes[256];
	struct hf_wr w = hf_wr_of(bytes, sizeof bytes);
	struct load_received got;

	put_head(&w, 8, QOS_1, 2 + 1 + 2 + strlen(filter) + 1);
	hf_wr_be(&w, 1, 2);
	hf_wr_be(&w, 0, 1);
	hf_wr_lp(&w, hf_span_text(filter));
	hf_wr_be(&w, 1, 1);
	if (!load_send(l, hf_wr_span(&w)) || !load_wait(l, LOAD_SUBACK, &got) || got.reason > 2)
		return failed("the broker refused the subscription");
	return true;
}

void load_close(struct load_link *l)
{
	uint8_t bytes[2] = {14 << 4, 0}; /* DISCONNECT */

	if (l->ssl && SSL_is_init_finished(l->ssl))
		(void)load_send(l, hf_span_of(bytes, sizeof bytes));
	SSL_free(l->ssl);
	if (l->fd >= 0)
		close(l->fd);
	free(l->in);
	*l = (struct load_link){.fd = -1};
}
