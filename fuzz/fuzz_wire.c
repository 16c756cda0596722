/* fuzz - messages: what decodes encodes to the same bytes, covers what COVERED says, and prints. Uses: wire. */
#include "fuzz/fuzz.h"
#include "wire/wire.h"

#include <stdlib.h>

enum { ENOUGH = 2 * HF_WIRE_MAX + 4096 };

static void check(bool good)
{
	if (!good)
		abort();
}

static void check_again(struct hf_span in, const struct hf_wire_msg *m, const struct hf_wire_covered *c)
{
	static uint8_t whole[ENOUGH], covered[ENOUGH], joined[ENOUGH], text[ENOUGH];
	struct hf_wr w = hf_wr_of(whole, sizeof whole), v = hf_wr_of(covered, sizeof covered);
	struct hf_wr j = hf_wr_of(joined, sizeof joined), p = hf_wr_of(text, sizeof text);

	check(hf_wire_encode(&w, m, HF_WIRE_WHOLE) == HF_E_OK);
	check(hf_span_equal(hf_wr_span(&w), in));
	check(hf_wire_encode(&v, m, HF_WIRE_COVERED) == HF_E_OK);
	hf_wr_put(&j, c->piece[0]);
	hf_wr_put(&j, c->piece[1]);
	check(hf_span_equal(hf_wr_span(&v), hf_wr_span(&j)));
	check(hf_wire_print(&p, m) == HF_E_OK);
	check(text[0] == '{' && text[p.len - 1] == '}');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hf_span in = hf_span_of(data, size);
	struct hf_wire_msg head, m;
	struct hf_wire_covered c;

	if (size > HF_WIRE_MAX)
		return 0;
	enum hf_err peeked = hf_wire_peek(in, &head), err = hf_wire_decode(in, &m, &c);

	check(hf_wire_decode(in, &m, NULL) == err);
	check(err != HF_E_OK || peeked == HF_E_OK);
	check(peeked == HF_E_OK || err == peeked);
	if (err != HF_E_OK)
		return 0;
	check(m.type == head.type && m.sequence_id == head.sequence_id && m.sender_id == head.sender_id);
	check(hf_span_equal(m.token, head.token) && m.token.len > 0);
	check_again(in, &m, &c);
	return 0;
}
