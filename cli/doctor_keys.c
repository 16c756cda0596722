/* cli - holdfast doctor: keys and certificates. Uses: conf, ca, port/openssl. */
#include "ca/ca.h"
#include "cli/doctor.h"
#include "port/openssl/openssl.h"

#include <string.h>

enum { PEM_MAX = 65536, PLACES_NONE = CONF_PLACE_COUNT_ };

static void key_drop(struct hf_seal_key **key)
{
	hf_openssl_key_free(*key);
}
#define KEY_SCOPED __attribute__((cleanup(key_drop))) struct hf_seal_key
static void cert_drop(X509 **cert)
{
	ca_cert_free(*cert);
}
#define CERT_SCOPED __attribute__((cleanup(cert_drop))) X509

static bool read_place(const struct conf *c, enum conf_place place, struct os_buf *out)
{
	char path[CONF_PATH_MAX];

	conf_place(c, place, path);
	return os_read_file(path, out) == HF_E_OK;
}

static bool read_cert(const struct conf *c, enum conf_place place, X509 **out)
{
	OS_BUF_SCOPED pem = os_buf_of(PEM_MAX);

	return read_place(c, place, &pem) && ca_cert_read(os_buf_span(&pem), out) == HF_E_OK;
}

/* A key and what must belong to it: a certificate, or its public half. */
struct pair {
	enum conf_place key, other;
	bool is_cert;
	const char *what;
};
static const struct pair pairs[] = {
	{CONF_PLACE_WEB_KEY, CONF_PLACE_WEB_CERT, true, "holdfast keygen web makes another certificate for the key"},
	{CONF_PLACE_BROKER_KEY, CONF_PLACE_BROKER_CERT, true,
     "holdfast keygen broker makes another certificate for the key"},
	{CONF_PLACE_BROKER_CA_KEY, CONF_PLACE_BROKER_CA_CERT, true, "restore both from one backup"},
	{CONF_PLACE_KEYEX_KEY, CONF_PLACE_KEYEX_PUB, false, "restore both from one backup"},
	{CONF_PLACE_C2_KEY, CONF_PLACE_C2_PUB, false, "restore both from one backup"},
};

/* The public half as DER, of whatever kind of file. Missing or damaged ones are another check's matter. */
static bool public_half(const struct conf *c, enum conf_place place, bool is_cert, bool is_private, struct hf_wr *out)
{
	OS_BUF_SCOPED pem = os_buf_of(PEM_MAX);
	CERT_SCOPED *cert = NULL;
	KEY_SCOPED *key = NULL;

	if (!read_place(c, place, &pem))
		return false;
	enum hf_err err = is_cert ? ca_cert_read(os_buf_span(&pem), &cert) : HF_E_OK;

	if (err == HF_E_OK && is_cert)
		err = ca_cert_key(cert, &key);
	else if (err == HF_E_OK)
		err = is_private ? hf_openssl_private_pem(os_buf_span(&pem), &key)
		                 : hf_openssl_public_pem(os_buf_span(&pem), &key);
	return err == HF_E_OK && hf_openssl_write(key, HF_OPENSSL_PUBLIC_DER, out) == HF_E_OK;
}

void cli_doctor_pairs(struct cli_doctor *d)
{
	for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
		char key_path[CONF_PATH_MAX], path[CONF_PATH_MAX];
		uint8_t a[CA_KEY_DER_MAX], b[CA_KEY_DER_MAX];
		struct hf_wr of_key = hf_wr_of(a, sizeof a), of_other = hf_wr_of(b, sizeof b);

		conf_place(d->conf, pairs[i].key, key_path);
		conf_place(d->conf, pairs[i].other, path);
		if (!public_half(d->conf, pairs[i].key, false, true, &of_key))
			cli_doctor_find(d, "the key %s cannot be used: restore it from the backup", key_path);
		else if (!public_half(d->conf, pairs[i].other, pairs[i].is_cert, false, &of_other))
			cli_doctor_find(d, "%s cannot be used: %s", path, pairs[i].what);
		else if (!hf_span_equal(hf_wr_span(&of_key), hf_wr_span(&of_other)))
			cli_doctor_find(d, "%s and %s do not belong together: %s", key_path, path, pairs[i].what);
	}
}

/* A certificate that ends, and what helps. */
struct ending {
	enum conf_place place;
	const char *help;
};
static const struct ending endings[] = {
	{CONF_PLACE_WEB_CERT, "holdfast keygen web makes another; then reload"},
	{CONF_PLACE_BROKER_CERT, "holdfast keygen broker makes another; then reload"},
	{CONF_PLACE_WEB_CA_CERT, "devices trust nothing else: give them a new one before that"},
	{CONF_PLACE_BROKER_CA_CERT, "every device has to register anew then: plan it"},
};

void cli_doctor_ends(struct cli_doctor *d)
{
	for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
		char path[CONF_PATH_MAX], until[OS_TIME_TEXT_MAX];
		CERT_SCOPED *cert = NULL;

		if (!read_cert(d->conf, endings[i].place, &cert))
			continue; /* another check's matter */
		int64_t end = ca_cert_not_after(cert), left = end - d->now_s;

		if (left <= 0 || left > (int64_t)CLI_SOON_DAYS * CLI_DAY_S)
			continue; /* one that has ended too */
		conf_place(d->conf, endings[i].place, path);
		os_time_text(end * 1000, until);
		cli_doctor_find(d, "%s ends in %lld days, at %s: %s", path, (long long)(left / CLI_DAY_S), until,
		                endings[i].help);
	}
}
