/* node - the certificate for the broker: asked for, checked, stored with its key, renewed. Uses: base.
 * It is renewed when two thirds of its life are over by the port's clock, or when the broker says that its time is
 * over. That clock may be wrong both ways, so it decides nothing that would hurt: a failure leaves the old pair in
 * place and waits ever longer; after a success two thirds of the new life pass by a clock that never goes back.
 * Source: srup-v5 section 8. */
#include "node/node_internal.h"

enum { ANSWER_MS = 60000, LOOK_MAX_S = 3600, RETRY_MS = 60000, RETRY_MAX_MS = 6 * 3600000, HTTP_OK = 200 };

/* --- the item ----------------------------------------------------------------------------------------------------- */

enum hf_err hf_node_access_parse(struct hf_span value, struct hf_node_access *out)
{
	struct hf_rd r = hf_rd_of(value);
	struct hf_node_access a;

	a.key = hf_rd_lp(&r);
	a.certificate = hf_rd_lp(&r);
	a.ca = hf_rd_lp(&r);
	enum hf_err err = hf_rd_finish(&r);

	if (err == HF_E_OK)
		*out = a;
	return err;
}

/* A length stands before a text that is written in place; it is filled in afterwards. */
static size_t begin_lp(struct hf_wr *w)
{
	hf_wr_be(w, 0, 2);
	return w->len;
}

static enum hf_err end_lp(struct hf_wr *w, size_t start, enum hf_err err)
{
	size_t len = w->len - start;

	if (err != HF_E_OK || w->err != HF_E_OK)
		return err != HF_E_OK ? err : w->err;
	if (len > UINT16_MAX)
		return HF_E_TOO_BIG;
	w->base[start - 2] = (uint8_t)(len >> 8);
	w->base[start - 1] = (uint8_t)len;
	return HF_E_OK;
}

static enum hf_err add_item(const struct hf_node *n, struct hf_wr *w, enum hf_node_item item)
{
	size_t start = begin_lp(w);

	return end_lp(w, start, n->env->get(n->env->ctx, item, w));
}

static enum hf_err add_member(struct hf_wr *w, struct hf_span body, const char *name)
{
	size_t start = begin_lp(w);

	return end_lp(w, start, hf_node_json_base64(body, name, w));
}

static enum hf_err check(const struct hf_node *n, struct hf_span value, struct hf_node_validity *out)
{
	struct hf_node_access a;
	enum hf_err err = hf_node_access_parse(value, &a);

	return err == HF_E_OK ? n->env->check_access(n->env->ctx, &a, out) : HF_E_KEY;
}

/* One write: the old three or the new three. */
static enum hf_err store(const struct hf_node *n, const struct hf_wr *w)
{
	enum hf_err err = n->env->put(n->env->ctx, HF_NODE_ITEM_ACCESS, hf_wr_span(w));

	return err == HF_E_OK ? n->env->erase(n->env->ctx, HF_NODE_ITEM_ACCESS_KEY) : err;
}

static enum hf_err adopt(const struct hf_node *n)
{
	static const enum hf_node_item old[] = {HF_NODE_ITEM_ACCESS_KEY, HF_NODE_ITEM_CERTIFICATE,
	                                        HF_NODE_ITEM_CA_CERTIFICATE};
	struct hf_wr w = hf_node_work(n);
	enum hf_err err = HF_E_OK;

	for (size_t i = 0; i < sizeof old / sizeof old[0] && err == HF_E_OK; i++)
		err = add_item(n, &w, old[i]);
	if (err == HF_E_OK)
		err = store(n, &w);
	for (size_t i = 1; i < sizeof old / sizeof old[0] && err == HF_E_OK; i++)
		err = n->env->erase(n->env->ctx, old[i]);
	return err;
}

enum hf_err hf_node_adopt_access(struct hf_node *n)
{
	struct hf_wr w = hf_node_work(n);
	enum hf_err err = n->env->get(n->env->ctx, HF_NODE_ITEM_ACCESS, &w);

	if (err == HF_E_NOT_FOUND)
		err = adopt(n);
	hf_node_work_wipe(n);
	return err;
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

enum hf_err hf_node_ask_access(struct hf_node *n)
{
	char id[HF_ID_TEXT_MAX];
	struct hf_wr private_pem = hf_node_work_a(n), csr = hf_node_work_b(n), body = hf_node_work_c(n);

	hf_id_text(n->id, id);
	enum hf_err err = n->env->make_access(n->env->ctx, id, &private_pem, &csr);

	if (err == HF_E_OK)
		err = n->env->put(n->env->ctx, HF_NODE_ITEM_ACCESS_KEY, hf_wr_span(&private_pem));
	struct hf_wr sig = hf_node_work_a(n); /* the private key's place is free again */
	if (err == HF_E_OK)
		err = n->env->sign_pss(n->env->ctx, n->identity, hf_wr_span(&csr), &sig);
	if (err == HF_E_OK) {
		hf_node_body_begin(n, &body);
		hf_node_body_base64(&body, "csr", hf_wr_span(&csr));
		hf_node_body_base64(&body, "signature", hf_wr_span(&sig));
		err = hf_node_body_post(n, "access", &body);
	}
	hf_node_work_wipe(n);
	return err;
}

static enum hf_err take(struct hf_node *n, struct hf_span body, struct hf_node_validity *v)
{
	struct hf_wr w = hf_node_work(n);
	enum hf_err err = add_item(n, &w, HF_NODE_ITEM_ACCESS_KEY);

