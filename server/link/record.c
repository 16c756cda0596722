/* link - TLS records in few system calls: a turn's acknowledgements leave in one write, what arrived comes in large reads. libmosquitto
 * alone makes three calls for a message, and they cost more than checking its signature. Uses: libmosquitto, libssl. */
#include "link/link_internal.h"

#include <openssl/ssl.h>

enum { WRITE_BUFFER = 32768 };

void link_record_context(SSL_CTX *ctx)
{
	SSL_CTX_set_read_ahead(ctx, 1);
}

/* Counts records as their headers are read: what has moved on shows here, whatever packet it was. */
static void on_record(int write, int version, int kind, const void *bytes, size_t len, SSL *ssl, void *ctx)
{
	struct link_conn *c = ctx;

	(void)version, (void)bytes, (void)len, (void)ssl;
	c->records += !write && kind == SSL3_RT_HEADER;
}

/* Without memory for the buffer each record is written by itself, as before. */
void link_record_begin(struct link_conn *c)
{
	SSL *ssl = mosquitto_ssl_get(c->m);
	BIO *socket = ssl ? SSL_get_wbio(ssl) : NULL, *buffer = socket ? BIO_new(BIO_f_buffer()) : NULL;

	if (!ssl)
		return;
	SSL_set_msg_callback(ssl, on_record);
	SSL_set_msg_callback_arg(ssl, c);
	if (!buffer || BIO_set_write_buffer_size(buffer, WRITE_BUFFER) != 1 || BIO_up_ref(socket) != 1) {
		BIO_free(buffer);
		return;
	}
	SSL_set0_wbio(ssl, BIO_push(buffer, socket));
}

bool link_record_flush(struct link_conn *c)
{
	SSL *ssl = mosquitto_ssl_get(c->m);
	BIO *out = ssl ? SSL_get_wbio(ssl) : NULL;

	return !out || BIO_wpending(out) == 0 || BIO_flush(out) == 1 || BIO_should_retry(out);
}

bool link_record_waits(struct link_conn *c)
{
	SSL *ssl = mosquitto_ssl_get(c->m);
	BIO *out = ssl ? SSL_get_wbio(ssl) : NULL;

	return out && BIO_wpending(out) > 0;
}

bool link_record_unread(struct link_conn *c)
{
	SSL *ssl = mosquitto_ssl_get(c->m);

	return ssl && SSL_has_pending(ssl) == 1;
}
