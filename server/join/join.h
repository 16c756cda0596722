/* join - who is let in: by policy, or by a person who compared what the box shows. Uses: base wire seal os db facts audit alert
 * registry type session port/openssl. */
#ifndef JOIN_H
#define JOIN_H
#include "base/base.h"
#include "session/session.h"

enum { JOIN_VALUE_LEN = 32, JOIN_TRIES = 3 };

struct join_limits {
	int64_t ttl_ms, waiting_max;
};

/* A device asks, with a signature that holds. Simple: answered at once, by the policy of its type. Moderated: the confirmation value
 * goes out sealed and a person decides. A device that is joined to us already is told so; one whose type may not
 * ask so, or for which there is no room, is told that, and the result is OK. Errors: SEQUENCE, KEY, RANDOM, CRYPTO, DATABASE. */
/* A device that a person refused is told failed until that is forgotten, and nobody hears of it. */
HF_NODISCARD enum hf_err join_simple(struct session_cache *c, struct session *s, struct hf_span token, int64_t now_ms);
HF_NODISCARD enum hf_err join_moderated(struct session_cache *c, const struct join_limits *l, struct session *s,
                                        struct hf_span token, int64_t now_ms);

/* A person decides. code: what the device shows (32 hex digits, compared in constant time), or NULL when he says that he compared.
 * After JOIN_TRIES wrong codes the request ends and an alert is raised. Errors: NOT_FOUND (nothing waits), MISMATCH, DATABASE. */
HF_NODISCARD enum hf_err join_approve(struct session_cache *c, uint64_t device, const char *code, const char *who,
                                      int64_t now_ms);
/* ms: for how long it stays refused. Errors: NOT_FOUND (nothing waits), DATABASE. */
HF_NODISCARD enum hf_err join_refuse(struct session_cache *c, uint64_t device, int64_t ms, const char *who,
                                     int64_t now_ms);
/* Ends what nobody decided in time. */
HF_NODISCARD enum hf_err join_expire(struct session_cache *c, int64_t now_ms);

struct join_row {
	uint64_t device;
	char kind[16], type[REGISTRY_TYPE_MAX];
	int64_t requested_ms, expires_ms;
};
HF_NODISCARD enum hf_err join_list(struct db *db, int64_t now_ms, bool (*each)(void *ctx, const struct join_row *j),
                                   void *ctx);
HF_NODISCARD enum hf_err join_count(struct db *db, int64_t now_ms, int64_t *count);

#endif
