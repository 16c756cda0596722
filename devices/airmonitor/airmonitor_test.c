/* airmonitor_test - the alarm's rule, settings, numbers on the wire, the sample recording. Uses: airmonitor,
 * port/posix, cmocka. */
#include "devices/airmonitor/airmonitor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

/* Samples and, after each, whether the alarm is up. */
struct alarm_case {
	const char *name;
	double limit;
	struct {
		double pm25;
		bool raised;
	} step[8];
	unsigned steps;
};
static const struct alarm_case alarm_cases[] = {
	{"two in a row raise it", 35, {{34.9, false}, {35, false}, {35, true}}, 3},
	{"one peak does not", 35, {{90, false}, {10, false}, {90, false}, {10, false}}, 4},
	{"between the levels it stays", 35, {{40, false}, {40, true}, {30, true}, {28.1, true}, {34, true}, {36, true}}, 6},
	{"two low ones clear it", 35, {{40, false}, {40, true}, {27, true}, {27, false}}, 4},
	{"one low one does not", 35, {{40, false}, {40, true}, {27, true}, {29, true}, {27, true}, {27, false}}, 6},
	{"nothing measured changes nothing",
     35,
     {{40, false}, {NAN, false}, {40, true}, {NAN, true}, {20, true}, {NAN, true}, {20, false}},
     7},
	{"endless values", 35, {{INFINITY, false}, {INFINITY, true}, {-INFINITY, true}, {-INFINITY, false}}, 4},
	{"cleared, it can be raised again",
     10,
     {{11, false}, {11, true}, {1, true}, {1, false}, {11, false}, {11, true}},
     6},
};

static void alarm_rule(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(alarm_cases); i++) {
		const struct alarm_case *c = &alarm_cases[i];
		struct airmonitor_alarm a = {0};

		for (unsigned k = 0; k < c->steps; k++) {
			bool before = a.raised, changed = airmonitor_alarm_step(&a, c->step[k].pm25, c->limit);

			if (a.raised != c->step[k].raised || changed != (before != a.raised))
				fail_msg("%s: step %u", c->name, k);
		}
	}
}

static struct hf_span double_bytes(double v, uint8_t out[8])
{
	struct hf_wr w = hf_wr_of(out, 8);

	airmonitor_put_double(&w, v);
	return hf_wr_span(&w);
}

static void settings_limit(void **state)
{
	static const double bad[] = {0, -1, 10000.1, NAN, INFINITY, -INFINITY};
	struct airmonitor_settings s = {35, 5000};
	uint8_t b[8];

	(void)state;
	assert_int_equal(airmonitor_settings_take(&s, hf_span_text("PM25-LIMIT"), double_bytes(12.5, b)), HF_E_OK);
	assert_true(s.pm25_limit == 12.5 && s.interval_ms == 5000);
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(airmonitor_settings_take(&s, hf_span_text("PM25-LIMIT"), double_bytes(bad[i], b)), HF_E_INPUT);
	for (size_t len = 0; len < 8; len++)
		assert_int_equal(airmonitor_settings_take(&s, hf_span_text("PM25-LIMIT"), hf_span_of(b, len)), HF_E_INPUT);
	assert_true(s.pm25_limit == 12.5);
}

static void settings_interval(void **state)
{
	static const struct {
		uint8_t bytes[5];
		size_t len;
		enum hf_err err;
	} cases[] = {
		{{30, 0, 0, 0}, 4, HF_E_OK},
		{{1, 0, 0, 0}, 4, HF_E_OK},
		{{0, 0, 0, 0}, 4, HF_E_INPUT},
		{{0xff, 0xff, 0xff, 0xff}, 4, HF_E_INPUT},
		{{0x80, 0x51, 1, 0}, 4, HF_E_OK},
		{{0x81, 0x51, 1, 0}, 4, HF_E_INPUT},
		{{30, 0, 0}, 3, HF_E_INPUT},
		{{30, 0, 0, 0, 0}, 5, HF_E_INPUT},
		{{0}, 0, HF_E_INPUT},
	};
	struct airmonitor_settings s = {35, 5000};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal(airmonitor_settings_take(&s, hf_span_text("INTERVAL"),
		                                          hf_span_of(cases[i].bytes, cases[i].len)),
		                 cases[i].err);
	assert_int_equal(s.interval_ms, 86400000);
	assert_int_equal(airmonitor_settings_take(&s, hf_span_text("interval"), hf_span_of(cases[0].bytes, 4)),
	                 HF_E_NOT_FOUND);
	assert_int_equal(airmonitor_settings_take(&s, hf_span_text(""), hf_span_of(cases[0].bytes, 4)), HF_E_NOT_FOUND);
}

