/* upkeep tests - which rows go and which stay, what a clock that jumps may do, when the disk is full. Uses: upkeep, alert, audit, cmocka. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "alert/alert.h"
#include "audit/audit.h"
#include "tests/server_stage.h"
#include "upkeep/upkeep.h"

#define SECOND INT64_C(1000)
#define DAY (24 * 3600 * SECOND)
#define YEAR (365 * DAY)
#define NOW INT64_C(1795381545000) /* 2026-11-22 */
enum { DEVICE_ID = 0xd1, SWEEP_TURNS = 10000 };

static struct stage stage;
static struct conf conf;
static struct upkeep u;

static int set_up(void **state)
{
	(void)state;
	stage_begin(&stage);
	conf = (struct conf){.inbound_days = 30, .disk_reserve_mb = 100};
	u = (struct upkeep){.conf = &conf, .db = stage.db, .facts = &stage.facts};
	assert_int_equal(upkeep_init(&u, NOW, 0), HF_E_OK);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	stage_end(&stage);
	return 0;
}

static void run_args(enum db_query q, const struct db_arg *arg, size_t count)
{
	assert_int_equal(db_exec(stage.db, q, arg, count, NULL), HF_E_OK);
}
#define RUN(q, ...) run_args(q, DB_ARGS(__VA_ARGS__))

static int64_t number(enum db_query q, struct db_arg a)
{
	int64_t v = -1;

	assert_int_equal(db_get_int(stage.db, q, &a, 1, 0, &v), HF_E_OK);
	return v;
}

static void commit(void)
{
	bool committed = db_commit(stage.db) == HF_E_OK;

	upkeep_turn_done(&u, committed);
}

/* Turns until a sweep is through. */
static void sweep(int64_t now_ms)
{
	int64_t again_ms = 0;

	for (unsigned i = 0; i < SWEEP_TURNS; i++) {
		assert_int_equal(upkeep_sweep(&u, now_ms, &again_ms), HF_E_OK);
		commit();
		if (again_ms > 60 * SECOND)
			return;
	}
	fail_msg("a sweep does not end");
}

static void add_device(uint64_t id, const char *type)
{
	RUN(DB_IDENTITY_ADD, db_id(id), db_text("device"), db_text(type), db_text("joined"),
	    db_bytes(hf_span_of(&id, sizeof id)), db_int(NOW), db_null(), db_int(0), db_id(0), db_null());
}

static int64_t add_series(uint64_t device)
{
	RUN(DB_SERIES_ADD, db_id(device), db_text("T"));
	return db_last_key(stage.db);
}

static void add_reading(int64_t series, int64_t at_ms)
{
	RUN(DB_READING_ADD, db_int(series), db_int(at_ms), db_text("bytes"), db_null(), db_bytes(hf_span_of("x", 1)));
}

/* Readings of a series, as the unbounded delete would take them. */
static int64_t count_readings(int64_t series)
{
	int64_t count = 0;

	assert_int_equal(db_mark(stage.db), HF_E_OK);
	assert_int_equal(db_exec(stage.db, DB_RETAIN_READINGS,
	                         DB_ARGS(db_int(series), db_int(INT64_MAX), db_int(-1), db_int(INT64_MAX)), &count),
	                 HF_E_OK);
	assert_int_equal(db_settle(stage.db, false), HF_E_OK);
	return count;
}

static void put_type(const char *document)
{
	static struct type_profile p;
	char why[TYPE_WHY_MAX];

	assert_int_equal(type_parse(hf_span_text(document), &p, why), HF_E_OK);
	assert_int_equal(type_put(stage.db, &p, hf_span_text(document), "test", NOW), HF_E_OK);
}

/* --- which rows go ---------------------------------------------------------------------------------------------------------- */

