/* port/posix - TLS towards the broker: our certificate, its CA and nothing else, its name. Uses: base node
 * port/openssl; libssl. */
#include "port/posix/posix_internal.h"

#include "port/openssl/openssl.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

enum { ACCESS_MAX = 32768, CHAIN_MAX = 8, DAY_S = 86400 };

/* The leaf, then what lies between it and the CA. */
static bool use_chain(SSL_CTX *ctx, BIO *bio)
{
	X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	bool good = cert && SSL_CTX_use_certificate(ctx, cert) == 1;

	X509_free(cert);
	for (unsigned i = 0; good && i < CHAIN_MAX && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL; i++) {
		good = SSL_CTX_add1_chain_cert(ctx, cert) == 1;
		X509_free(cert);
	}
	return good;
}

static bool use_key(SSL_CTX *ctx, BIO *bio)
{
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	bool good = key && SSL_CTX_use_PrivateKey(ctx, key) == 1 && SSL_CTX_check_private_key(ctx) == 1;

	EVP_PKEY_free(key);
	return good;
}

/* Exactly the first certificate of the text: no directory, no default of the system. */
static bool trust(SSL_CTX *ctx, BIO *bio)
{
	X509 *ca = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	bool good = ca && X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca) == 1;

	X509_free(ca);
	return good;
}

static enum hf_err use_part(SSL_CTX *ctx, struct hf_span pem, bool (*use)(SSL_CTX *ctx, BIO *bio))
{
	BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
	enum hf_err err = !bio ? HF_E_MEMORY : use(ctx, bio) ? HF_E_OK : HF_E_KEY;

	BIO_free(bio);
	ERR_clear_error(); /* the end of a chain is an error to the reader of PEM */
	return err;
}

/* Key last: it is held against the certificate. */
static enum hf_err use_access(SSL_CTX *ctx, const struct hf_node_access *access)
{
	enum hf_err err = use_part(ctx, access->certificate, use_chain);

	if (err == HF_E_OK)
		err = use_part(ctx, access->key, use_key);
	return err == HF_E_OK ? use_part(ctx, access->ca, trust) : err;
}

static enum hf_err use_stored(SSL_CTX *ctx, struct hf_posix_store *store)
{
	uint8_t *buf = malloc(ACCESS_MAX);
	struct hf_wr w = hf_wr_of(buf, ACCESS_MAX);
	struct hf_node_access access;
	enum hf_err err = buf ? hf_posix_store_get(store, HF_NODE_ITEM_ACCESS, &w) : HF_E_MEMORY;

	if (err == HF_E_OK)
		err = hf_node_access_parse(hf_wr_span(&w), &access) == HF_E_OK ? use_access(ctx, &access) : HF_E_KEY;
	if (buf)
		hf_wipe(buf, ACCESS_MAX);
	free(buf);
	return err;
}

/* From the one moment to the other; NULL is now. */
static bool seconds_between(const ASN1_TIME *from, const ASN1_TIME *to, int64_t *out)
{
	int days = 0, seconds = 0;

	if (ASN1_TIME_diff(&days, &seconds, from, to) != 1)
		return false;
	*out = (int64_t)days * DAY_S + seconds;
	return true;
}

enum hf_err hf_posix_tls_check(const struct hf_node_access *access, struct hf_node_validity *out)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	enum hf_err err = ctx ? use_access(ctx, access) : HF_E_MEMORY;
	struct hf_node_validity v = {0, 0};

	if (err == HF_E_OK) {
		const X509 *cert = SSL_CTX_get0_certificate(ctx);

		if (!seconds_between(X509_get0_notBefore(cert), X509_get0_notAfter(cert), &v.life_s) ||
		    !seconds_between(NULL, X509_get0_notAfter(cert), &v.left_s))
			err = HF_E_KEY;
	}
	SSL_CTX_free(ctx);
	if (err == HF_E_OK)
		*out = v;
	return err;
}

static int on_verify(int good, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct hf_posix_tls_told *told = ssl ? SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)) : NULL;

	if (!good && told)
		hf_posix_say(&told->why, "the broker's certificate is refused: %s",
		             X509_verify_cert_error_string(X509_STORE_CTX_get_error(store)));
	return good;
}

/* With TLS 1.3 the broker's judgement of our certificate comes as an alert after the handshake. */
static void on_info(const SSL *ssl, int where, int value)
{
	struct hf_posix_tls_told *told = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

	if (where != SSL_CB_READ_ALERT || (value & 0xff) != SSL_AD_CERTIFICATE_EXPIRED)
		return;
	told->expired = true;
	hf_posix_say(&told->why, "the broker says that the time of our certificate is over");
}

static bool check_name(SSL_CTX *ctx, const char *host)
{
	X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx);

	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1 || X509_VERIFY_PARAM_set1_host(param, host, 0) == 1;
}

enum hf_err hf_posix_tls_new(struct hf_posix_store *store, const char *host, struct hf_posix_tls_told *told,
                             SSL_CTX **out)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	enum hf_err err = ctx && SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 ? HF_E_OK : HF_E_MEMORY;

	if (err == HF_E_OK)
		err = use_stored(ctx, store);
	if (err == HF_E_OK && !check_name(ctx, host))
		err = HF_E_INPUT;
	if (err != HF_E_OK) {
		SSL_CTX_free(ctx);
		return err;
	}
	SSL_CTX_set_app_data(ctx, told);
	SSL_CTX_set_info_callback(ctx, on_info);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, on_verify);
	*out = ctx;
	return HF_E_OK;
}

void hf_posix_tls_free(SSL_CTX *tls)
{
	SSL_CTX_free(tls);
}