static void settings_are_kept(void **state)
{
	struct airmonitor_settings s = {12.25, 7000}, back = {35, 5000};
	uint8_t b[AIRMONITOR_SETTINGS_LEN];
	struct hf_wr w = hf_wr_of(b, sizeof b);

	(void)state;
	airmonitor_settings_encode(&s, &w);
	assert_int_equal(w.len, sizeof b);
	for (size_t len = 0; len < sizeof b; len++)
		assert_int_equal(airmonitor_settings_decode(&back, hf_span_of(b, len)), HF_E_VERSION);
	assert_int_equal(airmonitor_settings_decode(&back, hf_wr_span(&w)), HF_E_OK);
	assert_true(back.pm25_limit == 12.25 && back.interval_ms == 7000);
	b[9] = 0xff;
	assert_int_equal(airmonitor_settings_decode(&back, hf_wr_span(&w)), HF_E_INPUT);
	b[0] = 2;
	assert_int_equal(airmonitor_settings_decode(&back, hf_wr_span(&w)), HF_E_VERSION);
	assert_int_equal(back.interval_ms, 7000);
}

/* Source: IEEE 754; srup-v5 section 2.1, quirk 4. */
static void numbers_on_the_wire(void **state)
{
	static const uint8_t one_and_a_half[8] = {0, 0, 0, 0, 0, 0, 0xf8, 0x3f}, minus_two[4] = {0xfe, 0xff, 0xff, 0xff};
	uint8_t b[8];
	struct hf_wr w = hf_wr_of(b, 4);

	(void)state;
	assert_memory_equal(double_bytes(1.5, b).ptr, one_and_a_half, 8);
	airmonitor_put_int32(&w, -2);
	assert_memory_equal(b, minus_two, 4);
}

/* The recording that comes with it: whole, plausible, and it raises and clears the alarm once at the default limit. */
static void sample_recording(void **state)
{
	struct airmonitor_sensors s = {0};
	struct airmonitor_alarm a = {0};
	struct hf_posix_why why = {""};
	unsigned changes = 0;

	(void)state;
	if (hf_posix_csv_open("devices/airmonitor/sample.csv", &why, &s.replay) != HF_E_OK)
		fail_msg("%s", why.text);
	size_t rows = hf_posix_csv_rows(s.replay);

	assert_in_range(rows, 150, 300);
	for (size_t i = 0; i < rows; i++) {
		double v[AIRMONITOR_SERIES_MAX];

		airmonitor_sensors_read(&s, v);
		assert_true(v[0] > 0 && v[0] < 200 && v[1] >= v[0] && v[1] < 300);
		assert_true(v[2] > -30 && v[2] < 45 && v[3] > 5 && v[3] <= 100);
		changes += airmonitor_alarm_step(&a, v[AIRMONITOR_PM25], 35);
	}
	assert_int_equal(changes, 2);
	assert_false(a.raised);
	assert_int_equal(s.row, 0); /* from the beginning again */
	hf_posix_csv_close(s.replay);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(alarm_rule),        cmocka_unit_test(settings_limit),      cmocka_unit_test(settings_interval),
		cmocka_unit_test(settings_are_kept), cmocka_unit_test(numbers_on_the_wire), cmocka_unit_test(sample_recording),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
