/* command - what operators ask of devices. Uses: base wire peer os db facts audit session. */
#include "command/command.h"

#include "audit/audit.h"
#include "os/os.h"
#include "peer/peer.h"

#include <stdio.h>
#include <string.h>

/* What is common to all kinds of commands. */
struct draft {
	enum hf_peer_kind kind;
	const char *shown; /* of a setting */
	const struct command_order *order;
};

bool command_final(const struct command *c)
{
	return strcmp(c->state, "queued") != 0 && strcmp(c->state, "sent") != 0;
}

static enum hf_err admit(struct session_cache *c, const struct command_limits *l, uint64_t device, struct session **s)
{
	int64_t open = 0;
	enum hf_err err = session_get(c, device, s);

	if (err == HF_E_OK && ((*s)->identity.state != REGISTRY_JOINED || (*s)->identity.controller != c->self))
		err = HF_E_STATE;
	if (err == HF_E_OK)
		err = db_get_int(c->db, DB_COMMAND_OPEN, DB_ARGS(db_id(device)), 0, &open);
	if (err == HF_E_OK && open >= l->open_max)
		err = HF_E_FULL;
	return err;
}

/* Writes the command's row and its message; the message's body is there already. */
static enum hf_err issue(struct session_cache *c, const struct command_limits *l, const struct draft *d,
                         struct hf_wire_msg *m, int64_t *id)
{
	uint8_t token[SESSION_TOKEN_LEN];
	const struct command_order *o = d->order;
	int64_t now = os_now_ms(), deadline = now + l->timeout_ms;
	struct session *s = NULL;
	char detail[160];
	enum hf_err err = admit(c, l, o->device, &s);

	session_token(token);
	m->token = hf_span_of(token, sizeof token);
	if (err == HF_E_OK)
		err = db_exec(c->db, DB_COMMAND_ADD,
		              DB_ARGS(db_id(o->device), db_text(hf_peer_kind_name(d->kind)), db_text(o->what),
		                      db_text(d->shown), db_bytes(m->token), db_text(o->who), db_int(now), db_int(deadline)),
		              NULL);
	if (err != HF_E_OK)
		return err;
	*id = db_last_key(c->db);
	err = session_say(c, s, m, *id, deadline);
	if (err != HF_E_OK)
		return err;
	facts_emit(c->facts, FACTS_COMMAND, o->device);
	snprintf(detail, sizeof detail, "command %lld: %s %s", (long long)*id, hf_peer_kind_name(d->kind), o->what);
	return audit_record(c->db, o->who, "command.issued", o->device, detail);
}

enum hf_err command_action(struct session_cache *c, const struct command_limits *l, const struct command_order *o,
                           uint8_t action, int64_t *id)
{
	struct hf_wire_msg m = {.type = HF_WIRE_ACTION, .action = {action}};

	return issue(c, l, &(struct draft){HF_PEER_K_ACTION, NULL, o}, &m, id);
}

enum hf_err command_data(struct session_cache *c, const struct command_limits *l, const struct command_order *o,
                         struct hf_span value, const char *shown, int64_t *id)
{
	struct hf_wire_msg m = {.type = HF_WIRE_DATA, .data = {hf_span_text(o->what), value}};

	return issue(c, l, &(struct draft){HF_PEER_K_DATA, shown, o}, &m, id);
}

enum hf_err command_identify(struct session_cache *c, const struct command_limits *l, const struct command_order *o,
                             int64_t *id)
{
	struct hf_wire_msg m = {.type = HF_WIRE_ID_REQ};

	return issue(c, l, &(struct draft){HF_PEER_K_IDENTIFY, NULL, o}, &m, id);
}

static enum hf_err settle(struct session_cache *c, uint64_t device, int64_t id, struct db_arg status,
                          struct hf_span answer, int64_t now_ms)
{
	facts_emit(c->facts, FACTS_COMMAND, device);
	return db_exec(c->db, DB_COMMAND_ANSWER, DB_ARGS(status, db_bytes(answer), db_int(now_ms), db_int(id)), NULL);
}

static enum hf_peer_kind kind_named(const char *name)
{
	unsigned k = 0;

	while (k < HF_PEER_K_COUNT_ && strcmp(hf_peer_kind_name((enum hf_peer_kind)k), name) != 0)
		k++;
	return (enum hf_peer_kind)k;
}

