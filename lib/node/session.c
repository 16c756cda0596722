/* node - messages in and out: the receive path in its fixed order, sequence ids stored before use. Uses: base wire
 * seal peer.
 * Source: srup-v5 sections 6 and 7. */
#include "node/node_internal.h"

enum hf_err hf_node_token(const struct hf_node *n, uint8_t out[HF_PEER_TOKEN_LEN])
{
	uint8_t random[16];
	enum hf_err err = n->env->crypto->random(n->env->crypto->ctx, random, sizeof random);

	if (err == HF_E_OK)
		hf_peer_token_text(random, out);
	return err;
}

/* --- out ---------------------------------------------------------------------------------------------------------- */

enum hf_err hf_node_take_sequence(struct hf_node *n, uint64_t *out)
{
	struct hf_seal_counter before = n->counter;
	uint8_t b[8];
	struct hf_wr w = hf_wr_of(b, sizeof b);
	uint64_t id = 0;
	bool must_store = false;
	enum hf_err err = hf_seal_counter_take(&n->counter, n->window.high, &id, &must_store);

	if (err == HF_E_OK && must_store) {
		hf_wr_be(&w, n->counter.reserved, 8);
		err = n->env->put(n->env->ctx, HF_NODE_ITEM_COUNTER, hf_wr_span(&w));
	}
	if (err != HF_E_OK) {
		n->counter = before; /* an id that is not stored was never taken */
		return err;
	}
	*out = id;
	return HF_E_OK;
}

enum hf_err hf_node_post(struct hf_node *n, struct hf_wire_msg *m, uint16_t *ticket)
{
	const struct hf_seal_crypto *c = n->env->crypto;
	char topic[HF_WIRE_TOPIC_MAX];
	uint8_t signature[HF_SEAL_SIGNATURE_MAX];
	struct hf_wr covered = hf_node_work_c(n), whole = hf_node_work_c(n), sig = hf_wr_of(signature, sizeof signature);
	enum hf_wire_topic where = hf_peer_on_join_topic(m->type) ? HF_WIRE_TOPIC_JOIN : HF_WIRE_TOPIC_DEVICE;
	enum hf_err err = hf_wire_topic_make(where, n->server, n->id, topic);

	m->version = HF_WIRE_V5;
	m->sender_id = n->id;
	if (err == HF_E_OK)
		err = hf_wire_encode(&covered, m, HF_WIRE_COVERED);
	struct hf_span piece = hf_wr_span(&covered);
	if (err == HF_E_OK)
		err = c->sign(c->ctx, n->identity, &piece, 1, &sig);
	m->signature = hf_wr_span(&sig);
	if (err == HF_E_OK)
		err = hf_wire_encode(&whole, m, HF_WIRE_WHOLE);
	m->signature = hf_span_of(NULL, 0);
	if (err == HF_E_OK)
		err = n->env->publish(n->env->ctx, topic, hf_wr_span(&whole), ticket);
	n->counts.sent += err == HF_E_OK;
	return err;
}

/* --- in ----------------------------------------------------------------------------------------------------------- */

struct handler_row {
	uint8_t type;
	enum hf_err (*take)(struct hf_node *n, const struct hf_wire_msg *m);
};

static const struct handler_row handlers[] = {
	{HF_WIRE_RESPONSE, hf_node_take_response},
	{HF_WIRE_HM_JOIN_RESP, hf_node_take_value},
	{HF_WIRE_ACTION, hf_node_take_action},
	{HF_WIRE_DATA, hf_node_take_data},
	{HF_WIRE_ID_REQ, hf_node_take_id_req},
	{HF_WIRE_TERMINATE_CMD, hf_node_take_terminate},
	{HF_WIRE_DEREGISTER_CMD, hf_node_take_deregister},
};

static enum hf_err handle(struct hf_node *n, const struct hf_wire_msg *m)
{
	for (size_t i = 0; i < sizeof handlers / sizeof handlers[0]; i++)
		if (handlers[i].type == m->type)
			return handlers[i].take(n, m);
	return HF_E_TYPE;
}

static enum hf_err check_topic(const struct hf_node *n, struct hf_span text)
{
	enum hf_wire_topic topic;
	uint64_t server = 0, device = 0;
	enum hf_err err = hf_wire_topic_parse(text, &topic, &server, &device);

	if (err == HF_E_OK && (topic != HF_WIRE_TOPIC_DEVICE || device != n->id))
		return HF_E_DENIED;
	return err;
}

static enum hf_peer_state standing(const struct hf_node *n)
{
	return n->state == HF_NODE_S_JOINED || n->state == HF_NODE_S_AWAY ? HF_PEER_JOINED : HF_PEER_REGISTERED;
}

/* Marks the id and stores the window, so that whatever happens next it is never taken again. */
static enum hf_err take_id(struct hf_node *n, uint64_t id)
{
	struct hf_seal_window before = n->window;
	uint8_t b[16];
	struct hf_wr w = hf_wr_of(b, sizeof b);

	hf_seal_window_mark(&n->window, id);
	hf_wr_be(&w, n->window.high, 8);
	hf_wr_be(&w, n->window.seen, 8);
	enum hf_err err = n->env->put(n->env->ctx, HF_NODE_ITEM_WINDOW, hf_wr_span(&w));

	if (err != HF_E_OK) {
		n->window = before;
		hf_node_tell(n, &(struct hf_node_event){.kind = HF_NODE_STORE_FAILED, .err = err});
	}
	return err;
}

enum hf_err hf_node_receive(struct hf_node *n, struct hf_span topic, struct hf_span payload)
{
	struct hf_wire_msg m;
	struct hf_wire_covered covered;
	enum hf_err err = payload.len > HF_WIRE_SEND_MAX ? HF_E_TOO_BIG : check_topic(n, topic);

	if (err == HF_E_OK)
		err = hf_wire_decode(payload, &m, &covered);
	if (err != HF_E_OK)
		return err;
	if (m.sender_id == n->id) {
		n->counts.own++;
		return HF_E_OK;
	}
	if (m.sender_id != n->server || !hf_peer_may_send(m.type, HF_PEER_SERVER, standing(n)))
		return HF_E_DENIED;
	err = hf_seal_window_judge(&n->window, m.sequence_id);
	if (err == HF_E_OK)
		err = hf_seal_verify(n->env->crypto, n->server_key, covered.piece, 2, m.signature);
	if (err == HF_E_OK)
		err = take_id(n, m.sequence_id);
	if (err != HF_E_OK)
		return err;
	n->counts.taken++;
	return handle(n, &m);
}
