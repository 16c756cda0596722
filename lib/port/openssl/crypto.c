/* port/openssl - the crypto table: RSA signatures with a context kept for each key, key wrap, AES. Uses: seal; libcrypto. */
#include "port/openssl/openssl_internal.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

enum { GCM_TAG_LEN = 16, GCM_NONCE_LEN = 12 };

static enum hf_err crypto_random(void *ctx, void *out, size_t len)
{
	(void)ctx;
	return RAND_bytes(out, (int)len) == 1 ? HF_E_OK : HF_E_RANDOM;
}

/* type NULL: the one that md was used with before. */
static enum hf_err digest_pieces(EVP_MD_CTX *md, const EVP_MD *type, const struct hf_span *piece, size_t count,
                                 uint8_t out[32])
{
	int ok = md && EVP_DigestInit_ex(md, type, NULL);

	for (size_t i = 0; i < count && ok; i++)
		ok = EVP_DigestUpdate(md, piece[i].ptr, piece[i].len);
	return ok && EVP_DigestFinal_ex(md, out, NULL) ? HF_E_OK : HF_E_CRYPTO;
}

enum hf_err hf_openssl_sha256(const struct hf_span *piece, size_t count, uint8_t out[32])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	enum hf_err err = digest_pieces(md, EVP_sha256(), piece, count, out);

	EVP_MD_CTX_free(md);
	return err;
}

/* The same in the key's own context, which remembers the digest that was looked up for it. */
static enum hf_err digest_for(struct hf_seal_key *key, const struct hf_span *piece, size_t count, uint8_t out[32])
{
	if (key->digest)
		return digest_pieces(key->digest, NULL, piece, count, out);
	key->digest = EVP_MD_CTX_new();
	enum hf_err err = digest_pieces(key->digest, EVP_sha256(), piece, count, out);

	if (err != HF_E_OK) {
		EVP_MD_CTX_free(key->digest);
		key->digest = NULL;
	}
	return err;
}

/* An initialised context for PKCS#1 v1.5 with SHA-256, made once for each key and direction. */
static EVP_PKEY_CTX *prepared(EVP_PKEY_CTX **slot, EVP_PKEY *pkey, int (*init)(EVP_PKEY_CTX *))
{
	if (*slot)
		return *slot;
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(pkey, NULL);

	if (c && init(c) == 1 && EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PADDING) == 1 &&
	    EVP_PKEY_CTX_set_signature_md(c, EVP_sha256()) == 1)
		return *slot = c;
	EVP_PKEY_CTX_free(c);
	return NULL;
}

static enum hf_err crypto_verify(void *ctx, struct hf_seal_key *key, const struct hf_span *piece, size_t count,
                                 struct hf_span sig)
{
	uint8_t digest[32];
	EVP_PKEY_CTX *c = prepared(&key->verify, key->pkey, EVP_PKEY_verify_init);

	(void)ctx;
	if (!c || digest_for(key, piece, count, digest) != HF_E_OK)
		return HF_E_CRYPTO;
	if (EVP_PKEY_verify(c, sig.ptr, sig.len, digest, sizeof digest) == 1)
		return HF_E_OK;
	ERR_clear_error();
	return HF_E_SIGNATURE;
}

static enum hf_err crypto_sign(void *ctx, struct hf_seal_key *key, const struct hf_span *piece, size_t count,
                               struct hf_wr *sig)
{
	uint8_t digest[32], out[HF_SEAL_SIGNATURE_MAX];
	size_t len = sizeof out;
	EVP_PKEY_CTX *c = prepared(&key->sign, key->pkey, EVP_PKEY_sign_init);

	(void)ctx;
	if (!c || digest_for(key, piece, count, digest) != HF_E_OK ||
	    EVP_PKEY_sign(c, out, &len, digest, sizeof digest) != 1)
		return HF_E_CRYPTO;
	hf_wr_put(sig, hf_span_of(out, len));
	return sig->err;
}

static size_t crypto_modulus_len(void *ctx, struct hf_seal_key *key)
{
	(void)ctx;
	return key->modulus_len;
}

static EVP_PKEY_CTX *wrap_context(struct hf_seal_key *key, int (*init)(EVP_PKEY_CTX *))
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(key->pkey, NULL);

	if (c && init(c) == 1 && EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PADDING) == 1)
		return c;
	EVP_PKEY_CTX_free(c);
	return NULL;
}

static enum hf_err crypto_wrap(void *ctx, struct hf_seal_key *key, const uint8_t secret[32], struct hf_wr *out)
{
	uint8_t buf[HF_SEAL_SIGNATURE_MAX];
	size_t len = sizeof buf;
	EVP_PKEY_CTX *c = wrap_context(key, EVP_PKEY_encrypt_init);
	int ok = c && EVP_PKEY_encrypt(c, buf, &len, secret, 32) == 1;

