/* link - a message comes in: topic, decode, drop own, side and state, sequence, signature, then its domain verb, in that order.
 * Uses: base wire peer os db telemetry type session join leave command. */
#include "link/link_internal.h"

#include "command/command.h"
#include "leave/leave.h"
#include "peer/peer.h"
#include "telemetry/telemetry.h"
#include "type/type.h"

#include <stdio.h>
#include <string.h>

static enum hf_err on_join_req(struct link *l, struct session *s, const struct hf_wire_msg *m, int64_t now_ms)
{
	return join_simple(l->s.sessions, s, m->token, now_ms);
}

static enum hf_err on_hm_join_req(struct link *l, struct session *s, const struct hf_wire_msg *m, int64_t now_ms)
{
	return join_moderated(l->s.sessions, &l->s.joins, s, m->token, now_ms);
}

static enum hf_err on_response(struct link *l, struct session *s, const struct hf_wire_msg *m, int64_t now_ms)
{
	return command_answered(l->s.sessions, s->identity.id, m->token, m->response.status, now_ms);
}

static enum hf_err on_data(struct link *l, struct session *s, const struct hf_wire_msg *m, int64_t now_ms)
{
	struct type_profile *p = &l->profile;

	if (hf_span_equal(m->data.data_id, hf_span_text("IDENTIFICATION_RESPONSE")))
		return command_identified(l->s.sessions, s->identity.id, m->data.data, now_ms);
	if (strcmp(p->name, s->identity.type) != 0 || l->profiles_changed) {
		enum hf_err err = type_get(l->s.db, s->identity.type, p);

		if (err != HF_E_OK) {
			p->name[0] = 0;
			return err;
		}
		l->profiles_changed = false;
	}
	struct telemetry_sample sample = {m->data.data_id, m->data.data, now_ms};

	return telemetry_store(l->s.db, l->s.facts, s->identity.id, p, &sample);
}

static enum hf_err on_resign_req(struct link *l, struct session *s, const struct hf_wire_msg *m, int64_t now_ms)
{
	(void)m;
	return leave_resigned(l->s.sessions, s, now_ms);
}

static enum hf_err on_deregister_req(struct link *l, struct session *s, const struct hf_wire_msg *m, int64_t now_ms)
{
	(void)m;
	return leave_by(l->s.sessions, s->identity.id, LEAVE_DEREGISTERED, "device", now_ms);
}

struct inbound_row {
	uint8_t type;
	enum hf_err (*handle)(struct link *l, struct session *s, const struct hf_wire_msg *m, int64_t now_ms);
};
/* What a device may say to us; hf_peer_may_send has judged side and state before. */
static const struct inbound_row inbound[] = {
	{HF_WIRE_JOIN_REQ, on_join_req}, {HF_WIRE_HM_JOIN_REQ, on_hm_join_req}, {HF_WIRE_RESPONSE, on_response},
	{HF_WIRE_DATA, on_data},         {HF_WIRE_RESIGN_REQ, on_resign_req},   {HF_WIRE_DEREGISTER_REQ, on_deregister_req},
};

static const struct inbound_row *row_of(unsigned type)
{
	for (size_t i = 0; i < sizeof inbound / sizeof inbound[0]; i++)
		if (inbound[i].type == type)
			return &inbound[i];
	return NULL;
}

bool link_takes(unsigned type)
{
	return row_of(type) != NULL;
}

static void refuse(struct link *l, uint64_t device, enum hf_err err, const char *at)
{
	char id[HF_ID_TEXT_MAX] = "-";

	l->counts.refused[err]++;
	if (device)
		hf_id_text(device, id);
	if (l->counts.refused[err] <= 100 || l->counts.refused[err] % 1000 == 0) /* a flood must not fill the disk */
		os_log(OS_LOG_LINK_REFUSED, "device=%s error=%s at=%s count=%llu", id, hf_err_name(err), at,
		       (unsigned long long)l->counts.refused[err]);
}

