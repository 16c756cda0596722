/* conf - are certificates good by the clock. Uses: base, os; libcrypto. */
#include "conf/conf_internal.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <time.h>

enum { CHAIN_MAX = 8, SECOND_MS = 1000 };

static int64_t seconds_of(const ASN1_TIME *t)
{
	struct tm tm = {0};

	return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

static void cert_judge(X509 *cert, const char *path, int64_t now_s, struct conf_report *r)
{
	char now[OS_TIME_TEXT_MAX], from[OS_TIME_TEXT_MAX], until[OS_TIME_TEXT_MAX];
	int64_t from_s = seconds_of(X509_get0_notBefore(cert)), until_s = seconds_of(X509_get0_notAfter(cert));

	os_time_text(now_s * SECOND_MS, now);
	os_time_text(from_s * SECOND_MS, from);
	os_time_text(until_s * SECOND_MS, until);
	if (now_s < from_s)
		conf_report_add(r, "the certificate %s is good from %s only, and this machine's clock says %s: set the clock",
		                path, from, now);
	if (now_s > until_s)
		conf_report_add(r,
		                "the certificate %s was good until %s, and this machine's clock says %s: make a new one with "
		                "`holdfast keygen`, or set the clock",
		                path, until, now);
}

void conf_check_cert(const char *path, int64_t now_s, struct conf_report *r)
{
	int count = 0;
	X509 *cert;
	BIO *in = BIO_new_file(path, "r");

	while (in && count < CHAIN_MAX && (cert = PEM_read_bio_X509(in, NULL, NULL, NULL))) {
		cert_judge(cert, path, now_s, r);
		X509_free(cert);
		count++;
	}
	BIO_free(in);
	ERR_clear_error();
	if (count == 0)
		conf_report_add(r, "%s holds no certificate in PEM form", path);
}

int64_t conf_cert_end(const char *path)
{
	BIO *in = BIO_new_file(path, "r");
	X509 *cert = in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
	int64_t end = cert ? seconds_of(X509_get0_notAfter(cert)) : 0;

	X509_free(cert);
	BIO_free(in);
	ERR_clear_error();
	return end;
}
