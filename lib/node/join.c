/* node - from registered to joined: link to the broker, simple and moderated join, retries. Uses: base wire seal peer.
 * Source: srup-v5 sections 5 and 9. */
#include "node/node_internal.h"

#include <string.h>

enum {
	LINK_RETRY_MS = 5000,
	LINK_RETRY_MAX_MS = 60000,
	ARRIVE_MS = 200,
	ASK_RETRY_MS = 5000,
	ASK_RETRY_MAX_MS = 300000
};

static void tell(const struct hf_node *n, enum hf_node_kind kind, const char *text)
{
	hf_node_tell(n, &(struct hf_node_event){.kind = kind, .id = n->server, .text = text});
}

void hf_node_forget_requests(struct hf_node *n)
{
	hf_peer_forget(&n->pending, n->server);
	if (n->code[0] == '\0')
		return;
	hf_wipe(n->code, sizeof n->code);
	tell(n, HF_NODE_CODE_GONE, NULL);
}

/* --- the link ----------------------------------------------------------------------------------------------------- */

enum hf_err hf_node_do_link(struct hf_node *n)
{
	char topic[HF_WIRE_TOPIC_MAX], id[HF_ID_TEXT_MAX];
	struct hf_wr broker = hf_node_work_a(n);
	enum hf_err err = n->env->get(n->env->ctx, HF_NODE_ITEM_BROKER, &broker);

	if (err == HF_E_OK)
		err = hf_wire_topic_make(HF_WIRE_TOPIC_DEVICE, 0, n->id, topic);
	if (err != HF_E_OK)
		return err;
	hf_id_text(n->id, id);
	return n->env->connect(n->env->ctx, &(struct hf_node_link){hf_wr_span(&broker), id, topic});
}

enum hf_err hf_node_do_link_later(struct hf_node *n)
{
	int64_t wait_ms = hf_node_backoff_ms(n, n->join_tries++, LINK_RETRY_MS, LINK_RETRY_MAX_MS);

	n->deadline_ms = n->now_ms + wait_ms;
	hf_node_tell(n, &(struct hf_node_event){.kind = HF_NODE_LINK_FAILED, .err = n->why, .wait_ms = wait_ms});
	return HF_E_OK;
}

/* A short random pause, so that a fleet does not ask all at once after the broker's restart. */
enum hf_err hf_node_do_arrive(struct hf_node *n)
{
	n->join_tries = 0;
	n->deadline_ms = n->now_ms + hf_node_backoff_ms(n, 0, ARRIVE_MS, ARRIVE_MS);
	return HF_E_OK;
}

enum hf_err hf_node_do_lose(struct hf_node *n)
{
	hf_node_forget_requests(n);
	return HF_E_OK;
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

static enum hf_err ask(struct hf_node *n, enum hf_wire_type type, enum hf_peer_kind kind)
{
	uint8_t token[HF_PEER_TOKEN_LEN];
	enum hf_err err = hf_node_token(n, token);

	if (err != HF_E_OK)
		return err;
	struct hf_wire_msg m = {.type = (uint8_t)type, .token = hf_span_of(token, sizeof token)};

	/* The value of a moderated join comes as fast as the answer to a simple one; the person has more time, see show. */
	n->deadline_ms = n->now_ms + hf_peer_timeout_ms(HF_PEER_K_JOIN);
	hf_node_forget_requests(n);
	err = hf_peer_open(&n->pending, kind, n->server, m.token, n->deadline_ms, 0);
	if (err == HF_E_OK)
		err = hf_node_take_sequence(n, &m.sequence_id);
	return err == HF_E_OK ? hf_node_post(n, &m, &n->ticket) : err;
}

enum hf_err hf_node_do_ask_simple(struct hf_node *n)
{
	tell(n, HF_NODE_JOIN_ASKED, "simple");
	return ask(n, HF_WIRE_JOIN_REQ, HF_PEER_K_JOIN);
}

enum hf_err hf_node_do_ask_human(struct hf_node *n)
{
	tell(n, HF_NODE_JOIN_ASKED, "moderated");
	return ask(n, HF_WIRE_HM_JOIN_REQ, HF_PEER_K_HM_JOIN);
}

enum hf_err hf_node_do_ask_later(struct hf_node *n)
{
	int64_t wait_ms = hf_node_backoff_ms(n, n->join_tries++, ASK_RETRY_MS, ASK_RETRY_MAX_MS);