static void readings_go_by_key_and_by_type(void **state)
{
	static const struct {
		const char *type;
		int64_t days, kept; /* days: the key's */
	} cases[] = {
		{"plain", 0, 500}, {"plain", 100, 99}, {"plain", 1000, 500},
		{"short", 100, 9}, {"ever", 100, 500}, {"short", 0, 9},
	};
	int64_t series[COUNT(cases)];

	(void)state;
	put_type("{\"name\":\"plain\"}");
	put_type("{\"name\":\"short\",\"readings_days\":10}");
	put_type("{\"name\":\"ever\",\"readings_days\":0}");
	for (size_t i = 0; i < COUNT(cases); i++) {
		add_device(DEVICE_ID + i, cases[i].type);
		series[i] = add_series(DEVICE_ID + i);
		for (int64_t d = 1; d <= 500; d++) /* 1 to 500 days old, and a little */
			add_reading(series[i], NOW - d * DAY - 1);
		conf.readings_days = cases[i].days;
		u.type[0] = '\0';
		sweep(NOW);
		assert_int_equal(count_readings(series[i]), cases[i].kept);
		for (size_t j = 0; j < i; j++) /* so that the next case begins alone */
			assert_true(count_readings(series[j]) <= cases[j].kept);
	}
}

static void a_slice_is_short_and_many_rows_still_go(void **state)
{
	int64_t series, again_ms = 0, longest = 0;
	unsigned turns = 0;

	(void)state;
	conf.readings_days = 1;
	add_device(DEVICE_ID, "x");
	series = add_series(DEVICE_ID);
	for (int64_t i = 0; i < 20000; i++)
		add_reading(series, NOW - 2 * DAY - i);
	commit();
	for (; again_ms < 60 * SECOND; turns++) {
		int64_t start = os_monotonic_ms();

		assert_int_equal(upkeep_sweep(&u, NOW, &again_ms), HF_E_OK);
		int64_t took = os_monotonic_ms() - start;

		longest = took > longest ? took : longest;
		commit();
	}
	print_message("20,000 rows in %u turns, the longest %lld ms\n", turns, (long long)longest);
	assert_int_equal(count_readings(series), 0);
	assert_int_equal(u.removed[UPKEEP_readings], 20000);
	assert_true(turns > 1);
}

static void add_inbound(uint64_t device, int64_t generation, uint64_t sequence, int64_t at_ms)
{
	RUN(DB_INBOUND_ADD, db_id(device), db_int(generation), db_seq(sequence), db_int(1), db_bytes(hf_span_of("t", 1)),
	    db_int(at_ms));
}

static int64_t newest_inbound(uint64_t device, int64_t generation, uint64_t *highest)
{
	struct db_rows r = db_select(stage.db, DB_INBOUND_NEWEST, DB_ARGS(db_id(device), db_int(generation)));
	int64_t count = 0;

	*highest = 0;
	for (; db_step(&r); count++)
		if (count == 0)
			*highest = db_col_seq(&r, 0);
	assert_int_equal(db_finish(&r), HF_E_OK);
	return count;
}

static int64_t inbound_is_there(uint64_t device, uint64_t sequence)
{
	int64_t same = 0;

	assert_int_equal(db_get_int(stage.db, DB_INBOUND_SAME,
	                            DB_ARGS(db_id(device), db_int(0), db_seq(sequence), db_int(1),
	                                    db_bytes(hf_span_of("t", 1))),
	                            0, &same),
	                 HF_E_OK);
	return same;
}

/* The replay window lives on the newest 64 rows, however old they are. */
static void M3_the_replay_window_outlives_retention(void **state)
{
	uint64_t highest = 0, high_bits = UINT64_C(1) << 63;

	(void)state;
	add_device(DEVICE_ID, "x");
	add_device(high_bits, "x"); /* the smallest key there is, as the database counts */
	for (uint64_t s = 1; s <= 1000; s++) {
		add_inbound(DEVICE_ID, 0, s, NOW - YEAR);
		add_inbound(high_bits, 0, high_bits + s, s <= 500 ? NOW - 31 * DAY : NOW - 29 * DAY);
	}
	sweep(NOW);
	assert_int_equal(newest_inbound(DEVICE_ID, 0, &highest), 64);
	assert_true(highest == 1000);
	assert_true(inbound_is_there(DEVICE_ID, 937) == 1 && inbound_is_there(DEVICE_ID, 936) == 0);
	assert_true(inbound_is_there(high_bits, high_bits + 500) == 0 && inbound_is_there(high_bits, high_bits + 501) == 1);
	assert_int_equal(u.removed[UPKEEP_inbound], 936 + 500);
}

static void older_generations_keep_their_highest(void **state)
{
	uint64_t highest = 0;

	(void)state;
	add_device(DEVICE_ID, "x");
	for (uint64_t s = 1; s <= 100; s++)
		add_inbound(DEVICE_ID, -1, s, NOW - YEAR); /* the one in force is 0 */
	add_inbound(DEVICE_ID, 0, 5, NOW - YEAR);
	sweep(NOW);
	assert_true(newest_inbound(DEVICE_ID, -1, &highest) == 1 && highest == 100);
	assert_true(newest_inbound(DEVICE_ID, 0, &highest) == 1 && highest == 5);
}