	if (err == HF_E_OK)
		err = add_member(&w, body, "certificate");
	if (err == HF_E_OK)
		err = add_member(&w, body, "CA_certificate");
	if (err == HF_E_OK)
		err = check(n, hf_wr_span(&w), v);
	if (err == HF_E_OK)
		err = store(n, &w);
	hf_node_work_wipe(n);
	return err;
}

enum hf_err hf_node_take_access(struct hf_node *n, struct hf_span body)
{
	struct hf_node_validity v;

	return take(n, body, &v);
}

/* --- renewal ------------------------------------------------------------------------------------------------------ */

/* Where a new connection disturbs nobody: no registration, no join under way, nobody compares a code. */
static const bool quiet[HF_NODE_S_COUNT_] = {
	[HF_NODE_S_APART] = true,  [HF_NODE_S_READY] = true, [HF_NODE_S_AWAY] = true,
	[HF_NODE_S_JOINED] = true, [HF_NODE_S_LEFT] = true,  [HF_NODE_S_IDLE] = true,
};

static void fail(struct hf_node *n, enum hf_err why)
{
	int64_t wait_ms = hf_node_backoff_ms(n, n->renew_tries++, RETRY_MS, RETRY_MAX_MS);

	n->renewing = false;
	n->renew_ms = n->now_ms + wait_ms;
	hf_node_tell(n, &(struct hf_node_event){.kind = HF_NODE_RENEW_FAILED, .err = why, .id = n->id, .wait_ms = wait_ms});
}

/* A clock that says at once that the new one is due, too, is wrong. And a broker that refuses it, too, brings us back
 * later each time, see hf_node_on_expired. */
static void finish(struct hf_node *n, const struct hf_node_validity *v)
{
	int64_t wait_ms = hf_node_backoff_ms(n, n->renew_tries++, RETRY_MS, RETRY_MAX_MS), good_ms = v->life_s * 2000 / 3;

	n->renewing = n->expired = false;
	n->renew_ms = n->now_ms + (good_ms > 0 ? good_ms : wait_ms);
	hf_node_tell(n, &(struct hf_node_event){.kind = HF_NODE_RENEWED, .id = n->id});
	enum hf_err err = hf_node_do_link(n);

	if (err != HF_E_OK)
		hf_node_tell(n, &(struct hf_node_event){.kind = HF_NODE_LINK_FAILED, .err = err});
}

/* Seconds until it is due, 0 if it is. One that cannot be used is due. */
static int64_t due_in_s(const struct hf_node *n)
{
	struct hf_wr w = hf_node_work(n);
	struct hf_node_validity v = {0, 0};
	enum hf_err err = n->env->get(n->env->ctx, HF_NODE_ITEM_ACCESS, &w);

	if (err == HF_E_OK)
		err = check(n, hf_wr_span(&w), &v);
	hf_node_work_wipe(n);
	if (err != HF_E_OK)
		return err == HF_E_KEY ? 0 : LOOK_MAX_S;
	int64_t in_s = v.left_s - v.life_s / 3;

	return n->expired || in_s < 0 ? 0 : in_s < LOOK_MAX_S ? in_s + 1 : LOOK_MAX_S;
}

void hf_node_renew_step(struct hf_node *n)
{
	if (n->now_ms < n->renew_ms)
		return;
	if (n->renewing) {
		fail(n, HF_E_EXPIRED);
		return;
	}
	int64_t in_s = quiet[n->state] ? due_in_s(n) : RETRY_MS / 1000;

	n->renew_ms = n->now_ms + (in_s > 0 ? in_s * 1000 : ANSWER_MS);
	if (in_s > 0)
		return;
	n->renewing = true;
	enum hf_err err = hf_node_ask_access(n);

	if (err != HF_E_OK)
		fail(n, err);
}

void hf_node_renew_answer(struct hf_node *n, unsigned status, struct hf_span body)
{
	struct hf_node_validity v = {0, 0};
	enum hf_err err = status == HTTP_OK ? take(n, body, &v) : hf_node_unwanted(status);

	if (err != HF_E_OK)
		fail(n, err);
	else
		finish(n, &v);
}

void hf_node_on_expired(struct hf_node *n, int64_t now_ms)
{
	int64_t at_ms = now_ms;

	n->now_ms = now_ms;
	n->expired = true;
	if (n->renew_tries > 0)
		at_ms += hf_node_backoff_ms(n, n->renew_tries, RETRY_MS, RETRY_MAX_MS);
	if (!n->renewing && at_ms < n->renew_ms)
		n->renew_ms = at_ms;
}
