/* wire - the codec: one interpreter over the field tables of messages.def. Uses: base. */
#include "wire/wire.h"

#define AT(member) (uint16_t) offsetof(struct hf_wire_msg, member)

static const struct hf_wire_field head[] = {
#define HEAD(kind, field, doc) {#field, AT(field), HF_WIRE_K_##kind},
#include "wire/messages.def"
};
enum { HEAD_COUNT = sizeof head / sizeof head[0], HEAD_GENERIC = HEAD_COUNT - 1 };

#define MSG(NAME, name, code, doc) static const struct hf_wire_field fields_##name[] = {
#define F(name, kind, field, doc) {#field, AT(name.field), HF_WIRE_K_##kind},
#define END \
	}       \
	;
#include "wire/messages.def"

static const struct hf_wire_shape shapes[] = {
#define MSG0(NAME, name, code, doc) {#NAME, doc, NULL, code, 0},
#define MSG(NAME, name, code, doc) {#NAME, doc, fields_##name, code, sizeof fields_##name / sizeof fields_##name[0]},
#include "wire/messages.def"
};
enum { SHAPE_COUNT = sizeof shapes / sizeof shapes[0] };
_Static_assert(sizeof(struct hf_wire_msg) <= 128, "a message fits a small stack");

const struct hf_wire_shape *hf_wire_shape_at(size_t i)
{
	return i < SHAPE_COUNT ? &shapes[i] : NULL;
}

const struct hf_wire_shape *hf_wire_shape(unsigned code)
{
	for (size_t i = 0; i < SHAPE_COUNT; i++)
		if (shapes[i].code == code)
			return &shapes[i];
	return NULL;
}

const struct hf_wire_shape *hf_wire_shape_named(struct hf_span name)
{
	for (size_t i = 0; i < SHAPE_COUNT; i++)
		if (hf_span_equal(hf_span_text(shapes[i].name), name))
			return &shapes[i];
	return NULL;
}

const struct hf_wire_field *hf_wire_head_at(size_t i)
{
	return i + 2 < HEAD_COUNT ? &head[i + 2] : NULL;
}

static size_t head_count(unsigned type)
{
	return type == HF_WIRE_GENERIC ? HEAD_GENERIC : HEAD_COUNT;
}

static void put_field(struct hf_wr *w, const struct hf_wire_field *f, const struct hf_wire_msg *m)
{
	const void *from = (const uint8_t *)m + f->at;

	switch ((enum hf_wire_kind)f->kind) {
	case HF_WIRE_K_u8: hf_wr_le(w, *(const uint8_t *)from, 1); return;
	case HF_WIRE_K_u32: hf_wr_le(w, *(const uint32_t *)from, 4); return;
	case HF_WIRE_K_u64:
	case HF_WIRE_K_id: hf_wr_le(w, *(const uint64_t *)from, 8); return;
	case HF_WIRE_K_bytes:
	case HF_WIRE_K_sig: hf_wr_lp(w, *(const struct hf_span *)from); return;
	case HF_WIRE_K_pad: hf_wr_le(w, 0, 2); return;
	}
}

static void get_field(struct hf_rd *r, const struct hf_wire_field *f, struct hf_wire_msg *m)
{
	void *to = (uint8_t *)m + f->at;

	switch ((enum hf_wire_kind)f->kind) {
	case HF_WIRE_K_u8: *(uint8_t *)to = (uint8_t)hf_rd_le(r, 1); return;
	case HF_WIRE_K_u32: *(uint32_t *)to = (uint32_t)hf_rd_le(r, 4); return;
	case HF_WIRE_K_u64:
	case HF_WIRE_K_id: *(uint64_t *)to = hf_rd_le(r, 8); return;
	case HF_WIRE_K_bytes:
	case HF_WIRE_K_sig: *(struct hf_span *)to = hf_rd_lp(r); return;
	case HF_WIRE_K_pad:
		if (hf_rd_le(r, 2) != 0 && r->err == HF_E_OK)
			r->err = HF_E_PAD;
		*(uint16_t *)to = 0;
		return;
	}
}

enum hf_err hf_wire_encode(struct hf_wr *w, const struct hf_wire_msg *m, enum hf_wire_part part)
{
	const struct hf_wire_shape *s = hf_wire_shape(m->type);

	if (m->version != HF_WIRE_V5)
		return HF_E_VERSION;
	if (!s)
		return HF_E_TYPE;
	if (m->token.len == 0)
		return HF_E_TOKEN;
	for (size_t i = 0; i < head_count(m->type); i++)
		if (part == HF_WIRE_WHOLE || head[i].kind != HF_WIRE_K_sig)
			put_field(w, &head[i], m);
	for (size_t i = 0; i < s->count; i++)
		put_field(w, &s->field[i], m);
	return w->err;
}

enum hf_err hf_wire_peek(struct hf_span in, struct hf_wire_msg *out)
{
	struct hf_rd r = hf_rd_of(in);
	struct hf_wire_msg m = {0};

	for (size_t i = 0; i < HEAD_GENERIC; i++)
		get_field(&r, &head[i], &m);
	if (r.err != HF_E_OK)
		return r.err;
	if (m.version != HF_WIRE_V5)
		return HF_E_VERSION;
	*out = m;
	return HF_E_OK;
}

enum hf_err hf_wire_decode(struct hf_span in, struct hf_wire_msg *out, struct hf_wire_covered *covered)
{
	struct hf_rd r = hf_rd_of(in);
	struct hf_wire_msg m;
	enum hf_err err = hf_wire_peek(in, &m);

	if (err != HF_E_OK)
		return err;
	const struct hf_wire_shape *s = hf_wire_shape(m.type);
	if (!s)
		return HF_E_TYPE;
	if (m.token.len == 0)
		return HF_E_TOKEN;
	size_t cut = (size_t)(m.token.ptr + m.token.len - in.ptr), body = cut;
	(void)hf_rd_take(&r, cut);
	if (head_count(m.type) == HEAD_COUNT) {
		get_field(&r, &head[HEAD_COUNT - 1], &m);
		body = (size_t)(r.at - in.ptr);
	}
	for (size_t i = 0; i < s->count; i++)
		get_field(&r, &s->field[i], &m);
	err = hf_rd_finish(&r);
	if (err != HF_E_OK)
		return err;
	*out = m;
	if (covered) {
		covered->piece[0] = hf_span_of(in.ptr, cut);
		covered->piece[1] = hf_span_of(in.ptr + body, in.len - body);
	}
	return HF_E_OK;
}
