/* session - counted gaps in what a device says. Uses: seal registry. The rule stands in session_internal.h. */
#include "session/session_internal.h"

static void count_gap(struct session *s, uint64_t base, uint64_t id, int64_t now_ms)
{
	struct registry_gaps *g = &s->identity.gaps;
	uint64_t missed = (id - base - 1) / HF_SEAL_GAP;
	bool restart = g->block != 0 && id == g->block + HF_SEAL_GAP;

	g->count++;
	g->last_ms = now_ms;
	if (restart || s->identity.behind || missed > SESSION_MISSED_MAX) {
		g->unsized++;
		return;
	}
	g->missed += (int64_t)missed;
	s->gap = (struct session_gap){.after = s->heard, .before = id, .open = (int64_t)missed};
}

/* Overtaken: does it belong to the newest gap? */
static bool fill_gap(struct session *s, uint64_t id)
{
	struct registry_gaps *g = &s->identity.gaps;

	if (s->gap.open == 0 || id <= s->gap.after || id >= s->gap.before)
		return false;
	g->missed--;
	g->count -= --s->gap.open == 0;
	return true;
}

bool session_gap_heard(struct session *s, uint64_t id, int64_t now_ms)
{
	struct registry_gaps *g = &s->identity.gaps;
	uint64_t base = s->heard > s->counter.last ? s->heard : s->counter.last;
	bool gap = s->heard != 0 && id > base && id - base > HF_SEAL_GAP, reserves = id > g->block;

	if (id < s->heard)
		return fill_gap(s, id);
	if (gap)
		count_gap(s, base, id, now_ms);
	if (reserves)
		g->block = id + HF_SEAL_BLOCK;
	return gap || reserves;
}
