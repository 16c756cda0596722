/* session - devices in RAM. Uses: base wire seal peer port/openssl os db facts audit alert registry. */
#include "session/session_internal.h"

#include "alert/alert.h"
#include "audit/audit.h"
#include "os/os.h"
#include "peer/peer.h"
#include "port/openssl/openssl.h"

#include <stdlib.h>

void session_cache_init(struct session_cache *c, struct db *db, struct facts *facts, uint64_t self)
{
	*c = (struct session_cache){.db = db, .facts = facts, .crypto = hf_openssl_crypto(), .self = self};
}

static struct session **slot_of(struct session_cache *c, uint64_t id)
{
	struct session **at = &c->bucket[(id * UINT64_C(0x9e3779b97f4a7c15)) >> 52];

	_Static_assert(SESSION_BUCKETS == 1 << 12, "the hash gives 12 bits");
	while (*at && (*at)->identity.id != id)
		at = &(*at)->next;
	return at;
}

static void touch(struct session_cache *c, struct session *s)
{
	if (s->touched)
		return;
	s->touched = true;
	s->next_touched = c->touched;
	c->touched = s;
}

/* Takes it off the list of this turn. */
static void untouch(struct session_cache *c, struct session *s)
{
	struct session **at = &c->touched;

	while (*at && *at != s)
		at = &(*at)->next_touched;
	if (*at)
		*at = s->next_touched;
	s->touched = false;
}

static void drop(struct session_cache *c, struct session **at)
{
	struct session *s = *at;

	if (s->touched)
		untouch(c, s);
	*at = s->next;
	hf_openssl_key_free(s->key);
	free(s);
	c->count--;
}

void session_forget(struct session_cache *c, uint64_t id)
{
	struct session **at = slot_of(c, id);

	if (*at)
		drop(c, at);
}

void session_cache_release(struct session_cache *c)
{
	for (size_t i = 0; i < SESSION_BUCKETS; i++)
		while (c->bucket[i])
			drop(c, &c->bucket[i]);
}

void session_turn_done(struct session_cache *c, bool committed)
{
	while (c->touched) {
		struct session *s = c->touched;

		if (committed)
			untouch(c, s);
		else
			session_forget(c, s->identity.id);
	}
	if (c->count >= SESSIONS_MAX) /* they come back when they speak */
		session_cache_release(c);
}

/* From the newest HF_SEAL_WINDOW messages. Older ones may have been removed: then whatever lies below counts as used. */
static enum hf_err load_window(struct session_cache *c, struct session *s)
{
	DB_ROWS_SCOPED r =
		db_select(c->db, DB_INBOUND_NEWEST, DB_ARGS(db_id(s->identity.id), db_int(s->identity.generation)));

	for (unsigned count = 1; db_step(&r); count++) {
		uint64_t sequence = db_col_seq(&r, 0);
		bool on_window = !hf_peer_on_join_topic((unsigned)db_col_int(&r, 1));

		if (on_window && (s->window.high == 0 || s->window.high - sequence < HF_SEAL_WINDOW))
			hf_seal_window_mark(&s->window, sequence);
		if (count == 1)
			s->heard = sequence;
		if (count == HF_SEAL_WINDOW)
			s->floor = sequence;
	}
	return r.err;
}

static enum hf_err load(struct session_cache *c, uint64_t id, struct session *s)
{
	enum hf_err err = registry_get(c->db, id, &s->identity);

	if (err != HF_E_OK)
		return err;
	if (s->identity.state == REGISTRY_REVOKED)
		return HF_E_DENIED;
	if (s->identity.kind != REGISTRY_DEVICE || s->identity.state < REGISTRY_REGISTERED)
		return HF_E_NOT_FOUND;
	err = hf_openssl_public_der(hf_span_of(s->identity.key, s->identity.key_len), &s->key);
	if (err == HF_E_OK)
		err = load_window(c, s);
	hf_seal_counter_resume(&s->counter, s->identity.sent);
	return err;
}

enum hf_err session_get(struct session_cache *c, uint64_t id, struct session **out)
{
	struct session **at = slot_of(c, id);

	if (*at) {
		*out = *at;
		return HF_E_OK;
	}
	struct session *s = calloc(1, sizeof *s);
	enum hf_err err = s ? load(c, id, s) : HF_E_MEMORY;

