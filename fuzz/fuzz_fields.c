/* fuzz - messages from their fields: a message of any type, filled from the input, encodes, decodes to the same fields and encodes
 * to the same bytes; what is printed of it, read by another JSON parser, says the same. fuzz_wire begins with bytes.
 * Input: type (one byte, counted through the table), then the fields in order, bytes with two bytes of length before them.
 * Uses: wire; jansson by way of type. */
#include "fuzz/fuzz.h"
#include "type/type.h"
#include "wire/wire.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { ENOUGH = 1 << 20, SHAPES = 31 };

static void check(bool good)
{
	if (!good)
		abort();
}

static const void *at(const struct hf_wire_msg *m, const struct hf_wire_field *f)
{
	return (const uint8_t *)m + f->at;
}

static void fill(struct hf_rd *r, const struct hf_wire_field *f, struct hf_wire_msg *m)
{
	void *to = (uint8_t *)m + f->at;

	switch ((enum hf_wire_kind)f->kind) {
	case HF_WIRE_K_u8: *(uint8_t *)to = (uint8_t)hf_rd_be(r, 1); return;
	case HF_WIRE_K_u32: *(uint32_t *)to = (uint32_t)hf_rd_be(r, 4); return;
	case HF_WIRE_K_u64:
	case HF_WIRE_K_id: *(uint64_t *)to = hf_rd_be(r, 8); return;
	case HF_WIRE_K_bytes:
	case HF_WIRE_K_sig: *(struct hf_span *)to = hf_rd_lp(r); return;
	case HF_WIRE_K_pad: return;
	}
}

static bool same(const struct hf_wire_field *f, const struct hf_wire_msg *a, const struct hf_wire_msg *b)
{
	const void *x = at(a, f), *y = at(b, f);

	switch ((enum hf_wire_kind)f->kind) {
	case HF_WIRE_K_u8: return *(const uint8_t *)x == *(const uint8_t *)y;
	case HF_WIRE_K_u32: return *(const uint32_t *)x == *(const uint32_t *)y;
	case HF_WIRE_K_u64:
	case HF_WIRE_K_id: return *(const uint64_t *)x == *(const uint64_t *)y;
	case HF_WIRE_K_bytes:
	case HF_WIRE_K_sig: return hf_span_equal(*(const struct hf_span *)x, *(const struct hf_span *)y);
	case HF_WIRE_K_pad: return true;
	}
	return false;
}

/* Does the printed value stand for what the field holds? */
static bool says(const json_t *v, const struct hf_wire_field *f, const struct hf_wire_msg *m)
{
	static uint8_t bytes[ENOUGH];
	struct hf_wr w = hf_wr_of(bytes, sizeof bytes);
	struct hf_span text = hf_span_of(json_string_value(v), json_string_length(v));
	struct hf_rd r;
	uint64_t number = 0;

	switch ((enum hf_wire_kind)f->kind) {
	case HF_WIRE_K_u8: return json_integer_value(v) == *(const uint8_t *)at(m, f);
	case HF_WIRE_K_u32: return json_integer_value(v) == *(const uint32_t *)at(m, f);
	case HF_WIRE_K_u64: return hf_dec_parse(text, &number) == HF_E_OK && number == *(const uint64_t *)at(m, f);
	case HF_WIRE_K_id:
		r = hf_rd_of(hf_span_of(bytes, 8));
		return hf_hex_decode(text, &w) == HF_E_OK && w.len == 8 && hf_rd_be(&r, 8) == *(const uint64_t *)at(m, f);
	case HF_WIRE_K_bytes:
		return json_is_string(v) && hf_hex_decode(text, &w) == HF_E_OK &&
		       hf_span_equal(hf_wr_span(&w), *(const struct hf_span *)at(m, f));
	case HF_WIRE_K_sig:
	case HF_WIRE_K_pad: return v == NULL;
	}
	return false;
}

/* The fields of a type, head first: i from 0 until NULL. */
static const struct hf_wire_field *field_at(const struct hf_wire_shape *s, size_t i)
{
	size_t head = 0;

	while (hf_wire_head_at(head))
		head++;
	if (i < head)
		return hf_wire_head_at(i);
	return i - head < s->count ? &s->field[i - head] : NULL;
}

static void check_printed(const struct hf_wire_shape *s, const struct hf_wire_msg *m)
{
	static uint8_t text[ENOUGH];
	struct hf_wr w = hf_wr_of(text, sizeof text);
	const struct hf_wire_field *f;
	size_t shown = 0;

	check(hf_wire_print(&w, m) == HF_E_OK);
	json_t *doc = json_loadb((const char *)text, w.len, JSON_REJECT_DUPLICATES, NULL);

	check(json_is_object(doc));
	for (size_t i = 0; (f = field_at(s, i)); i++) {
		const json_t *v = json_object_get(doc, f->name);

		check(says(v, f, m));
		shown += v != NULL;
	}
	check(shown == json_object_size(doc));
	json_decref(doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t first[ENOUGH], second[ENOUGH];
	struct hf_rd r = hf_rd_of(hf_span_of(data, size));
	const struct hf_wire_shape *s = hf_wire_shape_at(hf_rd_be(&r, 1) % SHAPES);
	struct hf_wr w = hf_wr_of(first, sizeof first), v = hf_wr_of(second, sizeof second);
	struct hf_wire_msg m = {.version = HF_WIRE_V5, .type = s->code}, back;
	const struct hf_wire_field *f;

	for (size_t i = 0; (f = field_at(s, i)); i++)
		fill(&r, f, &m);
	if (m.token.len == 0)
		m.token = hf_span_text("t");
	if (m.type == HF_WIRE_GENERIC)
		m.signature = hf_span_of(NULL, 0);
	if (r.err != HF_E_OK)
		return 0;
	check(hf_wire_encode(&w, &m, HF_WIRE_WHOLE) == HF_E_OK);
	check(hf_wire_decode(hf_wr_span(&w), &back, NULL) == HF_E_OK);
	check(back.version == m.version && back.type == m.type);
	for (size_t i = 0; (f = field_at(s, i)); i++)
		check(same(f, &m, &back));
	check(hf_wire_encode(&v, &back, HF_WIRE_WHOLE) == HF_E_OK);
	check(hf_span_equal(hf_wr_span(&w), hf_wr_span(&v)));
	check_printed(s, &back);
	return 0;
}
