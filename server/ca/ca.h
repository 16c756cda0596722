/* ca - certificates, requests, KeyEx key bodies, server tokens, new key files. Uses: base, seal, port/openssl. */
#ifndef CA_H
#define CA_H
#include "base/base.h"
#include "seal/seal.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct x509_st X509;

enum {
	CA_ROOT_DAYS = 1825,
	CA_CERT_PEM_MAX = 8192,
	CA_KEY_PEM_MAX = 4096,
	CA_KEY_DER_MAX = 1024,
	CA_TOKEN_MAX = 1024,
	CA_HOSTS_MAX = 32,
	CA_HOST_TEXT_MAX = 256
};

/* Subject of a certificate, built by the caller alone. country (two letters) and organisation may be NULL; texts are
 * UTF-8, at most 64 characters each. */
struct ca_subject {
	const char *country, *organisation, *name;
};
struct ca_issuer {
	X509 *cert;
	const struct hf_seal_key *key;
};
enum ca_use { CA_USE_SERVER, CA_USE_CLIENT };
/* What a leaf says: EKU from use, subjectAltName from hosts (DNS names or IP addresses, at most CA_HOSTS_MAX, may be
 * none), valid from a day ago for days from now, but never beyond the end of its CA. */
struct ca_leaf {
	const struct ca_subject *subject;
	enum ca_use use;
	const char *const *host;
	size_t host_count;
	unsigned days;
};

/* Can this host stand in a certificate: an IP address, or a DNS name of letters, digits, - . _ and *? */
bool ca_host_ok(const char *host);
/* A self-signed CA for CA_ROOT_DAYS, for leaves only (pathlen 0). now_s: s since 1970. Free with ca_cert_free.
 * Errors: INPUT (subject), KEY, RANDOM, CRYPTO. */
HF_NODISCARD enum hf_err ca_root_make(const struct hf_seal_key *key, const struct ca_subject *subject, int64_t now_s,
                                      X509 **out);
/* A leaf for the public half of key. Errors: INPUT (subject, host, no days), KEY (issuer's key is not that of its
 * certificate), EXPIRED (the CA), RANDOM, CRYPTO. Source: threats K1 and K2, srup-v5 section 8.1. */
HF_NODISCARD enum hf_err ca_leaf_make(const struct ca_issuer *issuer, const struct hf_seal_key *key,
                                      const struct ca_leaf *leaf, int64_t now_s, X509 **out);
/* NULL is allowed. */
void ca_cert_free(X509 *cert);
/* The first certificate of a PEM text. Errors: INPUT. */
HF_NODISCARD enum hf_err ca_cert_read(struct hf_span pem, X509 **out);
/* Appends one PEM certificate. Errors: CRYPTO, NO_SPACE. */
HF_NODISCARD enum hf_err ca_cert_write(X509 *cert, struct hf_wr *pem);
/* When it ends, s since 1970. */
int64_t ca_cert_not_after(const X509 *cert);
/* The DNS names and IP addresses that it is for, as texts, at most CA_HOSTS_MAX. Returns how many. */
size_t ca_cert_hosts(const X509 *cert, char host[CA_HOSTS_MAX][CA_HOST_TEXT_MAX]);
/* Its public key, to be freed with hf_openssl_key_free. Errors: KEY, MEMORY. */
HF_NODISCARD enum hf_err ca_cert_key(const X509 *cert, struct hf_seal_key **out);

/* Checks a PKCS#10 request (PEM or DER, at most 64 KiB) and gives its public key, to be freed with
 * hf_openssl_key_free. Its subject and extensions are not looked at. Errors: INPUT (no request), KEY (as
 * ca_key_body_read), SIGNATURE (not signed by that key, or with a digest older than SHA-256). Source: threats K1 and
 * K2. */
HF_NODISCARD enum hf_err ca_csr_check(struct hf_span request, struct hf_seal_key **out);

/* Key body: base64 of the SubjectPublicKeyInfo without armour. Only RSA of 2048 to 4096 bits with an odd exponent of
 * 65537 to 2^32 and P-256 as a named curve. Errors: KEY, MEMORY. Source: srup-v5 section 8. */
HF_NODISCARD enum hf_err ca_key_body_read(struct hf_span body, struct hf_seal_key **out);
/* Appends the body without newlines. Errors: CRYPTO, NO_SPACE. */
HF_NODISCARD enum hf_err ca_key_body_write(const struct hf_seal_key *key, struct hf_wr *out);

/* Appends the token that lets server id with that public key register at this KeyEx until expiry_s; no newline.
 * Errors: KEY, CRYPTO, NO_SPACE. Source: threats K7. */
HF_NODISCARD enum hf_err ca_token_make(const struct hf_seal_key *keyex, uint64_t id, const struct hf_seal_key *server,
                                       int64_t expiry_s, struct hf_wr *out);
/* Does token (a newline at its end is allowed) bind this id and this key, now? Errors: TEXT (no token), SIGNATURE
 * (another id, key, expiry or KeyEx), EXPIRED, KEY, CRYPTO. */
HF_NODISCARD enum hf_err ca_token_check(const struct hf_seal_key *keyex, struct hf_span token, uint64_t id,
                                        const struct hf_seal_key *server, int64_t now_s);

enum ca_access { CA_PRIVATE = 0600, CA_PUBLIC = 0644 };
/* Makes a file that was not there: all of it is on the disk under this name, or nothing. Errors: EXISTS, IO. */
HF_NODISCARD enum hf_err ca_file_new(const char *path, struct hf_span content, enum ca_access access);

#ifdef __cplusplus
}
#endif
#endif
