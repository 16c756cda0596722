/* port/fake - the other side of one device: answers its requests and messages as a good, or bad, universe would.
 * Uses: base wire seal peer node. */
#include "port/fake/home.h"

#include "port/fake/fake_internal.h"

#include <string.h>

enum { SIGN = 1, PSS = 4, GAP = 16, EPOCH_S = 1800000000, DAY_S = 86400, KNOCK_MS = 1000 };

/* --- application -------------------------------------------------------------------------------------------------- */

static enum hf_err on_action(void *ctx, uint8_t action)
{
	struct hf_fake_home *h = ctx;

	h->actions++;
	h->last_action = action;
	return h->outcome;
}

static enum hf_err on_setting(void *ctx, struct hf_span data_id, struct hf_span data)
{
	struct hf_fake_home *h = ctx;

	(void)data_id, (void)data;
	h->settings++;
	return h->outcome;
}

static void on_event(void *ctx, const struct hf_node_event *e)
{
	struct hf_fake_home *h = ctx;

	h->events[e->kind]++;
	h->last_err = e->err != HF_E_OK ? e->err : h->last_err;
	if (e->kind == HF_NODE_CODE)
		memcpy(h->code, e->text, sizeof h->code);
	if (e->kind == HF_NODE_CODE_GONE)
		h->code[0] = '\0';
}

/* --- KeyEx -------------------------------------------------------------------------------------------------------- */

/* The bytes between `"name":"` and the next quote of a request's body. */
static struct hf_span member(const struct hf_fake *f, const char *name)
{
	size_t skip = strlen(name), from = 0, to;

	while (from + skip + 4 <= f->body_len && !(f->body[from] == '"' && memcmp(f->body + from + 1, name, skip) == 0 &&
	                                           memcmp(f->body + from + 1 + skip, "\":\"", 3) == 0))
		from++;
	from += skip + 4;
	for (to = from; to < f->body_len && f->body[to] != '"'; to++)
		;
	return from <= to && to < f->body_len ? hf_span_of(f->body + from, to - from) : hf_span_of(NULL, 0);
}

static void put_key(struct hf_wr *body, uint64_t number)
{
	uint8_t pem[128];
	struct hf_wr w = hf_wr_of(pem, sizeof pem);

	hf_fake_public_pem(number, &w);
	hf_wr_base64(body, hf_wr_span(&w));
}

static unsigned answer_status(struct hf_fake_home *h, struct hf_wr *body)
{
	hf_wr_text(body, h->inactive ? "{\"active\":false,\"identity\":\"" : "{\"active\": true, \"identity\":\"");
	hf_wr_id(body, h->keyex);
	hf_wr_text(body, "\"}");
	return 200;
}

static unsigned answer_register(struct hf_fake_home *h, struct hf_wr *body)
{
	uint8_t bytes[8];
	struct hf_wr w = hf_wr_of(bytes, sizeof bytes);
	struct hf_rd r = hf_rd_of(hf_span_of(bytes, sizeof bytes));

	h->registrations++;
	h->seen_count = 0; /* another id, other numbers */
	h->heard = (struct hf_seal_window){0, 0};
	if (hf_id_parse(member(&h->fake, "identity"), &h->device) != HF_E_OK ||
	    hf_hex_decode(member(&h->fake, "key"), &w) != HF_E_OK)
		return 400;
	h->device_key = hf_rd_be(&r, 8);
	hf_wr_text(body, "{\"broker\":\"mqtt:\\/\\/toy\",\"default_c2\":\"");
	hf_wr_id(body, h->server);
	hf_wr_text(body, "\",\"key\":\"");
	put_key(body, h->server_key);
	hf_wr_text(body, "\"}");
	return 201;
}

static bool proven(const struct hf_fake_home *h, struct hf_span text)
{
	uint8_t mark[256], found[256];
	struct hf_wr w = hf_wr_of(found, sizeof found);

	hf_fake_mark(h->device_key, PSS, &text, 1, mark);
	return hf_base64_decode(member(&h->fake, "signature"), &w) == HF_E_OK &&
	       hf_span_equal(hf_wr_span(&w), hf_span_of(mark, sizeof mark));
}

