/* join - who is let in. Uses: base wire seal os db facts audit alert registry type session. */
#include "join/join.h"

#include "alert/alert.h"
#include "audit/audit.h"
#include "os/os.h"
#include "type/type.h"

#include <string.h>

enum { ANSWER_TTL_MS = 60000, SEALED_MAX = HF_SEAL_ENVELOPE_OVERHEAD + JOIN_VALUE_LEN };

/* Tells the device. One that has used up its sequence ids cannot be told; what was decided holds all the same. */
static enum hf_err answer(struct session_cache *c, struct session *s, struct hf_span token, unsigned status,
                          int64_t now_ms)
{
	struct hf_wire_msg m = {.type = HF_WIRE_RESPONSE, .token = token, .response = {(uint8_t)status}};

	enum hf_err err = session_say(c, s, &m, 0, now_ms + ANSWER_TTL_MS);

	return err == HF_E_SEQUENCE && status != HF_WIRE_JOIN_OK ? HF_E_OK : err;
}

static enum hf_err accept_device(struct session_cache *c, struct session *s, struct hf_span token, const char *who,
                                 int64_t now_ms)
{
	enum hf_err err = registry_set_state(c->db, c->facts, s->identity.id, REGISTRY_JOINED, c->self, now_ms);

	if (err == HF_E_OK)
		err = answer(c, s, token, HF_WIRE_JOIN_OK, now_ms);
	if (err == HF_E_OK)
		err = audit_record(c->db, who, "join.accepted", s->identity.id, s->identity.type);
	if (err == HF_E_OK) {
		s->identity.state = REGISTRY_JOINED;
		s->identity.controller = c->self;
	}
	facts_emit(c->facts, FACTS_JOIN, s->identity.id);
	return err;
}

static bool ours_already(const struct session_cache *c, const struct session *s)
{
	return s->identity.state == REGISTRY_JOINED && s->identity.controller == c->self;
}

/* A person has said no to it, not long ago. */
static enum hf_err was_refused(struct session_cache *c, const struct session *s, int64_t now_ms, bool *out)
{
	int64_t count = 0;
	enum hf_err err = db_get_int(c->db, DB_JOIN_REFUSED, DB_ARGS(db_id(s->identity.id), db_int(now_ms)), 0, &count);

	*out = count > 0;
	return err;
}

enum hf_err join_simple(struct session_cache *c, struct session *s, struct hf_span token, int64_t now_ms)
{
	static struct type_profile p;
	bool refused = false;
	enum hf_err err = type_get(c->db, s->identity.type, &p);

	if (err == HF_E_OK)
		err = was_refused(c, s, now_ms, &refused);
	if (err != HF_E_OK)
		return err;
	if (ours_already(c, s))
		return answer(c, s, token, HF_WIRE_JOIN_OK, now_ms);
	if (refused)
		return answer(c, s, token, HF_WIRE_JOIN_FAIL, now_ms);
	if (p.join_simple)
		return accept_device(c, s, token, "policy", now_ms);
	err = answer(c, s, token, HF_WIRE_JOIN_REFUSED, now_ms);
	return err != HF_E_OK ? err
	                      : audit_record(c->db, "policy", "join.simple-refused", s->identity.id, s->identity.type);
}

static void draw_value(char value[JOIN_VALUE_LEN + 1])
{
	uint8_t random[JOIN_VALUE_LEN / 2];
	struct hf_wr w = hf_wr_of(value, JOIN_VALUE_LEN + 1);

	os_random(random, sizeof random);
	random[6] = (uint8_t)((random[6] & 0x0f) | 0x40); /* a UUIDv4 without dashes: srup-v5 section 5 */
	random[8] = (uint8_t)((random[8] & 0x3f) | 0x80);
	hf_wr_hex(&w, hf_span_of(random, sizeof random));
	hf_wr_nul(&w);
}

static enum hf_err send_value(struct session_cache *c, const struct join_limits *l, struct session *s, int64_t now_ms)
{
	char value[JOIN_VALUE_LEN + 1];
	uint8_t sealed[SEALED_MAX], token[SESSION_TOKEN_LEN];
	struct hf_wr w = hf_wr_of(sealed, sizeof sealed);

