/* port/openssl - keys: reading, making, writing, CSR, PSS. Uses: seal; libcrypto. */
#include "port/openssl/openssl_internal.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

enum { RSA_BITS_MIN = 2048, RSA_BITS_MAX = 4096 };

static bool acceptable(EVP_PKEY *pkey)
{
	char group[32];
	size_t len = 0;

	if (EVP_PKEY_is_a(pkey, "RSA"))
		return EVP_PKEY_get_bits(pkey) >= RSA_BITS_MIN && EVP_PKEY_get_bits(pkey) <= RSA_BITS_MAX;
	return EVP_PKEY_is_a(pkey, "EC") && EVP_PKEY_get_group_name(pkey, group, sizeof group, &len) == 1 &&
	       strcmp(group, "prime256v1") == 0;
}

/* Takes the reference over, also when it refuses. */
static enum hf_err adopt(EVP_PKEY *pkey, struct hf_seal_key **out)
{
	struct hf_seal_key *key;

	ERR_clear_error();
	if (!pkey || !acceptable(pkey)) {
		EVP_PKEY_free(pkey);
		return HF_E_KEY;
	}
	key = calloc(1, sizeof *key);
	if (!key) {
		EVP_PKEY_free(pkey);
		return HF_E_MEMORY;
	}
	key->pkey = pkey;
	key->modulus_len = EVP_PKEY_is_a(pkey, "RSA") ? (size_t)EVP_PKEY_get_size(pkey) : 0;
	*out = key;
	return HF_E_OK;
}

enum hf_err hf_openssl_key_of(EVP_PKEY *pkey, struct hf_seal_key **out)
{
	return EVP_PKEY_up_ref(pkey) ? adopt(pkey, out) : HF_E_CRYPTO;
}

void hf_openssl_key_free(struct hf_seal_key *key)
{
	if (!key)
		return;
	EVP_PKEY_CTX_free(key->verify);
	EVP_PKEY_CTX_free(key->sign);
	EVP_MD_CTX_free(key->digest);
	EVP_PKEY_free(key->pkey);
	free(key);
}

EVP_PKEY *hf_openssl_pkey(const struct hf_seal_key *key)
{
	return key->pkey;
}

/* Never asks for a passphrase on the terminal. */
static int no_passphrase(char *buf, int size, int writing, void *ctx)
{
	(void)buf, (void)size, (void)writing, (void)ctx;
	return -1;
}

static enum hf_err read_pem(struct hf_span pem, EVP_PKEY *(*read)(BIO *, EVP_PKEY **, pem_password_cb *, void *),
                            struct hf_seal_key **out)
{
	BIO *bio = pem.len <= INT32_MAX ? BIO_new_mem_buf(pem.ptr, (int)pem.len) : NULL;
	EVP_PKEY *pkey = bio ? read(bio, NULL, no_passphrase, NULL) : NULL;

	BIO_free(bio);
	return adopt(pkey, out);
}

enum hf_err hf_openssl_public_pem(struct hf_span pem, struct hf_seal_key **out)
{
	return read_pem(pem, PEM_read_bio_PUBKEY, out);
}

enum hf_err hf_openssl_private_pem(struct hf_span pem, struct hf_seal_key **out)
{
	return read_pem(pem, PEM_read_bio_PrivateKey, out);
}

enum hf_err hf_openssl_public_der(struct hf_span der, struct hf_seal_key **out)
{
	const unsigned char *at = der.ptr;
	EVP_PKEY *pkey = hf_openssl_spki_read(der);

	if (pkey)
		return adopt(pkey, out);
	pkey = der.len > 0 && der.len <= INT32_MAX ? d2i_PUBKEY(NULL, &at, (long)der.len) : NULL;
	if (pkey && at != der.ptr + der.len) {
		EVP_PKEY_free(pkey);
		pkey = NULL;
	}
	return adopt(pkey, out);
}

enum hf_err hf_openssl_generate(enum hf_openssl_kind kind, struct hf_seal_key **out)
{
	EVP_PKEY *pkey = kind == HF_OPENSSL_P256 ? EVP_EC_gen("P-256") : EVP_RSA_gen(RSA_BITS_MIN);

	return pkey ? adopt(pkey, out) : HF_E_CRYPTO;
}

