/* node - registration at KeyEx: id and keys of our own, proof, pinned server key; access.c has the certificate. Uses:
 * base seal peer.
 * What a step brings is stored at once, DEVICE last. A registration that fails is not continued: the next try is a
 * new id and key.
 * Source: srup-v5 section 8. */
#include "node/node_internal.h"

#include <string.h>

enum {
	HTTP_TIMEOUT_MS = 60000,
	RETRY_MS = 2000,
	RETRY_MAX_MS = 300000,
	PATH_MAX_LEN = 64,
	CREATED = 201,
	OK = 200,
	NOT_FOUND = 404
};

static enum hf_err ask(struct hf_node *n, const char *method, const char *step, uint64_t id, struct hf_span body)
{
	char path[PATH_MAX_LEN];
	struct hf_wr w = hf_wr_of(path, sizeof path);

	hf_wr_text(&w, "/KeyEx/register/");
	hf_wr_text(&w, step);
	if (id != 0) {
		hf_wr_text(&w, "/");
		hf_wr_id(&w, id);
	}
	hf_wr_nul(&w);
	return w.err != HF_E_OK ? w.err : n->env->request(n->env->ctx, method, path, body);
}

static enum hf_err get(struct hf_node *n, const char *step, uint64_t id)
{
	n->deadline_ms = n->now_ms + HTTP_TIMEOUT_MS;
	return ask(n, "GET", step, id, hf_span_of(NULL, 0));
}

enum hf_err hf_node_body_post(struct hf_node *n, const char *step, struct hf_wr *body)
{
	hf_wr_text(body, "}");
	return body->err != HF_E_OK ? body->err : ask(n, "POST", step, 0, hf_wr_span(body));
}

static enum hf_err post(struct hf_node *n, const char *step, struct hf_wr *body)
{
	n->deadline_ms = n->now_ms + HTTP_TIMEOUT_MS;
	return hf_node_body_post(n, step, body);
}

void hf_node_body_begin(const struct hf_node *n, struct hf_wr *body)
{
	hf_wr_text(body, "{\"identity\":\"");
	hf_wr_id(body, n->id);
	hf_wr_text(body, "\"");
}

void hf_node_body_base64(struct hf_wr *body, const char *name, struct hf_span value)
{
	hf_wr_text(body, ",\"");
	hf_wr_text(body, name);
	hf_wr_text(body, "\":\"");
	hf_wr_base64(body, value);
	hf_wr_text(body, "\"");
}

/* A PEM text without its armour and newlines. */
static void put_key_body(struct hf_wr *body, struct hf_span pem)
{
	bool armour = false, start = true;

	for (size_t i = 0; i < pem.len; i++) {
		uint8_t c = pem.ptr[i];

		armour = start ? c == '-' : armour;
		start = c == '\n';
		if (!armour && c != '\n' && c != '\r')
			hf_wr_be(body, c, 1);
	}
}

static enum hf_err put(const struct hf_node *n, enum hf_node_item item, struct hf_span value)
{
	return n->env->put(n->env->ctx, item, value);
}

/* --- what we send ------------------------------------------------------------------------------------------------- */

enum hf_err hf_node_do_ask_status(struct hf_node *n)
{
	return get(n, "status", 0);
}

enum hf_err hf_node_do_ask_keyex(struct hf_node *n)
{
	return get(n, "get_key", n->keyex);
}

enum hf_err hf_node_do_ask_server_key(struct hf_node *n)
{
	return get(n, "get_key", n->server);
}

static enum hf_err make_identity(struct hf_node *n, struct hf_wr *public_pem)
{
	struct hf_wr private_pem = hf_node_work_a(n);
	const struct hf_seal_crypto *c = n->env->crypto;
	uint8_t random[8];
	enum hf_err err = c->random(c->ctx, random, sizeof random);

	if (err != HF_E_OK)
		return err;
	n->id = hf_peer_id_from(random);
	err = n->env->make_identity(n->env->ctx, &private_pem, public_pem);
	if (err == HF_E_OK)
		err = put(n, HF_NODE_ITEM_IDENTITY_KEY, hf_wr_span(&private_pem));
	if (err != HF_E_OK)
		return err;
	n->env->free_key(n->env->ctx, n->identity);
	n->identity = NULL;
	return n->env->load_key(n->env->ctx, true, hf_wr_span(&private_pem), &n->identity);
}

