/* fuzz - a whole device: replies of KeyEx, messages of the server, time, power cuts, in any order; no sequence id ever goes
 * back, and nothing is done before the join. Uses: node wire port/fake. */
#include "fuzz/fuzz.h"
#include "node/node.h"
#include "port/fake/fake.h"
#include "wire/wire.h"

#include <stdlib.h>
#include <string.h>

enum { RING = 8, SERVER_KEY = 0x22, STEPS_MAX = 64, ADVANCE_MS = 10000 };

static struct hf_fake fake;
static struct hf_node node;
static struct hf_node_reading ring[RING];
static uint8_t work[HF_NODE_WORK_MIN];
static int64_t now_ms;
static uint64_t last_id;
static uint8_t token[HF_PEER_TOKEN_MAX];
static size_t token_len;

static void check(bool good)
{
	if (!good)
		abort();
}

static enum hf_err on_action(void *ctx, uint8_t action)
{
	(void)ctx;
	check(node.state == HF_NODE_S_JOINED || node.state == HF_NODE_S_AWAY);
	return action & 1 ? HF_E_OK : HF_E_NOT_FOUND;
}

static enum hf_err on_setting(void *ctx, struct hf_span data_id, struct hf_span data)
{
	(void)ctx;
	check(node.state == HF_NODE_S_JOINED || node.state == HF_NODE_S_AWAY);
	return data_id.len > data.len ? HF_E_OK : HF_E_INPUT;
}

static void on_event(void *ctx, const struct hf_node_event *e)
{
	(void)ctx;
	check(e->kind < HF_NODE_KIND_COUNT_ && e->text && e->err < HF_E_COUNT_);
}

/* What left: well formed, and its id above every other but for an exact repeat of a reading. */
static void drain(void)
{
	struct hf_fake_sent s;
	struct hf_wire_msg m;

	while (hf_fake_take(&fake, &s)) {
		check(hf_wire_decode(hf_span_of(s.bytes, s.len), &m, NULL) == HF_E_OK && m.sender_id == node.id);
		check(m.sequence_id > last_id || m.type == HF_WIRE_DATA);
		last_id = m.sequence_id > last_id ? m.sequence_id : last_id;
		token_len = m.token.len;
		memcpy(token, m.token.ptr, token_len);
		hf_node_on_published(&node, now_ms, s.ticket, s.ticket % 5 != 0);
	}
}

static const struct hf_node_config config = {.type = "toy",
                                             .software = "toy",
                                             .join = HF_NODE_JOIN_AUTO,
                                             .work = work,
                                             .work_cap = sizeof work,
                                             .ring = ring,
                                             .ring_cap = RING};
static const struct hf_node_app app = {.action = on_action, .setting = on_setting, .event = on_event};

static void start(void)
{
	fake.dead = fake.asked = fake.linked = false;
	fake.sent_count = 0;
	check(hf_node_init(&node, &config, &fake.env, &app, now_ms) == HF_E_OK);
}

static void op_http(struct hf_span in)
{
	struct hf_rd r = hf_rd_of(in);
	unsigned status = (unsigned)hf_rd_be(&r, 2);

	hf_node_on_http(&node, now_ms, status, hf_rd_take(&r, hf_rd_left(&r)));
}

static void hear(struct hf_span payload)
{
	char topic[HF_WIRE_TOPIC_MAX];

	if (hf_wire_topic_make(HF_WIRE_TOPIC_DEVICE, 0, node.id, topic) == HF_E_OK)
		hf_node_on_message(&node, now_ms, hf_span_text(topic), payload);
}

/* The message as it is, or, when it decodes, as our server would have signed it, with the token of what we sent last. */
static void op_message(struct hf_span in)
{
	uint8_t bytes[2048], signature[256];
	struct hf_wr w = hf_wr_of(bytes, sizeof bytes), sig = hf_wr_of(signature, sizeof signature);
	struct hf_wire_msg m;

	hear(in);
	if (hf_wire_decode(in, &m, NULL) != HF_E_OK)
		return;
	m.sender_id = node.server;
	if (m.token.len == 1 && token_len > 0)
		m.token = hf_span_of(token, token_len);
	if (hf_wire_encode(&w, &m, HF_WIRE_COVERED) != HF_E_OK)
		return;
	struct hf_span covered = hf_wr_span(&w);

	check(fake.crypto.sign(fake.crypto.ctx, hf_fake_key(SERVER_KEY, 256), &covered, 1, &sig) == HF_E_OK);
	m.signature = hf_wr_span(&sig);
	w = hf_wr_of(bytes, sizeof bytes);
	if (hf_wire_encode(&w, &m, HF_WIRE_WHOLE) == HF_E_OK)
		hear(hf_wr_span(&w));
}

static void op_link(struct hf_span in)
{
	if (in.len % 2 == 0 && fake.linked)
		hf_node_on_connected(&node, now_ms);
	else
		hf_node_on_disconnected(&node, now_ms);
}

static void op_report(struct hf_span in)
{
	enum hf_err err = hf_node_report(&node, now_ms, in, in);

	check(err == HF_E_OK || in.len == 0 || in.len > HF_NODE_DATA_ID_MAX);
}

/* The store fails soon, in the way and at the place that the input says; whatever comes of it, the device starts again. */
static void op_power(struct hf_span in)
{
	fake.fault = (enum hf_fake_fault)(in.len % 4);
	fake.fail_at = fake.puts + 1 + (unsigned)(in.len / 4 % 4);
	if (in.len >= 16) {
		hf_node_release(&node);
		start();
	}
}

static void op_time(struct hf_span in)
{
	now_ms += (int64_t)in.len * ADVANCE_MS;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const ops[])(struct hf_span) = {op_http, op_message, op_link, op_report, op_power, op_time};
	struct hf_rd r = hf_rd_of(hf_span_of(data, size));

	hf_fake_init(&fake, 1);
	now_ms = 0;
	last_id = token_len = 0;
	start();
	for (unsigned i = 0; i < STEPS_MAX && hf_rd_left(&r) > 0; i++) {
		unsigned op = (unsigned)hf_rd_be(&r, 1) % (sizeof ops / sizeof ops[0]);

		(void)hf_node_step(&node, now_ms);
		ops[op](hf_rd_lp(&r));
		(void)hf_node_step(&node, now_ms);
		if (fake.dead) {
			hf_node_release(&node);
			start();
		}
		drain();
		check(node.state < HF_NODE_S_COUNT_ && hf_node_waiting(&node) <= RING);
	}
	hf_node_release(&node);
	check(fake.keys_held == 0);
	return 0;
}
