/* enrol - who may register: enrolment tokens, the allow-list, and a bounded record of who was refused. Uses: base os db facts audit
 * alert; SHA-256 of libcrypto. */
#ifndef ENROL_H
#define ENROL_H
#include "base/base.h"
#include "db/db.h"
#include "facts/facts.h"

/* The greater the stricter; of the server's and the type's the stricter one counts. */
enum enrol_policy { ENROL_OPEN, ENROL_TOKEN, ENROL_ALLOWLIST, ENROL_POLICY_COUNT_ };
enum enrol_refusal {
	ENROL_FINE,
#define REFUSAL(NAME, word, sentence) ENROL_##NAME,
#include "enrol/refusals.def"
	ENROL_REFUSAL_COUNT_
};
enum {
	ENROL_NAME_MAX = 64,
	ENROL_TYPE_MAX = 64,
	ENROL_TOKEN_TEXT_MAX = 48,
	ENROL_WHO_MAX = 65,
	ENROL_USES_MAX = 1000000,
	ENROL_DAYS_MAX = 3650,
	ENROL_AUDITED = 20, /* refusals in the event list, in ENROL_WINDOW_MS */
	ENROL_ALARMING = 100, /* so many in ENROL_WINDOW_MS raise an alert */
	ENROL_WINDOW_MS = 600000
};

const char *enrol_policy_name(enum enrol_policy p);
/* ENROL_POLICY_COUNT_ if there is none of that name. */
enum enrol_policy enrol_policy_named(const char *name);
const char *enrol_refusal_word(enum enrol_refusal r);
/* What the refused one should do. */
const char *enrol_refusal_text(enum enrol_refusal r);

struct enrol {
	struct db *db;
	struct facts *facts;
	enum enrol_policy policy; /* of the server */
	int64_t allowed_max;
	uint64_t refused[ENROL_REFUSAL_COUNT_];
	int64_t window_ms;
	unsigned in_window;
};

/* Who wants to register. */
struct enrol_applicant {
	uint64_t id;
	struct hf_span key; /* DER SubjectPublicKeyInfo */
	const char *type;
	struct hf_span token; /* what its address carries; empty: none */
};
/* May it begin to? *ticket gets the number of its token, 0 for none. OK with *why set says no. Errors: DATABASE. */
HF_NODISCARD enum hf_err enrol_judge(struct enrol *e, enum enrol_policy policy, const struct enrol_applicant *a,
                                     int64_t now_ms, enum enrol_refusal *why, int64_t *ticket);
/* Its key is proven: may it still, and if so one use of its token is spent. OK with *why set says no. Errors: DATABASE. */
HF_NODISCARD enum hf_err enrol_admit(struct enrol *e, enum enrol_policy policy, const struct enrol_applicant *a,
                                     int64_t ticket, int64_t now_ms, enum enrol_refusal *why);
/* Counts a refusal; the first ENROL_AUDITED of a window become events, ENROL_ALARMING of them an alert. Errors: DATABASE. */
HF_NODISCARD enum hf_err enrol_note_refusal(struct enrol *e, enum enrol_refusal why, uint64_t id, int64_t now_ms);

struct enrol_token {
	int64_t id, uses, uses_max, created_ms, expires_ms, revoked_ms; /* revoked_ms 0: not */
	char name[ENROL_NAME_MAX], type[ENROL_TYPE_MAX], who[ENROL_NAME_MAX]; /* type empty: any */
};
/* Makes one; text (NUL-terminated, `hfe_` + 40 hex digits) is kept nowhere. Errors: DATABASE. */
HF_NODISCARD enum hf_err enrol_token_new(struct enrol *e, const struct enrol_token *want, int64_t now_ms, int64_t *id,
                                         char text[ENROL_TOKEN_TEXT_MAX]);
/* Errors: NOT_FOUND (none, or revoked already), DATABASE. */
HF_NODISCARD enum hf_err enrol_token_revoke(struct enrol *e, int64_t id, int64_t now_ms);
HF_NODISCARD enum hf_err enrol_token_list(struct enrol *e, bool (*each)(void *ctx, const struct enrol_token *t),
                                          void *ctx);

/* An entry of the allow-list. who: an id, or the SHA-256 of a DER SubjectPublicKeyInfo as 64 hex digits. */
struct enrol_allowed {
	char who[ENROL_WHO_MAX], type[ENROL_TYPE_MAX], by[ENROL_NAME_MAX]; /* type empty: any */
	int64_t at_ms;
};
/* Brings an id or fingerprint into the form that is kept. Errors: TEXT. */
HF_NODISCARD enum hf_err enrol_who_parse(struct hf_span text, char out[ENROL_WHO_MAX]);
/* Adds an entry, or gives it another type. Errors: DATABASE. */
HF_NODISCARD enum hf_err enrol_allow(struct enrol *e, const struct enrol_allowed *entry);
/* To be asked once after adding. Errors: FULL (more than allowed_max: undo it), DATABASE. */
HF_NODISCARD enum hf_err enrol_allowed_fit(struct enrol *e);
/* Errors: NOT_FOUND, DATABASE. */
HF_NODISCARD enum hf_err enrol_disallow(struct enrol *e, const char *who);
/* In order, after the entry `after` ("": from the start). */
HF_NODISCARD enum hf_err enrol_allowed_list(struct enrol *e, const char *after, int64_t limit,
                                            bool (*each)(void *ctx, const struct enrol_allowed *a), void *ctx);

#endif