	draw_value(value);
	session_token(token); /* the RESPONSE that ends this repeats the token of HM_JOIN_RESP: srup-v5 section 6 */
	enum hf_err err = hf_seal_envelope_seal(c->crypto, s->key, hf_span_of(value, JOIN_VALUE_LEN), &w);
	struct hf_wire_msg m = {.type = HF_WIRE_HM_JOIN_RESP,
	                        .token = {token, sizeof token},
	                        .hm_join_resp = {hf_wr_span(&w)}};

	if (err == HF_E_OK)
		err = db_exec(c->db, DB_JOIN_PUT,
		              DB_ARGS(db_id(s->identity.id), db_text("moderated"), db_bytes(m.token), db_text(value),
		                      db_int(now_ms), db_int(now_ms + l->ttl_ms)),
		              NULL);
	hf_wipe(value, sizeof value);
	return err != HF_E_OK ? err : session_say(c, s, &m, 0, now_ms + ANSWER_TTL_MS);
}

enum hf_err join_moderated(struct session_cache *c, const struct join_limits *l, struct session *s,
                           struct hf_span token, int64_t now_ms)
{
	static struct type_profile p;
	int64_t waiting = 0;
	bool refused = false;
	enum hf_err err = type_get(c->db, s->identity.type, &p);

	if (err == HF_E_OK)
		err = was_refused(c, s, now_ms, &refused);
	if (err == HF_E_OK && ours_already(c, s))
		return answer(c, s, token, HF_WIRE_JOIN_OK, now_ms);
	if (err == HF_E_OK && refused)
		return answer(c, s, token, HF_WIRE_JOIN_FAIL, now_ms);
	if (err == HF_E_OK)
		err = join_count(c->db, now_ms, &waiting);
	if (err != HF_E_OK)
		return err;
	if (!p.join_moderated || waiting >= l->waiting_max) {
		err = answer(c, s, token, HF_WIRE_JOIN_FAIL, now_ms);
		return err != HF_E_OK
		           ? err
		           : audit_record(c->db, "policy", p.join_moderated ? "join.table-full" : "join.moderated-refused",
		                          s->identity.id, s->identity.type);
	}
	err = send_value(c, l, s, now_ms);
	facts_emit(c->facts, FACTS_JOIN, s->identity.id);
	return err != HF_E_OK ? err : audit_record(c->db, "device", "join.requested", s->identity.id, "moderated");
}

/* A waiting request with its secrets. */
struct waiting {
	uint8_t token[SESSION_TOKEN_LEN];
	char value[JOIN_VALUE_LEN + 1];
	int64_t tries;
};

static enum hf_err find_waiting(struct db *db, uint64_t device, int64_t now_ms, struct waiting *out)
{
	DB_ROWS_SCOPED r = db_select(db, DB_JOIN_GET, DB_ARGS(db_id(device), db_int(now_ms)));

	if (!db_step(&r))
		return r.err != HF_E_OK ? r.err : HF_E_NOT_FOUND;
	struct hf_span token = db_col_span(&r, 2);

	if (token.len != sizeof out->token)
		return HF_E_INTERNAL;
	memcpy(out->token, token.ptr, token.len);
	db_col_text(&r, 3, out->value, sizeof out->value);
	out->tries = db_col_int(&r, 6);
	return HF_E_OK;
}

static enum hf_err end(struct session_cache *c, uint64_t device)
{
	facts_emit(c->facts, FACTS_JOIN, device);
	return db_exec(c->db, DB_JOIN_END, DB_ARGS(db_id(device)), NULL);
}

