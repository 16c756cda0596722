/* facts - typed facts of a turn. Uses: base. */
#include "facts/facts.h"

void facts_subscribe(struct facts *f, facts_subscriber call, void *ctx)
{
	if (f->subscribers == FACTS_SUBSCRIBERS)
		return;
	f->subscriber[f->subscribers].call = call;
	f->subscriber[f->subscribers].ctx = ctx;
	f->subscribers++;
}

void facts_emit(struct facts *f, enum facts_kind kind, uint64_t device)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->fact[i].kind == kind && f->fact[i].device == device)
			return;
	if (f->count == FACTS_A_TURN) {
		f->overflow = true;
		f->lost++;
		return;
	}
	f->fact[f->count++] = (struct facts_fact){kind, device};
}

void facts_turn_done(struct facts *f, bool committed)
{
	size_t count = f->overflow ? 0 : f->count;

	for (size_t i = 0; i < f->subscribers && committed && (f->count > 0); i++)
		f->subscriber[i].call(f->subscriber[i].ctx, count ? f->fact : NULL, count);
	f->count = 0;
	f->overflow = false;
}
