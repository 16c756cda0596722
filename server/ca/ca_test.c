/* ca tests - OpenSSL's own verifier is the other implementation. Uses: ca, cmocka. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ca/ca.h"
#include "port/openssl/openssl.h"

#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOW INT64_C(1760000000)
#define DAY INT64_C(86400)

static struct hf_seal_key *root_key, *device_key, *other_key, *keyex_key;
static X509 *root;
static const struct ca_subject root_name = {"GB", "Holdfast", "Test CA"};

static int set_up(void **state)
{
	(void)state;
	assert_int_equal(hf_openssl_generate(HF_OPENSSL_P256, &root_key), HF_E_OK);
	assert_int_equal(hf_openssl_generate(HF_OPENSSL_RSA2048, &device_key), HF_E_OK);
	assert_int_equal(hf_openssl_generate(HF_OPENSSL_RSA2048, &keyex_key), HF_E_OK);
	assert_int_equal(hf_openssl_generate(HF_OPENSSL_P256, &other_key), HF_E_OK);
	return ca_root_make(root_key, &root_name, NOW, &root) == HF_E_OK ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	hf_openssl_key_free(root_key);
	hf_openssl_key_free(device_key);
	hf_openssl_key_free(keyex_key);
	hf_openssl_key_free(other_key);
	ca_cert_free(root);
	return 0;
}

/* Does OpenSSL accept cert under root for that purpose at that time? */
static bool holds(X509 *cert, int purpose, int64_t at_s)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();

	assert_int_equal(X509_STORE_add_cert(store, root), 1);
	assert_int_equal(X509_STORE_CTX_init(ctx, store, cert, NULL), 1);
	X509_STORE_CTX_set_time(ctx, X509_V_FLAG_X509_STRICT, (time_t)at_s);
	X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(ctx), X509_V_FLAG_X509_STRICT);
	X509_STORE_CTX_set_purpose(ctx, purpose);
	bool ok = X509_verify_cert(ctx) == 1;

	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	return ok;
}

static X509 *make_leaf(const struct hf_seal_key *key, const char *name, enum ca_use use, const char *host,
                       unsigned days)
{
	struct ca_subject subject = {NULL, NULL, name};
	struct ca_leaf leaf = {&subject, use, &host, host ? 1 : 0, days};
	struct ca_issuer issuer = {root, root_key};
	X509 *cert = NULL;

	assert_int_equal(ca_leaf_make(&issuer, key, &leaf, NOW, &cert), HF_E_OK);
	return cert;
}

static void leaf_is_for_one_use_and_time(void **state)
{
	X509 *client = make_leaf(device_key, "1a2b", CA_USE_CLIENT, NULL, 90);
	X509 *server = make_leaf(other_key, "localhost", CA_USE_SERVER, "localhost", 365);

	(void)state;
	assert_true(holds(client, X509_PURPOSE_SSL_CLIENT, NOW));
	assert_false(holds(client, X509_PURPOSE_SSL_SERVER, NOW));
	assert_true(holds(server, X509_PURPOSE_SSL_SERVER, NOW));
	assert_false(holds(server, X509_PURPOSE_SSL_CLIENT, NOW));
	assert_true(holds(client, X509_PURPOSE_SSL_CLIENT, NOW - DAY + 60));
	assert_false(holds(client, X509_PURPOSE_SSL_CLIENT, NOW - DAY - 60));
	assert_false(holds(client, X509_PURPOSE_SSL_CLIENT, NOW + 90 * DAY + 60));
	assert_int_equal(ca_cert_not_after(client), NOW + 90 * DAY);
	ca_cert_free(client);
	ca_cert_free(server);
}

static void leaf_extensions_are_as_promised(void **state)
{
	X509 *cert = make_leaf(device_key, "1a2b", CA_USE_CLIENT, NULL, 90);
	int critical = 0;
	BASIC_CONSTRAINTS *basic = X509_get_ext_d2i(cert, NID_basic_constraints, &critical, NULL);

	(void)state;
	assert_non_null(basic);
	assert_int_equal(basic->ca, 0);
	assert_int_equal(critical, 1);
	assert_int_equal(X509_get_extended_key_usage(cert), XKU_SSL_CLIENT);
	assert_int_equal(X509_get_key_usage(cert), KU_DIGITAL_SIGNATURE);
	assert_non_null(X509_get0_subject_key_id(cert));
	assert_non_null(X509_get0_authority_key_id(cert));
	assert_true(X509_get_serialNumber(cert)->length >= 8);
	BASIC_CONSTRAINTS_free(basic);
	ca_cert_free(cert);
}

