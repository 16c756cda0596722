/* wire - messages for people and tests: JSON printer, status texts, random generator. Uses: base. */
#include "wire/wire.h"

struct status_row {
	unsigned code;
	const char *text;
};

static const struct status_row statuses[] = {
#define STATUS(NAME, code, text) {(code), (text)},
#include "wire/status.def"
};

const char *hf_wire_status_text(unsigned status)
{
	for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
		if (statuses[i].code == status)
			return statuses[i].text;
	return "unknown status";
}

static void print_quoted(struct hf_wr *w, void (*put)(struct hf_wr *, uint64_t), uint64_t v)
{
	hf_wr_text(w, "\"");
	put(w, v);
	hf_wr_text(w, "\"");
}

static void print_field(struct hf_wr *w, const struct hf_wire_field *f, const struct hf_wire_msg *m)
{
	const void *from = (const uint8_t *)m + f->at;

	switch ((enum hf_wire_kind)f->kind) {
	case HF_WIRE_K_u8: hf_wr_dec(w, *(const uint8_t *)from); return;
	case HF_WIRE_K_u32: hf_wr_dec(w, *(const uint32_t *)from); return;
	case HF_WIRE_K_u64: print_quoted(w, hf_wr_dec, *(const uint64_t *)from); return;
	case HF_WIRE_K_id: print_quoted(w, hf_wr_hex64, *(const uint64_t *)from); return;
	case HF_WIRE_K_bytes:
	case HF_WIRE_K_sig:
		hf_wr_text(w, "\"");
		hf_wr_hex(w, *(const struct hf_span *)from);
		hf_wr_text(w, "\"");
		return;
	case HF_WIRE_K_pad: return;
	}
}

static void print_member(struct hf_wr *w, const struct hf_wire_field *f, const struct hf_wire_msg *m)
{
	if (f->kind == HF_WIRE_K_sig || f->kind == HF_WIRE_K_pad)
		return;
	if (w->err == HF_E_OK && w->base[w->len - 1] != '{')
		hf_wr_text(w, ",");
	hf_wr_text(w, "\"");
	hf_wr_text(w, f->name);
	hf_wr_text(w, "\":");
	print_field(w, f, m);
}

enum hf_err hf_wire_print(struct hf_wr *w, const struct hf_wire_msg *m)
{
	const struct hf_wire_shape *s = hf_wire_shape(m->type);

	if (!s)
		return HF_E_TYPE;
	hf_wr_text(w, "{");
	for (size_t i = 0; hf_wire_head_at(i); i++)
		print_member(w, hf_wire_head_at(i), m);
	for (size_t i = 0; i < s->count; i++)
		print_member(w, &s->field[i], m);
	hf_wr_text(w, "}");
	return w->err;
}

/* splitmix64: enough to vary shapes, no more. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static void random_field(uint64_t *state, struct hf_wr *pool, const struct hf_wire_field *f, struct hf_wire_msg *m)
{
	void *to = (uint8_t *)m + f->at;
	uint64_t v = next_random(state);
	size_t start = pool->len, len = 1 + (size_t)(v % 48);

	switch ((enum hf_wire_kind)f->kind) {
	case HF_WIRE_K_u8: *(uint8_t *)to = (uint8_t)v; return;
	case HF_WIRE_K_u32: *(uint32_t *)to = (uint32_t)v; return;
	case HF_WIRE_K_u64:
	case HF_WIRE_K_id: *(uint64_t *)to = v | 1; return;
	case HF_WIRE_K_bytes:
		for (size_t i = 0; i < len; i++)
			hf_wr_be(pool, next_random(state), 1);
		*(struct hf_span *)to = hf_span_of(pool->base + start, pool->len - start);
		return;
	case HF_WIRE_K_sig:
	case HF_WIRE_K_pad: return;
	}
}

void hf_wire_random(uint64_t seed, const struct hf_wire_shape *shape, uint8_t *buf, size_t cap, struct hf_wire_msg *m)
{
	struct hf_wr pool = hf_wr_of(buf, cap);

	*m = (struct hf_wire_msg){.version = HF_WIRE_V5, .type = shape->code};
	for (size_t i = 0; hf_wire_head_at(i); i++)
		random_field(&seed, &pool, hf_wire_head_at(i), m);
	for (size_t i = 0; i < shape->count; i++)
		random_field(&seed, &pool, &shape->field[i], m);
}
