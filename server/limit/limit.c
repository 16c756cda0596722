/* limit - token buckets, each kept as the time until which it owes. Uses: base. */
#include "limit/limit.h"

#include <string.h>

enum { MINUTE_US = 60000000 };
static const int64_t burst_us = (int64_t)LIMIT_BURST_MS * 1000;

void limit_init(struct limit_table *t, uint64_t seed)
{
	memset(t, 0, sizeof *t);
	t->seed = seed;
}

void limit_rules(struct limit_table *t, const struct limit_rule rule[LIMIT_CLASS_COUNT_])
{
	memcpy(t->rule, rule, sizeof t->rule);
}

/* Until when the bucket would owe after one more. */
static int64_t after_one(const struct limit_slot *s, enum limit_class class, int64_t per_minute, int64_t now_us)
{
	int64_t from = s->until_us[class] > now_us ? s->until_us[class] : now_us;

	return per_minute > 0 ? from + MINUTE_US / per_minute : 0;
}

/* A slot whose buckets are all full says nothing that a new one would not say. */
static bool is_free(const struct limit_slot *s, int64_t now_us)
{
	for (size_t i = 0; i < LIMIT_CLASS_COUNT_; i++)
		if (s->until_us[i] > now_us)
			return false;
	return true;
}

static size_t set_of(const struct limit_table *t, uint64_t address)
{
	uint64_t h = (address ^ t->seed) * UINT64_C(0x9e3779b97f4a7c15);

	h = (h ^ h >> 29) * (t->seed | 1);
	return (size_t)(h >> 32) % (LIMIT_ADDRESSES / LIMIT_WAYS) * LIMIT_WAYS;
}

/* The address' own slot or a free one; NULL when others owe in all of them: nobody's debt is forgotten for a newcomer. */
static struct limit_slot *slot_of(struct limit_table *t, uint64_t address, int64_t now_us)
{
	struct limit_slot *set = &t->slot[set_of(t, address)], *room = NULL;

	for (size_t i = 0; i < LIMIT_WAYS; i++) {
		if (set[i].address == address)
			return &set[i];
		if (!room && is_free(&set[i], now_us))
			room = &set[i];
	}
	return room;
}

int64_t limit_take(struct limit_table *t, enum limit_class class, uint64_t address, int64_t now_ms)
{
	const struct limit_rule *rule = &t->rule[class];
	int64_t now_us = now_ms * 1000, each = rule->each;
	struct limit_slot *s = slot_of(t, address, now_us);

	if (!s) {
		s = &t->strangers;
		each *= LIMIT_STRANGERS;
		t->crowded++;
	} else if (s->address != address) {
		*s = (struct limit_slot){.address = address};
	}
	int64_t own = after_one(s, class, each, now_us), all = after_one(&t->all, class, rule->all, now_us);
	int64_t late_us = (own > all ? own : all) - now_us - burst_us;

	if (late_us > 0) {
		t->refused[class]++;
		return (late_us + 999) / 1000;
	}
	s->until_us[class] = own;
	t->all.until_us[class] = all;
	return 0;
}
