/* peer - rules of the conversation and the table of open requests. Uses: base wire. */
#include "peer/peer.h"

#include <string.h>

enum { DEVICE = HF_PEER_DEVICE, SERVER = HF_PEER_SERVER, REGISTERED = HF_PEER_REGISTERED, JOINED = HF_PEER_JOINED };
enum { DEVICE_TOPIC, JOIN_TOPIC };

struct say_row {
	uint8_t type, sides, states, where;
};
static const struct say_row says[] = {
#define SAY(TYPE, sides, states, where) {HF_WIRE_##TYPE, (sides), (states), (where)},
#include "peer/rules.def"
};

struct kind_row {
	const char *name;
	int64_t timeout_ms;
};
static const struct kind_row kinds[] = {
#define KIND(NAME, timeout_ms, doc) {#NAME, (timeout_ms)},
#include "peer/rules.def"
};

struct answer_row {
	uint8_t kind, status;
};
static const struct answer_row answers[] = {
#define ANSWER(KIND_, STATUS) {HF_PEER_K_##KIND_, HF_WIRE_##STATUS},
#include "peer/rules.def"
};

enum { SAYS = sizeof says / sizeof says[0], ANSWERS = sizeof answers / sizeof answers[0] };

bool hf_peer_may_send(unsigned type, enum hf_peer_side from, enum hf_peer_state state)
{
	for (size_t i = 0; i < SAYS; i++)
		if (says[i].type == type && (says[i].sides & (unsigned)from) && (says[i].states & (unsigned)state))
			return true;
	return false;
}

bool hf_peer_on_join_topic(unsigned type)
{
	for (size_t i = 0; i < SAYS; i++)
		if (says[i].type == type)
			return says[i].where == JOIN_TOPIC;
	return false;
}

int64_t hf_peer_timeout_ms(enum hf_peer_kind kind)
{
	return kinds[kind].timeout_ms;
}

const char *hf_peer_kind_name(enum hf_peer_kind kind)
{
	return kinds[kind].name;
}

bool hf_peer_answers(enum hf_peer_kind kind, unsigned status)
{
	for (size_t i = 0; i < ANSWERS; i++)
		if (answers[i].kind == kind && answers[i].status == status)
			return true;
	return false;
}

static struct hf_peer_request *find(const struct hf_peer_table *t, enum hf_peer_kind kind, uint64_t peer,
                                    struct hf_span token)
{
	for (size_t i = 0; i < t->count; i++) {
		struct hf_peer_request *q = &t->slot[i];

		if (q->peer == peer && q->kind == (uint8_t)kind && hf_span_equal(hf_span_of(q->token, q->token_len), token))
			return q;
	}
	return NULL;
}

/* The last request takes the place of the one that goes. */
static void drop(struct hf_peer_table *t, struct hf_peer_request *q)
{
	*q = t->slot[--t->count];
}

enum hf_err hf_peer_open(struct hf_peer_table *t, enum hf_peer_kind kind, uint64_t peer, struct hf_span token,
                         int64_t deadline_ms, uint64_t tag)
{
	if (token.len == 0)
		return HF_E_TOKEN;
	if (token.len > HF_PEER_TOKEN_MAX)
		return HF_E_TOO_BIG;
	if (find(t, kind, peer, token))
		return HF_E_EXISTS;
	if (t->count == t->cap) {
		t->refused++;
		return HF_E_FULL;
	}
	struct hf_peer_request *q = &t->slot[t->count++];

	*q = (struct hf_peer_request){.peer = peer, .tag = tag, .deadline_ms = deadline_ms, .kind = (uint8_t)kind};
	q->token_len = (uint8_t)token.len;
	memcpy(q->token, token.ptr, token.len);
	return HF_E_OK;
}

enum hf_err hf_peer_settle(struct hf_peer_table *t, enum hf_peer_kind kind, uint64_t peer, struct hf_span token,
                           int64_t now_ms, uint64_t *tag)
{
	struct hf_peer_request *q = find(t, kind, peer, token);

	if (!q)
		return HF_E_NOT_FOUND;
	struct hf_peer_request was = *q;

	drop(t, q);
	if (now_ms > was.deadline_ms)
		return HF_E_EXPIRED;
	*tag = was.tag;
	return HF_E_OK;
}

bool hf_peer_expire(struct hf_peer_table *t, int64_t now_ms, struct hf_peer_request *out)
{
	for (size_t i = 0; i < t->count; i++) {
		if (now_ms <= t->slot[i].deadline_ms)
			continue;
		*out = t->slot[i];
		drop(t, &t->slot[i]);
		return true;
	}
	return false;
}

void hf_peer_forget(struct hf_peer_table *t, uint64_t peer)
{
	for (size_t i = t->count; i > 0; i--)
		if (t->slot[i - 1].peer == peer)
			drop(t, &t->slot[i - 1]);
}

int64_t hf_peer_deadline_ms(const struct hf_peer_table *t)
{
	int64_t first = INT64_MAX;

	for (size_t i = 0; i < t->count; i++)
		if (t->slot[i].deadline_ms < first)
			first = t->slot[i].deadline_ms;
	return first;
}

void hf_peer_token_text(const uint8_t random[16], uint8_t out[HF_PEER_TOKEN_LEN])
{
	uint8_t u[16];
	struct hf_wr w = hf_wr_of(out, HF_PEER_TOKEN_LEN);

	memcpy(u, random, sizeof u);
	u[6] = (uint8_t)((u[6] & 0x0f) | 0x40);
	u[8] = (uint8_t)((u[8] & 0x3f) | 0x80);
	for (size_t i = 0; i < sizeof u; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			hf_wr_text(&w, "-");
		hf_wr_hex(&w, hf_span_of(&u[i], 1));
	}
}

uint64_t hf_peer_id_from(const uint8_t random[8])
{
	uint64_t v = 0;

	for (size_t i = 0; i < 8; i++)
		v = v << 8 | random[i];
	return (v & ~UINT64_C(0xf000)) | UINT64_C(0x4000);
}