static enum hf_err put_bio(BIO *bio, int ok, struct hf_wr *out)
{
	char *text = NULL;
	long len = ok == 1 ? BIO_get_mem_data(bio, &text) : 0;

	if (len > 0) {
		hf_wr_put(out, hf_span_of(text, (size_t)len));
		hf_wipe(text, (size_t)len);
	}
	BIO_free(bio);
	return len > 0 ? out->err : HF_E_CRYPTO;
}

enum hf_err hf_openssl_write(const struct hf_seal_key *key, enum hf_openssl_form form, struct hf_wr *out)
{
	BIO *bio;
	int ok = 0;

	if (form == HF_OPENSSL_PUBLIC_DER && hf_openssl_spki_write(key, out))
		return out->err;
	bio = BIO_new(BIO_s_mem());
	if (!bio)
		return HF_E_MEMORY;
	switch (form) {
	case HF_OPENSSL_PUBLIC_PEM: ok = PEM_write_bio_PUBKEY(bio, key->pkey); break;
	case HF_OPENSSL_PRIVATE_PEM:
		ok = PEM_write_bio_PrivateKey_traditional(bio, key->pkey, NULL, NULL, 0, NULL, NULL);
		break;
	case HF_OPENSSL_PUBLIC_DER: ok = i2d_PUBKEY_bio(bio, key->pkey); break;
	case HF_OPENSSL_PRIVATE_DER: ok = i2d_PKCS8PrivateKey_bio(bio, key->pkey, NULL, NULL, 0, NULL, NULL); break;
	}
	return put_bio(bio, ok, out);
}

enum hf_err hf_openssl_csr(const struct hf_seal_key *key, const char *common_name, struct hf_wr *pem)
{
	X509_REQ *req = X509_REQ_new();
	X509_NAME *name = req ? X509_REQ_get_subject_name(req) : NULL;
	BIO *bio = BIO_new(BIO_s_mem());
	int ok = bio && name &&
	         X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)common_name, -1, -1, 0) == 1 &&
	         X509_REQ_set_pubkey(req, key->pkey) == 1 && X509_REQ_sign(req, key->pkey, EVP_sha256()) > 0 &&
	         PEM_write_bio_X509_REQ(bio, req) == 1;

	X509_REQ_free(req);
	return put_bio(bio, ok, pem);
}

static EVP_MD_CTX *pss_context(const struct hf_seal_key *key, bool sign)
{
	EVP_PKEY_CTX *pctx = NULL;
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	int ok = md && EVP_PKEY_is_a(key->pkey, "RSA") &&
	         (sign ? EVP_DigestSignInit(md, &pctx, EVP_sha256(), NULL, key->pkey)
	               : EVP_DigestVerifyInit(md, &pctx, EVP_sha256(), NULL, key->pkey)) == 1 &&
	         EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) == 1 &&
	         EVP_PKEY_CTX_set_rsa_mgf1_md(pctx, EVP_sha256()) == 1 &&
	         EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_MAX) == 1;

	if (ok)
		return md;
	EVP_MD_CTX_free(md);
	return NULL;
}

enum hf_err hf_openssl_pss_sign(const struct hf_seal_key *key, struct hf_span text, struct hf_wr *sig)
{
	uint8_t out[HF_SEAL_SIGNATURE_MAX];
	size_t len = sizeof out;
	EVP_MD_CTX *md = pss_context(key, true);

	if (!md)
		return HF_E_KEY;
	int ok = EVP_DigestSign(md, out, &len, text.ptr, text.len);

	EVP_MD_CTX_free(md);
	if (ok != 1)
		return HF_E_CRYPTO;
	hf_wr_put(sig, hf_span_of(out, len));
	return sig->err;
}

enum hf_err hf_openssl_pss_verify(const struct hf_seal_key *key, struct hf_span text, struct hf_span sig)
{
	EVP_MD_CTX *md = pss_context(key, false);

	if (!md)
		return HF_E_KEY;
	int ok = EVP_DigestVerify(md, sig.ptr, sig.len, text.ptr, text.len);

	EVP_MD_CTX_free(md);
	ERR_clear_error();
	return ok == 1 ? HF_E_OK : HF_E_SIGNATURE;
}
