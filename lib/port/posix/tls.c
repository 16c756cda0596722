/* port/posix - TLS towards the broker: our certificate, its CA and nothing else, its name. Uses: base node
 * port/openssl; libssl. */
#include "port/posix/posix_internal.h"

#include "port/openssl/openssl.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

enum { PEM_MAX = 16384, CHAIN_MAX = 8 };

static enum hf_err read_item(struct hf_posix_store *store, enum hf_node_item item, uint8_t *buf, BIO **out)
{
	struct hf_wr w = hf_wr_of(buf, PEM_MAX);
	enum hf_err err = hf_posix_store_get(store, item, &w);

	if (err != HF_E_OK)
		return err;
	*out = BIO_new_mem_buf(buf, (int)w.len);
	return *out ? HF_E_OK : HF_E_MEMORY;
}

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

struct part {
	enum hf_node_item item;
	bool (*use)(SSL_CTX *ctx, BIO *bio);
};
static const struct part parts[] = {
	{HF_NODE_ITEM_CERTIFICATE, use_chain},
	{HF_NODE_ITEM_ACCESS_KEY, use_key},
	{HF_NODE_ITEM_CA_CERTIFICATE, trust},
};

static enum hf_err use_parts(SSL_CTX *ctx, struct hf_posix_store *store)
{
	uint8_t *buf = malloc(PEM_MAX);
	enum hf_err err = buf ? HF_E_OK : HF_E_MEMORY;

	for (size_t i = 0; i < sizeof parts / sizeof parts[0] && err == HF_E_OK; i++) {
		BIO *bio = NULL;

		err = read_item(store, parts[i].item, buf, &bio);
		if (err == HF_E_OK && !parts[i].use(ctx, bio))
			err = HF_E_KEY;
		BIO_free(bio);
		hf_wipe(buf, PEM_MAX);
	}
	ERR_clear_error(); /* the end of a chain is an error to the reader of PEM */
	free(buf);
	return err;
}

static int on_verify(int good, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct hf_posix_why *why = ssl ? SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)) : NULL;

	if (!good)
		hf_posix_say(why, "the broker's certificate is refused: %s",
		             X509_verify_cert_error_string(X509_STORE_CTX_get_error(store)));
	return good;
}

static bool check_name(SSL_CTX *ctx, const char *host)
{
	X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx);

	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1 || X509_VERIFY_PARAM_set1_host(param, host, 0) == 1;
}

enum hf_err hf_posix_tls_new(struct hf_posix_store *store, const char *host, struct hf_posix_why *why, SSL_CTX **out)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	enum hf_err err = ctx && SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 ? HF_E_OK : HF_E_MEMORY;

	if (err == HF_E_OK)
		err = use_parts(ctx, store);
	if (err == HF_E_OK && host && !check_name(ctx, host))
		err = HF_E_INPUT;
	if (err != HF_E_OK) {
		SSL_CTX_free(ctx);
		return err;
	}
	SSL_CTX_set_app_data(ctx, why);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, on_verify);
	*out = ctx;
	return HF_E_OK;
}

void hf_posix_tls_free(SSL_CTX *tls)
{
	SSL_CTX_free(tls);
}
