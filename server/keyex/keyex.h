/* keyex - the key-exchange service: registration, proof of the key, access certificates, public keys, C2 servers.
 * Knows no HTTP and no JSON. Uses: base seal port/openssl os db facts audit registry enrol type ca. Source: srup-v5 section 8. */
#ifndef KEYEX_H
#define KEYEX_H
#include "base/base.h"
#include "db/db.h"
#include "enrol/enrol.h"
#include "facts/facts.h"
#include "registry/registry.h"
#include "seal/seal.h"

enum { KEYEX_CSR_MAX = 16384, KEYEX_PEM_MAX = 8192 };

struct keyex {
	struct db *db;
	struct facts *facts;
	struct hf_seal_key *public_key; /* KeyEx's own; its private half is the signer's */
	uint64_t id, default_c2;
	int64_t ttl_ms, half_made_max, identities_max, idle_ms, certificate_days;
	struct enrol *enrol;
	enum enrol_refusal
		why; /* of the last call that gave DENIED; ENROL_FINE when that has nothing to do with enrolment */
	/* Inside: */
	int64_t identities, counted_ms; /* never less than there are, counted anew when that reaches the maximum */
	uint64_t pushed_out, too_many; /* counters */
};

/* What a device says when it registers, and whence. */
struct keyex_request {
	struct hf_span id, key_body, type, token; /* token: of its address, empty for none */
	uint64_t origin;
};
/* A device registers. Errors: ID, KEY, INPUT (type), DENIED (enrolment, see why), EXISTS, FULL, BUSY (identities_max), DATABASE. */
HF_NODISCARD enum hf_err keyex_register(struct keyex *k, const struct keyex_request *q, int64_t now_ms);
/* It proves its key: PSS over the id text. Errors: ID, NOT_FOUND, TEXT, SIGNATURE, DENIED (revoked; enrolment, see why), DATABASE. */
HF_NODISCARD enum hf_err keyex_validate(struct keyex *k, struct hf_span id, struct hf_span signature, int64_t now_ms);
/* What is to be certified: this key and nothing else of the request, under the id that was proven. */
struct keyex_access {
	uint64_t id;
	int64_t days;
	struct hf_seal_key *key; /* the caller frees it with hf_openssl_key_free */
};
/* It asks for its access certificate: base64 of the CSR's PEM, PSS over that PEM. Errors: as keyex_validate, STATE (key never
 * proven), TOO_BIG, INPUT, KEY. */
HF_NODISCARD enum hf_err keyex_access(struct keyex *k, struct hf_span id, struct hf_span csr, struct hf_span signature,
                                      struct keyex_access *out);
/* Forgets some of the devices that registered and did not join for idle_ms: their ids, so that whoever remembers them forgets
 * them too. Errors: DATABASE. */
HF_NODISCARD enum hf_err keyex_forget_idle(struct keyex *k, int64_t now_ms, uint64_t gone[REGISTRY_IDLE_BATCH],
                                           size_t *count);
struct keyex_certificate {
	uint64_t id;
	struct hf_span digest; /* SHA-256 of its PEM, 32 bytes */
	int64_t not_after_ms;
};
/* Its certificate was made: now it is registered; *first tells whether it was not before. Errors: DENIED (revoked meanwhile),
 * NOT_FOUND, DATABASE. */
HF_NODISCARD enum hf_err keyex_certified(struct keyex *k, const struct keyex_certificate *cert, int64_t now_ms,
                                         bool *first);
/* base64 of the PEM public key; the type's text. Not of half-made, unproven or revoked identities. Errors: ID, NOT_FOUND, DATABASE. */
HF_NODISCARD enum hf_err keyex_key(struct keyex *k, struct hf_span id, struct hf_wr *base64);
HF_NODISCARD enum hf_err keyex_type(struct keyex *k, struct hf_span id, struct hf_wr *type);
/* Is that server known? Errors: ID, NOT_FOUND, DATABASE. */
HF_NODISCARD enum hf_err keyex_server_check(struct keyex *k, struct hf_span id);
/* A C2 server of the reference kind registers with its server token. The same one again is OK.
 * Errors: ID, KEY, TEXT, SIGNATURE, EXPIRED, EXISTS (another key has that id), DENIED (revoked), DATABASE. */
HF_NODISCARD enum hf_err keyex_server_register(struct keyex *k, struct hf_span id, struct hf_span key_body,
                                               struct hf_span token, int64_t now_ms);

#endif