static unsigned answer_validate(struct hf_fake_home *h, struct hf_wr *body)
{
	char id[HF_ID_TEXT_MAX];
	uint8_t mark[256];
	struct hf_span text;

	if (!proven(h, member(&h->fake, "identity")))
		return 400;
	hf_id_text(h->keyex, id);
	text = hf_span_text(id);
	hf_fake_mark(h->keyex_key, PSS, &text, 1, mark);
	hf_wr_text(body, "{\"identity\":\"");
	hf_wr_text(body, id);
	hf_wr_text(body, "\",\"signature\":\"");
	hf_wr_base64(body, hf_span_of(mark, sizeof mark));
	hf_wr_text(body, "\"}");
	return 200;
}

/* What the time is in truth: KeyEx and the broker know it. */
static int64_t true_s(const struct hf_fake_home *h)
{
	return EPOCH_S + h->now_ms / 1000;
}

static unsigned answer_access(struct hf_fake_home *h, struct hf_wr *body)
{
	uint8_t csr[256], number[8], text[64];
	struct hf_wr w = hf_wr_of(csr, sizeof csr), key = hf_wr_of(number, sizeof number);
	struct hf_wr certificate = hf_wr_of(text, sizeof text);
	struct hf_rd r = hf_rd_of(hf_span_of(number, sizeof number));

	if (hf_base64_decode(member(&h->fake, "csr"), &w) != HF_E_OK || !proven(h, hf_wr_span(&w)) || w.len < 16 ||
	    hf_hex_decode(hf_span_of(csr, 16), &key) != HF_E_OK)
		return 400;
	h->certificates++;
	hf_fake_certificate(hf_rd_be(&r, 8), true_s(h), h->life_s, &certificate);
	hf_wr_text(body, "{\"certificate\":\"");
	hf_wr_base64(body, hf_wr_span(&certificate));
	hf_wr_text(body, "\\n\",\"CA_certificate\":\"dG95\"}");
	return 200;
}

static unsigned answer_get_key(struct hf_fake_home *h, struct hf_wr *body)
{
	uint64_t id = 0;

	if (hf_id_parse(hf_span_text(h->fake.path + strlen("/KeyEx/register/get_key/")), &id) != HF_E_OK)
		return 400;
	if (id != h->server && (id != h->keyex || h->keyex_silent))
		return 404;
	put_key(body, id == h->keyex ? h->keyex_key : h->told_key != 0 ? h->told_key : h->server_key);
	return 200;
}

struct route {
	const char *start;
	unsigned (*answer)(struct hf_fake_home *h, struct hf_wr *body);
};
static const struct route routes[] = {
	{"/KeyEx/register/status", answer_status},     {"/KeyEx/register/register", answer_register},
	{"/KeyEx/register/validate", answer_validate}, {"/KeyEx/register/access", answer_access},
	{"/KeyEx/register/get_key/", answer_get_key},
};

static bool starts(const char *text, const char *start)
{
	return strlen(text) >= strlen(start) && memcmp(text, start, strlen(start)) == 0;
}

static void answer_http(struct hf_fake_home *h)
{
	uint8_t reply[HF_FAKE_BODY_MAX];
	struct hf_wr body = hf_wr_of(reply, sizeof reply);
	unsigned status = 404;

	h->fake.asked = false;
	for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++)
		if (starts(h->fake.path, routes[i].start))
			status = routes[i].answer(h, &body);
	if (h->broken && starts(h->fake.path + strlen("/KeyEx/register/"), h->broken))
		status = h->broken_status;
	hf_node_on_http(&h->node, h->now_ms, status, hf_wr_span(&body));
}

/* --- server ------------------------------------------------------------------------------------------------------- */

