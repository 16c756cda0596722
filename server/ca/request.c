/* ca - what comes from outside: certificate requests, key bodies. Uses: base, port/openssl; libcrypto. */
#include "ca/ca.h"
#include "port/openssl/openssl.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

enum { REQUEST_MAX = 65536 };

static const int request_digests[] = {
	NID_sha256WithRSAEncryption, NID_sha384WithRSAEncryption, NID_sha512WithRSAEncryption,
	NID_ecdsa_with_SHA256,       NID_ecdsa_with_SHA384,       NID_ecdsa_with_SHA512,
};

static bool good_exponent(EVP_PKEY *pkey)
{
	BIGNUM *e = NULL;
	bool good = EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) == 1 && BN_is_odd(e) && BN_num_bits(e) >= 17 &&
	            BN_num_bits(e) <= 32;

	BN_free(e);
	return good;
}

/* A curve spelled out in numbers is refused even when the numbers are right: nothing downstream expects it. */
static bool named_curve(EVP_PKEY *pkey)
{
	int spelled_out = 0;

	return EVP_PKEY_get_int_param(pkey, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &spelled_out) != 1 ||
	       spelled_out == 0;
}

/* Kind and size are judged by port/openssl; here the rest. Takes key over when it is refused. */
static enum hf_err judge(struct hf_seal_key *key, struct hf_seal_key **out)
{
	EVP_PKEY *pkey = hf_openssl_pkey(key);
	bool good = EVP_PKEY_is_a(pkey, "RSA") ? good_exponent(pkey) : named_curve(pkey);

	ERR_clear_error();
	if (!good) {
		hf_openssl_key_free(key);
		return HF_E_KEY;
	}
	*out = key;
	return HF_E_OK;
}

enum hf_err ca_key_body_read(struct hf_span body, struct hf_seal_key **out)
{
	uint8_t der[CA_KEY_DER_MAX];
	struct hf_wr w = hf_wr_of(der, sizeof der);
	struct hf_seal_key *key = NULL;

	if (hf_base64_decode(body, &w) != HF_E_OK)
		return HF_E_KEY;
	enum hf_err err = hf_openssl_public_der(hf_wr_span(&w), &key);

	return err == HF_E_OK ? judge(key, out) : err;
}

enum hf_err ca_key_body_write(const struct hf_seal_key *key, struct hf_wr *out)
{
	uint8_t der[CA_KEY_DER_MAX];
	struct hf_wr w = hf_wr_of(der, sizeof der);
	enum hf_err err = hf_openssl_write(key, HF_OPENSSL_PUBLIC_DER, &w);

	if (err != HF_E_OK)
		return err;
	hf_wr_base64(out, hf_wr_span(&w));
	return out->err;
}

static X509_REQ *read_der(struct hf_span in)
{
	const unsigned char *at = in.ptr;
	X509_REQ *req = d2i_X509_REQ(NULL, &at, (long)in.len);

	if (req && at != in.ptr + in.len) {
		X509_REQ_free(req);
		return NULL;
	}
	return req;
}

static X509_REQ *read_request(struct hf_span in)
{
	static const char armour[] = "-----BEGIN";

	if (in.len < sizeof armour || in.len > REQUEST_MAX)
		return NULL;
	if (memcmp(in.ptr, armour, sizeof armour - 1) != 0)
		return read_der(in);
	BIO *bio = BIO_new_mem_buf(in.ptr, (int)in.len);
	X509_REQ *req = bio ? PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL) : NULL;

	BIO_free(bio);
	return req;
}

static bool modern_digest(const X509_REQ *req)
{
	int nid = X509_REQ_get_signature_nid(req);

	for (size_t i = 0; i < sizeof request_digests / sizeof request_digests[0]; i++)
		if (request_digests[i] == nid)
			return true;
	return false;
}

enum hf_err ca_csr_check(struct hf_span request, struct hf_seal_key **out)
{
	X509_REQ *req = read_request(request);
	EVP_PKEY *pkey = req ? X509_REQ_get0_pubkey(req) : NULL;
	struct hf_seal_key *key = NULL;
	enum hf_err err = !req ? HF_E_INPUT : !pkey ? HF_E_KEY : hf_openssl_key_of(pkey, &key);

	if (err == HF_E_OK)
		err = judge(key, &key);
	if (err == HF_E_OK && (!modern_digest(req) || X509_REQ_verify(req, pkey) != 1)) {
		hf_openssl_key_free(key);
		err = HF_E_SIGNATURE;
	}
	X509_REQ_free(req);
	ERR_clear_error();
	if (err == HF_E_OK)
		*out = key;
	return err;
}
