/* http - the certificate that the listener shows, which may change while it listens. Uses: GnuTLS, as libmicrohttpd does. */
#include "http/http_internal.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>

enum { CHAIN_MAX = 8, KEY_ID_MAX = 64 };

/* Kept until the end: a handshake that began with it may still use it. There is one for each renewal. */
struct http_certificate {
	gnutls_pcert_st chain[CHAIN_MAX];
	unsigned count;
	gnutls_privkey_t key;
	struct http_certificate *older;
};
/* libmicrohttpd's callback knows neither its daemon nor a context; there is one listener in a process. */
static struct http_certificate *shown;

int http_certificate_choose(gnutls_session_t session, const gnutls_datum_t *names, int name_count,
                            const gnutls_pk_algorithm_t *kinds, int kind_count, gnutls_pcert_st **chain,
                            unsigned *count, gnutls_privkey_t *key)
{
	(void)session, (void)names, (void)name_count, (void)kinds, (void)kind_count;
	if (!shown)
		return -1;
	*chain = shown->chain;
	*count = shown->count;
	*key = shown->key;
	return 0;
}

static void certificate_free(struct http_certificate *c)
{
	for (unsigned i = 0; i < c->count; i++)
		gnutls_pcert_deinit(&c->chain[i]);
	if (c->key)
		gnutls_privkey_deinit(c->key);
	free(c);
}

/* Does the key belong to the certificate? */
static bool fits(const struct http_certificate *c)
{
	uint8_t of_key[KEY_ID_MAX], of_cert[KEY_ID_MAX];
	size_t key_len = sizeof of_key, cert_len = sizeof of_cert;
	gnutls_pubkey_t public_key;

	if (gnutls_pubkey_init(&public_key) < 0)
		return false;
	bool same = gnutls_pubkey_import_privkey(public_key, c->key, 0, 0) >= 0 &&
	            gnutls_pubkey_get_key_id(public_key, 0, of_key, &key_len) >= 0 &&
	            gnutls_pubkey_get_key_id(c->chain[0].pubkey, 0, of_cert, &cert_len) >= 0 && key_len == cert_len &&
	            memcmp(of_key, of_cert, key_len) == 0;

	gnutls_pubkey_deinit(public_key);
	return same;
}

static bool import(struct http_certificate *c, const char *key_pem, const char *certificate_pem)
{
	gnutls_datum_t key = {(unsigned char *)(uintptr_t)key_pem, (unsigned)strlen(key_pem)};
	gnutls_datum_t chain = {(unsigned char *)(uintptr_t)certificate_pem, (unsigned)strlen(certificate_pem)};
	unsigned count = CHAIN_MAX;

	if (gnutls_pcert_list_import_x509_raw(c->chain, &count, &chain, GNUTLS_X509_FMT_PEM, 0) < 0)
		return false;
	c->count = count;
	return count > 0 && gnutls_privkey_init(&c->key) >= 0 &&
	       gnutls_privkey_import_x509_raw(c->key, &key, GNUTLS_X509_FMT_PEM, NULL, 0) >= 0 && fits(c);
}

enum hf_err http_certificate_set(const char *key_pem, const char *certificate_pem)
{
	struct http_certificate *c = calloc(1, sizeof *c);

	if (!c)
		return HF_E_MEMORY;
	if (!import(c, key_pem, certificate_pem)) {
		certificate_free(c);
		return HF_E_KEY;
	}
	c->older = shown;
	shown = c;
	return HF_E_OK;
}

void http_certificate_release(void)
{
	while (shown) {
		struct http_certificate *older = shown->older;

		certificate_free(shown);
		shown = older;
	}
}
