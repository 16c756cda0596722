/* port/openssl, inside - what a key holds. */
#ifndef HF_OPENSSL_INTERNAL_H
#define HF_OPENSSL_INTERNAL_H
#include "port/openssl/openssl.h"

#include <openssl/evp.h>

struct hf_seal_key {
	EVP_PKEY *pkey;
	EVP_PKEY_CTX *verify, *sign; /* made at first use: an init for each message would cost a sixth of a verification */
	EVP_MD_CTX *digest; /* the same: looking the digest up costs twice what hashing a message does */
	size_t modulus_len; /* bytes, 0 if it is no RSA key */
};

/* RSA-2048 with e = 65537 only, else NULL or false: then the library must do it. */
EVP_PKEY *hf_openssl_spki_read(struct hf_span der);
bool hf_openssl_spki_write(const struct hf_seal_key *key, struct hf_wr *out);
#endif
