/* ca - certificates: self-signed CA, leaves, PEM. Uses: base, port/openssl; libcrypto. */
#include "ca/ca.h"
#include "port/openssl/openssl.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

enum { SERIAL_LEN = 16, DAY_S = 86400, HOST_MAX = 253 };
#define YEAR_10000_S INT64_C(253402300800) /* X.509 has no form for it; OpenSSL writes five digits all the same */

/* An extension as OpenSSL's configuration language writes it; only constants ever get there. */
struct extension {
	int nid;
	const char *value;
};

static const struct extension root_extensions[] = {
	{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
	{NID_key_usage, "critical,keyCertSign,cRLSign"},
	{NID_subject_key_identifier, "hash"},
	{NID_authority_key_identifier, "keyid:always"},
};
static const struct extension leaf_extensions[] = {
	{NID_basic_constraints, "critical,CA:FALSE"},
	{NID_key_usage, "critical,digitalSignature"},
	{NID_subject_key_identifier, "hash"},
	{NID_authority_key_identifier, "keyid:always"},
};
static const struct extension use_extensions[] = {
	[CA_USE_SERVER] = {NID_ext_key_usage, "serverAuth"},
	[CA_USE_CLIENT] = {NID_ext_key_usage, "clientAuth"},
};

void ca_cert_free(X509 *cert)
{
	X509_free(cert);
}

int64_t ca_cert_not_after(const X509 *cert)
{
	struct tm tm = {0};

	return ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

enum hf_err ca_cert_key(const X509 *cert, struct hf_seal_key **out)
{
	EVP_PKEY *pkey = X509_get0_pubkey(cert);

	return pkey ? hf_openssl_key_of(pkey, out) : HF_E_KEY;
}

enum hf_err ca_cert_read(struct hf_span pem, X509 **out)
{
	BIO *bio = pem.len <= INT32_MAX ? BIO_new_mem_buf(pem.ptr, (int)pem.len) : NULL;
	X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;

	BIO_free(bio);
	ERR_clear_error();
	if (!cert)
		return HF_E_INPUT;
	*out = cert;
	return HF_E_OK;
}

enum hf_err ca_cert_write(X509 *cert, struct hf_wr *pem)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;
	long len = bio && PEM_write_bio_X509(bio, cert) == 1 ? BIO_get_mem_data(bio, &text) : 0;

	if (len > 0)
		hf_wr_put(pem, hf_span_of(text, (size_t)len));
	BIO_free(bio);
	return len > 0 ? pem->err : HF_E_CRYPTO;
}

static bool add_name(X509_NAME *name, const char *field, const char *value)
{
	return !value ||
	       X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, (const unsigned char *)value, -1, -1, 0) == 1;
}

static enum hf_err set_subject(X509 *cert, const struct ca_subject *s)
{
	X509_NAME *name = X509_get_subject_name(cert);
	bool fits = s->name && s->name[0] && add_name(name, "C", s->country) && add_name(name, "O", s->organisation) &&
	            add_name(name, "CN", s->name);

	return fits ? HF_E_OK : HF_E_INPUT;
}

static enum hf_err set_serial(X509 *cert)
{
	uint8_t raw[SERIAL_LEN];

	if (RAND_bytes(raw, sizeof raw) != 1)
		return HF_E_RANDOM;
	BIGNUM *number = BN_bin2bn(raw, sizeof raw, NULL);
	bool ok = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));

	BN_free(number);
	return ok ? HF_E_OK : HF_E_CRYPTO;
}

static bool set_times(X509 *cert, int64_t now_s, unsigned days, int64_t end_max_s)
{
	if (now_s < 0 || now_s >= YEAR_10000_S - (int64_t)days * DAY_S)
		return false;
	int64_t end = now_s + (int64_t)days * DAY_S;

	if (end > end_max_s)
		end = end_max_s;
	return ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)(now_s - DAY_S)) &&
	       ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)end);
}

static bool add_extensions(X509 *cert, X509 *issuer, const struct extension *e, size_t count)
{
	X509V3_CTX ctx;
	bool ok = true;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	X509V3_set_ctx_nodb(&ctx);
	for (size_t i = 0; i < count && ok; i++) {
		X509_EXTENSION *made = X509V3_EXT_conf_nid(NULL, &ctx, e[i].nid, e[i].value);

		ok = made && X509_add_ext(cert, made, -1) == 1;
		X509_EXTENSION_free(made);
	}
	return ok;
}

static bool is_dns_name(const char *host)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._*";
	size_t len = strlen(host);

	return len > 0 && len <= HOST_MAX && strspn(host, allowed) == len;
}