static void leaf_never_outlives_its_ca(void **state)
{
	X509 *cert = make_leaf(device_key, "1a2b", CA_USE_CLIENT, NULL, 100000);
	struct ca_subject subject = {NULL, NULL, "1a2b"};
	struct ca_leaf leaf = {&subject, CA_USE_CLIENT, NULL, 0, 90};
	struct ca_issuer issuer = {root, root_key}, foreign = {root, other_key};
	X509 *out = NULL;

	(void)state;
	assert_int_equal(ca_cert_not_after(cert), NOW + CA_ROOT_DAYS * DAY);
	assert_int_equal(ca_leaf_make(&issuer, device_key, &leaf, NOW + CA_ROOT_DAYS * DAY, &out), HF_E_EXPIRED);
	assert_int_equal(ca_leaf_make(&foreign, device_key, &leaf, NOW, &out), HF_E_KEY);
	assert_null(out);
	ca_cert_free(cert);
}

struct host_case {
	const char *host;
	enum hf_err err;
};

/* Two digits for the year until 2049, four from 2050 on. Source: RFC 5280 section 4.1.2.5. */
static void certificates_of_far_years(void **state)
{
	static const struct {
		int64_t now_s;
		int from, until; /* ASN.1 types */
		enum hf_err err;
	} cases[] = {
		{INT64_C(2147483648), V_ASN1_UTCTIME, V_ASN1_UTCTIME, HF_E_OK}, /* 2038 */
		{INT64_C(2524521600), V_ASN1_UTCTIME, V_ASN1_GENERALIZEDTIME, HF_E_OK}, /* 31 December 2049 */
		{INT64_C(2524608000) + DAY, V_ASN1_GENERALIZEDTIME, V_ASN1_GENERALIZEDTIME, HF_E_OK}, /* 2 January 2050 */
		{INT64_C(4294967296), V_ASN1_GENERALIZEDTIME, V_ASN1_GENERALIZEDTIME, HF_E_OK}, /* 2106 */
		{INT64_C(253402300800), 0, 0, HF_E_CRYPTO}, /* the year 10000 has no form */
		{INT64_MAX, 0, 0, HF_E_CRYPTO},
		{-1, 0, 0, HF_E_CRYPTO},
		{INT64_MIN, 0, 0, HF_E_CRYPTO},
	};
	struct ca_subject subject = {NULL, NULL, "1a2b"};
	struct ca_leaf leaf = {&subject, CA_USE_CLIENT, NULL, 0, 90};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		X509 *ca = NULL, *cert = NULL;

		assert_int_equal(ca_root_make(root_key, &root_name, cases[i].now_s, &ca), cases[i].err);
		if (!ca)
			continue;
		struct ca_issuer issuer = {ca, root_key};

		assert_int_equal(ca_leaf_make(&issuer, device_key, &leaf, cases[i].now_s, &cert), HF_E_OK);
		assert_int_equal(ca_cert_not_after(cert), cases[i].now_s + 90 * DAY);
		assert_int_equal(X509_get0_notBefore(cert)->type, cases[i].from);
		assert_int_equal(X509_get0_notAfter(cert)->type, cases[i].until);
		ca_cert_free(cert);
		ca_cert_free(ca);
	}
}

static void hosts_become_alternative_names(void **state)
{
	static const struct host_case cases[] = {
		{"localhost", HF_E_OK},   {"a-b.example.org", HF_E_OK}, {"127.0.0.1", HF_E_OK},  {"::1", HF_E_OK},
		{"", HF_E_INPUT},         {"a b", HF_E_INPUT},          {"a,DNS:b", HF_E_INPUT}, {"a\nb", HF_E_INPUT},
		{"http://a", HF_E_INPUT}, {"h\xc3\xb6", HF_E_INPUT},
	};
	struct ca_subject subject = {NULL, NULL, "host"};
	struct ca_issuer issuer = {root, root_key};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct ca_leaf leaf = {&subject, CA_USE_SERVER, &cases[i].host, 1, 1};
		X509 *cert = NULL;

		assert_int_equal(ca_leaf_make(&issuer, other_key, &leaf, NOW, &cert), cases[i].err);
		assert_true(ca_host_ok(cases[i].host) == (cases[i].err == HF_E_OK));
		if (!cert)
			continue;
		bool as_ip = X509_check_ip_asc(cert, cases[i].host, 0) == 1;
		bool as_name = X509_check_host(cert, cases[i].host, 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL) == 1;

		assert_true(as_ip != as_name);
		ca_cert_free(cert);
	}
}

