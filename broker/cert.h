/* broker - the name in a client certificate. Uses: base, OpenSSL. */
#ifndef BROKER_CERT_H
#define BROKER_CERT_H
#include "base/base.h"

#include <openssl/x509.h>

enum { BROKER_NAME_MAX = 64 };

/* Copies the one common name of a certificate that is valid now and made for TLS clients; the broker checked its chain.
 * Errors: EXPIRED (or not yet valid: a resumed TLS session does not look again), KEY (not for clients, or without EKU),
 * ID (none or several common names, one with a NUL, too long, or in another encoding than ASCII).
 * Source: threats K1, K2, K9. */
HF_NODISCARD enum hf_err broker_cert_name(X509 *cert, char out[BROKER_NAME_MAX]);

#endif
