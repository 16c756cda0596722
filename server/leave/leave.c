/* leave - who goes. Uses: base wire os db facts audit registry session command. */
#include "leave/leave.h"

#include "audit/audit.h"
#include "command/command.h"

struct way {
	enum registry_state state;
	const char *event, *why;
};
static const struct way ways[] = {
#define WAY(NAME, state, event, why) {REGISTRY_##state, (event), (why)},
#include "leave/ways.def"
};

/* until_ms: when an identity that is being deregistered ends; 0 for all others. */
static enum hf_err go(struct session_cache *c, uint64_t device, enum leave_way way, const char *who, int64_t until_ms,
                      int64_t now_ms)
{
	const struct way *w = &ways[way];
	enum hf_err err = registry_set_state(c->db, c->facts, device, w->state, 0, now_ms);

	if (err == HF_E_OK)
		err = registry_set_left(c->db, device, w->why, until_ms, now_ms);
	if (err == HF_E_OK)
		err = command_drop(c->db, c->facts, device, w->why);
	if (err == HF_E_OK)
		err = db_exec(c->db, DB_JOIN_END, DB_ARGS(db_id(device)), NULL);
	session_forget(c, device);
	return err == HF_E_OK ? audit_record(c->db, who, w->event, device, w->why) : err;
}

enum hf_err leave_by(struct session_cache *c, uint64_t device, enum leave_way way, const char *who, int64_t now_ms)
{
	return go(c, device, way, who, 0, now_ms);
}

enum hf_err leave_resigned(struct session_cache *c, const struct session *s, int64_t now_ms)
{
	/* Join requests come by another connection: this one was overtaken, and the device wants to be here. */
	return session_asked_last(s) ? HF_E_STATE : leave_by(c, s->identity.id, LEAVE_RESIGNED, "device", now_ms);
}

/* What waits in the outbox is dropped when it goes, so this is said after that. */
static enum hf_err tell(struct session_cache *c, uint64_t device, enum hf_wire_type type, int64_t until_ms)
{
	uint8_t token[SESSION_TOKEN_LEN];
	struct hf_wire_msg m = {.type = (uint8_t)type, .token = {token, sizeof token}};
	struct session *s = NULL;
	enum hf_err err = session_get(c, device, &s);

	session_token(token);
	return err == HF_E_OK ? session_say(c, s, &m, 0, until_ms) : err;
}

enum hf_err leave_terminate(struct session_cache *c, uint64_t device, const char *who, int64_t now_ms)
{
	struct session *s = NULL;
	enum hf_err err = session_get(c, device, &s);

	if (err == HF_E_OK && (s->identity.state != REGISTRY_JOINED || s->identity.controller != c->self))
		err = HF_E_STATE;
	if (err == HF_E_OK)
		err = leave_by(c, device, LEAVE_TERMINATED, who, now_ms);
	return err == HF_E_OK ? tell(c, device, HF_WIRE_TERMINATE_CMD, now_ms + LEAVE_TOLD_MS) : err;
}

enum hf_err leave_deregister(struct session_cache *c, uint64_t device, const char *who, int64_t until_ms,
                             int64_t now_ms)
{
	struct session *s = NULL;
	enum hf_err err = session_get(c, device, &s);

	if (err == HF_E_OK && s->identity.ending_ms)
		err = HF_E_STATE;
	if (err == HF_E_OK)
		err = go(c, device, LEAVE_DEREGISTERING, who, until_ms, now_ms);
	return err == HF_E_OK ? tell(c, device, HF_WIRE_DEREGISTER_CMD, until_ms) : err;
}

enum hf_err leave_disconnected(struct session_cache *c, uint64_t device, int64_t now_ms)
{
	struct registry_identity i;
	enum hf_err err = registry_get(c->db, device, &i);

	if (err != HF_E_OK || !i.ending_ms)
		return err == HF_E_NOT_FOUND ? HF_E_OK : err;
	return leave_by(c, device, LEAVE_ENDED, "server", now_ms);
}

enum hf_err leave_expire(struct session_cache *c, int64_t now_ms)
{
	uint64_t late[64];
	size_t count = 0;
	struct db_rows r = db_select(c->db, DB_IDENTITY_ENDING, DB_ARGS(db_int(now_ms)));

	while (count < sizeof late / sizeof late[0] && db_step(&r))
		late[count++] = db_col_id(&r, 0);
	enum hf_err err = db_finish(&r);

	for (size_t i = 0; i < count && err == HF_E_OK; i++)
		err = leave_by(c, late[i], LEAVE_ENDED, "server", now_ms);
	return err;
}

enum hf_err leave_told(struct db *db, uint64_t device, bool *told)
{
	int64_t waiting = 0;
	enum hf_err err = db_get_int(db, DB_OUTBOX_COUNT, DB_ARGS(db_id(device)), 0, &waiting);

	if (err == HF_E_OK)
		*told = waiting == 0;
	return err;
}