/* Stored while the clock was thirty years ahead: they must not stand in the way of those behind them for so long. */
static void rows_from_the_future_do_not_block(void **state)
{
	uint64_t highest = 0;

	(void)state;
	add_device(DEVICE_ID, "x");
	for (uint64_t s = 1; s <= 300; s++)
		add_inbound(DEVICE_ID, 0, s, NOW + 30 * YEAR);
	for (uint64_t s = 301; s <= 600; s++)
		add_inbound(DEVICE_ID, 0, s, NOW - YEAR);
	sweep(NOW);
	assert_true(newest_inbound(DEVICE_ID, 0, &highest) == 64 && highest == 600);
	assert_true(inbound_is_there(DEVICE_ID, 1) == 0 && inbound_is_there(DEVICE_ID, 400) == 0);
}

static void count_event(void *ctx)
{
	(*(unsigned *)ctx)++;
}
static bool each_event(void *ctx, const struct audit_entry *e)
{
	if (strcmp(e->event, "retention.removed") != 0)
		count_event(ctx);
	return true;
}
static bool each_note(void *ctx, const struct audit_entry *e)
{
	if (strcmp(e->event, "retention.removed") == 0)
		count_event(ctx);
	return true;
}

static void events_commands_alerts_certificates(void **state)
{
	static const int64_t ages[] = {1, 99, 101, 5000};
	unsigned events = 0;
	char token[2] = "a";

	(void)state;
	conf.events_days = conf.commands_days = conf.alerts_days = conf.ended_certificates_days = 100;
	for (size_t i = 0; i < COUNT(ages); i++, token[0]++) {
		int64_t at = NOW - ages[i] * DAY;

		RUN(DB_EVENT_ADD, db_int(at), db_text("x"), db_text("y"), db_null(), db_text(""));
		RUN(DB_COMMAND_ADD, db_id(DEVICE_ID), db_text("ACTION"), db_text("1"), db_null(), db_text(token), db_text("x"),
		    db_int(at), db_int(at));
		if (ages[i] != 5000) /* one that was never answered stays until it is */
			RUN(DB_COMMAND_ANSWER, db_null(), db_null(), db_int(at), db_int(db_last_key(stage.db)));
		RUN(DB_ALERT_RAISE, db_id(DEVICE_ID), db_text(token), db_text("x"), db_int(at));
		if (ages[i] != 5000) /* one that is still open */
			RUN(DB_ALERT_CLEAR, db_int(at), db_text("x"), db_int(db_last_key(stage.db)));
		RUN(DB_CERTIFICATE_ADD, db_text(token), db_id(DEVICE_ID), db_int(0), db_int(at));
	}
	sweep(NOW);
	assert_int_equal(u.removed[UPKEEP_events], 2);
	assert_int_equal(u.removed[UPKEEP_commands], 1);
	assert_int_equal(u.removed[UPKEEP_alerts], 1);
	assert_int_equal(u.removed[UPKEEP_certificates], 2);
	assert_int_equal(audit_list(stage.db, 0, 100, each_event, &events), HF_E_OK);
	assert_int_equal(events, 2);
}

static void one_event_a_day_says_what_went(void **state)
{
	unsigned notes = 0;

	(void)state;
	conf.events_days = 100;
	for (unsigned i = 0; i < 3; i++) {
		RUN(DB_EVENT_ADD, db_int(NOW - 200 * DAY), db_text("x"), db_text("y"), db_null(), db_text(""));
		sweep(NOW);
	}
	assert_int_equal(audit_list(stage.db, 0, 100, each_note, &notes), HF_E_OK);
	assert_int_equal(notes, 1);
	assert_int_equal(u.removed[UPKEEP_events], 3);
}

static void a_failed_turn_removes_nothing(void **state)
{
	int64_t series, again_ms = 0;

	(void)state;
	conf.readings_days = 1;
	add_device(DEVICE_ID, "x");
	series = add_series(DEVICE_ID);
	for (int64_t i = 0; i < 10; i++)
		add_reading(series, NOW - 2 * DAY);
	commit();
	db_fail_commit(stage.db, 1);
	assert_int_equal(upkeep_sweep(&u, NOW, &again_ms), HF_E_OK);
	commit();
	assert_int_equal(count_readings(series), 10);
	assert_int_equal(u.removed[UPKEEP_readings], 0);
	sweep(NOW);
	assert_int_equal(u.removed[UPKEEP_readings], 10);
}