enum hf_err hf_node_do_send_register(struct hf_node *n)
{
	struct hf_wr public_pem = hf_node_work_b(n), body = hf_node_work_c(n);
	enum hf_err err = make_identity(n, &public_pem);

	if (err == HF_E_OK) {
		hf_node_body_begin(n, &body);
		hf_wr_text(&body, ",\"key\":\"");
		put_key_body(&body, hf_wr_span(&public_pem));
		hf_wr_text(&body, "\",\"type\":");
		hf_wr_json(&body, hf_span_text(n->config->type));
		err = post(n, "register", &body);
	}
	hf_node_work_wipe(n);
	return err;
}

enum hf_err hf_node_do_send_validate(struct hf_node *n)
{
	char id[HF_ID_TEXT_MAX];
	struct hf_wr sig = hf_node_work_a(n), body = hf_node_work_c(n);

	hf_id_text(n->id, id);
	enum hf_err err = n->env->sign_pss(n->env->ctx, n->identity, hf_span_text(id), &sig);

	if (err != HF_E_OK)
		return err;
	hf_node_body_begin(n, &body);
	hf_node_body_base64(&body, "signature", hf_wr_span(&sig));
	return post(n, "validate", &body);
}

enum hf_err hf_node_do_send_access(struct hf_node *n)
{
	n->deadline_ms = n->now_ms + HTTP_TIMEOUT_MS;
	return hf_node_ask_access(n);
}

/* --- what comes back ---------------------------------------------------------------------------------------------- */

static enum hf_err take_status(struct hf_node *n, struct hf_span body)
{
	bool active = false;
	enum hf_err err = hf_node_json_flag(body, "active", &active);

	if (err == HF_E_OK)
		err = hf_node_json_id(body, "identity", &n->keyex);
	return err == HF_E_OK && !active ? HF_E_DENIED : err;
}

/* get_key answers base64 of a whole PEM text; quotes around it are let pass. */
static enum hf_err decode_key(struct hf_span body, struct hf_wr *out)
{
	if (body.len >= 2 && body.ptr[0] == '"' && body.ptr[body.len - 1] == '"')
		body = hf_span_of(body.ptr + 1, body.len - 2);
	return hf_base64_decode(body, out);
}

static enum hf_err take_keyex(struct hf_node *n, struct hf_span body)
{
	struct hf_wr pem = hf_node_work_a(n);
	enum hf_err err = decode_key(body, &pem);

	if (err == HF_E_OK)
		err = n->env->load_key(n->env->ctx, false, hf_wr_span(&pem), &n->keyex_key);
	return err == HF_E_OK ? put(n, HF_NODE_ITEM_KEYEX_KEY, hf_wr_span(&pem)) : err;
}

static enum hf_err take_register(struct hf_node *n, struct hf_span body)
{
	struct hf_wr pem = hf_node_work_a(n), broker = hf_node_work_b(n);
	enum hf_err err = hf_node_json_id(body, "default_c2", &n->server);

	if (err == HF_E_OK)
		err = hf_node_json_base64(body, "key", &pem);
	if (err == HF_E_OK)
		err = hf_node_json_text(body, "broker", &broker);
	if (err == HF_E_OK && (n->server == n->id || broker.len == 0))
		err = HF_E_INPUT;
	if (err != HF_E_OK)
		return err;
	n->env->free_key(n->env->ctx, n->server_key);
	n->server_key = NULL;
	err = n->env->load_key(n->env->ctx, false, hf_wr_span(&pem), &n->server_key);
	if (err == HF_E_OK)
		err = put(n, HF_NODE_ITEM_SERVER_KEY, hf_wr_span(&pem));
	return err == HF_E_OK ? put(n, HF_NODE_ITEM_BROKER, hf_wr_span(&broker)) : err;
}

/* KeyEx signs its own id: with a key that we know, this shows that it is the KeyEx that we know. */
static enum hf_err take_validate(struct hf_node *n, struct hf_span body)
{
	char text[HF_ID_TEXT_MAX];
	struct hf_wr sig = hf_node_work_a(n);
	uint64_t id = 0;
	enum hf_err err = hf_node_json_id(body, "identity", &id);

