/* ca - the hosts that a certificate is for. Uses: libcrypto. */
#include "ca/ca.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <stdio.h>

static bool host_text(const GENERAL_NAME *name, char out[CA_HOST_TEXT_MAX])
{
	int kind;
	const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &kind);
	const unsigned char *data = ASN1_STRING_get0_data(value);
	int len = ASN1_STRING_length(value);

	if (kind == GEN_DNS)
		return len > 0 && snprintf(out, CA_HOST_TEXT_MAX, "%.*s", len, (const char *)data) == len;
	if (kind != GEN_IPADD || (len != 4 && len != 16))
		return false;
	return inet_ntop(len == 4 ? AF_INET : AF_INET6, data, out, CA_HOST_TEXT_MAX) != NULL;
}

size_t ca_cert_hosts(const X509 *cert, char host[CA_HOSTS_MAX][CA_HOST_TEXT_MAX])
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	size_t count = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names) && count < CA_HOSTS_MAX; i++)
		count += host_text(sk_GENERAL_NAME_value(names, i), host[count]);
	GENERAL_NAMES_free(names);
	return count;
}
