/* limit - how often an address may ask: token buckets in a table of fixed size. Knows no clock and no socket. Uses: base.
 * Decisions: docs/adr/0007-rate-limits.md. */
#ifndef LIMIT_H
#define LIMIT_H
#include "base/base.h"

enum limit_class {
#define RATE(NAME, key, doc) LIMIT_##NAME,
#include "limit/rates.def"
	LIMIT_CLASS_COUNT_
};
/* A full bucket holds what LIMIT_BURST_MS would bring. Those who found no room in the table share one bucket that holds, and is
 * filled, as LIMIT_STRANGERS addresses. */
enum { LIMIT_ADDRESSES = 8192, LIMIT_WAYS = 8, LIMIT_BURST_MS = 300000, LIMIT_STRANGERS = 8 };

/* Requests a minute of one address, and of all together; 0: no limit. */
struct limit_rule {
	int64_t each, all;
};
/* Until when the bucket owes, in microseconds; in the past: it is full. */
struct limit_slot {
	uint64_t address;
	int64_t until_us[LIMIT_CLASS_COUNT_];
};
struct limit_table {
	struct limit_rule rule[LIMIT_CLASS_COUNT_];
	uint64_t seed;
	struct limit_slot slot[LIMIT_ADDRESSES], strangers, all;
	uint64_t refused[LIMIT_CLASS_COUNT_], crowded; /* crowded: had to take from the strangers' bucket */
};

/* No limits yet. seed: random, so that nobody can choose addresses that meet in the table. */
void limit_init(struct limit_table *t, uint64_t seed);
/* The rules from now on; what an address has used already stays used. */
void limit_rules(struct limit_table *t, const struct limit_rule rule[LIMIT_CLASS_COUNT_]);
/* One request: 0 if it may pass, else how many ms to wait. A refused one costs nothing. now_ms: monotonic. */
int64_t limit_take(struct limit_table *t, enum limit_class class, uint64_t address, int64_t now_ms);

#endif