	if (err == HF_E_OK)
		err = hf_node_json_base64(body, "signature", &sig);
	if (err == HF_E_OK && id != n->keyex)
		err = HF_E_MISMATCH;
	if (err != HF_E_OK || !n->keyex_key)
		return err;
	hf_id_text(id, text);
	return n->env->verify_pss(n->env->ctx, n->keyex_key, hf_span_text(text), hf_wr_span(&sig));
}

static enum hf_err commit(struct hf_node *n)
{
	uint8_t b[25];
	struct hf_wr w = hf_wr_of(b, sizeof b);

	hf_wr_be(&w, 1, 1);
	hf_wr_be(&w, n->id, 8);
	hf_wr_be(&w, n->server, 8);
	hf_wr_be(&w, n->keyex, 8);
	enum hf_err err = put(n, HF_NODE_ITEM_DEVICE, hf_wr_span(&w));

	if (err != HF_E_OK)
		return err;
	n->register_tries = 0;
	hf_node_tell(n, &(struct hf_node_event){.kind = HF_NODE_REGISTERED, .id = n->id});
	return HF_E_OK;
}

/* The key that KeyEx hands to everyone must be the one that it gave to us. */
static enum hf_err take_server_key(struct hf_node *n, struct hf_span body)
{
	struct hf_wr pinned = hf_node_work_a(n), now = hf_node_work_b(n);
	enum hf_err err = decode_key(body, &now);

	if (err == HF_E_OK)
		err = n->env->get(n->env->ctx, HF_NODE_ITEM_SERVER_KEY, &pinned);
	if (err != HF_E_OK)
		return err;
	return hf_span_equal(hf_wr_span(&pinned), hf_wr_span(&now)) ? commit(n) : HF_E_MISMATCH;
}

struct reply_row {
	const char *step;
	unsigned status;
	enum hf_err (*take)(struct hf_node *n, struct hf_span body);
};

/* By the state that awaits the reply. Any other status is a failure. */
static const struct reply_row replies[HF_NODE_S_COUNT_] = {
	[HF_NODE_S_STATUS] = {"status", OK, take_status},
	[HF_NODE_S_KEYEX] = {"get_key of KeyEx", OK, take_keyex},
	[HF_NODE_S_REGISTER] = {"register", CREATED, take_register},
	[HF_NODE_S_VALIDATE] = {"validate", OK, take_validate},
	[HF_NODE_S_ACCESS] = {"access", OK, hf_node_take_access},
	[HF_NODE_S_CONFIRM] = {"get_key of the server", OK, take_server_key},
};

enum hf_err hf_node_unwanted(unsigned status)
{
	return status == 0 ? HF_E_UNREACHABLE : status == 403 ? HF_E_DENIED : status >= 500 ? HF_E_BUSY : HF_E_INPUT;
}

void hf_node_on_http(struct hf_node *n, int64_t now_ms, unsigned status, struct hf_span body)
{
	const struct reply_row *r = &replies[n->state];

	n->now_ms = now_ms;
	if (n->renewing) {
		hf_node_renew_answer(n, status, body);
		return;
	}
	if (!r->take)
		return;
	if (n->state == HF_NODE_S_KEYEX && status == NOT_FOUND) { /* the reference's KeyEx has no answer to this */
		hf_node_tell(n, &(struct hf_node_event){.kind = HF_NODE_KEYEX_UNKNOWN, .id = n->keyex});
		hf_node_fire(n, HF_NODE_I_PASS);
		return;
	}
	enum hf_err err = status == r->status ? r->take(n, body) : hf_node_unwanted(status);

	if (err != HF_E_OK)
		hf_node_fail(n, err);
	else
		hf_node_fire(n, n->state == HF_NODE_S_STATUS && n->keyex_key ? HF_NODE_I_KNOWN : HF_NODE_I_PASS);
}

enum hf_err hf_node_do_start_over(struct hf_node *n)
{
	int64_t wait_ms = hf_node_backoff_ms(n, n->register_tries++, RETRY_MS, RETRY_MAX_MS);

	n->deadline_ms = n->now_ms + wait_ms;
	n->id = n->server = 0;
	hf_node_tell(n, &(struct hf_node_event){.kind = HF_NODE_REGISTER_FAILED,
	                                        .err = n->why,
	                                        .text = replies[n->before].step,
	                                        .wait_ms = wait_ms});
	return HF_E_OK;
}