/* --- the clock -------------------------------------------------------------------------------------------------------------- */

struct look {
	int64_t now_ms, mono_ms, jump_ms;
	bool doubted;
};
static void looks(const struct look *l, size_t count)
{
	struct upkeep_clock c;

	upkeep_clock_init(&c, NOW, NOW, 0);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(upkeep_clock_look(&c, l[i].now_ms, l[i].mono_ms), l[i].jump_ms);
		assert_int_equal(c.doubted, l[i].doubted);
	}
}
#define LOOKS(...) looks((const struct look[]){__VA_ARGS__}, COUNT(((const struct look[]){__VA_ARGS__})))

static void jumps_are_seen(void **state)
{
	(void)state;
	/* steady, also over a long sleep; a minute is no jump, a little more is; it is told once */
	LOOKS({NOW + SECOND, SECOND, 0, false}, {NOW + YEAR, YEAR, 0, false});
	LOOKS({NOW + 61 * SECOND, SECOND, 0, false}, {NOW + 63 * SECOND, 3 * SECOND, 0, false});
	LOOKS({NOW + 62 * SECOND, SECOND, 61 * SECOND, false}, {NOW + 63 * SECOND, 2 * SECOND, 0, false});
	LOOKS({NOW - 62 * SECOND, SECOND, -63 * SECOND, false});
	/* thirty years on: doubted; and back again: believed at once */
	LOOKS({NOW + 30 * YEAR, 0, 30 * YEAR, true}, {NOW + 30 * YEAR + SECOND, SECOND, 0, true},
	      {NOW + 2 * SECOND, 2 * SECOND, -30 * YEAR, false});
	/* a year back: doubted until it has stayed so for a week */
	LOOKS({NOW - YEAR, 0, -YEAR, true}, {NOW - YEAR + 6 * DAY, 6 * DAY, 0, true},
	      {NOW - YEAR + 7 * DAY, 7 * DAY, 0, false}, {NOW - YEAR + 8 * DAY, 8 * DAY, 0, false});
	/* another jump on the sixth day: the week begins anew */
	LOOKS({NOW + YEAR, 0, YEAR, true}, {NOW + YEAR + 6 * DAY, 6 * DAY, 0, true},
	      {NOW + 2 * YEAR + 6 * DAY, 6 * DAY, YEAR, true}, {NOW + 2 * YEAR + 12 * DAY, 12 * DAY, 0, true},
	      {NOW + 2 * YEAR + 13 * DAY, 13 * DAY, 0, false});
}

static const int64_t odd_times[] = {INT64_MIN,
                                    INT64_MIN / 2,
                                    -1,
                                    0,
                                    (INT64_C(2147483647) + 1) * 1000,
                                    INT64_C(4294967296) * 1000,
                                    INT64_C(253402300800000),
                                    INT64_MAX / 2,
                                    INT64_MAX};

/* From any time to any other: no overflow, and back where it was it is believed again. */
static void any_time_will_do(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(odd_times); i++)
		for (size_t j = 0; j < COUNT(odd_times); j++) {
			struct upkeep_clock c;

			upkeep_clock_init(&c, odd_times[i], odd_times[i], 0);
			(void)upkeep_clock_look(&c, odd_times[j], SECOND);
			double far = (double)odd_times[i] - (double)odd_times[j];

			assert_int_equal(c.doubted, far > (double)DAY || far < (double)-DAY);
			(void)upkeep_clock_look(&c, odd_times[i], 2 * SECOND);
			assert_false(c.doubted);
		}
}

