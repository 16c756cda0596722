/* node - leaving: resign, terminate, deregister, and the way back. Uses: base wire peer.
 * A wish is stored before it is told, and done once the broker has acknowledged it; nobody answers it. Whoever is to be
 * wiped is marked so first: after a power cut it is still whole, or goes on wiping at the next start.
 * Source: srup-v5 section 9. */
#include "node/node_internal.h"

#include <string.h>

enum { ACKNOWLEDGE_MS = 30000, RETRY_MS = 5000, RETRY_MAX_MS = 300000 };

enum hf_err hf_node_stand(struct hf_node *n, enum hf_node_standing standing)
{
	uint8_t b[9];
	struct hf_wr w = hf_wr_of(b, sizeof b);

	hf_wr_be(&w, standing, 1);
	hf_wr_be(&w, n->server, 8);
	enum hf_err err = n->env->put(n->env->ctx, HF_NODE_ITEM_STANDING, hf_wr_span(&w));

	if (err == HF_E_OK)
		n->standing = (uint8_t)standing;
	return err;
}

bool hf_node_leaving(const struct hf_node *n)
{
	return n->standing == HF_NODE_RESIGNS || n->standing == HF_NODE_DEREGISTERS;
}

/* --- our own wish ------------------------------------------------------------------------------------------------- */

/* All states before APART are those of a registration. */
static bool registered(const struct hf_node *n)
{
	return n->state >= HF_NODE_S_APART || (n->state == HF_NODE_S_NEW && n->server_key);
}

static enum hf_err wish(struct hf_node *n, enum hf_node_standing standing)
{
	enum hf_err err = registered(n) ? hf_node_stand(n, standing) : HF_E_STATE;

	if (err == HF_E_OK && n->up)
		hf_node_fire(n, HF_NODE_I_PART);
	return err;
}

enum hf_err hf_node_resign(struct hf_node *n, int64_t now_ms)
{
	n->now_ms = now_ms;
	if (n->standing == HF_NODE_HAS_LEFT || n->standing == HF_NODE_RESIGNS)
		return HF_E_OK;
	return n->standing <= HF_NODE_MEMBER ? wish(n, HF_NODE_RESIGNS) : HF_E_STATE;
}

enum hf_err hf_node_deregister(struct hf_node *n, int64_t now_ms)
{
	n->now_ms = now_ms;
	if (n->standing >= HF_NODE_DEREGISTERS)
		return HF_E_OK;
	return wish(n, HF_NODE_DEREGISTERS);
}

enum hf_err hf_node_do_part(struct hf_node *n)
{
	bool resigns = n->standing == HF_NODE_RESIGNS;
	uint8_t token[HF_PEER_TOKEN_LEN];
	enum hf_err err = hf_node_token(n, token);
	struct hf_wire_msg m = {.type = resigns ? HF_WIRE_RESIGN_REQ : HF_WIRE_DEREGISTER_REQ,
	                        .token = hf_span_of(token, sizeof token)};

	hf_node_forget_requests(n);
	n->deadline_ms = n->now_ms + ACKNOWLEDGE_MS;
	if (err == HF_E_OK)
		err = hf_node_take_sequence(n, &m.sequence_id);
	if (err == HF_E_OK)
		err = hf_node_post(n, &m, &n->ticket);
	if (err == HF_E_OK)
		hf_node_tell(n, &(struct hf_node_event){.kind = HF_NODE_LEAVING,
		                                        .id = n->server,
		                                        .text = resigns ? "resign" : "deregister"});
	return err;
}

enum hf_err hf_node_do_part_later(struct hf_node *n)
{
	int64_t wait_ms = hf_node_backoff_ms(n, n->join_tries++, RETRY_MS, RETRY_MAX_MS);

	n->deadline_ms = n->now_ms + wait_ms;
	hf_node_tell(
		n, &(struct hf_node_event){.kind = HF_NODE_LEAVE_FAILED, .err = n->why, .id = n->server, .wait_ms = wait_ms});
	return HF_E_OK;
}

/* Becomes that, for that reason; as long as it cannot be stored nothing changes. */
static enum hf_err become(struct hf_node *n, enum hf_node_standing standing, enum hf_err why)
{
	enum hf_err err = hf_node_stand(n, standing);

	if (err != HF_E_OK)
		return err;
	n->why = why;
	hf_node_fire(n, standing == HF_NODE_WIPED ? HF_NODE_I_WIPE : HF_NODE_I_LEAVE);
	return HF_E_OK;
}

/* A broker that refuses it says that we had not joined: there is nobody to be told. */
void hf_node_parted(struct hf_node *n, bool accepted)
{
	enum hf_node_standing next = n->standing == HF_NODE_RESIGNS ? HF_NODE_HAS_LEFT : HF_NODE_WIPED;
	enum hf_err err = become(n, next, accepted ? HF_E_OK : HF_E_DENIED);

	if (err != HF_E_OK)
		hf_node_fail(n, err);
}

