/* enrol - judging who wants to register, and noting who was refused. Uses: base os db facts audit alert; SHA-256 of libcrypto. */
#include "enrol/enrol.h"

#include "alert/alert.h"
#include "audit/audit.h"
#include "enrol/enrol_internal.h"
#include "os/os.h"

#include <openssl/sha.h>
#include <string.h>

static const char *const policy_names[] = {
	[ENROL_OPEN] = "open", [ENROL_TOKEN] = "token", [ENROL_ALLOWLIST] = "allowlist"};

struct refusal_row {
	const char *word, *sentence;
};
static const struct refusal_row refusals[] = {
	[ENROL_FINE] = {"", ""},
#define REFUSAL(NAME, word, sentence) [ENROL_##NAME] = {word, sentence},
#include "enrol/refusals.def"
};

const char *enrol_policy_name(enum enrol_policy p)
{
	return policy_names[p];
}

enum enrol_policy enrol_policy_named(const char *name)
{
	unsigned i = 0;

	while (i < ENROL_POLICY_COUNT_ && strcmp(policy_names[i], name) != 0)
		i++;
	return (enum enrol_policy)i;
}

const char *enrol_refusal_word(enum enrol_refusal r)
{
	return refusals[r].word;
}

const char *enrol_refusal_text(enum enrol_refusal r)
{
	return refusals[r].sentence;
}

static bool fits(const char *wanted, const char *type)
{
	return wanted[0] == '\0' || strcmp(wanted, type) == 0;
}

static enum enrol_refusal judge_token(const struct enrol_token *t, const char *type, int64_t now_ms)
{
	return t->revoked_ms             ? ENROL_REVOKED
	       : t->expires_ms <= now_ms ? ENROL_EXPIRED
	       : t->uses >= t->uses_max  ? ENROL_SPENT
	       : !fits(t->type, type)    ? ENROL_TYPE
	                                 : ENROL_FINE;
}

static enum hf_err judge_by_token(struct enrol *e, const struct enrol_applicant *a, int64_t now_ms,
                                  enum enrol_refusal *why, int64_t *ticket)
{
	struct enrol_token t;

	if (a->token.len == 0) {
		*why = ENROL_NO_TOKEN;
		return HF_E_OK;
	}
	enum hf_err err = enrol_token_find(e, a->token, &t);

	if (err == HF_E_NOT_FOUND) {
		*why = ENROL_UNKNOWN;
		return HF_E_OK;
	}
	if (err != HF_E_OK)
		return err;
	*why = judge_token(&t, a->type, now_ms);
	*ticket = t.id;
	return HF_E_OK;
}

/* One entry may name its id, another one its key; either will do. */
static enum hf_err judge_by_list(struct enrol *e, const struct enrol_applicant *a, enum enrol_refusal *why)
{
	char id[HF_ID_TEXT_MAX], fingerprint[ENROL_WHO_MAX], type[ENROL_TYPE_MAX];
	uint8_t digest[SHA256_DIGEST_LENGTH];
	struct hf_wr w = hf_wr_of(fingerprint, sizeof fingerprint);

	hf_id_text(a->id, id);
	SHA256(a->key.ptr, a->key.len, digest);
	hf_wr_hex(&w, hf_span_of(digest, sizeof digest));
	hf_wr_nul(&w);
	DB_ROWS_SCOPED r = db_select(e->db, DB_ENROL_ALLOWED_FIND, DB_ARGS(db_text(id), db_text(fingerprint)));

	*why = ENROL_NOT_ALLOWED;
	while (*why != ENROL_FINE && db_step(&r)) {
		db_col_text(&r, 0, type, sizeof type);
		*why = fits(type, a->type) ? ENROL_FINE : ENROL_TYPE;
	}
	return r.err;
}

enum hf_err enrol_judge(struct enrol *e, enum enrol_policy policy, const struct enrol_applicant *a, int64_t now_ms,
                        enum enrol_refusal *why, int64_t *ticket)
{
	*why = ENROL_FINE;
	*ticket = 0;
	if (policy == ENROL_TOKEN)
		return judge_by_token(e, a, now_ms, why, ticket);
	return policy == ENROL_ALLOWLIST ? judge_by_list(e, a, why) : HF_E_OK;
}

/* Many may have begun with one token; who proves first takes what uses there are. */
static enum hf_err spend(struct enrol *e, const char *type, int64_t ticket, int64_t now_ms, enum enrol_refusal *why)
{
	struct enrol_token t;
	enum hf_err err = enrol_token_get(e, ticket, &t);

	if (err != HF_E_OK)
		return err;
	*why = judge_token(&t, type, now_ms);
	return *why != ENROL_FINE ? HF_E_OK : db_exec(e->db, DB_ENROL_TOKEN_SPEND, DB_ARGS(db_int(ticket)), NULL);
}

enum hf_err enrol_admit(struct enrol *e, enum enrol_policy policy, const struct enrol_applicant *a, int64_t ticket,
                        int64_t now_ms, enum enrol_refusal *why)
{
	*why = ENROL_FINE;
	if (policy == ENROL_ALLOWLIST)
		return judge_by_list(e, a, why);
	if (policy != ENROL_TOKEN)
		return HF_E_OK;
	if (ticket == 0) /* it began while registration was open */
		*why = ENROL_NO_TOKEN;
	return ticket == 0 ? HF_E_OK : spend(e, a->type, ticket, now_ms, why);
}

enum hf_err enrol_note_refusal(struct enrol *e, enum enrol_refusal why, uint64_t id, int64_t now_ms)
{
	enum hf_err err = HF_E_OK;

	e->refused[why]++;
	if (now_ms - e->window_ms >= ENROL_WINDOW_MS || now_ms < e->window_ms) {
		e->window_ms = now_ms;
		e->in_window = 0;
	}
	e->in_window++;
	if (e->in_window <= ENROL_AUDITED)
		err = audit_record(e->db, "policy", "enrol.refused", id, refusals[why].word);
	if (err == HF_E_OK && e->in_window == ENROL_ALARMING)
		err = alert_raise(
			e->db, e->facts, 0, "enrolment-refused",
			"100 registrations were refused within ten minutes: a wrong token in many devices, or an attack; "
			"see holdfast event list");
	return err;
}
