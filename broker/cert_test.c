/* broker tests - which client certificates have a name. Uses: cert, OpenSSL, cmocka. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/cert.h"

#include <openssl/x509v3.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define DAY 86400L
#define LONGEST "0123456789012345678901234567890123456789012345678901234567890123" /* 64: as long as a name may be */

struct name {
	int nid, type;
	const char *text;
	int len;
};
#define CN(text)                                                         \
	{                                                                    \
		NID_commonName, V_ASN1_UTF8STRING, (text), (int)sizeof(text) - 1 \
	}

static EVP_PKEY *key;

static X509 *make(const struct name *names, const char *usage, long from_s, long until_s)
{
	X509 *cert = X509_new();
	X509_NAME *subject = X509_get_subject_name(cert);

	for (; names->nid; names++)
		assert_int_equal(X509_NAME_add_entry_by_NID(subject, names->nid, names->type,
		                                            (const unsigned char *)names->text, names->len, -1, 0),
		                 1);
	assert_int_equal(X509_set_version(cert, X509_VERSION_3), 1);
	assert_non_null(X509_gmtime_adj(X509_getm_notBefore(cert), from_s));
	assert_non_null(X509_gmtime_adj(X509_getm_notAfter(cert), until_s));
	if (usage) {
		X509_EXTENSION *eku = X509V3_EXT_conf_nid(NULL, NULL, NID_ext_key_usage, usage);

		assert_int_equal(X509_add_ext(cert, eku, -1), 1);
		X509_EXTENSION_free(eku);
	}
	assert_int_equal(X509_set_pubkey(cert, key), 1);
	assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
	return cert;
}

static void assert_name(X509 *cert, enum hf_err err, const char *name)
{
	char out[BROKER_NAME_MAX] = "untouched";

	assert_int_equal(broker_cert_name(cert, out), err);
	assert_string_equal(out, err == HF_E_OK ? name : "untouched");
	X509_free(cert);
}

static void one_common_name(void **state)
{
	static const struct {
		struct name names[3];
		const char *is; /* NULL: refused */
	} cases[] = {
		{{CN("a1")}, "a1"},
		{{CN("holdfast-control")}, "holdfast-control"},
		{{{NID_commonName, V_ASN1_PRINTABLESTRING, "a1", 2}}, "a1"},
		{{{NID_organizationName, V_ASN1_UTF8STRING, "b2", 2}, CN("a1")}, "a1"},
		{{{0}}, NULL},
		{{{NID_organizationName, V_ASN1_UTF8STRING, "a1", 2}}, NULL},
		{{CN("a1"), CN("b2")}, NULL},
		{{CN("a1"), CN("a1")}, NULL},
		{{CN("a1\0b2")}, NULL},
		{{CN("holdfast-control\0")}, NULL},
		{{CN(LONGEST)}, NULL},
		{{{NID_commonName, V_ASN1_BMPSTRING, "\0a\0001", 4}}, NULL},
		{{{NID_commonName, V_ASN1_T61STRING, "a1", 2}}, NULL},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_name(make(cases[i].names, "clientAuth", -DAY, DAY), cases[i].is ? HF_E_OK : HF_E_ID, cases[i].is);
}

static void for_clients_only(void **state)
{
	static const struct {
		const char *usage;
		enum hf_err err;
	} cases[] = {{"clientAuth", HF_E_OK},
	             {"serverAuth,clientAuth", HF_E_OK},
	             {NULL, HF_E_KEY},
	             {"serverAuth", HF_E_KEY},
	             {"codeSigning", HF_E_KEY}};
	static const struct name names[] = {CN("a1"), {0}};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_name(make(names, cases[i].usage, -DAY, DAY), cases[i].err, "a1");
}

static void valid_now(void **state)
{
	static const struct name names[] = {CN("a1"), {0}};

	(void)state;
	assert_name(make(names, "clientAuth", -DAY, -60), HF_E_EXPIRED, NULL);
	assert_name(make(names, "clientAuth", 60, DAY), HF_E_EXPIRED, NULL);
	assert_name(make(names, "clientAuth", -60, 60), HF_E_OK, "a1");
}

static int set_up(void **state)
{
	(void)state;
	key = EVP_EC_gen("P-256");
	return key ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	EVP_PKEY_free(key);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_common_name),
		cmocka_unit_test(for_clients_only),
		cmocka_unit_test(valid_now),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
