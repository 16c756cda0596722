/* node - what the server asks of a joined device: actions, settings, who it is. Uses: base wire. */
#include "node/node_internal.h"

/* The outcome of an application's callback as a RESPONSE status. */
static uint8_t status_of(enum hf_err err, enum hf_wire_status unknown)
{
	return (uint8_t)(err == HF_E_OK ? HF_WIRE_ACTION_OK : err == HF_E_NOT_FOUND ? unknown : HF_WIRE_ACTION_FAIL);
}

/* The command is done by now: if the answer cannot leave the application hears of it, and the server's patience ends
 * by itself. */
static void send_answer(struct hf_node *n, struct hf_wire_msg *answer)
{
	uint16_t ticket = 0;
	enum hf_err err = hf_node_take_sequence(n, &answer->sequence_id);

	if (err == HF_E_OK)
		err = hf_node_post(n, answer, &ticket);
	if (err != HF_E_OK)
		hf_node_tell(n, &(struct hf_node_event){.kind = HF_NODE_NOT_ANSWERED, .err = err});
}

static void respond(struct hf_node *n, struct hf_span token, uint8_t status)
{
	send_answer(n, &(struct hf_wire_msg){.type = HF_WIRE_RESPONSE, .token = token, .response = {.status = status}});
}

enum hf_err hf_node_take_action(struct hf_node *n, const struct hf_wire_msg *m)
{
	enum hf_err err = n->app->action(n->app->ctx, m->action.action_id);

	respond(n, m->token, status_of(err, HF_WIRE_ACTION_UNKNOWN));
	return HF_E_OK;
}

enum hf_err hf_node_take_data(struct hf_node *n, const struct hf_wire_msg *m)
{
	enum hf_err err = n->app->setting(n->app->ctx, m->data.data_id, m->data.data);

	respond(n, m->token, status_of(err, HF_WIRE_DATA_UNKNOWN));
	return HF_E_OK;
}

/* Answered by DATA with a token of its own. Source: srup-v5 section 6. */
enum hf_err hf_node_take_id_req(struct hf_node *n, const struct hf_wire_msg *m)
{
	uint8_t token[HF_PEER_TOKEN_LEN];
	enum hf_err err = hf_node_token(n, token);

	(void)m;
	if (err != HF_E_OK)
		return err;
	struct hf_wire_msg answer = {.type = HF_WIRE_DATA, .token = hf_span_of(token, sizeof token)};

	answer.data.data_id = hf_span_text("IDENTIFICATION_RESPONSE");
	answer.data.data = hf_span_text(n->config->software);
	send_answer(n, &answer);
	return HF_E_OK;
}