enum hf_err command_answered(struct session_cache *c, uint64_t device, struct hf_span token, unsigned status,
                             int64_t now_ms)
{
	char kind[16];
	int64_t id;
	DB_ROWS_SCOPED r = db_select(c->db, DB_COMMAND_BY_TOKEN, DB_ARGS(db_id(device), db_bytes(token), db_int(now_ms)));

	if (!db_step(&r))
		return r.err != HF_E_OK ? r.err : HF_E_NOT_FOUND;
	id = db_col_int(&r, 0);
	db_col_text(&r, 1, kind, sizeof kind);
	if (!hf_peer_answers(kind_named(kind), status))
		return HF_E_NOT_FOUND;
	return settle(c, device, id, db_int(status), hf_span_text(hf_wire_status_text(status)), now_ms);
}

/* The DATA that answers an ID_REQ carries a new token: the oldest open question of this device is meant. Source: srup-v5 section 6. */
enum hf_err command_identified(struct session_cache *c, uint64_t device, struct hf_span text, int64_t now_ms)
{
	int64_t id = 0;
	enum hf_err err = db_get_int(c->db, DB_COMMAND_IDENTIFY_OPEN, DB_ARGS(db_id(device), db_int(now_ms)), 0, &id);

	if (err != HF_E_OK || id == 0)
		return err != HF_E_OK ? err : HF_E_NOT_FOUND;
	return settle(c, device, id, db_null(), text, now_ms);
}

enum hf_err command_sent(struct db *db, struct facts *f, int64_t id, uint64_t device, int64_t now_ms)
{
	facts_emit(f, FACTS_COMMAND, device);
	return db_exec(db, DB_COMMAND_SENT, DB_ARGS(db_int(now_ms), db_int(id)), NULL);
}

enum hf_err command_expire(struct db *db, struct facts *f, int64_t now_ms)
{
	struct db_rows r = db_select(db, DB_COMMAND_LATE, DB_ARGS(db_int(now_ms)));
	bool any = false;

	while (db_step(&r)) {
		any = true;
		facts_emit(f, FACTS_COMMAND, db_col_id(&r, 1));
	}
	enum hf_err err = db_finish(&r);

	return err != HF_E_OK || !any ? err : db_exec(db, DB_COMMAND_EXPIRE, DB_ARGS(db_int(now_ms)), NULL);
}

enum hf_err command_drop(struct db *db, struct facts *f, uint64_t device, const char *why)
{
	enum hf_err err = db_exec(db, DB_COMMAND_DROP, DB_ARGS(db_id(device), db_bytes(hf_span_text(why))), NULL);

	facts_emit(f, FACTS_COMMAND, device);
	return err != HF_E_OK ? err : db_exec(db, DB_OUTBOX_DROP, DB_ARGS(db_id(device)), NULL);
}

static void load(const struct db_rows *r, struct command *c)
{
	*c = (struct command){
		.id = db_col_int(r, 0),
		.device = db_col_id(r, 1),
		.status = db_col_null(r, 6) ? -1 : (int)db_col_int(r, 6),
		.created_ms = db_col_int(r, 9),
		.deadline_ms = db_col_int(r, 10),
		.sent_ms = db_col_int(r, 11),
		.answered_ms = db_col_int(r, 12),
	};
	db_col_text(r, 2, c->kind, sizeof c->kind);
	db_col_text(r, 3, c->what, sizeof c->what);
	db_col_text(r, 4, c->value, sizeof c->value);
	db_col_text(r, 5, c->state, sizeof c->state);
	db_col_text(r, 7, c->answer, sizeof c->answer);
	db_col_text(r, 8, c->who, sizeof c->who);
}

enum hf_err command_get(struct db *db, int64_t id, struct command *out)
{
	DB_ROWS_SCOPED r = db_select(db, DB_COMMAND_GET, DB_ARGS(db_int(id)));

	if (!db_step(&r))
		return r.err != HF_E_OK ? r.err : HF_E_NOT_FOUND;
	load(&r, out);
	return HF_E_OK;
}

enum hf_err command_list(struct db *db, uint64_t device, int64_t limit,
                         bool (*each)(void *ctx, const struct command *c), void *ctx)
{
	DB_ROWS_SCOPED r = db_select(db, DB_COMMAND_LIST, DB_ARGS(db_id(device), db_int(limit)));
	bool more = true;

	while (more && db_step(&r)) {
		struct command c;

		load(&r, &c);
		more = each(ctx, &c);
	}
	return r.err;
}
