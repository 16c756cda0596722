/* port/openssl, inside - what a key holds. */
#ifndef HF_OPENSSL_INTERNAL_H
#define HF_OPENSSL_INTERNAL_H
#include "port/openssl/openssl.h"

#include <openssl/evp.h>

struct hf_seal_key {
	EVP_PKEY *pkey;
	EVP_PKEY_CTX *verify, *sign; /* made at first use: an init for each message would cost a sixth of a verification */
};
#endif
