/* telemetry tests - what readings become, how many series, which are listed. Uses: telemetry, cmocka. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "alert/alert.h"
#include "telemetry/telemetry.h"
#include "tests/server_stage.h"
#include "type/type.h"

#include <math.h>

enum { DEVICE_ID = 0xd1 };

static struct stage stage;
static struct type_profile p;
static const char document[] =
	"{\"name\":\"box\",\"data\":[{\"id\":\"T\",\"kind\":\"double\",\"from\":\"device\"},"
	"{\"id\":\"N\",\"kind\":\"int16\",\"from\":\"device\"},{\"id\":\"S\",\"kind\":\"text\",\"from\":\"device\"},"
	"{\"id\":\"ALARM\",\"kind\":\"int32\",\"from\":\"device\"},{\"id\":\"L\",\"kind\":\"int32\",\"from\":\"server\"}]}";

static int set_up(void **state)
{
	char why[TYPE_WHY_MAX];

	(void)state;
	stage_begin(&stage);
	return type_parse(hf_span_text(document), &p, why) == HF_E_OK ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	stage_end(&stage);
	return 0;
}

static enum hf_err store(const char *name, struct hf_span value, int64_t at_ms)
{
	struct telemetry_sample s = {.name = hf_span_text(name), .value = value, .at_ms = at_ms};

	return telemetry_store(stage.db, &stage.facts, DEVICE_ID, &p, &s);
}

struct listed {
	size_t count;
	struct telemetry_reading reading[32];
	uint8_t bytes[32][16];
};

static void keep(void *ctx, const struct telemetry_reading *r)
{
	struct listed *l = ctx;

	assert_true(l->count < COUNT(l->reading) && r->bytes.len <= sizeof l->bytes[0]);
	l->reading[l->count] = *r;
	if (r->bytes.len > 0)
		memcpy(l->bytes[l->count], r->bytes.ptr, r->bytes.len);
	l->reading[l->count].bytes.ptr = l->bytes[l->count];
	l->count++;
}

/* All that a scan finds, at most limit, from the present end of the table. */
static const struct listed *list(struct telemetry_scan s, int64_t limit)
{
	static struct listed l;

	l = (struct listed){0};
	s.device = DEVICE_ID;
	assert_int_equal(telemetry_last(stage.db, &s.upto), HF_E_OK);
	while (!telemetry_done(&s) && (int64_t)l.count < limit)
		assert_int_equal(telemetry_step(stage.db, &s, limit - (int64_t)l.count, keep, &l), HF_E_OK);
	return &l;
}
#define ALL_TIMES .since_ms = INT64_MIN, .until_ms = INT64_MAX

static const struct telemetry_reading *newest(void)
{
	const struct telemetry_scan s = {ALL_TIMES, .newest_first = true};
	const struct listed *l = list(s, 1);

	assert_int_equal(l->count, 1);
	return &l->reading[0];
}

/* --- numbers ------------------------------------------------------------------------------------------------------- */

struct number_case {
	enum type_kind kind;
	double number;
	size_t len;
	const char *bytes; /* as the reference sends them: little-endian, srup-v5 section 1 */
};

