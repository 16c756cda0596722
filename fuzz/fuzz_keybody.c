/* fuzz - key bodies: what is taken is written and read again as the same. Uses: ca, port/openssl. */
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
	uint8_t body[2][CA_KEY_DER_MAX * 2];
	struct hf_wr first = hf_wr_of(body[0], sizeof body[0]), second = hf_wr_of(body[1], sizeof body[1]);
	enum hf_err err = ca_key_body_read(hf_span_of(data, size), &key);

	check((err == HF_E_OK) == (key != NULL));
	check(err == HF_E_OK || err == HF_E_KEY);
	if (err != HF_E_OK)
		return 0;
	check(ca_key_body_write(key, &first) == HF_E_OK);
	check(ca_key_body_read(hf_wr_span(&first), &again) == HF_E_OK);
	check(ca_key_body_write(again, &second) == HF_E_OK);
	check(hf_span_equal(hf_wr_span(&first), hf_wr_span(&second)));
	hf_openssl_key_free(key);
	hf_openssl_key_free(again);
	return 0;
}