void hf_fake_home_send(struct hf_fake_home *h, struct hf_wire_msg m, uint64_t key)
{
	uint8_t covered[HF_FAKE_MESSAGE_MAX], mark[256];
	struct hf_wr w = hf_wr_of(covered, sizeof covered), whole = hf_wr_of(h->last.bytes, sizeof h->last.bytes);

	if (m.sequence_id == 0)
		m.sequence_id = h->sequence += GAP;
	m.version = HF_WIRE_V5;
	m.sender_id = m.sender_id != 0 ? m.sender_id : h->server;
	if (hf_wire_encode(&w, &m, HF_WIRE_COVERED) != HF_E_OK)
		return;
	struct hf_span piece = hf_wr_span(&w);

	hf_fake_mark(key, SIGN, &piece, 1, mark);
	m.signature = hf_span_of(mark, sizeof mark);
	if (hf_wire_encode(&whole, &m, HF_WIRE_WHOLE) != HF_E_OK ||
	    hf_wire_topic_make(HF_WIRE_TOPIC_DEVICE, 0, h->device, h->last.topic) != HF_E_OK)
		return;
	h->last.len = whole.len;
	hf_fake_home_replay(h);
}

static void deliver(struct hf_fake_home *h, const struct hf_fake_sent *s)
{
	if (h->up)
		hf_node_on_message(&h->node, h->now_ms, hf_span_text(s->topic), hf_span_of(s->bytes, s->len));
}

void hf_fake_home_replay(struct hf_fake_home *h)
{
	h->last.due_ms = h->now_ms + h->latency_ms;
	if (h->latency_ms == 0)
		deliver(h, &h->last);
	else if (h->way_count < HF_FAKE_WAY_MAX)
		h->way[h->way_count++] = h->last;
}

static void send_response(struct hf_fake_home *h, struct hf_span token, uint8_t status)
{
	hf_fake_home_send(h, (struct hf_wire_msg){.type = HF_WIRE_RESPONSE, .token = token, .response = {.status = status}},
	                  h->server_key);
}

static void send_value(struct hf_fake_home *h)
{
	uint8_t envelope[512], bytes[16], value[32];
	struct hf_wr w = hf_wr_of(envelope, sizeof envelope), text = hf_wr_of(value, sizeof value);
	struct hf_wire_msg m = {.type = HF_WIRE_HM_JOIN_RESP, .token = hf_span_text("token of the value")};

	if (h->fake.crypto.random(h->fake.crypto.ctx, bytes, sizeof bytes) != HF_E_OK)
		return;
	hf_wr_hex(&text, hf_span_of(bytes, sizeof bytes));
	if (hf_seal_envelope_seal(&h->fake.crypto, hf_fake_key(h->device_key, 256), hf_wr_span(&text), &w) != HF_E_OK)
		return;
	m.hm_join_resp.encrypted = hf_wr_span(&w);
	hf_fake_home_send(h, m, h->server_key);
	if (h->person_status != 0 && h->up && memcmp(h->code, value, sizeof value) == 0)
		send_response(h, m.token, h->person_status);
}

/* Every id stands for one message only; an exact repeat is fine. */
static bool is_repeat(struct hf_fake_home *h, uint64_t id, struct hf_span bytes)
{
	uint8_t mark[256];
	uint64_t digest;

	hf_fake_mark(1, 1, &bytes, 1, mark);
	memcpy(&digest, mark, sizeof digest);
	for (size_t i = 0; i < h->seen_count; i++)
		if (h->seen[i].id == id) {
			h->reused += h->seen[i].digest != digest;
			return true;
		}
	if (h->seen_count < HF_FAKE_SEEN_MAX)
		h->seen[h->seen_count++] = (struct hf_fake_seen){id, digest};
	return false;
}

/* Our server's window: what it does not take is lost. */
static void judge(struct hf_fake_home *h, uint64_t id)
{
	if (hf_seal_window_judge(&h->heard, id) == HF_E_OK)
		hf_seal_window_mark(&h->heard, id);
	else
		h->lost++;
}