static void subjects_that_do_not_fit_are_refused(void **state)
{
	static const char long_name[] = "0123456789012345678901234567890123456789012345678901234567890123456789";
	static const struct ca_subject cases[] = {{NULL, NULL, NULL},
	                                          {NULL, NULL, ""},
	                                          {NULL, NULL, long_name},
	                                          {"GBR", NULL, "x"}};
	struct ca_issuer issuer = {root, root_key};
	X509 *cert = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct ca_leaf leaf = {&cases[i], CA_USE_CLIENT, NULL, 0, 1};

		assert_int_equal(ca_leaf_make(&issuer, other_key, &leaf, NOW, &cert), HF_E_INPUT);
	}
	assert_null(cert);
}

static void certificate_pem_round_trip(void **state)
{
	uint8_t text[CA_CERT_PEM_MAX];
	struct hf_wr w = hf_wr_of(text, sizeof text), small = hf_wr_of(text, 10);
	struct hf_seal_key *key = NULL;
	X509 *again = NULL;

	(void)state;
	assert_int_equal(ca_cert_write(root, &w), HF_E_OK);
	assert_int_equal(ca_cert_read(hf_wr_span(&w), &again), HF_E_OK);
	assert_int_equal(X509_cmp(root, again), 0);
	assert_int_equal(ca_cert_key(again, &key), HF_E_OK);
	assert_int_equal(EVP_PKEY_eq(hf_openssl_pkey(key), hf_openssl_pkey(root_key)), 1);
	hf_openssl_key_free(key);
	ca_cert_free(again);
	assert_int_equal(ca_cert_write(root, &small), HF_E_NO_SPACE);
	assert_int_equal(ca_cert_read(hf_span_text("no certificate"), &again), HF_E_INPUT);
	assert_int_equal(ca_cert_read(hf_span_of(NULL, 0), &again), HF_E_INPUT);
}

/* --- requests ----------------------------------------------------------------------------------------------------- */

/* A request whose subject is name, for the key pub, signed by signer. */
static struct hf_span make_request(const struct hf_seal_key *pub, const struct hf_seal_key *signer, const EVP_MD *md,
                                   uint8_t *buf, size_t cap)
{
	X509_REQ *req = X509_REQ_new();
	X509_NAME *name = X509_REQ_get_subject_name(req);
	unsigned char *at = buf;

	assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"holdfast-control", -1,
	                                            -1, 0),
	                 1);
	assert_int_equal(X509_REQ_set_pubkey(req, hf_openssl_pkey(pub)), 1);
	assert_true(X509_REQ_sign(req, hf_openssl_pkey(signer), md) > 0);
	int len = i2d_X509_REQ(req, NULL);

	assert_true(len > 0 && (size_t)len <= cap);
	assert_int_equal(i2d_X509_REQ(req, &at), len);
	X509_REQ_free(req);
	return hf_span_of(buf, (size_t)len);
}

static void K1_csr_subject_ignored(void **state)
{
	uint8_t buf[4096];
	struct hf_span csr = make_request(device_key, device_key, EVP_sha256(), buf, sizeof buf);
	struct hf_seal_key *key = NULL;
	char name[64];

	(void)state;
	assert_int_equal(ca_csr_check(csr, &key), HF_E_OK);
	X509 *cert = make_leaf(key, "1a2b", CA_USE_CLIENT, NULL, 90);

	assert_int_equal(X509_NAME_entry_count(X509_get_subject_name(cert)), 1);
	assert_int_equal(X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, name, sizeof name), 4);
	assert_string_equal(name, "1a2b");
	assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(cert), hf_openssl_pkey(device_key)), 1);
	ca_cert_free(cert);
	hf_openssl_key_free(key);
}

