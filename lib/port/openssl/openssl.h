/* port/openssl - the crypto table over OpenSSL 3, and keys as PEM. Uses: seal; libcrypto. */
#ifndef HF_OPENSSL_H
#define HF_OPENSSL_H
#include "base/base.h"
#include "seal/seal.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct evp_pkey_st EVP_PKEY;

/* The table; it needs no state and stays valid. */
const struct hf_seal_crypto *hf_openssl_crypto(void);

/* A key from PEM: a public key must be SubjectPublicKeyInfo, a private one traditional or PKCS#8 without passphrase.
 * Only RSA of 2048 to 4096 bits and P-256 are taken. Free with hf_openssl_key_free. Errors: KEY, MEMORY. */
HF_NODISCARD enum hf_err hf_openssl_public_pem(struct hf_span pem, struct hf_seal_key **out);
HF_NODISCARD enum hf_err hf_openssl_private_pem(struct hf_span pem, struct hf_seal_key **out);
/* A public key from a DER SubjectPublicKeyInfo, all of it. Errors: KEY, MEMORY. */
HF_NODISCARD enum hf_err hf_openssl_public_der(struct hf_span der, struct hf_seal_key **out);
/* Wraps a key of the library's own; takes a reference of its own. Errors: KEY, MEMORY. */
HF_NODISCARD enum hf_err hf_openssl_key_of(EVP_PKEY *pkey, struct hf_seal_key **out);
/* NULL is allowed. */
void hf_openssl_key_free(struct hf_seal_key *key);
EVP_PKEY *hf_openssl_pkey(const struct hf_seal_key *key);

enum hf_openssl_kind { HF_OPENSSL_RSA2048, HF_OPENSSL_P256 };
/* A new key pair. Errors: CRYPTO, MEMORY. */
HF_NODISCARD enum hf_err hf_openssl_generate(enum hf_openssl_kind kind, struct hf_seal_key **out);

/* Appends the key as text or bytes: PEM SubjectPublicKeyInfo, PEM private (traditional), DER SubjectPublicKeyInfo, DER private
 * (PKCS#8). Errors: CRYPTO, NO_SPACE. */
enum hf_openssl_form { HF_OPENSSL_PUBLIC_PEM, HF_OPENSSL_PRIVATE_PEM, HF_OPENSSL_PUBLIC_DER, HF_OPENSSL_PRIVATE_DER };
HF_NODISCARD enum hf_err hf_openssl_write(const struct hf_seal_key *key, enum hf_openssl_form form, struct hf_wr *out);

/* Appends a CSR as PEM with subject CN = id text, signed by key with SHA-256. Errors: CRYPTO, NO_SPACE. */
HF_NODISCARD enum hf_err hf_openssl_csr(const struct hf_seal_key *key, const char *common_name, struct hf_wr *pem);

/* RSASSA-PSS, SHA-256, MGF1-SHA-256, maximum salt length; the check insists on that length. Errors: KEY, SIGNATURE, CRYPTO.
 * Source: srup-v5 section 8. */
HF_NODISCARD enum hf_err hf_openssl_pss_sign(const struct hf_seal_key *key, struct hf_span text, struct hf_wr *sig);
HF_NODISCARD enum hf_err hf_openssl_pss_verify(const struct hf_seal_key *key, struct hf_span text, struct hf_span sig);

/* SHA-256 over the pieces in order. Errors: CRYPTO. */
HF_NODISCARD enum hf_err hf_openssl_sha256(const struct hf_span *piece, size_t count, uint8_t out[32]);

#ifdef __cplusplus
}
#endif
#endif