/* Runs the domain verb in its own savepoint: the message stays taken whatever the verb says, unless the database failed. */
static enum hf_err act(struct link *l, const struct inbound_row *row, struct session *s, const struct hf_wire_msg *m,
                       int64_t now_ms)
{
	uint64_t id = s->identity.id;
	enum hf_err err = db_mark(l->s.db);

	if (err != HF_E_OK)
		return err;
	err = row->handle(l, s, m, now_ms);
	enum hf_err settled = db_settle(l->s.db, err == HF_E_OK);

	if (err != HF_E_OK)
		session_forget(l->s.sessions, id);
	return settled != HF_E_OK ? settled : err;
}

/* Is the topic the one on which this sender may say this? */
static enum hf_err judge_topic(struct link *l, struct hf_span text, const struct hf_wire_msg *m)
{
	enum hf_wire_topic topic;
	uint64_t server = 0, device = 0;
	enum hf_err err = hf_wire_topic_parse(text, &topic, &server, &device);

	if (err != HF_E_OK)
		return err;
	if (topic != (hf_peer_on_join_topic(m->type) ? HF_WIRE_TOPIC_JOIN : HF_WIRE_TOPIC_DEVICE))
		return HF_E_DENIED;
	if (device != m->sender_id || (topic == HF_WIRE_TOPIC_JOIN && server != l->s.sessions->self))
		return HF_E_DENIED;
	return HF_E_OK;
}

static enum hf_peer_state state_of(const struct link *l, const struct session *s)
{
	bool ours = s->identity.state == REGISTRY_JOINED && s->identity.controller == l->s.sessions->self;

	return ours ? HF_PEER_JOINED : HF_PEER_REGISTERED;
}

void link_inbound(struct link *l, struct hf_span topic, struct hf_span payload)
{
	struct hf_wire_msg m;
	struct hf_wire_covered covered;
	struct session *s = NULL;
	const struct inbound_row *row;
	const char *at = "decode";
	int64_t now = os_now_ms();
	enum hf_err err = payload.len > HF_WIRE_MAX ? HF_E_TOO_BIG : hf_wire_decode(payload, &m, &covered);

	if (err != HF_E_OK) {
		refuse(l, 0, err, at);
		return;
	}
	if (m.sender_id == l->s.sessions->self)
		return; /* our own, coming back on the device's topic */
	row = row_of(m.type);
	at = "topic";
	err = row ? judge_topic(l, topic, &m) : HF_E_TYPE;
	if (err == HF_E_OK && m.token.len > HF_PEER_TOKEN_MAX)
		err = HF_E_TOO_BIG; /* it is kept with the record of the message */
	if (err == HF_E_OK) {
		at = "sender";
		err = session_get(l->s.sessions, m.sender_id, &s);
	}
	if (err == HF_E_OK && (s->identity.ending_ms || !hf_peer_may_send(m.type, HF_PEER_DEVICE, state_of(l, s))))
		err = HF_E_STATE;
	if (err == HF_E_OK && hf_peer_on_join_topic(m.type) && !session_may_join(s, now))
		err = HF_E_BUSY; /* each would cost a signature and two rows */
	if (err == HF_E_OK) {
		at = "receive";
		err = session_receive(l->s.sessions, s, &m, &covered, now);
	}
	if (err == HF_E_OK) {
		at = "act";
		err = act(l, row, s, &m, now);
	}
	os_log(OS_LOG_LINK_RECEIVED, "type=%s device=%016llx bytes=%zu result=%s", hf_wire_shape(m.type)->name,
	       (unsigned long long)m.sender_id, payload.len, hf_err_name(err));
	if (err == HF_E_DATABASE || err == HF_E_MEMORY)
		l->failed = true; /* nothing of this turn may be acknowledged */
	if (err != HF_E_OK && err != HF_E_EXISTS)
		refuse(l, m.sender_id, err, at);
}
