/* broker - what a client certificate says: a name, and whether it is one for clients. Uses: base, OpenSSL. */
#include "broker/cert.h"

#include <openssl/x509v3.h>
#include <string.h>

/* The purpose check alone passes a certificate without any EKU. */
static bool is_for_clients(X509 *cert)
{
	return X509_check_purpose(cert, X509_PURPOSE_SSL_CLIENT, 0) == 1 &&
	       (X509_get_extension_flags(cert) & EXFLAG_XKUSAGE) && (X509_get_extended_key_usage(cert) & XKU_SSL_CLIENT);
}

static enum hf_err common_name(const X509 *cert, char out[BROKER_NAME_MAX])
{
	const X509_NAME *subject = X509_get_subject_name(cert);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

	if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) != -1)
		return HF_E_ID;
	const ASN1_STRING *name = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
	int type = ASN1_STRING_type(name), len = ASN1_STRING_length(name);

	if ((type != V_ASN1_UTF8STRING && type != V_ASN1_PRINTABLESTRING) || len < 1 || len >= BROKER_NAME_MAX)
		return HF_E_ID;
	if (memchr(ASN1_STRING_get0_data(name), 0, (size_t)len))
		return HF_E_ID;
	memcpy(out, ASN1_STRING_get0_data(name), (size_t)len);
	out[len] = '\0';
	return HF_E_OK;
}

enum hf_err broker_cert_name(X509 *cert, char out[BROKER_NAME_MAX])
{
	if (X509_cmp_time(X509_get0_notBefore(cert), NULL) >= 0 || X509_cmp_time(X509_get0_notAfter(cert), NULL) <= 0)
		return HF_E_EXPIRED;
	if (!is_for_clients(cert))
		return HF_E_KEY;
	return common_name(cert, out);
}