	hf_node_forget_requests(n);
	n->deadline_ms = n->now_ms + wait_ms;
	hf_node_tell(
		n, &(struct hf_node_event){.kind = HF_NODE_JOIN_FAILED, .err = n->why, .id = n->server, .wait_ms = wait_ms});
	return HF_E_OK;
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

static bool is_value(struct hf_span s)
{
	uint8_t bytes[HF_SEAL_VALUE_LEN / 2];
	struct hf_wr w = hf_wr_of(bytes, sizeof bytes);
	bool good = s.len == HF_SEAL_VALUE_LEN && hf_hex_decode(s, &w) == HF_E_OK;

	for (size_t i = 0; i < s.len && good; i++)
		good = s.ptr[i] < 'A' || s.ptr[i] > 'F';
	hf_wipe(bytes, sizeof bytes);
	return good;
}

/* Its token is new: what ties it to our request is that one is open, the sender, the signature and the window. */
enum hf_err hf_node_take_value(struct hf_node *n, const struct hf_wire_msg *m)
{
	uint8_t plain[HF_SEAL_VALUE_LEN + 16]; /* the envelope's padding is opened here too */
	struct hf_wr w = hf_wr_of(plain, sizeof plain);

	if (n->state != HF_NODE_S_MODERATED)
		return HF_E_STATE;
	enum hf_err err = hf_seal_envelope_open(n->env->crypto, n->identity, m->hm_join_resp.encrypted, &w);

	if (err == HF_E_OK && !is_value(hf_wr_span(&w)))
		err = HF_E_TEXT;
	int64_t deadline_ms = n->now_ms + hf_peer_timeout_ms(HF_PEER_K_HM_JOIN);
	if (err == HF_E_OK) {
		hf_node_forget_requests(n);
		err = hf_peer_open(&n->pending, HF_PEER_K_HM_JOIN, n->server, m->token, deadline_ms, 0);
	}
	if (err == HF_E_OK) {
		memcpy(n->code, plain, HF_SEAL_VALUE_LEN);
		n->code[HF_SEAL_VALUE_LEN] = '\0';
		hf_node_fire(n, HF_NODE_I_VALUE);
	}
	hf_wipe(plain, sizeof plain);
	return err;
}

enum hf_err hf_node_do_show(struct hf_node *n)
{
	n->deadline_ms = n->now_ms + hf_peer_timeout_ms(HF_PEER_K_HM_JOIN);
	tell(n, HF_NODE_CODE, n->code);
	return HF_E_OK;
}

static void judge(struct hf_node *n, enum hf_peer_kind kind, uint8_t status)
{
	enum hf_err err;

	if (status != HF_WIRE_JOIN_OK) {
		if (status == HF_WIRE_JOIN_REFUSED && kind == HF_PEER_K_JOIN && n->config->join == HF_NODE_JOIN_AUTO)
			hf_node_fire(n, HF_NODE_I_HUMAN);
		else
			hf_node_fail(n, HF_E_DENIED);
		return;
	}
	err = hf_node_stand(n, HF_NODE_MEMBER);
	if (err == HF_E_OK)
		hf_node_fire(n, HF_NODE_I_ACCEPTED);
	else
		hf_node_fail(n, err);
}

/* Which kind of request a state awaits the answer to. */
static const uint8_t awaited[HF_NODE_S_COUNT_] = {
	[HF_NODE_S_ASKED] = HF_PEER_K_JOIN + 1,
	[HF_NODE_S_MODERATED] = HF_PEER_K_HM_JOIN + 1,
	[HF_NODE_S_SHOWING] = HF_PEER_K_HM_JOIN + 1,
};

enum hf_err hf_node_take_response(struct hf_node *n, const struct hf_wire_msg *m)
{
	uint64_t tag = 0;

	if (awaited[n->state] == 0)
		return HF_E_NOT_FOUND;
	enum hf_peer_kind kind = (enum hf_peer_kind)(awaited[n->state] - 1);

	if (!hf_peer_answers(kind, m->response.status))
		return HF_E_INPUT;
	enum hf_err err = hf_peer_settle(&n->pending, kind, n->server, m->token, n->now_ms, &tag);

	if (err == HF_E_OK)
		judge(n, kind, m->response.status);
	return err;
}

enum hf_err hf_node_do_enter(struct hf_node *n)
{
	n->join_tries = 0;
	hf_node_forget_requests(n);
	tell(n, HF_NODE_JOINED, NULL);
	return HF_E_OK;
}

/* Readings that were in flight go first: their numbers are lower than any that we take from now on. */
enum hf_err hf_node_do_resume(struct hf_node *n)
{
	tell(n, HF_NODE_JOINED, NULL);
	hf_node_queue_pump(n);
	return HF_E_OK;
}

enum hf_err hf_node_do_expel(struct hf_node *n)
{
	enum hf_err err = hf_node_stand(n, HF_NODE_REGISTERED_ONLY);

	if (err != HF_E_OK)
		hf_node_tell(n, &(struct hf_node_event){.kind = HF_NODE_STORE_FAILED, .err = err});
	hf_node_queue_land(n);
	tell(n, HF_NODE_EXPELLED, NULL);
	n->deadline_ms = n->now_ms + hf_node_backoff_ms(n, n->join_tries++, ASK_RETRY_MS, ASK_RETRY_MAX_MS);
	return HF_E_OK;
}