static void count(struct hf_fake_home *h, const struct hf_wire_msg *m)
{
	bool identification = hf_span_equal(m->data.data_id, hf_span_text("IDENTIFICATION_RESPONSE"));

	h->joins += m->type == HF_WIRE_JOIN_REQ || m->type == HF_WIRE_HM_JOIN_REQ;
	h->resignations += m->type == HF_WIRE_RESIGN_REQ;
	h->deregistrations += m->type == HF_WIRE_DEREGISTER_REQ;
	h->responses += m->type == HF_WIRE_RESPONSE;
	h->readings += m->type == HF_WIRE_DATA && !identification;
	h->identifications += m->type == HF_WIRE_DATA && identification;
	if (m->type == HF_WIRE_RESPONSE)
		h->status = m->response.status;
	h->token_len = m->token.len < sizeof h->token ? m->token.len : sizeof h->token;
	memcpy(h->token, m->token.ptr, h->token_len);
}

static void take(struct hf_fake_home *h, const struct hf_fake_sent *s)
{
	struct hf_wire_msg m;
	struct hf_wire_covered covered;
	uint8_t mark[256];

	if (hf_wire_decode(hf_span_of(s->bytes, s->len), &m, &covered) != HF_E_OK)
		return;
	hf_fake_mark(h->device_key, SIGN, covered.piece, 2, mark);
	if (!hf_span_equal(m.signature, hf_span_of(mark, sizeof mark)) || m.sender_id != h->device) {
		h->forged++;
		return;
	}
	if (!is_repeat(h, m.sequence_id, hf_span_of(s->bytes, s->len)))
		judge(h, m.sequence_id);
	h->sequence = m.sequence_id > h->sequence ? m.sequence_id : h->sequence;
	count(h, &m);
	hf_node_on_published(&h->node, h->now_ms, s->ticket, !h->deny);
	if (h->deny)
		return;
	if (m.type == HF_WIRE_JOIN_REQ && h->join_status != 0)
		send_response(h, m.token, h->join_status);
	if (m.type == HF_WIRE_HM_JOIN_REQ)
		send_value(h);
	if (h->fake.linked && starts(s->topic, "SRUP/") &&
	    !starts(s->topic, "SRUP/servers/")) /* the broker gives the device its own words back */
		hf_node_on_message(&h->node, h->now_ms, hf_span_text(s->topic), hf_span_of(s->bytes, s->len));
}

/* --- time --------------------------------------------------------------------------------------------------------- */

/* When the next message is at its end; what has just left gets its time here. */
static int64_t way_ms(struct hf_fake_home *h)
{
	for (size_t i = 0; i < h->fake.sent_count; i++)
		if (h->fake.sent[i].due_ms == 0)
			h->fake.sent[i].due_ms = h->now_ms + h->latency_ms;
	int64_t up_ms = h->up && h->fake.sent_count > 0 ? h->fake.sent[0].due_ms : INT64_MAX;
	int64_t down_ms = h->way_count > 0 ? h->way[0].due_ms : INT64_MAX;

	return up_ms < down_ms ? up_ms : down_ms;
}

/* Brings one message to its end. */
static void carry(struct hf_fake_home *h)
{
	struct hf_fake_sent s;

	if (h->way_count > 0 && h->way[0].due_ms <= h->now_ms) {
		s = h->way[0];
		memmove(h->way, h->way + 1, --h->way_count * sizeof h->way[0]);
		deliver(h, &s);
	} else if (hf_fake_take(&h->fake, &s)) {
		take(h, &s);
	}
}

/* What the broker thinks of the pair that the device comes with. */
static enum hf_err welcome(struct hf_fake_home *h)
{
	const struct hf_fake_value *v = &h->fake.store[HF_NODE_ITEM_ACCESS];
	struct hf_node_access access;
	uint64_t number = 0;
	int64_t from_s = 0, life_s = 0;

