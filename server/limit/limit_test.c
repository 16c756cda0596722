/* limit tests - what an address may take, what all may take, and what a full table does. Uses: limit, cmocka. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "limit/limit.h"

enum { NOW = 1000000, EACH = 60, ALL = 600, BURST = EACH * 5, SEED = 0x1234567 };

static struct limit_table table;

static int set_up(void **state)
{
	static const struct limit_rule rules[LIMIT_CLASS_COUNT_] = {
		[LIMIT_KEYEX] = {EACH, ALL}, [LIMIT_LOGIN] = {EACH, 0}, [LIMIT_API] = {0, 0}};

	(void)state;
	limit_init(&table, SEED);
	limit_rules(&table, rules);
	return 0;
}

/* How many of count requests at that moment pass. */
static unsigned passed(enum limit_class class, uint64_t address, unsigned count, int64_t now_ms)
{
	unsigned good = 0;

	for (unsigned i = 0; i < count; i++)
		good += limit_take(&table, class, address, now_ms) == 0;
	return good;
}

static void K6_one_address_is_limited(void **state)
{
	(void)state;
	assert_int_equal(passed(LIMIT_KEYEX, 1, 1000, NOW), BURST);
	assert_int_equal(table.refused[LIMIT_KEYEX], 1000 - BURST);
	assert_int_equal(passed(LIMIT_KEYEX, 1, 1000, NOW + 10000), 10); /* one a second comes back */
	assert_int_equal(passed(LIMIT_KEYEX, 1, 1000, NOW + 100 * 60000), BURST); /* and never more than the bucket holds */
}

static void K6_the_wait_that_is_told_is_enough(void **state)
{
	(void)state;
	assert_int_equal(passed(LIMIT_KEYEX, 1, BURST, NOW), BURST);
	int64_t wait = limit_take(&table, LIMIT_KEYEX, 1, NOW);

	assert_int_equal(wait, 1000);
	assert_int_not_equal(limit_take(&table, LIMIT_KEYEX, 1, NOW + wait - 1), 0);
	assert_int_equal(limit_take(&table, LIMIT_KEYEX, 1, NOW + wait), 0);
}

static void K6_one_address_does_not_shut_out_others(void **state)
{
	(void)state;
	(void)passed(LIMIT_KEYEX, 1, 100000, NOW);
	assert_int_equal(passed(LIMIT_KEYEX, 2, 1000, NOW), BURST);
}

static void K6_all_together_are_limited(void **state)
{
	unsigned good = 0;

	(void)state;
	for (uint64_t address = 1; address <= 100; address++)
		good += passed(LIMIT_KEYEX, address, BURST, NOW);
	assert_int_equal(good, ALL * 5);
	assert_int_equal(passed(LIMIT_KEYEX, 101, 100, NOW + 1000), 10);
}

static void classes_are_apart(void **state)
{
	(void)state;
	assert_int_equal(passed(LIMIT_KEYEX, 1, 1000, NOW), BURST);
	assert_int_equal(passed(LIMIT_LOGIN, 1, 1000, NOW), BURST);
	assert_int_equal(passed(LIMIT_API, 1, 100000, NOW), 100000); /* 0: no limit */
}

/* More addresses than the table has room for: those in it keep their debts, newcomers share a bucket, nobody is shut out for good. */
static void K6_full_table(void **state)
{
	unsigned good = 0;

	(void)state;
	for (uint64_t address = 1; address <= 10 * LIMIT_ADDRESSES; address++)
		good += passed(LIMIT_LOGIN, address, BURST, NOW);
	assert_true(table.crowded > 0);
	assert_true(good <= (LIMIT_ADDRESSES + LIMIT_STRANGERS) * BURST);
	assert_int_equal(passed(LIMIT_LOGIN, 1, 10, NOW), 0);
	assert_int_equal(passed(LIMIT_LOGIN, UINT64_C(1) << 40, 100, NOW), 0);
	assert_int_equal(passed(LIMIT_LOGIN, UINT64_C(1) << 40, 100, NOW + 1000), LIMIT_STRANGERS);
	assert_int_equal(passed(LIMIT_LOGIN, UINT64_C(1) << 41, 1000, NOW + LIMIT_BURST_MS),
	                 BURST); /* debts are paid: room again */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(K6_one_address_is_limited, set_up),
		cmocka_unit_test_setup(K6_the_wait_that_is_told_is_enough, set_up),
		cmocka_unit_test_setup(K6_one_address_does_not_shut_out_others, set_up),
		cmocka_unit_test_setup(K6_all_together_are_limited, set_up),
		cmocka_unit_test_setup(classes_are_apart, set_up),
		cmocka_unit_test_setup(K6_full_table, set_up),
	};

	return cmocka_run_group_tests_name("limit", tests, NULL, NULL);
}