static void numbers_there_and_back(void **state)
{
	static const struct number_case cases[] = {
		{TYPE_INT8, -128, 1, "\x80"},
		{TYPE_INT8, 127, 1, "\x7f"},
		{TYPE_INT16, -2, 2, "\xfe\xff"},
		{TYPE_INT16, 258, 2, "\x02\x01"},
		{TYPE_INT32, -2147483648.0, 4, "\x00\x00\x00\x80"},
		{TYPE_INT32, 2147483647.0, 4, "\xff\xff\xff\x7f"},
		{TYPE_INT64, -1, 8, "\xff\xff\xff\xff\xff\xff\xff\xff"},
		{TYPE_INT64, -9223372036854775808.0, 8, "\x00\x00\x00\x00\x00\x00\x00\x80"},
		{TYPE_FLOAT, 1.5, 4, "\x00\x00\xc0\x3f"},
		{TYPE_DOUBLE, -2.5, 8, "\x00\x00\x00\x00\x00\x00\x04\xc0"},
		{TYPE_DOUBLE, 0, 8, "\x00\x00\x00\x00\x00\x00\x00\x00"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		uint8_t out[8];
		struct hf_wr w = hf_wr_of(out, sizeof out);
		double back = 99;

		assert_int_equal(telemetry_encode(cases[i].kind, cases[i].number, &w), HF_E_OK);
		assert_int_equal(w.len, cases[i].len);
		assert_memory_equal(out, cases[i].bytes, w.len);
		assert_true(telemetry_number(cases[i].kind, hf_wr_span(&w), &back));
		assert_true(back == cases[i].number);
		assert_false(telemetry_number(cases[i].kind, hf_span_of(out, w.len - 1), &back));
		assert_false(telemetry_number(cases[i].kind, hf_span_of("123456789", w.len + 1), &back));
	}
}

static void numbers_out_of_range(void **state)
{
	static const struct number_case cases[] = {
		{TYPE_INT8, 128, 0, ""},
		{TYPE_INT8, -129, 0, ""},
		{TYPE_INT8, 1.5, 0, ""},
		{TYPE_INT16, 32768, 0, ""},
		{TYPE_INT32, 2147483648.0, 0, ""},
		{TYPE_INT64, 9223372036854775808.0, 0, ""},
		{TYPE_INT64, 1e300, 0, ""},
		{TYPE_FLOAT, 1e300, 0, ""},
		{TYPE_FLOAT, -1e39, 0, ""},
		{TYPE_DOUBLE, (double)NAN, 0, ""},
		{TYPE_DOUBLE, (double)INFINITY, 0, ""},
		{TYPE_TEXT, 1, 0, ""},
		{TYPE_BYTES, 1, 0, ""},
	};
	uint8_t out[8];
	struct hf_wr w = hf_wr_of(out, sizeof out), none = hf_wr_of(out, 3);

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal(telemetry_encode(cases[i].kind, cases[i].number, &w), HF_E_INPUT);
	assert_int_equal(w.len, 0);
	assert_int_equal(telemetry_encode(TYPE_INT32, 1, &none), HF_E_NO_SPACE);
}

/* --- storing ------------------------------------------------------------------------------------------------------- */

struct store_case {
	const char *name, *bytes;
	size_t len;
	enum type_kind kind;
	double number; /* NAN: it has none */
};

static void stored_by_what_the_profile_says(void **state)
{
	static const struct store_case cases[] = {
		{"T", "\x00\x00\x00\x00\x00\x00\x04\xc0", 8, TYPE_DOUBLE, -2.5},
		{"T", "\x00\x00\x04\xc0", 4, TYPE_BYTES, (double)NAN}, /* another length than the kind has */
		{"T", "", 0, TYPE_BYTES, (double)NAN},
		{"T", "\x00\x00\x00\x00\x00\x00\xf8\x7f", 8, TYPE_DOUBLE, (double)NAN}, /* not a number: kept, but not as one */
		{"N", "\xfe\xff", 2, TYPE_INT16, -2},
		{"S", "gr\xc3\xbcn", 5, TYPE_TEXT, (double)NAN},
		{"L", "\x01\x00\x00\x00", 4, TYPE_BYTES, (double)NAN}, /* not the device's to say */
		{"OTHER", "\x01\x00\x00\x00", 4, TYPE_BYTES, (double)NAN},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(store(cases[i].name, hf_span_of(cases[i].bytes, cases[i].len), (int64_t)i), HF_E_OK);
		const struct telemetry_reading *r = newest();

		assert_string_equal(r->name, cases[i].name);
		assert_int_equal(r->kind, cases[i].kind);
		assert_true(isnan(cases[i].number) ? isnan(r->number) : r->number == cases[i].number);
		assert_true(hf_span_equal(r->bytes, hf_span_of(cases[i].bytes, cases[i].len)));
		assert_int_equal(r->at_ms, i);
	}
	assert_true(stage_told(&stage, FACTS_READING, DEVICE_ID));
}

static void W1_names_that_are_none(void **state)
{
	static const char *const names[] = {
		"",     "a\nb",        "\x1b[31m",
		"\x7f", "gr\xc3\xbcn", "0123456789012345678901234567890123456789012345678901234567890123"};
	struct telemetry_sample nul = {.name = hf_span_of("a\0b", 3), .value = hf_span_text("x"), .at_ms = 1};

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++)
		assert_int_equal(store(names[i], hf_span_text("x"), 1), HF_E_INPUT);
	assert_int_equal(telemetry_store(stage.db, &stage.facts, DEVICE_ID, &p, &nul), HF_E_INPUT);
	assert_int_equal(store(names[5] + 1, hf_span_text("x"), 1), HF_E_OK);
	assert_int_equal(store("<b>'\";--", hf_span_text("x"), 1),
	                 HF_E_OK); /* odd, but a name: whoever shows it escapes it */
}