	if (!v->there || hf_node_access_parse(hf_span_of(v->bytes, v->len), &access) != HF_E_OK ||
	    !hf_fake_certificate_read(access.certificate, &number, &from_s, &life_s) ||
	    hf_fake_number(access.key) != number)
		return HF_E_KEY;
	return true_s(h) >= from_s + life_s ? HF_E_EXPIRED : HF_E_OK;
}

/* The port knocks once a second. */
static void knock(struct hf_fake_home *h)
{
	enum hf_err err = welcome(h);

	h->knock_ms = h->now_ms + KNOCK_MS;
	h->bad_pairs += err == HF_E_KEY;
	if (err == HF_E_EXPIRED)
		hf_node_on_expired(&h->node, h->now_ms);
	if (err != HF_E_OK)
		return;
	h->up = true;
	h->made = h->fake.connects;
	hf_node_on_connected(&h->node, h->now_ms);
}

/* Does one thing that is to be done outside the device; false when all is quiet. */
static bool act(struct hf_fake_home *h)
{
	if (h->fake.asked) {
		answer_http(h);
		return true;
	}
	if (h->up && (!h->fake.linked || h->made != h->fake.connects)) {
		h->up = false;
		h->fake.sent_count = 0;
		h->knock_ms = h->now_ms;
		if (h->fake.linked)
			hf_node_on_disconnected(&h->node, h->now_ms);
		return true;
	}
	if (h->fake.linked && !h->up && !h->offline && h->now_ms >= h->knock_ms) {
		knock(h);
		return true;
	}
	if (way_ms(h) <= h->now_ms) {
		carry(h);
		return true;
	}
	return false;
}

void hf_fake_home_run(struct hf_fake_home *h, int64_t for_ms)
{
	int64_t end_ms = h->now_ms + for_ms;

	while (h->running && !h->fake.dead) {
		h->fake.wall_s = true_s(h) + h->wrong_s;
		int64_t next_ms = hf_node_step(&h->node, h->now_ms);

		if (h->fake.dead || act(h))
			continue;
		if (h->fake.linked && !h->up && !h->offline && h->knock_ms < next_ms)
			next_ms = h->knock_ms;
		if (way_ms(h) < next_ms)
			next_ms = way_ms(h);
		if (next_ms > end_ms) {
			h->now_ms = end_ms;
			return;
		}
		h->now_ms = next_ms > h->now_ms ? next_ms : h->now_ms;
	}
}

void hf_fake_home_drop(struct hf_fake_home *h)
{
	h->up = false;
	h->fake.sent_count = 0;
	h->knock_ms = h->now_ms;
	hf_node_on_disconnected(&h->node, h->now_ms);
}

enum hf_err hf_fake_home_start(struct hf_fake_home *h)
{
	enum hf_err err;

	h->fake.dead = h->fake.linked = h->fake.asked = h->up = false;
	h->fake.sent_count = 0;
	h->knock_ms = h->now_ms;
	err = hf_node_init(&h->node, &h->config, &h->fake.env, &h->app, h->now_ms);
	h->running = err == HF_E_OK;
	return err;
}

void hf_fake_home_stop(struct hf_fake_home *h)
{
	if (h->running)
		hf_node_release(&h->node);
	h->running = h->up = false;
}

void hf_fake_home_init(struct hf_fake_home *h, uint64_t seed)
{
	*h = (struct hf_fake_home){.keyex = 0x4be,
	                           .keyex_key = 0x11,
	                           .server = 0x5e4,
	                           .server_key = 0x22,
	                           .join_status = HF_WIRE_JOIN_OK,
	                           .life_s = 90 * DAY_S};
	hf_fake_init(&h->fake, seed);
	h->app = (struct hf_node_app){.ctx = h, .action = on_action, .setting = on_setting, .event = on_event};
	h->config = (struct hf_node_config){.type = "toy",
	                                    .software = "toy 1",
	                                    .join = HF_NODE_JOIN_AUTO,
	                                    .work = h->work,
	                                    .work_cap = sizeof h->work,
	                                    .ring = h->ring,
	                                    .ring_cap = HF_FAKE_RING};
}