	if (err != HF_E_OK) {
		c->counts.refused_unknown += err == HF_E_NOT_FOUND || err == HF_E_DENIED;
		if (s)
			hf_openssl_key_free(s->key);
		free(s);
		return err;
	}
	touch(c, s); /* what it read may belong to a turn that fails */
	*at = *out = s;
	c->count++;
	c->counts.loaded++;
	return HF_E_OK;
}

/* Was exactly this taken, in this generation or an earlier one? */
static enum hf_err find_same(struct session_cache *c, const struct session *s, const struct hf_wire_msg *m,
                             int64_t *same)
{
	return db_get_int(c->db, DB_INBOUND_SAME,
	                  DB_ARGS(db_id(s->identity.id), db_int(s->identity.generation), db_seq(m->sequence_id),
	                          db_int(m->type), db_bytes(m->token)),
	                  0, same);
}

static bool may_judge(struct session_cache *c, struct session *s, int64_t now_ms)
{
	if (now_ms - s->proofs_ms >= SESSION_PROOFS_MS || now_ms < s->proofs_ms) {
		s->proofs_ms = now_ms;
		s->proofs = 0;
	}
	c->counts.unjudged += s->proofs >= SESSION_PROOFS;
	return s->proofs++ < SESSION_PROOFS;
}

/* An id that lies behind, and a message that we never took: only the holder of the key can have signed it. */
static enum hf_err judge_replay(struct session_cache *c, struct session *s, const struct hf_wire_msg *m,
                                const struct hf_wire_covered *covered, int64_t now_ms)
{
	int64_t since_ms = 0;
	enum hf_err err = HF_E_OK;

	c->counts.refused_replay++;
	if (!hf_peer_on_join_topic(m->type)) /* that may have been overtaken */
		err = alert_since(c->db, s->identity.id, SESSION_STEPPED_BACK, &since_ms);
	if (err != HF_E_OK || since_ms != 0 || hf_peer_on_join_topic(m->type) || !may_judge(c, s, now_ms) ||
	    hf_seal_verify(c->crypto, s->key, covered->piece, 2, m->signature) != HF_E_OK)
		return err;
	c->counts.stepped_back++;
	return alert_raise(
		c->db, c->facts, s->identity.id, SESSION_STEPPED_BACK,
		"it repeats sequence ids: its store went back in time, or there are two of it. If it was restored "
		"or reset: holdfast device reset-counter. If it may be a clone: holdfast device revoke");
}

/* An id that is used or too old: a redelivery of what was taken, or a replay. Either way it is not done again. */
static enum hf_err repeated(struct session_cache *c, struct session *s, const struct hf_wire_msg *m,
                            const struct hf_wire_covered *covered, int64_t now_ms)
{
	int64_t same = 0;
	enum hf_err err = find_same(c, s, m, &same);

	if (err == HF_E_OK && same == 0)
		err = judge_replay(c, s, m, covered, now_ms);
	if (err != HF_E_OK)
		return err;
	c->counts.repeated += same != 0;
	return same != 0 ? HF_E_EXISTS : HF_E_REPLAY;
}

/* A device that talks all the time is written down now and then only. */
static enum hf_err seen(struct session_cache *c, struct session *s, int64_t now_ms)
{
	int64_t since_ms = now_ms - s->identity.seen_ms;

	if (since_ms >= 0 && since_ms < SESSION_SEEN_MS && !s->identity.behind)
		return HF_E_OK;
	s->identity.seen_ms = now_ms;
	s->identity.behind = false;
	return registry_seen(c->db, s->identity.id, now_ms);
}

/* What RAM keeps of a message that was taken; its gaps go to the database when they changed. */
static enum hf_err note(struct session_cache *c, struct session *s, const struct hf_wire_msg *m, int64_t now_ms)
{
	bool gaps = session_gap_heard(s, m->sequence_id, now_ms);

	touch(c, s);
	if (!hf_peer_on_join_topic(m->type))
		hf_seal_window_mark(&s->window, m->sequence_id);
	if (m->sequence_id > s->heard)
		s->heard = m->sequence_id;
	c->counts.received++;
	enum hf_err err = gaps ? registry_set_gaps(c->db, s->identity.id, &s->identity.gaps) : HF_E_OK;

	return err == HF_E_OK ? seen(c, s, now_ms) : err;
}