static void K2_csr_wrong_self_signature(void **state)
{
	uint8_t buf[4096];
	struct hf_seal_key *key = NULL;
	struct hf_span csr = make_request(device_key, keyex_key, EVP_sha256(), buf, sizeof buf);

	(void)state;
	assert_int_equal(ca_csr_check(csr, &key), HF_E_SIGNATURE);
	csr = make_request(device_key, device_key, EVP_sha1(), buf, sizeof buf);
	assert_int_equal(ca_csr_check(csr, &key), HF_E_SIGNATURE);
	csr = make_request(device_key, device_key, EVP_sha256(), buf, sizeof buf);
	buf[csr.len - 1] ^= 1;
	assert_int_equal(ca_csr_check(csr, &key), HF_E_SIGNATURE);
	assert_null(key);
}

static void requests_that_are_none(void **state)
{
	static const char *const texts[] = {
		"", "x", "-----BEGIN", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
		"\x30\x80\x30\x80\x30\x80\x30\x80\x30\x80\x30\x80\x30\x80"};
	uint8_t buf[4096];
	struct hf_span csr = make_request(other_key, other_key, EVP_sha256(), buf, sizeof buf);
	struct hf_seal_key *key = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		assert_int_equal(ca_csr_check(hf_span_text(texts[i]), &key), HF_E_INPUT);
	for (size_t len = 0; len < csr.len; len++)
		assert_int_equal(ca_csr_check(hf_span_of(csr.ptr, len), &key), HF_E_INPUT);
	buf[csr.len] = 0; /* one byte after the request */
	assert_int_equal(ca_csr_check(hf_span_of(csr.ptr, csr.len + 1), &key), HF_E_INPUT);
	for (size_t i = 0; i < csr.len * 8; i++) { /* no flipped bit is taken, none crashes */
		buf[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_not_equal(ca_csr_check(csr, &key), HF_E_OK);
		buf[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	assert_null(key);
	assert_int_equal(ca_csr_check(csr, &key), HF_E_OK);
	hf_openssl_key_free(key);
}

static void request_as_pem(void **state)
{
	uint8_t text[4096];
	struct hf_wr w = hf_wr_of(text, sizeof text);
	struct hf_seal_key *key = NULL;

	(void)state;
	assert_int_equal(hf_openssl_csr(device_key, "SRUP", &w), HF_E_OK);
	assert_int_equal(ca_csr_check(hf_wr_span(&w), &key), HF_E_OK);
	assert_int_equal(EVP_PKEY_eq(hf_openssl_pkey(key), hf_openssl_pkey(device_key)), 1);
	hf_openssl_key_free(key);
}

/* --- keys --------------------------------------------------------------------------------------------------------- */

static void key_body_round_trip(void **state)
{
	uint8_t text[1024], again[1024], pem[CA_KEY_PEM_MAX];
	struct hf_wr w = hf_wr_of(text, sizeof text), a = hf_wr_of(again, sizeof again), p = hf_wr_of(pem, sizeof pem);
	struct hf_seal_key *key = NULL;

	(void)state;
	assert_int_equal(ca_key_body_write(device_key, &w), HF_E_OK);
	assert_int_equal(w.len, 392); /* srup-v5 section 8 */
	assert_int_equal(ca_key_body_read(hf_wr_span(&w), &key), HF_E_OK);
	assert_int_equal(ca_key_body_write(key, &a), HF_E_OK);
	assert_true(hf_span_equal(hf_wr_span(&w), hf_wr_span(&a)));
	assert_int_equal(hf_openssl_write(key, HF_OPENSSL_PUBLIC_PEM, &p), HF_E_OK);
	assert_memory_equal(pem, "-----BEGIN PUBLIC KEY-----\n", 27);
	assert_memory_equal(pem + 27, text, 64);
	hf_openssl_key_free(key);
}

/* Body of a key that the library made for us. */
static enum hf_err read_body_of(EVP_PKEY *pkey)
{
	uint8_t der[2048], text[4096];
	unsigned char *at = der;
	struct hf_wr w = hf_wr_of(text, sizeof text);
	struct hf_seal_key *key = NULL;
	int len = i2d_PUBKEY(pkey, &at);

	assert_true(len > 0);
	EVP_PKEY_free(pkey);
	hf_wr_base64(&w, hf_span_of(der, (size_t)len));
	enum hf_err err = ca_key_body_read(hf_wr_span(&w), &key);

	hf_openssl_key_free(key);
	return err;
}

static EVP_PKEY *rsa_with(unsigned bits, unsigned long exponent)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	EVP_PKEY *pkey = NULL;
	BIGNUM *e = BN_new();

	assert_int_equal(BN_set_word(e, exponent), 1);
	assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, (int)bits), 1);
	assert_int_equal(EVP_PKEY_CTX_set1_rsa_keygen_pubexp(ctx, e), 1);
	assert_int_equal(EVP_PKEY_generate(ctx, &pkey), 1);
	BN_free(e);
	EVP_PKEY_CTX_free(ctx);
	return pkey;
}