/* A wrong code: somebody mistyped, or another box than the one he looks at is asking. */
static enum hf_err mismatch(struct session_cache *c, struct session *s, const struct waiting *w, const char *who,
                            int64_t now_ms)
{
	uint64_t device = s->identity.id;
	enum hf_err err =
		audit_record(c->db, who, "join.mismatch", device, "the code is not the one that was sent to this device");

	if (err == HF_E_OK)
		err = db_exec(c->db, DB_JOIN_TRIED, DB_ARGS(db_id(device)), NULL);
	if (err != HF_E_OK || w->tries + 1 < JOIN_TRIES)
		return err;
	err = alert_raise(c->db, c->facts, device, "join-mismatch",
	                  "a join was ended after three wrong codes; is it the right box?");
	if (err == HF_E_OK)
		err = answer(c, s, hf_span_of(w->token, sizeof w->token), HF_WIRE_JOIN_FAIL, now_ms);
	return err != HF_E_OK ? err : end(c, device);
}

enum hf_err join_approve(struct session_cache *c, uint64_t device, const char *code, const char *who, int64_t now_ms)
{
	struct waiting w = {0};
	struct session *s = NULL;
	enum hf_err err = session_get(c, device, &s);

	if (err == HF_E_OK)
		err = find_waiting(c->db, device, now_ms, &w);
	if (err != HF_E_OK)
		return err;
	if (code && (strlen(code) != JOIN_VALUE_LEN || !hf_ct_equal(code, w.value, JOIN_VALUE_LEN))) {
		hf_wipe(&w.value, sizeof w.value);
		err = mismatch(c, s, &w, who, now_ms);
		return err != HF_E_OK ? err : HF_E_MISMATCH;
	}
	hf_wipe(&w.value, sizeof w.value);
	err = end(c, device);
	return err != HF_E_OK ? err : accept_device(c, s, hf_span_of(w.token, sizeof w.token), who, now_ms);
}

enum hf_err join_refuse(struct session_cache *c, uint64_t device, int64_t ms, const char *who, int64_t now_ms)
{
	struct waiting w = {0};
	struct session *s = NULL;
	enum hf_err err = session_get(c, device, &s);

	if (err == HF_E_OK)
		err = find_waiting(c->db, device, now_ms, &w);
	hf_wipe(&w.value, sizeof w.value);
	if (err == HF_E_OK)
		err = db_exec(c->db, DB_JOIN_REFUSE, DB_ARGS(db_int(now_ms + ms), db_id(device)), NULL);
	facts_emit(c->facts, FACTS_JOIN, device);
	if (err == HF_E_OK)
		err = answer(c, s, hf_span_of(w.token, sizeof w.token), HF_WIRE_JOIN_FAIL, now_ms);
	return err != HF_E_OK ? err : audit_record(c->db, who, "join.refused", device, "");
}

enum hf_err join_expire(struct session_cache *c, int64_t now_ms)
{
	uint64_t late[64];
	size_t count = 0;
	struct db_rows r = db_select(c->db, DB_JOIN_LATE, DB_ARGS(db_int(now_ms)));

	while (count < sizeof late / sizeof late[0] && db_step(&r))
		late[count++] = db_col_id(&r, 0);
	enum hf_err err = db_finish(&r);

	for (size_t i = 0; i < count && err == HF_E_OK; i++) {
		err = end(c, late[i]);
		if (err == HF_E_OK)
			err = audit_record(c->db, "server", "join.expired", late[i], "nobody decided in time");
	}
	return err == HF_E_OK ? db_exec(c->db, DB_JOIN_FORGET, DB_ARGS(db_int(now_ms)), NULL) : err;
}

enum hf_err join_list(struct db *db, int64_t now_ms, bool (*each)(void *ctx, const struct join_row *j), void *ctx)
{
	DB_ROWS_SCOPED r = db_select(db, DB_JOIN_LIST, DB_ARGS(db_int(now_ms)));
	bool more = true;

	while (more && db_step(&r)) {
		struct join_row j = {.device = db_col_id(&r, 0),
		                     .requested_ms = db_col_int(&r, 2),
		                     .expires_ms = db_col_int(&r, 3)};

		db_col_text(&r, 1, j.kind, sizeof j.kind);
		db_col_text(&r, 4, j.type, sizeof j.type);
		more = each(ctx, &j);
	}
	return r.err;
}

enum hf_err join_count(struct db *db, int64_t now_ms, int64_t *count)
{
	return db_get_int(db, DB_JOIN_COUNT, DB_ARGS(db_int(now_ms)), 0, count);
}
