/* facts - typed facts of a turn, told to subscribers after its commit and forgotten when it fails. Uses: base. */
#ifndef FACTS_H
#define FACTS_H
#include "base/base.h"

enum facts_kind {
#define FACT(NAME, doc) FACTS_##NAME,
#include "facts/facts.def"
	FACTS_COUNT_
};
struct facts_fact {
	enum facts_kind kind;
	uint64_t device;
};
enum { FACTS_A_TURN = 1024, FACTS_SUBSCRIBERS = 8 };

typedef void (*facts_subscriber)(void *ctx, const struct facts_fact *fact, size_t count);
struct facts {
	struct facts_fact fact[FACTS_A_TURN];
	size_t count;
	uint64_t lost; /* facts beyond FACTS_A_TURN; then overflow makes subscribers look at everything */
	bool overflow;
	struct {
		facts_subscriber call;
		void *ctx;
	} subscriber[FACTS_SUBSCRIBERS];
	size_t subscribers;
};

void facts_subscribe(struct facts *f, facts_subscriber call, void *ctx);
/* Remembers a fact; the same one twice in a turn counts once. device may be 0. */
void facts_emit(struct facts *f, enum facts_kind kind, uint64_t device);
/* After the turn: tells all subscribers (with count 0 and fact NULL when the turn held more than fits), or forgets. */
void facts_turn_done(struct facts *f, bool committed);

#endif