static EVP_PKEY *explicit_curve(void)
{
	EVP_PKEY *pkey = EVP_EC_gen("P-256");

	assert_int_equal(EVP_PKEY_set_utf8_string_param(pkey, "encoding", "explicit"), 1);
	return pkey;
}

static void weak_or_odd_keys_are_refused(void **state)
{
	static const char *const texts[] = {"", "====", "AAAA", "not base64!", "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE"};
	struct hf_seal_key *key = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		assert_int_equal(ca_key_body_read(hf_span_text(texts[i]), &key), HF_E_KEY);
	assert_null(key);
	assert_int_equal(read_body_of(rsa_with(1024, 65537)), HF_E_KEY);
	assert_int_equal(read_body_of(rsa_with(2048, 3)), HF_E_KEY);
	assert_int_equal(read_body_of(EVP_EC_gen("P-384")), HF_E_KEY);
	assert_int_equal(read_body_of(EVP_EC_gen("secp256k1")), HF_E_KEY);
	assert_int_equal(read_body_of(explicit_curve()), HF_E_KEY);
	assert_int_equal(read_body_of(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")), HF_E_KEY);
	assert_int_equal(read_body_of(EVP_EC_gen("P-256")), HF_E_OK);
}

static void point_off_the_curve_is_refused(void **state)
{
	uint8_t der[CA_KEY_DER_MAX], text[2048];
	struct hf_wr d = hf_wr_of(der, sizeof der), w = hf_wr_of(text, sizeof text);
	struct hf_seal_key *key = NULL;

	(void)state;
	assert_int_equal(hf_openssl_write(other_key, HF_OPENSSL_PUBLIC_DER, &d), HF_E_OK);
	der[d.len - 1] ^= 1;
	hf_wr_base64(&w, hf_wr_span(&d));
	assert_int_equal(ca_key_body_read(hf_wr_span(&w), &key), HF_E_KEY);
	assert_null(key);
}

/* --- server token ------------------------------------------------------------------------------------------------- */

static void K7_server_token_bound(void **state)
{
	uint8_t text[CA_TOKEN_MAX];
	struct hf_wr w = hf_wr_of(text, sizeof text);
	static const char start[] = "hf1.1a2b.1760000100.";

	(void)state;
	assert_int_equal(ca_token_make(keyex_key, 0x1a2b, device_key, NOW + 100, &w), HF_E_OK);
	struct hf_span t = hf_wr_span(&w);

	assert_memory_equal(text, start, sizeof start - 1);
	assert_int_equal(ca_token_check(keyex_key, t, 0x1a2b, device_key, NOW), HF_E_OK);
	assert_int_equal(ca_token_check(keyex_key, t, 0x1a2c, device_key, NOW), HF_E_SIGNATURE);
	assert_int_equal(ca_token_check(keyex_key, t, 0x1a2b, keyex_key, NOW), HF_E_SIGNATURE);
	assert_int_equal(ca_token_check(device_key, t, 0x1a2b, device_key, NOW), HF_E_SIGNATURE);
	assert_int_equal(ca_token_check(keyex_key, t, 0x1a2b, device_key, NOW + 100), HF_E_EXPIRED);
	text[7] = 'c'; /* another id in the text as well */
	assert_int_equal(ca_token_check(keyex_key, t, 0x1a2c, device_key, NOW), HF_E_SIGNATURE);
	text[7] = 'b';
	text[9] = '9'; /* a later expiry */
	assert_int_equal(ca_token_check(keyex_key, t, 0x1a2b, device_key, NOW), HF_E_SIGNATURE);
	text[9] = '1';
	text[sizeof start] = text[sizeof start] == 'A' ? 'B' : 'A';
	assert_int_equal(ca_token_check(keyex_key, t, 0x1a2b, device_key, NOW), HF_E_SIGNATURE);
}

static void tokens_that_are_none(void **state)
{
	static const char *const texts[] = {"",
	                                    ".",
	                                    "...",
	                                    "hf1...",
	                                    "hf1.1a2b.1.",
	                                    "hf2.1a2b.1760000100.AAAA",
	                                    "hf1.01a2b.1760000100.AAAA",
	                                    "hf1.1a2b.-1.AAAA",
	                                    "hf1.1a2b.1x.AAAA",
	                                    "hf1.1a2b.1760000100.A",
	                                    "hf1.1a2b.1760000100.A.A",
	                                    "hf1.1a2b.99999999999999999999.AAAA",
	                                    "hf1.1a2b.1760000100"};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		enum hf_err err = ca_token_check(keyex_key, hf_span_text(texts[i]), 0x1a2b, device_key, NOW);

		assert_true(err == HF_E_TEXT || err == HF_E_SIGNATURE);
	}
}

static void token_at_every_length(void **state)
{
	uint8_t text[CA_TOKEN_MAX];
	struct hf_wr w = hf_wr_of(text, sizeof text), small = hf_wr_of(text, 30);

	(void)state;
	assert_int_equal(ca_token_make(keyex_key, 0x1a2b, device_key, NOW + 100, &w), HF_E_OK);
	for (size_t len = 0; len < w.len; len++)
		assert_int_not_equal(ca_token_check(keyex_key, hf_span_of(text, len), 0x1a2b, device_key, NOW), HF_E_OK);
	text[w.len] = '\n';
	assert_int_equal(ca_token_check(keyex_key, hf_span_of(text, w.len + 1), 0x1a2b, device_key, NOW), HF_E_OK);
	assert_int_equal(ca_token_make(keyex_key, 0x1a2b, device_key, NOW, &small), HF_E_NO_SPACE);
	assert_int_equal(ca_token_make(other_key, 0x1a2b, device_key, NOW, &w), HF_E_KEY);
	assert_int_equal(ca_token_make(keyex_key, 0x1a2b, device_key, -1, &w), HF_E_INPUT);
}

/* --- files -------------------------------------------------------------------------------------------------------- */

static void files_are_private_and_never_overwritten(void **state)
{
	char dir[] = "/tmp/ca_test.XXXXXX", path[64], link_path[64];
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof path, "%s/key", dir);
	(void)snprintf(link_path, sizeof link_path, "%s/link", dir);
	assert_int_equal(ca_file_new(path, hf_span_text("secret"), CA_PRIVATE), HF_E_OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, 6);
	assert_int_equal(ca_file_new(path, hf_span_text("other one"), CA_PRIVATE), HF_E_EXISTS);
	assert_int_equal(symlink("elsewhere", link_path), 0);
	assert_int_equal(ca_file_new(link_path, hf_span_text("x"), CA_PRIVATE), HF_E_EXISTS);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 6);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(unlink(link_path), 0);
	assert_int_equal(rmdir(dir), 0); /* nothing else was left there */
	assert_int_equal(ca_file_new(path, hf_span_text("x"), CA_PRIVATE), HF_E_IO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leaf_is_for_one_use_and_time),
		cmocka_unit_test(leaf_extensions_are_as_promised),
		cmocka_unit_test(leaf_never_outlives_its_ca),
		cmocka_unit_test(certificates_of_far_years),
		cmocka_unit_test(hosts_become_alternative_names),
		cmocka_unit_test(subjects_that_do_not_fit_are_refused),
		cmocka_unit_test(certificate_pem_round_trip),
		cmocka_unit_test(K1_csr_subject_ignored),
		cmocka_unit_test(K2_csr_wrong_self_signature),
		cmocka_unit_test(requests_that_are_none),
		cmocka_unit_test(request_as_pem),
		cmocka_unit_test(key_body_round_trip),
		cmocka_unit_test(weak_or_odd_keys_are_refused),
		cmocka_unit_test(point_off_the_curve_is_refused),
		cmocka_unit_test(K7_server_token_bound),
		cmocka_unit_test(tokens_that_are_none),
		cmocka_unit_test(token_at_every_length),
		cmocka_unit_test(files_are_private_and_never_overwritten),
	};

	return cmocka_run_group_tests_name("server/ca", tests, set_up, tear_down);
}