static void so_many_series_and_no_more(void **state)
{
	char name[16];

	(void)state;
	for (unsigned i = 0; i <= TELEMETRY_SERIES_MAX; i++) {
		(void)snprintf(name, sizeof name, "x%u", i);
		assert_int_equal(store(name, hf_span_text("x"), 1), i < TELEMETRY_SERIES_MAX ? HF_E_OK : HF_E_FULL);
	}
	assert_int_equal(store("x0", hf_span_text("x"), 1), HF_E_OK);
}

static void alarm_raises_and_clears(void **state)
{
	static const char *const values[] = {"\x01\x00\x00\x00", "\x02\x00\x00\x00", "\x00\x00\x00\x00",
	                                     "\x00\x00\x00\x00"};
	static const int64_t open[] = {1, 1, 0, 0};

	(void)state;
	for (size_t i = 0; i < COUNT(values); i++) {
		int64_t count = -1;

		assert_int_equal(store("ALARM", hf_span_of(values[i], 4), 1), HF_E_OK);
		assert_int_equal(alert_count(stage.db, &count), HF_E_OK);
		assert_int_equal(count, open[i]);
	}
	assert_int_equal(store("ALARM", hf_span_of("\x01\x00", 2), 1), HF_E_OK); /* no number: no alarm */
	int64_t count = -1;

	assert_int_equal(alert_count(stage.db, &count), HF_E_OK);
	assert_int_equal(count, 0);
}

/* --- listing ------------------------------------------------------------------------------------------------------- */

static void listed_by_series_time_and_cursor(void **state)
{
	const struct listed *l;
	int64_t cursor;

	(void)state;
	for (int64_t at = 1; at <= 10; at++)
		assert_int_equal(store(at % 2 ? "odd" : "even", hf_span_text("x"), at), HF_E_OK);
	l = list((struct telemetry_scan){ALL_TIMES, .newest_first = true}, 4);
	assert_true(l->count == 4 && l->reading[0].at_ms == 10 && l->reading[3].at_ms == 7);
	l = list((struct telemetry_scan){ALL_TIMES, .series = "odd", .newest_first = true}, 30);
	assert_true(l->count == 5 && l->reading[0].at_ms == 9 && l->reading[4].at_ms == 1);
	l = list((struct telemetry_scan){.since_ms = 3, .until_ms = 6, .newest_first = true}, 30);
	assert_true(l->count == 3 && l->reading[0].at_ms == 5 && l->reading[2].at_ms == 3);
	cursor = l->reading[0].cursor;
	l = list((struct telemetry_scan){ALL_TIMES, .after = cursor}, 3);
	assert_true(l->count == 3 && l->reading[0].at_ms == 6 && l->reading[2].at_ms == 8);
	l = list((struct telemetry_scan){ALL_TIMES, .series = "odd", .after = cursor}, 30);
	assert_true(l->count == 2 && l->reading[0].at_ms == 7);
	l = list((struct telemetry_scan){ALL_TIMES, .series = "none", .newest_first = true}, 30);
	assert_int_equal(l->count, 0);
}

