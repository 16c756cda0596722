/* fuzz - envelopes: hostile bytes give one error and nothing else, what is sealed opens again. Run from the top of the tree, where the
 * key of the vectors is. Uses: seal, port/openssl, tests/vectors. */
#include "fuzz/fuzz.h"
#include "port/openssl/openssl.h"
#include "seal/seal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_FILE "tests/vectors/srup-v5/vis-r.key.pem"

enum {
	PEM_MAX = 8192,
	SEALED_MAX = HF_SEAL_PLAINTEXT_MAX + HF_SEAL_ENVELOPE_OVERHEAD,
	OPEN_MAX = HF_SEAL_PLAINTEXT_MAX + 16
};
enum { WRAPPED_LEN = 4 + 256 }; /* of an RSA-2048 recipient, with its length */

static void check(bool good)
{
	if (!good)
		abort();
}

static struct hf_seal_key *recipient(void)
{
	static struct hf_seal_key *key;
	static uint8_t pem[PEM_MAX];

	if (key)
		return key;
	FILE *file = fopen(KEY_FILE, "rb");

	check(file);
	size_t len = fread(pem, 1, sizeof pem, file);

	(void)fclose(file);
	check(hf_openssl_private_pem(hf_span_of(pem, len), &key) == HF_E_OK);
	return key;
}

/* Nothing is written unless it opens. */
static enum hf_err open_it(struct hf_span envelope, uint8_t *plain, size_t *len)
{
	struct hf_wr w = hf_wr_of(plain, OPEN_MAX);
	enum hf_err err = hf_seal_envelope_open(hf_openssl_crypto(), recipient(), envelope, &w);

	check(err == HF_E_OK || err == HF_E_ENVELOPE || (err == HF_E_NO_SPACE && envelope.len > OPEN_MAX));
	check(err == HF_E_OK || w.len == 0);
	*len = w.len;
	return err;
}

static size_t seal_it(struct hf_span plain, uint8_t *sealed)
{
	struct hf_wr w = hf_wr_of(sealed, SEALED_MAX);

	check(hf_seal_envelope_seal(hf_openssl_crypto(), recipient(), plain, &w) == HF_E_OK);
	return w.len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t wrapped[SEALED_MAX], sealed[SEALED_MAX], plain[OPEN_MAX], joined[WRAPPED_LEN + SEALED_MAX];
	static bool ready;
	size_t len = 0;

	if (!ready)
		ready = seal_it(hf_span_text("0123456789abcdef0123456789abcdef"), wrapped) == 332;
	check(ready);
	(void)open_it(hf_span_of(data, size), plain, &len);
	if (size > 0 && size <= HF_SEAL_PLAINTEXT_MAX) {
		check(open_it(hf_span_of(sealed, seal_it(hf_span_of(data, size), sealed)), plain, &len) == HF_E_OK);
		check(hf_span_equal(hf_span_of(plain, len), hf_span_of(data, size)));
	}
	if (size > SEALED_MAX)
		return 0;
	/* A good wrapped key with hostile bytes behind it: this gets to the lengths and the padding. */
	memcpy(joined, wrapped, WRAPPED_LEN);
	memcpy(joined + WRAPPED_LEN, data, size);
	(void)open_it(hf_span_of(joined, WRAPPED_LEN + size), plain, &len);
	return 0;
}
