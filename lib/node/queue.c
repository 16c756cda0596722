/* node - store and forward: readings wait in a bounded ring until the broker has them. Uses: base wire peer.
 * A reading keeps the sequence id and token of its first sending, so that the server recognises a repeat by its bytes.
 * After a new connection what was in flight goes first, in order, before any higher number: the broker has a prefix
 * of it or nothing. */
#include "node/node_internal.h"

#include <string.h>

enum { WAITING, FLYING, LANDED };
enum { FLYING_MAX = 8, RETRY_MS = 1000, DENIED_RETRY_MS = 2000, DENIED_RETRY_MAX_MS = 60000, DENIED_MAX = 3 };

static struct hf_node_reading *at(const struct hf_node *n, size_t i)
{
	return &n->config->ring[(n->ring_first + i) % n->config->ring_cap];
}

static void drop_first(struct hf_node *n)
{
	n->ring_first = (n->ring_first + 1) % n->config->ring_cap;
	n->ring_count--;
}

size_t hf_node_waiting(const struct hf_node *n)
{
	return n->ring_count;
}

enum hf_err hf_node_report(struct hf_node *n, int64_t now_ms, struct hf_span data_id, struct hf_span data)
{
	struct hf_node_reading r = {.id_len = (uint8_t)data_id.len, .data_len = (uint8_t)data.len};

	if (data_id.len > sizeof r.id || data.len > sizeof r.data)
		return HF_E_TOO_BIG;
	if (data_id.len == 0)
		return HF_E_INPUT;
	memcpy(r.id, data_id.ptr, data_id.len);
	if (data.len > 0)
		memcpy(r.data, data.ptr, data.len);
	if (n->ring_count == n->config->ring_cap) {
		drop_first(n);
		n->counts.readings_dropped++;
	}
	*at(n, n->ring_count++) = r;
	if (n->queue_ms == INT64_MAX)
		n->queue_ms = now_ms;
	return HF_E_OK;
}

static enum hf_err send(struct hf_node *n, struct hf_node_reading *r)
{
	uint8_t token[HF_PEER_TOKEN_LEN];
	enum hf_err err = HF_E_OK;

	if (r->sequence == 0) {
		err = n->env->crypto->random(n->env->crypto->ctx, r->token, sizeof r->token);
		if (err == HF_E_OK)
			err = hf_node_take_sequence(n, &r->sequence);
	}
	if (err != HF_E_OK)
		return err;
	hf_peer_token_text(r->token, token);
	struct hf_wire_msg m = {.type = HF_WIRE_DATA, .sequence_id = r->sequence, .token = hf_span_of(token, sizeof token)};

	m.data.data_id = hf_span_of(r->id, r->id_len);
	m.data.data = hf_span_of(r->data, r->data_len);
	err = hf_node_post(n, &m, &r->ticket);
	if (err == HF_E_OK)
		r->state = FLYING;
	return err;
}

void hf_node_queue_pump(struct hf_node *n)
{
	size_t flying = 0;

	if (n->state != HF_NODE_S_JOINED || n->ring_count == 0) {
		n->queue_ms = INT64_MAX;
		return;
	}
	if (n->queue_ms != INT64_MAX && n->now_ms < n->queue_ms)
		return;
	n->queue_ms = INT64_MAX;
	for (size_t i = 0; i < n->ring_count && flying < FLYING_MAX; i++) {
		struct hf_node_reading *r = at(n, i);

		flying += r->state == FLYING;
		if (r->state != WAITING)
			continue;
		if (send(n, r) != HF_E_OK) {
			n->queue_ms = n->now_ms + RETRY_MS;
			return;
		}
		flying++;
	}
}

void hf_node_queue_land(struct hf_node *n)
{
	for (size_t i = 0; i < n->ring_count; i++)
		if (at(n, i)->state == FLYING)
			at(n, i)->state = WAITING;
	n->denied_streak = 0;
}

void hf_node_queue_drop(struct hf_node *n)
{
	n->counts.readings_dropped += (uint32_t)n->ring_count;
	hf_wipe(n->config->ring, n->config->ring_cap * sizeof n->config->ring[0]);
	n->ring_first = n->ring_count = 0;
	n->denied_streak = 0;
}

static void deny(struct hf_node *n, struct hf_node_reading *r)
{
	r->state = WAITING;
	n->queue_ms = n->now_ms + hf_node_backoff_ms(n, n->denied_streak++, DENIED_RETRY_MS, DENIED_RETRY_MAX_MS);
	if (n->denied_streak >= DENIED_MAX)
		hf_node_fire(n, HF_NODE_I_EXPEL);
}

bool hf_node_queue_settle(struct hf_node *n, uint16_t ticket, bool accepted)
{
	for (size_t i = 0; i < n->ring_count; i++) {
		struct hf_node_reading *r = at(n, i);

		if (r->state != FLYING || r->ticket != ticket)
			continue;
		if (!accepted) {
			deny(n, r);
			return true;
		}
		r->state = LANDED;
		n->denied_streak = 0;
		n->counts.readings_sent++;
		while (n->ring_count > 0 && at(n, 0)->state == LANDED)
			drop_first(n);
		if (n->queue_ms == INT64_MAX && n->ring_count > 0)
			n->queue_ms = n->now_ms;
		return true;
	}
	return false;
}