bool ca_host_ok(const char *host)
{
	ASN1_OCTET_STRING *address = a2i_IPADDRESS(host);
	bool is_address = address != NULL;

	ASN1_OCTET_STRING_free(address);
	ERR_clear_error();
	return is_address || is_dns_name(host);
}

static bool add_host(GENERAL_NAMES *names, const char *host)
{
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_OCTET_STRING *address = a2i_IPADDRESS(host);
	ASN1_IA5STRING *text = address ? NULL : ASN1_IA5STRING_new();
	bool ok = name && (address || (is_dns_name(host) && text && ASN1_STRING_set(text, host, -1) == 1));

	if (ok)
		GENERAL_NAME_set0_value(name, address ? GEN_IPADD : GEN_DNS, address ? address : text);
	ok = ok && sk_GENERAL_NAME_push(names, name) > 0;
	if (ok)
		return true;
	if (!name || !name->d.ptr) { /* not taken over by name */
		ASN1_OCTET_STRING_free(address);
		ASN1_IA5STRING_free(text);
	}
	GENERAL_NAME_free(name);
	return false;
}

static enum hf_err add_hosts(X509 *cert, const char *const *host, size_t count)
{
	GENERAL_NAMES *names = count > 0 && count <= CA_HOSTS_MAX ? sk_GENERAL_NAME_new_null() : NULL;
	bool ok = names != NULL;

	for (size_t i = 0; i < count && ok; i++)
		ok = add_host(names, host[i]);
	ok = ok && X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1;
	GENERAL_NAMES_free(names);
	return ok || count == 0 ? HF_E_OK : HF_E_INPUT;
}

/* What roots and leaves share: version 3, serial, subject, issuer, key. */
static enum hf_err begin(X509 *cert, X509 *issuer, const struct ca_subject *subject, const struct hf_seal_key *key)
{
	enum hf_err err = set_serial(cert);

	if (err == HF_E_OK)
		err = set_subject(cert, subject);
	if (err != HF_E_OK)
		return err;
	if (X509_set_version(cert, X509_VERSION_3) != 1 || X509_set_issuer_name(cert, X509_get_subject_name(issuer)) != 1 ||
	    X509_set_pubkey(cert, hf_openssl_pkey(key)) != 1)
		return HF_E_CRYPTO;
	return HF_E_OK;
}

/* Hands cert over, or frees it; the library's queue of errors is left empty. */
static enum hf_err deliver(X509 *cert, enum hf_err err, X509 **out)
{
	ERR_clear_error();
	if (err == HF_E_OK)
		*out = cert;
	else
		X509_free(cert);
	return err;
}

static bool sign(X509 *cert, const struct hf_seal_key *key)
{
	return X509_sign(cert, hf_openssl_pkey(key), EVP_sha256()) > 0;
}

enum hf_err ca_root_make(const struct hf_seal_key *key, const struct ca_subject *subject, int64_t now_s, X509 **out)
{
	X509 *cert = X509_new();
	enum hf_err err = cert ? begin(cert, cert, subject, key) : HF_E_MEMORY;

	if (err == HF_E_OK &&
	    (!set_times(cert, now_s, CA_ROOT_DAYS, INT64_MAX) ||
	     !add_extensions(cert, cert, root_extensions, sizeof root_extensions / sizeof root_extensions[0]) ||
	     !sign(cert, key)))
		err = HF_E_CRYPTO;
	return deliver(cert, err, out);
}

enum hf_err ca_leaf_make(const struct ca_issuer *issuer, const struct hf_seal_key *key, const struct ca_leaf *leaf,
                         int64_t now_s, X509 **out)
{
	int64_t end_max_s = ca_cert_not_after(issuer->cert);

	if (leaf->days == 0)
		return HF_E_INPUT;
	if (end_max_s <= now_s)
		return HF_E_EXPIRED;
	if (X509_check_private_key(issuer->cert, hf_openssl_pkey(issuer->key)) != 1)
		return deliver(NULL, HF_E_KEY, out);
	X509 *cert = X509_new();
	enum hf_err err = cert ? begin(cert, issuer->cert, leaf->subject, key) : HF_E_MEMORY;

	if (err == HF_E_OK &&
	    (!set_times(cert, now_s, leaf->days, end_max_s) ||
	     !add_extensions(cert, issuer->cert, leaf_extensions, sizeof leaf_extensions / sizeof leaf_extensions[0]) ||
	     !add_extensions(cert, issuer->cert, &use_extensions[leaf->use], 1)))
		err = HF_E_CRYPTO;
	if (err == HF_E_OK)
		err = add_hosts(cert, leaf->host, leaf->host_count);
	if (err == HF_E_OK && !sign(cert, issuer->key))
		err = HF_E_CRYPTO;
	return deliver(cert, err, out);
}