	(void)ctx;
	EVP_PKEY_CTX_free(c);
	if (!ok)
		return HF_E_CRYPTO;
	hf_wr_put(out, hf_span_of(buf, len));
	return out->err;
}

static enum hf_err crypto_unwrap(void *ctx, struct hf_seal_key *key, struct hf_span wrapped, uint8_t secret[32])
{
	uint8_t buf[HF_SEAL_SIGNATURE_MAX];
	size_t len = sizeof buf;
	EVP_PKEY_CTX *c = wrap_context(key, EVP_PKEY_decrypt_init);
	int ok = c && EVP_PKEY_decrypt(c, buf, &len, wrapped.ptr, wrapped.len) == 1 && len == 32;

	(void)ctx;
	EVP_PKEY_CTX_free(c);
	for (size_t i = 0; i < 32 && ok; i++)
		secret[i] = buf[i];
	hf_wipe(buf, sizeof buf);
	ERR_clear_error();
	return ok ? HF_E_OK : HF_E_ENVELOPE;
}

static enum hf_err crypto_cbc(void *ctx, bool encrypt, const uint8_t key[32], const uint8_t iv[16], struct hf_span in,
                              struct hf_wr *out)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int len = 0;

	(void)ctx;
	if (in.len > out->cap - out->len)
		out->err = HF_E_NO_SPACE;
	int ok = out->err == HF_E_OK && c && EVP_CipherInit_ex(c, EVP_aes_256_cbc(), NULL, key, iv, encrypt) &&
	         EVP_CIPHER_CTX_set_padding(c, 0) && EVP_CipherUpdate(c, out->base + out->len, &len, in.ptr, (int)in.len) &&
	         (size_t)len == in.len;
	EVP_CIPHER_CTX_free(c);
	if (!ok)
		return out->err != HF_E_OK ? out->err : HF_E_CRYPTO;
	out->len += in.len;
	return HF_E_OK;
}

static enum hf_err gcm_run(EVP_CIPHER_CTX *c, bool encrypt, struct hf_span ad, struct hf_span in, uint8_t *to)
{
	size_t body = encrypt ? in.len : in.len - GCM_TAG_LEN;
	uint8_t tag[GCM_TAG_LEN];
	int len = 0;

	for (size_t i = 0; i < GCM_TAG_LEN && !encrypt; i++)
		tag[i] = in.ptr[body + i];
	if (!encrypt && !EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, GCM_TAG_LEN, tag))
		return HF_E_CRYPTO;
	if (ad.len > 0 && !EVP_CipherUpdate(c, NULL, &len, ad.ptr, (int)ad.len))
		return HF_E_CRYPTO;
	if (body > 0 && !EVP_CipherUpdate(c, to, &len, in.ptr, (int)body))
		return HF_E_CRYPTO;
	if (EVP_CipherFinal_ex(c, to + body, &len) != 1)
		return encrypt ? HF_E_CRYPTO : HF_E_ENVELOPE;
	if (encrypt && !EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, GCM_TAG_LEN, to + body))
		return HF_E_CRYPTO;
	return HF_E_OK;
}

static enum hf_err crypto_gcm(void *ctx, bool encrypt, const struct hf_seal_aead *with, struct hf_span in,
                              struct hf_wr *out)
{
	if (!encrypt && in.len < GCM_TAG_LEN)
		return HF_E_ENVELOPE;
	size_t len = encrypt ? in.len + GCM_TAG_LEN : in.len - GCM_TAG_LEN;

	(void)ctx;
	if (out->err != HF_E_OK || len > out->cap - out->len)
		return HF_E_NO_SPACE;
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	enum hf_err err = HF_E_CRYPTO;

	if (c && EVP_CipherInit_ex(c, EVP_aes_256_gcm(), NULL, NULL, NULL, encrypt) &&
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_IVLEN, GCM_NONCE_LEN, NULL) &&
	    EVP_CipherInit_ex(c, NULL, NULL, with->key, with->nonce, encrypt))
		err = gcm_run(c, encrypt, with->ad, in, out->base + out->len);
	EVP_CIPHER_CTX_free(c);
	if (err == HF_E_OK)
		out->len += len;
	else
		hf_wipe(out->base + out->len, len);
	return err;
}

const struct hf_seal_crypto *hf_openssl_crypto(void)
{
	static const struct hf_seal_crypto table = {
		.random = crypto_random,
		.verify = crypto_verify,
		.sign = crypto_sign,
		.modulus_len = crypto_modulus_len,
		.wrap = crypto_wrap,
		.unwrap = crypto_unwrap,
		.cbc = crypto_cbc,
		.gcm = crypto_gcm,
	};

	return &table;
}