static void a_doubted_clock_removes_nothing(void **state)
{
	int64_t series, again_ms = 0;
	bool jumped = false;

	(void)state;
	conf.readings_days = 1;
	add_device(DEVICE_ID, "x");
	series = add_series(DEVICE_ID);
	add_reading(series, NOW);
	assert_int_equal(upkeep_tick(&u, NOW + 30 * YEAR, SECOND, &jumped), HF_E_OK);
	assert_true(jumped && u.clock_jumps == 1);
	assert_int_equal(upkeep_sweep(&u, NOW + 30 * YEAR, &again_ms), HF_E_OK);
	assert_int_equal(count_readings(series), 1);
	assert_int_equal(upkeep_tick(&u, NOW + 2 * SECOND, 2 * SECOND, &jumped), HF_E_OK);
	assert_true(jumped && !u.clock.doubted && u.clock_jumps == 2);
	sweep(NOW + 2 * SECOND);
	assert_int_equal(count_readings(series), 1);
	sweep(NOW + 2 * DAY); /* and when it really is that late */
	assert_int_equal(count_readings(series), 0);
}

/* What was sure before it stopped is compared with what the clock says at start. */
static void the_clock_is_doubted_over_a_restart(void **state)
{
	bool jumped = false;

	(void)state;
	assert_int_equal(upkeep_tick(&u, NOW + SECOND, SECOND, &jumped), HF_E_OK);
	commit();
	stage_restart(&stage);
	u = (struct upkeep){.conf = &conf, .db = stage.db, .facts = &stage.facts};
	assert_int_equal(upkeep_init(&u, NOW + 3600 * SECOND, 5), HF_E_OK);
	assert_false(u.clock.doubted);
	assert_int_equal(upkeep_init(&u, NOW + 30 * YEAR, 5), HF_E_OK);
	assert_true(u.clock.doubted);
	assert_int_equal(upkeep_tick(&u, NOW + 30 * YEAR + 4000 * SECOND, 4000 * SECOND, &jumped), HF_E_OK);
	commit();
	assert_int_equal(upkeep_init(&u, NOW + 30 * YEAR, 5), HF_E_OK); /* a doubted time is not noted */
	assert_true(u.clock.doubted);
	assert_int_equal(number(DB_SETTING_GET, db_text("clock_ms")), NOW + SECOND);
}

/* A sweep under every clock that is believed: nothing overflows. */
static void sweeps_at_odd_times(void **state)
{
	(void)state;
	conf.readings_days = conf.events_days = 36500;
	add_device(DEVICE_ID, "x");
	for (size_t i = 1; i + 1 < COUNT(odd_times); i++) {
		assert_int_equal(upkeep_init(&u, odd_times[i], 0), HF_E_OK);
		upkeep_clock_init(&u.clock, odd_times[i], odd_times[i], 0);
		add_reading(add_series(DEVICE_ID + i), odd_times[i]);
		sweep(odd_times[i]);
	}
}

/* --- the disk --------------------------------------------------------------------------------------------------------------- */

static void a_full_disk_is_told_once(void **state)
{
	static const struct {
		int64_t free_mb;
		bool low;
		int64_t alerts;
	} looks[] = {{500, false, 0}, {100, false, 0}, {99, true, 1}, {5, true, 1},
	             {110, true, 1},  {125, false, 0}, {0, true, 1}};

	(void)state;
	for (size_t i = 0; i < COUNT(looks); i++) {
		int64_t alerts = -1;

		assert_int_equal(upkeep_room(&u, looks[i].free_mb * 1024 * 1024), HF_E_OK);
		assert_int_equal(u.disk_low, looks[i].low);
		assert_int_equal(alert_count(stage.db, &alerts), HF_E_OK);
		assert_int_equal(alerts, looks[i].alerts);
	}
	assert_int_equal(upkeep_room(&u, -1), HF_E_OK); /* not known: what was said stands */
	assert_true(u.disk_low);
	conf.disk_reserve_mb = 0;
	assert_int_equal(upkeep_room(&u, 0), HF_E_OK);
	assert_false(u.disk_low);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(readings_go_by_key_and_by_type),
		CASE(a_slice_is_short_and_many_rows_still_go),
		CASE(M3_the_replay_window_outlives_retention),
		CASE(older_generations_keep_their_highest),
		CASE(rows_from_the_future_do_not_block),
		CASE(events_commands_alerts_certificates),
		CASE(one_event_a_day_says_what_went),
		CASE(a_failed_turn_removes_nothing),
		CASE(jumps_are_seen),
		CASE(any_time_will_do),
		CASE(a_doubted_clock_removes_nothing),
		CASE(the_clock_is_doubted_over_a_restart),
		CASE(sweeps_at_odd_times),
		CASE(a_full_disk_is_told_once),
	};

	return cmocka_run_group_tests_name("upkeep", tests, NULL, NULL);
}