/* What a clock that was wrong has left: each reading is found by the time that it was given. */
static void times_of_all_ages(void **state)
{
	static const int64_t times[] = {INT64_MIN / 2,
	                                -1,
	                                0,
	                                INT64_C(2147483647) * 1000,
	                                INT64_C(2147483648) * 1000,
	                                INT64_C(4294967296) * 1000,
	                                INT64_C(253402300800000),
	                                INT64_MAX / 2};
	const struct listed *l;
	int64_t oldest = 1;

	(void)state;
	for (size_t i = 0; i < COUNT(times); i++)
		assert_int_equal(store("T", hf_span_text("x"), times[i]), HF_E_OK);
	l = list((struct telemetry_scan){ALL_TIMES}, 30);
	assert_int_equal(l->count, COUNT(times));
	for (size_t i = 0; i < COUNT(times); i++) {
		assert_true(l->reading[i].at_ms == times[i]);
		const struct listed *one =
			list((struct telemetry_scan){.since_ms = times[i], .until_ms = times[i] + 1, .newest_first = true}, 30);

		assert_true(one->count == 1 && one->reading[0].at_ms == times[i]);
		l = list((struct telemetry_scan){ALL_TIMES}, 30);
	}
	assert_int_equal(telemetry_oldest(stage.db, &oldest), HF_E_OK);
	assert_true(oldest == times[0]);
}

struct tally {
	int64_t count, sum, last, most_a_step;
	bool rises;
};
static void tally_up(void *ctx, const struct telemetry_reading *r)
{
	struct tally *t = ctx;

	t->rises = t->rises && r->cursor > t->last;
	t->last = r->cursor;
	t->sum += r->at_ms;
	t->count++;
	t->most_a_step++;
}

/* Many readings, two devices in turns, steps that are full and steps that find nothing: each reading comes once, in order. */
static void long_table_in_steps(void **state)
{
	enum { ROWS = 9000, AT_ONCE = 100 };
	static const struct telemetry_scan kinds[] = {
		{.device = DEVICE_ID, ALL_TIMES},
		{.device = DEVICE_ID, .since_ms = ROWS - 10, .until_ms = INT64_MAX},
		{.device = DEVICE_ID, .since_ms = INT64_MIN, .until_ms = 10},
		{.device = DEVICE_ID, .since_ms = 1, .until_ms = 1},
	};
	static const int64_t counts[] = {ROWS, 10, 10, 0}, sums[] = {(int64_t)ROWS * (ROWS - 1) / 2, 89945, 45, 0};
	struct telemetry_sample other = {.name = hf_span_text("B"), .value = hf_span_text("x")};

	(void)state;
	for (int64_t i = 0; i < ROWS; i++) {
		assert_int_equal(store(i % 2 ? "A" : "B", hf_span_text("x"), i), HF_E_OK);
		assert_int_equal(telemetry_store(stage.db, &stage.facts, DEVICE_ID + 1, &p, &other), HF_E_OK);
	}
	for (size_t i = 0; i < COUNT(kinds); i++) {
		struct telemetry_scan s = kinds[i];
		struct tally t = {.rises = true};

		assert_int_equal(telemetry_last(stage.db, &s.upto), HF_E_OK);
		while (!telemetry_done(&s)) {
			t.most_a_step = 0;
			assert_int_equal(telemetry_step(stage.db, &s, AT_ONCE, tally_up, &t), HF_E_OK);
			assert_true(t.most_a_step <= AT_ONCE);
		}
		assert_true(t.rises && t.count == counts[i] && t.sum == sums[i]);
	}
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(numbers_there_and_back),           CASE(numbers_out_of_range),       CASE(stored_by_what_the_profile_says),
		CASE(W1_names_that_are_none),           CASE(so_many_series_and_no_more), CASE(alarm_raises_and_clears),
		CASE(listed_by_series_time_and_cursor), CASE(times_of_all_ages),          CASE(long_table_in_steps),
	};

	return cmocka_run_group_tests_name("telemetry", tests, NULL, NULL);
}
