/* port/fake, inside - the toy key. */
#ifndef HF_FAKE_INTERNAL_H
#define HF_FAKE_INTERNAL_H
#include "port/fake/fake.h"

struct hf_seal_key {
	uint64_t number;
	size_t modulus;
};

/* Fills the crypto table; ctx is the fake. */
void hf_fake_crypto_init(struct hf_fake *f);
/* A toy signature of 256 bytes; domain keeps the two kinds apart. */
void hf_fake_mark(uint64_t number, uint64_t domain, const struct hf_span *piece, size_t count, uint8_t out[256]);
#endif
