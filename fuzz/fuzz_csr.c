/* fuzz - certificate requests: what is taken has a key that can be written and read again. Uses: ca, port/openssl. */
#include "ca/ca.h"
#include "fuzz/fuzz.h"
#include "port/openssl/openssl.h"

#include <stdlib.h>

static void check(bool good)
{
	if (!good)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hf_seal_key *key = NULL, *again = NULL;
	uint8_t body[CA_KEY_DER_MAX * 2];
	struct hf_wr w = hf_wr_of(body, sizeof body);
	enum hf_err err = ca_csr_check(hf_span_of(data, size), &key);

	check((err == HF_E_OK) == (key != NULL));
	check(err == HF_E_OK || err == HF_E_INPUT || err == HF_E_KEY || err == HF_E_SIGNATURE);
	if (err != HF_E_OK)
		return 0;
	check(ca_key_body_write(key, &w) == HF_E_OK);
	check(ca_key_body_read(hf_wr_span(&w), &again) == HF_E_OK);
	hf_openssl_key_free(key);
	hf_openssl_key_free(again);
	return 0;
}