/* --- the server's command ----------------------------------------------------------------------------------------- */

static enum hf_err obey(struct hf_node *n, enum hf_node_standing standing)
{
	enum hf_err err = become(n, standing, HF_E_OK);

	if (err != HF_E_OK)
		hf_node_tell(n, &(struct hf_node_event){.kind = HF_NODE_STORE_FAILED, .err = err});
	return err;
}

enum hf_err hf_node_take_terminate(struct hf_node *n, const struct hf_wire_msg *m)
{
	(void)m;
	return obey(n, HF_NODE_HAS_LEFT);
}

enum hf_err hf_node_take_deregister(struct hf_node *n, const struct hf_wire_msg *m)
{
	(void)m;
	return obey(n, HF_NODE_WIPED);
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

/* Tells that it is done and whose wish it was. */
static void tell_done(const struct hf_node *n, enum hf_node_kind kind, uint64_t id)
{
	bool own = n->before == HF_NODE_S_PARTING, earlier = n->before == HF_NODE_S_NEW || n->before == HF_NODE_S_GONE;
	const char *whose = own ? "own wish" : earlier ? "earlier" : "the server's command";

	hf_node_tell(n, &(struct hf_node_event){.kind = kind, .err = own ? n->why : HF_E_OK, .id = id, .text = whose});
}

enum hf_err hf_node_do_quit(struct hf_node *n)
{
	hf_node_forget_requests(n);
	hf_node_queue_drop(n);
	n->join_tries = 0;
	tell_done(n, HF_NODE_LEFT, n->server);
	return HF_E_OK;
}

/* What RAM holds of the registration. */
static void forget_registration(struct hf_node *n)
{
	hf_node_forget_requests(n);
	hf_node_queue_drop(n);
	n->env->free_key(n->env->ctx, n->identity);
	n->env->free_key(n->env->ctx, n->server_key);
	n->env->free_key(n->env->ctx, n->keyex_key);
	n->identity = n->server_key = n->keyex_key = NULL;
	n->id = n->server = n->keyex = 0;
	n->counter = (struct hf_seal_counter){0};
	n->window = (struct hf_seal_window){0};
	n->register_tries = n->join_tries = n->renew_tries = 0;
	n->up = n->renewing = n->expired = false;
	hf_node_work_wipe(n);
}

static enum hf_err erase_items(const struct hf_node *n)
{
	enum { KEPT, WIPED };
	static const uint8_t fates[HF_NODE_ITEM_COUNT_] = {
#define ITEM(NAME, fate, doc) fate,
#include "node/items.def"
	};
	enum hf_err err = HF_E_OK;

	for (unsigned i = 0; i < HF_NODE_ITEM_COUNT_ && err == HF_E_OK; i++)
		if (fates[i] == WIPED)
			err = n->env->erase(n->env->ctx, (enum hf_node_item)i);
	return err;
}

enum hf_err hf_node_do_wipe(struct hf_node *n)
{
	uint64_t id = n->id;

	n->env->disconnect(n->env->ctx);
	forget_registration(n);
	enum hf_err err = erase_items(n);

	if (err == HF_E_OK)
		tell_done(n, HF_NODE_DEREGISTERED, id);
	return err;
}

enum hf_err hf_node_do_wipe_later(struct hf_node *n)
{
	n->deadline_ms = n->now_ms + hf_node_backoff_ms(n, n->join_tries++, RETRY_MS, RETRY_MAX_MS);
	hf_node_tell(n, &(struct hf_node_event){.kind = HF_NODE_STORE_FAILED, .err = n->why});
	return HF_E_OK;
}

/* --- and back ----------------------------------------------------------------------------------------------------- */

/* The mark goes last: before that a power cut leaves the device wiped. */
static enum hf_err begin_anew(struct hf_node *n)
{
	enum hf_err err = n->state == HF_NODE_S_GONE ? erase_items(n) : HF_E_STATE;

	if (err == HF_E_OK)
		err = n->env->erase(n->env->ctx, HF_NODE_ITEM_STANDING);
	if (err == HF_E_OK)
		n->standing = HF_NODE_REGISTERED_ONLY;
	return err == HF_E_OK ? hf_node_load_keyex_key(n) : err;
}

enum hf_err hf_node_rejoin(struct hf_node *n, int64_t now_ms)
{
	if (n->state == HF_NODE_S_NEW)
		(void)hf_node_step(n, now_ms);
	n->now_ms = now_ms;
	if (n->standing <= HF_NODE_MEMBER)
		return HF_E_OK;
	if (hf_node_leaving(n))
		return HF_E_STATE;
	enum hf_err err = n->standing == HF_NODE_WIPED ? begin_anew(n) : hf_node_stand(n, HF_NODE_REGISTERED_ONLY);

	if (err == HF_E_OK)
		hf_node_fire(n, HF_NODE_I_REJOIN);
	return err;
}
