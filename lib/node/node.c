/* node - start, stop, time, and the interpreter of machine.def. Uses: base wire seal peer; a port by table. */
#include "node/node_internal.h"

#include <string.h>

struct row {
	struct hf_node_row shown;
	enum hf_err (*run)(struct hf_node *n);
};

static const struct row rows[] = {
#define ON(state, input, action, next) \
	{{HF_NODE_S_##state, HF_NODE_I_##input, HF_NODE_S_##next, #action}, hf_node_do_##action},
#include "node/machine.def"
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static const char *const state_names[] = {
#define STATE(NAME, doc) #NAME,
#include "node/machine.def"
};
static const char *const input_names[] = {
#define INPUT(NAME, doc) #NAME,
#include "node/machine.def"
};
static const char *const kind_words[] = {
#define EVENT(NAME, words, label, doc) words,
#include "node/events.def"
};
static const char *const kind_labels[] = {
#define EVENT(NAME, words, label, doc) label,
#include "node/events.def"
};

const struct hf_node_row *hf_node_row_at(size_t i)
{
	return i < ROWS ? &rows[i].shown : NULL;
}

const char *hf_node_state_name(enum hf_node_state state)
{
	return state_names[state];
}

const char *hf_node_input_name(enum hf_node_input input)
{
	return input_names[input];
}

const char *hf_node_kind_words(enum hf_node_kind kind)
{
	return kind_words[kind];
}

const char *hf_node_kind_label(enum hf_node_kind kind)
{
	return kind_labels[kind];
}

static const struct row *row_of(unsigned state, enum hf_node_input input)
{
	for (size_t i = 0; i < ROWS; i++)
		if (rows[i].shown.state == state && rows[i].shown.input == (unsigned)input)
			return &rows[i];
	return NULL;
}

/* The rows on FAIL do not fail themselves, so this ends. */
void hf_node_fire(struct hf_node *n, enum hf_node_input input)
{
	const struct row *r;

	while ((r = row_of(n->state, input)) != NULL) {
		n->before = n->state;
		n->state = r->shown.next;
		n->deadline_ms = INT64_MAX;
		enum hf_err err = r->run(n);

		if (err == HF_E_OK)
			return;
		n->why = err;
		input = HF_NODE_I_FAIL;
	}
}

void hf_node_fail(struct hf_node *n, enum hf_err why)
{
	n->why = why;
	hf_node_fire(n, HF_NODE_I_FAIL);
}

void hf_node_tell(const struct hf_node *n, const struct hf_node_event *e)
{
	struct hf_node_event whole = *e;

	if (!whole.text)
		whole.text = "";
	n->app->event(n->app->ctx, &whole);
}

int64_t hf_node_backoff_ms(const struct hf_node *n, uint32_t tries, int64_t base_ms, int64_t max_ms)
{
	uint8_t random[4] = {0};
	int64_t wait_ms = base_ms;

	while (tries-- > 0 && wait_ms < max_ms)
		wait_ms *= 2;
	if (wait_ms > max_ms)
		wait_ms = max_ms;
	if (n->env->crypto->random(n->env->crypto->ctx, random, sizeof random) != HF_E_OK)
		return wait_ms;
	struct hf_rd r = hf_rd_of(hf_span_of(random, sizeof random));

	return wait_ms - (int64_t)(hf_rd_be(&r, 4) % (uint64_t)(wait_ms / 2 + 1));
}

struct hf_wr hf_node_work(const struct hf_node *n)
{
	return hf_wr_of(n->config->work, n->config->work_cap);
}

struct hf_wr hf_node_work_a(const struct hf_node *n)
{
	return hf_wr_of(n->config->work, HF_NODE_WORK_A);
}

struct hf_wr hf_node_work_b(const struct hf_node *n)
{
	return hf_wr_of(n->config->work + HF_NODE_WORK_A, HF_NODE_WORK_B);
}

struct hf_wr hf_node_work_c(const struct hf_node *n)
{
	size_t before = HF_NODE_WORK_A + HF_NODE_WORK_B;

	return hf_wr_of(n->config->work + before, n->config->work_cap - before);
}

void hf_node_work_wipe(const struct hf_node *n)
{
	hf_wipe(n->config->work, n->config->work_cap);
}

enum hf_err hf_node_get_exact(const struct hf_node *n, enum hf_node_item item, uint8_t *out, size_t len)
{
	struct hf_wr w = hf_wr_of(out, len);
	enum hf_err err = n->env->get(n->env->ctx, item, &w);

	if (err == HF_E_NO_SPACE || (err == HF_E_OK && w.len != len))
		return HF_E_MISSING;
	return err;
}

enum hf_err hf_node_get_key(const struct hf_node *n, enum hf_node_item item, bool private_half,
                            struct hf_seal_key **out)
{
	struct hf_wr w = hf_node_work_a(n);
	enum hf_err err = n->env->get(n->env->ctx, item, &w);

	if (err == HF_E_OK)
		err = n->env->load_key(n->env->ctx, private_half, hf_wr_span(&w), out);
	hf_node_work_wipe(n);
	return err;
}

static bool usable(const struct hf_node_config *c)
{
	return c->type && strlen(c->type) >= 1 && strlen(c->type) <= HF_NODE_TYPE_MAX && c->software &&
	       strlen(c->software) <= 255 && c->work && c->work_cap >= HF_NODE_WORK_MIN && c->ring && c->ring_cap >= 1;
}

/* What must be there once DEVICE is. */
static enum hf_err missing_if_absent(enum hf_err err)
{
	return err == HF_E_NOT_FOUND ? HF_E_MISSING : err;
}

static enum hf_err fine_if_absent(enum hf_err err)
{
	return err == HF_E_NOT_FOUND ? HF_E_OK : err;
}

static enum hf_err load_sequences(struct hf_node *n)
{
	uint8_t b[16] = {0};
	enum hf_err err = fine_if_absent(hf_node_get_exact(n, HF_NODE_ITEM_COUNTER, b, 8));
	struct hf_rd r = hf_rd_of(hf_span_of(b, sizeof b));

	if (err != HF_E_OK)
		return err;
	hf_seal_counter_resume(&n->counter, hf_rd_be(&r, 8));
	memset(b, 0, sizeof b);
	err = fine_if_absent(hf_node_get_exact(n, HF_NODE_ITEM_WINDOW, b, 16));
	r = hf_rd_of(hf_span_of(b, sizeof b));
	n->window.high = hf_rd_be(&r, 8);
	n->window.seen = hf_rd_be(&r, 8);
	return err;
}

/* What is said of another server than ours counts for nothing, but that all was to be wiped. */
static enum hf_err load_standing(struct hf_node *n)
{
	uint8_t b[9] = {0};
	enum hf_err err = fine_if_absent(hf_node_get_exact(n, HF_NODE_ITEM_STANDING, b, sizeof b));
	struct hf_rd r = hf_rd_of(hf_span_of(b, sizeof b));
	uint8_t standing = (uint8_t)hf_rd_be(&r, 1);

	if (err == HF_E_OK && standing > HF_NODE_WIPED)
		return HF_E_VERSION;
	if (standing == HF_NODE_WIPED || hf_rd_be(&r, 8) == n->server)
		n->standing = standing;
	return err;
}

enum hf_err hf_node_load_keyex_key(struct hf_node *n)
{
	if (n->config->keyex_key.len > 0)
		return n->env->load_key(n->env->ctx, false, n->config->keyex_key, &n->keyex_key);
	return fine_if_absent(hf_node_get_key(n, HF_NODE_ITEM_KEYEX_KEY, false, &n->keyex_key));
}

static enum hf_err load_registration(struct hf_node *n)
{
	uint8_t b[25];
	enum hf_err err = load_standing(n);

	if (err != HF_E_OK || n->standing == HF_NODE_WIPED)
		return err;
	err = hf_node_load_keyex_key(n);
	if (err == HF_E_OK)
		err = hf_node_get_exact(n, HF_NODE_ITEM_DEVICE, b, sizeof b);
	if (err != HF_E_OK)
		return fine_if_absent(err);
	struct hf_rd r = hf_rd_of(hf_span_of(b, sizeof b));

	if (hf_rd_be(&r, 1) != 1)
		return HF_E_VERSION;
	n->id = hf_rd_be(&r, 8);
	n->server = hf_rd_be(&r, 8);
	n->keyex = hf_rd_be(&r, 8);
	err = missing_if_absent(hf_node_get_key(n, HF_NODE_ITEM_IDENTITY_KEY, true, &n->identity));
	if (err == HF_E_OK)
		err = missing_if_absent(hf_node_get_key(n, HF_NODE_ITEM_SERVER_KEY, false, &n->server_key));
	if (err == HF_E_OK)
		err = load_sequences(n);
	if (err == HF_E_OK)
		err = load_standing(n);
	if (err == HF_E_OK)
		err = missing_if_absent(hf_node_adopt_access(n));
	return err;
}

enum hf_err hf_node_init(struct hf_node *n, const struct hf_node_config *config, const struct hf_node_env *env,
                         const struct hf_node_app *app, int64_t now_ms)
{
	if (!usable(config))
		return HF_E_INPUT;
	*n = (struct hf_node){.config = config, .env = env, .app = app, .now_ms = now_ms, .deadline_ms = now_ms};
	n->queue_ms = INT64_MAX;
	n->renew_ms = now_ms + HF_NODE_RENEW_START_MS;
	n->pending = (struct hf_peer_table){.slot = n->slot, .cap = sizeof n->slot / sizeof n->slot[0]};
	n->state = HF_NODE_S_NEW;
	enum hf_err err = load_registration(n);

	if (err != HF_E_OK)
		hf_node_release(n);
	return err;
}

void hf_node_release(struct hf_node *n)
{
	n->env->free_key(n->env->ctx, n->identity);
	n->env->free_key(n->env->ctx, n->server_key);
	n->env->free_key(n->env->ctx, n->keyex_key);
	hf_node_work_wipe(n);
	hf_wipe(n, sizeof *n);
}

/* What it means that a state's time has come. */
static enum hf_node_input due(const struct hf_node *n)
{
	static const uint8_t starts[] = {
		[HF_NODE_REGISTERED_ONLY] = HF_NODE_I_KNOWN, [HF_NODE_MEMBER] = HF_NODE_I_MEMBER,
		[HF_NODE_HAS_LEFT] = HF_NODE_I_LEAVE,        [HF_NODE_RESIGNS] = HF_NODE_I_MEMBER,
		[HF_NODE_DEREGISTERS] = HF_NODE_I_MEMBER,    [HF_NODE_WIPED] = HF_NODE_I_WIPE,
	};

	if (n->state == HF_NODE_S_NEW && (n->server_key || n->standing == HF_NODE_WIPED))
		return (enum hf_node_input)starts[n->standing];
	if (n->state == HF_NODE_S_READY)
		return n->config->join == HF_NODE_JOIN_MODERATED ? HF_NODE_I_HUMAN : HF_NODE_I_SIMPLE;
	return HF_NODE_I_TIMER;
}

int64_t hf_node_step(struct hf_node *n, int64_t now_ms)
{
	n->now_ms = now_ms;
	if (now_ms >= n->deadline_ms) {
		n->why = HF_E_EXPIRED;
		hf_node_fire(n, due(n));
	}
	hf_node_queue_pump(n);
	hf_node_renew_step(n);
	int64_t next_ms = n->deadline_ms < n->queue_ms ? n->deadline_ms : n->queue_ms;

	return next_ms < n->renew_ms ? next_ms : n->renew_ms;
}

void hf_node_on_connected(struct hf_node *n, int64_t now_ms)
{
	n->now_ms = now_ms;
	n->up = true;
	n->expired = false;
	n->renew_tries = 0;
	hf_node_tell(n, &(struct hf_node_event){.kind = HF_NODE_ONLINE, .id = n->id});
	hf_node_fire(n, hf_node_leaving(n) ? HF_NODE_I_PART : HF_NODE_I_UP);
}

void hf_node_on_disconnected(struct hf_node *n, int64_t now_ms)
{
	n->now_ms = now_ms;
	if (!n->up)
		return;
	n->up = false;
	hf_node_queue_land(n);
	hf_node_tell(n, &(struct hf_node_event){.kind = HF_NODE_OFFLINE, .id = n->id});
	hf_node_fire(n, HF_NODE_I_DOWN);
}

void hf_node_on_message(struct hf_node *n, int64_t now_ms, struct hf_span topic, struct hf_span payload)
{
	n->now_ms = now_ms;
	enum hf_err err = hf_node_receive(n, topic, payload);

	if (err == HF_E_OK)
		return;
	n->counts.refused++;
	n->counts.replayed += err == HF_E_REPLAY;
	n->counts.forged += err == HF_E_SIGNATURE;
	hf_node_tell(n, &(struct hf_node_event){.kind = HF_NODE_REFUSED, .err = err});
}

void hf_node_on_published(struct hf_node *n, int64_t now_ms, uint16_t ticket, bool accepted)
{
	n->now_ms = now_ms;
	n->counts.denied += !accepted;
	if (hf_node_queue_settle(n, ticket, accepted) || ticket != n->ticket)
		return;
	if (n->state == HF_NODE_S_PARTING)
		hf_node_parted(n, accepted);
	else if (!accepted && (n->state == HF_NODE_S_ASKED || n->state == HF_NODE_S_MODERATED))
		hf_node_fail(n, HF_E_DENIED);
}