enum hf_err session_receive(struct session_cache *c, struct session *s, const struct hf_wire_msg *m,
                            const struct hf_wire_covered *covered, int64_t now_ms)
{
	int64_t same = 0;
	enum hf_err err = hf_seal_window_judge(&s->window, m->sequence_id);

	if (err == HF_E_REPLAY || (err == HF_E_OK && m->sequence_id < s->floor))
		return repeated(c, s, m, covered, now_ms);
	if (err == HF_E_OK && s->identity.generation > 0)
		err = find_same(c, s, m, &same);
	if (same != 0)
		return repeated(c, s, m, covered, now_ms);
	if (err == HF_E_OK)
		err = hf_seal_verify(c->crypto, s->key, covered->piece, 2, m->signature);
	if (err == HF_E_SIGNATURE)
		c->counts.refused_signature++;
	if (err != HF_E_OK)
		return err;
	err = db_exec(c->db, DB_INBOUND_ADD,
	              DB_ARGS(db_id(s->identity.id), db_int(s->identity.generation), db_seq(m->sequence_id),
	                      db_int(m->type), db_bytes(m->token), db_int(now_ms)),
	              NULL);
	if (err == HF_E_EXISTS) /* a join request, which the window does not know */
		return repeated(c, s, m, covered, now_ms);
	return err == HF_E_OK ? note(c, s, m, now_ms) : err;
}

bool session_asked_last(const struct session *s)
{
	return s->heard > s->window.high;
}

enum hf_err session_reset_counter(struct session_cache *c, uint64_t id, const char *who)
{
	enum hf_err err = registry_reset_counter(c->db, c->facts, id);

	session_forget(c, id);
	if (err == HF_E_OK)
		err = alert_clear_kind(c->db, c->facts, id, SESSION_STEPPED_BACK, who);
	return err == HF_E_OK ? audit_record(c->db, who, "device.counter-reset", id, "") : err;
}

bool session_may_join(struct session *s, int64_t now_ms)
{
	int64_t refill = (now_ms - s->joins_ms) / SESSION_JOIN_REFILL_MS;

	if (refill != 0) { /* also when the clock stepped back */
		s->joins = refill < 0 || refill >= s->joins ? 0 : s->joins - (unsigned)refill;
		s->joins_ms = now_ms;
	}
	if (s->joins >= SESSION_JOIN_BURST)
		return false;
	s->joins++;
	return true;
}

void session_token(uint8_t out[SESSION_TOKEN_LEN])
{
	uint8_t random[16];

	_Static_assert((int)SESSION_TOKEN_LEN == (int)HF_PEER_TOKEN_LEN, "one kind of token");
	os_random(random, sizeof random);
	hf_peer_token_text(random, out);
}

enum hf_err session_say(struct session_cache *c, struct session *s, struct hf_wire_msg *m, int64_t command,
                        int64_t deadline_ms)
{
	static uint8_t message[HF_WIRE_SEND_MAX];
	struct hf_wr w = hf_wr_of(message, sizeof message);
	bool reserve = false; /* nothing need be reserved: the id is stored with the message */
	uint64_t above = s->heard > s->counter.last ? s->heard : s->counter.last;
	bool far = s->identity.behind && !s->stepped;
	enum hf_err err = hf_seal_counter_take(&s->counter, far ? above + SESSION_FAR : above, &m->sequence_id, &reserve);

	touch(c, s);
	s->stepped |= far;
	if (err == HF_E_OK)
		err = registry_set_sent(c->db, s->identity.id, m->sequence_id);
	if (err != HF_E_OK)
		return err;
	m->version = HF_WIRE_V5;
	m->sender_id = c->self;
	m->signature = hf_span_of(NULL, 0); /* the signer fills it in */
	err = hf_wire_encode(&w, m, HF_WIRE_WHOLE);
	if (err == HF_E_OK && w.len > HF_WIRE_SEND_MAX - HF_SEAL_SIGNATURE_MAX)
		err = HF_E_TOO_BIG;
	if (err != HF_E_OK)
		return err == HF_E_NO_SPACE ? HF_E_TOO_BIG : err;
	err = db_exec(c->db, DB_OUTBOX_ADD,
	              DB_ARGS(db_id(s->identity.id), db_bytes(hf_wr_span(&w)), command ? db_int(command) : db_null(),
	                      db_int(deadline_ms)),
	              NULL);
	facts_emit(c->facts, FACTS_OUTBOX, s->identity.id);
	return err;
}
