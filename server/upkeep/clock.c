/* upkeep - what to think of the wall clock: it is compared with the one that cannot jump. Uses: nothing. */
#include "upkeep/upkeep.h"

static int64_t minus(int64_t a, int64_t b)
{
	int64_t d;

	if (__builtin_sub_overflow(a, b, &d))
		return a < 0 ? INT64_MIN : INT64_MAX;
	return d;
}

static bool beyond(int64_t v, int64_t limit)
{
	return v > limit || v < -limit;
}

static void trust(struct upkeep_clock *c)
{
	c->trusted_wall_ms = c->wall_ms;
	c->trusted_mono_ms = c->mono_ms;
	c->doubted = false;
}

/* Near what is to be expected: believed. Further off: only when it stays so. */
static void judge(struct upkeep_clock *c)
{
	int64_t off = minus(minus(c->wall_ms, c->trusted_wall_ms), minus(c->mono_ms, c->trusted_mono_ms));

	if (!beyond(off, UPKEEP_DOUBT_MS)) {
		trust(c);
	} else if (!c->doubted) {
		c->doubted = true;
		c->doubted_mono_ms = c->mono_ms;
	} else if (minus(c->mono_ms, c->doubted_mono_ms) >= UPKEEP_PATIENCE_MS) {
		trust(c);
	}
}

void upkeep_clock_init(struct upkeep_clock *c, int64_t trusted_wall_ms, int64_t now_ms, int64_t mono_ms)
{
	*c = (struct upkeep_clock){.wall_ms = now_ms,
	                           .mono_ms = mono_ms,
	                           .trusted_wall_ms = trusted_wall_ms,
	                           .trusted_mono_ms = mono_ms};
	judge(c);
}

int64_t upkeep_clock_look(struct upkeep_clock *c, int64_t now_ms, int64_t mono_ms)
{
	int64_t jump = minus(minus(now_ms, c->wall_ms), minus(mono_ms, c->mono_ms));

	c->wall_ms = now_ms;
	c->mono_ms = mono_ms;
	if (beyond(jump, UPKEEP_JUMP_MS)) /* another one: the patience begins anew */
		c->doubted = false;
	judge(c);
	return beyond(jump, UPKEEP_JUMP_MS) ? jump : 0;
}
