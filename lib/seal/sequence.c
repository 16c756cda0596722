/* seal - sequence ids: the window of what was received, the counter of what was sent. Uses: base. */
#include "seal/seal.h"

enum hf_err hf_seal_window_judge(const struct hf_seal_window *w, uint64_t id)
{
	if (id == 0 || id > HF_SEAL_SEQUENCE_MAX)
		return HF_E_SEQUENCE;
	if (id > w->high)
		return HF_E_OK;
	if (w->high - id >= HF_SEAL_WINDOW || (w->seen >> (w->high - id) & 1))
		return HF_E_REPLAY;
	return HF_E_OK;
}

void hf_seal_window_mark(struct hf_seal_window *w, uint64_t id)
{
	if (id <= w->high) {
		w->seen |= UINT64_C(1) << (w->high - id);
		return;
	}
	uint64_t step = id - w->high;

	w->seen = step < HF_SEAL_WINDOW ? w->seen << step | 1 : 1;
	w->high = id;
}

void hf_seal_counter_resume(struct hf_seal_counter *c, uint64_t stored)
{
	*c = (struct hf_seal_counter){stored, stored};
}

enum hf_err hf_seal_counter_take(struct hf_seal_counter *c, uint64_t received, uint64_t *id, bool *must_store)
{
	uint64_t next = (c->last > received ? c->last : received) + HF_SEAL_GAP;

	if (next < HF_SEAL_GAP || next > HF_SEAL_SEQUENCE_MAX)
		return HF_E_SEQUENCE;
	*must_store = next > c->reserved;
	if (*must_store)
		c->reserved = next + HF_SEAL_BLOCK;
	c->last = next;
	*id = next;
	return HF_E_OK;
}
