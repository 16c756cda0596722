/* broker - events in a ring, taken out as text lines. Uses: base. */
#include "broker/ring.h"

#include <string.h>

static const char *const words[] = {
	[BROKER_ON] = "on",
	[BROKER_OFF] = "off",
	[BROKER_REFUSED] = "refused",
	[BROKER_KICKED] = "kicked",
};

void broker_ring_reset(struct broker_ring *r)
{
	r->first = r->count = 0;
	r->lost = 0;
}

void broker_ring_put(struct broker_ring *r, enum broker_event event, uint64_t id, const char *reason,
                     struct hf_span detail)
{
	struct broker_ring_entry *e = &r->entry[(r->first + r->count) % BROKER_RING_MAX];

	if (r->count == BROKER_RING_MAX) {
		r->lost++;
		return;
	}
	r->count++;
	e->id = id;
	e->reason = reason;
	e->event = (uint8_t)event;
	e->len = (uint8_t)(detail.len < BROKER_DETAIL_MAX ? detail.len : BROKER_DETAIL_MAX);
	if (e->len)
		memcpy(e->detail, detail.ptr, e->len);
}

void broker_ring_forget_presence(struct broker_ring *r)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < r->count; i++) {
		struct broker_ring_entry *from = &r->entry[(r->first + i) % BROKER_RING_MAX];
		struct broker_ring_entry *to = &r->entry[(r->first + kept) % BROKER_RING_MAX];

		if (from->event == BROKER_ON || from->event == BROKER_OFF)
			continue;
		kept++;
		if (to != from)
			*to = *from;
	}
	r->count = kept;
}

static void put_or_dash(struct hf_wr *w, const struct broker_ring_entry *e)
{
	hf_wr_text(w, " ");
	if (e->len == 0)
		hf_wr_text(w, "-");
	hf_wr_hex(w, hf_span_of(e->detail, e->len));
}

/* on <id> <client-id-hex>, off <id>, kicked <id>, refused <reason> <id or -> <detail-hex or -> */
static void put_line(struct hf_wr *w, const struct broker_ring_entry *e)
{
	hf_wr_text(w, words[e->event]);
	if (e->event == BROKER_REFUSED) {
		hf_wr_text(w, " ");
		hf_wr_text(w, e->reason);
	}
	hf_wr_text(w, " ");
	if (e->id == 0)
		hf_wr_text(w, "-");
	else
		hf_wr_id(w, e->id);
	if (e->event == BROKER_ON || e->event == BROKER_REFUSED)
		put_or_dash(w, e);
	hf_wr_text(w, "\n");
}

void broker_ring_take(struct broker_ring *r, struct hf_wr *w)
{
	while (r->count > 0 && w->cap - w->len >= BROKER_EVENT_TEXT_MAX) {
		put_line(w, &r->entry[r->first]);
		r->first = (r->first + 1) % BROKER_RING_MAX;
		r->count--;
	}
	if (r->count > 0 || r->lost == 0 || w->cap - w->len < BROKER_EVENT_TEXT_MAX)
		return;
	hf_wr_text(w, "lost ");
	hf_wr_dec(w, r->lost);
	hf_wr_text(w, "\n");
	r->lost = 0;
}
