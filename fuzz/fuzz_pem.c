/* fuzz - PEM and what lies in it: private and public keys, certificates, server tokens. What is taken is written and read again
 * as the same. Uses: ca, port/openssl; tests/vectors. */
#include "ca/ca.h"
#include "fuzz/fuzz.h"
#include "os/os.h"
#include "port/openssl/openssl.h"

#include <stdlib.h>

enum { PEM_MAX = 16384, NOW_S = 1000000 };

static void check(bool good)
{
	if (!good)
		abort();
}

typedef enum hf_err (*reader)(struct hf_span pem, struct hf_seal_key **out);

static void check_key(reader read, enum hf_openssl_form form, struct hf_span in)
{
	static uint8_t text[2][PEM_MAX];
	struct hf_wr first = hf_wr_of(text[0], PEM_MAX), second = hf_wr_of(text[1], PEM_MAX);
	struct hf_seal_key *key = NULL, *again = NULL;
	enum hf_err err = read(in, &key);

	check((err == HF_E_OK) == (key != NULL));
	check(err == HF_E_OK || err == HF_E_KEY);
	if (err != HF_E_OK)
		return;
	check(hf_openssl_write(key, form, &first) == HF_E_OK);
	check(read(hf_wr_span(&first), &again) == HF_E_OK);
	check(hf_openssl_write(again, form, &second) == HF_E_OK);
	check(hf_span_equal(hf_wr_span(&first), hf_wr_span(&second)));
	hf_openssl_key_free(key);
	hf_openssl_key_free(again);
}

static void check_certificate(struct hf_span in)
{
	static uint8_t text[1 << 20];
	struct hf_wr w = hf_wr_of(text, sizeof text);
	X509 *cert = NULL, *again = NULL;
	struct hf_seal_key *key = NULL;
	enum hf_err err = ca_cert_read(in, &cert);

	check(err == HF_E_OK || err == HF_E_INPUT);
	check((err == HF_E_OK) == (cert != NULL));
	if (err != HF_E_OK)
		return;
	err = ca_cert_key(cert, &key);
	check((err == HF_E_OK) == (key != NULL));
	hf_openssl_key_free(key);
	if (ca_cert_write(cert, &w) == HF_E_OK) {
		check(ca_cert_read(hf_wr_span(&w), &again) == HF_E_OK);
		check(ca_cert_not_after(again) == ca_cert_not_after(cert));
	}
	ca_cert_free(cert);
	ca_cert_free(again);
}

static struct hf_seal_key *load(const char *path)
{
	OS_BUF_SCOPED pem = os_buf_of(PEM_MAX);
	struct hf_seal_key *key = NULL;

	check(os_read_file(path, &pem) == HF_E_OK && hf_openssl_public_pem(os_buf_span(&pem), &key) == HF_E_OK);
	return key;
}

static void check_token(struct hf_span in)
{
	static struct hf_seal_key *keyex, *server;

	if (!keyex) {
		keyex = load("tests/vectors/srup-v5/vis-r.pub.pem");
		server = load("tests/vectors/srup-v5/vis-a.pub.pem");
	}
	check(ca_token_check(keyex, in, 0x5e, server, NOW_S) < HF_E_COUNT_);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hf_span in = hf_span_of(data, size);

	check_key(hf_openssl_public_pem, HF_OPENSSL_PUBLIC_PEM, in);
	check_key(hf_openssl_private_pem, HF_OPENSSL_PRIVATE_PEM, in);
	check_key(hf_openssl_public_der, HF_OPENSSL_PUBLIC_DER, in);
	check_certificate(in);
	check_token(in);
	return 0;
}
