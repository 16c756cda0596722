/* renew_test - the certificate is renewed in time, with a wrong clock, without KeyEx, and through power cuts. Uses:
 * node, port/fake, tests/unit.h. */
#include "node/node.h"
#include "port/fake/home.h"
#include "tests/unit.h"

enum { MINUTE_MS = 60000, LED_ON = 1 };
static const int64_t HOUR_MS = 3600000, DAY_MS = 86400000, YEAR_S = 366 * 86400LL;

static struct hf_fake_home h;

static bool joined(void)
{
	hf_fake_home_init(&h, 7);
	if (hf_fake_home_start(&h) != HF_E_OK)
		return false;
	hf_fake_home_run(&h, MINUTE_MS);
	return h.node.state == HF_NODE_S_JOINED;
}

/* Whatever happened: one registration, one join, joined, a pair that the broker takes, commands are done. */
static void still_joined(void)
{
	unsigned before = h.actions;

	CHECK_EQ(h.node.state, HF_NODE_S_JOINED);
	CHECK_EQ(h.registrations, 1);
	CHECK_EQ(h.joins, 1);
	CHECK_EQ(h.bad_pairs, 0);
	CHECK_EQ(h.reused, 0);
	hf_fake_home_send(
		&h, (struct hf_wire_msg){.type = HF_WIRE_ACTION, .token = hf_span_text("t"), .action = {.action_id = LED_ON}},
		h.server_key);
	hf_fake_home_run(&h, 1);
	CHECK_EQ(h.actions, before + 1);
}

static void end(void)
{
	hf_fake_home_stop(&h);
	CHECK_EQ(h.fake.keys_held, 0);
}

static void report(void)
{
	CHECK_EQ(hf_node_report(&h.node, h.now_ms, hf_span_text("T"), hf_span_text("1")), HF_E_OK);
}

/* --- in time ------------------------------------------------------------------------------------------------------ */

TEST(not_due_before_two_thirds)
{
	REQUIRE(joined());
	hf_fake_home_run(&h, 60 * DAY_MS - HOUR_MS);
	CHECK_EQ(h.certificates, 1);
	hf_fake_home_run(&h, 2 * HOUR_MS);
	CHECK_EQ(h.certificates, 2);
	CHECK_EQ(h.events[HF_NODE_RENEWED], 1);
	still_joined();
	end();
}

/* A year of life: a new certificate every sixty days, the join is kept, no reading is lost. */
TEST(a_year_of_renewals)
{
	unsigned readings = 0;

	REQUIRE(joined());
	for (unsigned day = 0; day < 366; day++) {
		report();
		readings++;
		hf_fake_home_run(&h, DAY_MS);
	}
	CHECK_EQ(h.certificates, 1 + 6);
	CHECK_EQ(h.readings, readings);
	CHECK_EQ(h.node.counts.readings_dropped, 0);
	still_joined();
	end();
}

/* A reading that is in flight while the connection is made anew comes to the server, once as a number. */
TEST(readings_in_flight_survive_the_new_connection)
{
	REQUIRE(joined());
	h.life_s = 30;
	hf_fake_home_run(&h, 60 * DAY_MS + 2 * HOUR_MS);
	for (unsigned i = 0; i < 400; i++) {
		report();
		hf_fake_home_run(&h, 333);
	}
	CHECK(h.certificates >= 5);
	CHECK_EQ(hf_node_waiting(&h.node), 0);
	CHECK_EQ(h.seen_count - h.joins, 400);
	still_joined();
	end();
}

/* Switched off too long: the broker refuses the old one, KeyEx gives a new one, and it goes on. */
TEST(expired_while_switched_off)
{
	REQUIRE(joined());
	hf_fake_home_stop(&h);
	h.now_ms += 200 * DAY_MS;
	REQUIRE(hf_fake_home_start(&h) == HF_E_OK);
	hf_fake_home_run(&h, 10000);
	CHECK_EQ(h.certificates, 2);
	still_joined();
	end();
}

/* The same for a device that has left: it can come back. */
TEST(expired_while_it_had_left)
{
	REQUIRE(joined());
	CHECK_EQ(hf_node_resign(&h.node, h.now_ms), HF_E_OK);
	hf_fake_home_run(&h, 1000);
	hf_fake_home_stop(&h);
	h.now_ms += 200 * DAY_MS;
	REQUIRE(hf_fake_home_start(&h) == HF_E_OK);
	hf_fake_home_run(&h, MINUTE_MS);
	CHECK_EQ(h.node.state, HF_NODE_S_IDLE);
	CHECK_EQ(h.certificates, 2);
	end();
}

/* A code on show is not taken from under the person's eyes. */
TEST(nobody_is_disturbed_while_a_code_is_on_show)
{
	hf_fake_home_init(&h, 7);
	h.life_s = 90;
	h.join_status = HF_WIRE_JOIN_REFUSED;
	REQUIRE(hf_fake_home_start(&h) == HF_E_OK);
	hf_fake_home_run(&h, 9 * MINUTE_MS);
	CHECK_EQ(h.node.state, HF_NODE_S_SHOWING);
	CHECK_EQ(h.events[HF_NODE_CODE], 1);
	CHECK_EQ(h.certificates, 1);
	end();
}

/* --- KeyEx -------------------------------------------------------------------------------------------------------- */

TEST(keyex_down_or_refusing)
{
	static const unsigned statuses[] = {0, 400, 403, 404, 429, 500};

	for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
		REQUIRE(joined());
		h.broken = "access";
		h.broken_status = statuses[i];
		hf_fake_home_run(&h, 75 * DAY_MS);
		unsigned tries = h.events[HF_NODE_RENEW_FAILED];

		CHECK(tries >= 15 * 24 / 6); /* at least every six hours */
		CHECK(tries <= 15 * 24 / 3 + 20);
		h.broken = NULL;
		hf_fake_home_run(&h, 7 * HOUR_MS);
		CHECK_EQ(h.events[HF_NODE_RENEWED], 1);
		still_joined();
		end();
	}
}

/* Up to the moment when KeyEx is asked for a new certificate, and no further. */
static bool until_asked(void)
{
	int64_t late_ms = h.now_ms + 61 * DAY_MS;

	while (!h.fake.asked && h.now_ms < late_ms) {
		h.now_ms += HOUR_MS;
		h.fake.wall_s += HOUR_MS / 1000;
		(void)hf_node_step(&h.node, h.now_ms);
	}
	return h.fake.asked;
}

/* Nothing comes back at all: the request is given up, and made again later. */
TEST(keyex_never_answers)
{
	REQUIRE(joined());
	REQUIRE(until_asked());
	h.fake.asked = false; /* lost on the way */
	(void)hf_node_step(&h.node, h.now_ms + 59999);
	CHECK_EQ(h.events[HF_NODE_RENEW_FAILED], 0);
	(void)hf_node_step(&h.node, h.now_ms + 60000);
	CHECK_EQ(h.events[HF_NODE_RENEW_FAILED], 1);
	h.now_ms += 60000;
	hf_fake_home_run(&h, 2 * MINUTE_MS);
	CHECK_EQ(h.events[HF_NODE_RENEWED], 1);
	still_joined();
	end();
}

/* A certificate for another key, none, or none of a CA: the old pair stays. */
TEST(a_bad_answer_replaces_nothing)
{
	static const char *const bodies[] = {
		"{\"certificate\":\"dG95\",\"CA_certificate\":\"dG95\"}",
		"{\"certificate\":\"\",\"CA_certificate\":\"dG95\"}",
		"{\"certificate\":\"dG95\"}",
		"{}",
		"",
		"[[[",
	};

	for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
		REQUIRE(joined());
		struct hf_fake_value before = h.fake.store[HF_NODE_ITEM_ACCESS];

		REQUIRE(until_asked());
		hf_node_on_http(&h.node, h.now_ms, 200, hf_span_text(bodies[i]));
		h.fake.asked = false;
		CHECK_EQ(h.events[HF_NODE_RENEW_FAILED], 1);
		CHECK_EQ(h.events[HF_NODE_RENEWED], 0);
		CHECK(before.len == h.fake.store[HF_NODE_ITEM_ACCESS].len);
		CHECK_MEM(before.bytes, h.fake.store[HF_NODE_ITEM_ACCESS].bytes, before.len);
		hf_fake_home_drop(&h);
		hf_fake_home_run(&h, 1000);
		still_joined();
		end();
	}
}

/* --- clocks ------------------------------------------------------------------------------------------------------- */

/* The clock jumps to there while it runs, and it lives on so for a month; then it is right again. */
TEST(clock_jumps_both_ways)
{
	static const int64_t wrong[] = {-57, -10, 10, 13, 81, 8000}; /* years: 1970, 2017, 2037, 2040, 2108, far away */

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		REQUIRE(joined());
		h.wrong_s = wrong[i] * YEAR_S;
		for (unsigned day = 0; day < 30; day++) {
			report();
			hf_fake_home_run(&h, DAY_MS);
		}
		CHECK_EQ(h.certificates, wrong[i] > 0 ? 2 : 1); /* once, not over and over */
		CHECK_EQ(h.readings, 30);
		still_joined();
		hf_fake_home_drop(&h);
		hf_fake_home_run(&h, MINUTE_MS);
		h.wrong_s = 0;
		hf_fake_home_run(&h, 100 * DAY_MS);
		CHECK(h.certificates >= 2 && h.certificates <= 5);
		still_joined();
		end();
	}
}

/* With a clock that is always wrong the certificate's end comes unseen; the broker says so at the next connection. */
TEST(clock_never_set)
{
	REQUIRE(joined());
	h.wrong_s = -57 * YEAR_S;
	hf_fake_home_run(&h, 100 * DAY_MS);
	CHECK_EQ(h.certificates, 1);
	hf_fake_home_drop(&h);
	hf_fake_home_run(&h, MINUTE_MS);
	CHECK_EQ(h.certificates, 2);
	still_joined();
	end();
}

/* Restarted every ten minutes with a clock in the far future: one renewal a start, no more. */
TEST(clock_in_the_future_and_restarts)
{
	REQUIRE(joined());
	h.wrong_s = 13 * YEAR_S;
	for (unsigned i = 0; i < 20; i++) {
		hf_fake_home_run(&h, 10 * MINUTE_MS);
		hf_fake_home_stop(&h);
		REQUIRE(hf_fake_home_start(&h) == HF_E_OK);
	}
	hf_fake_home_run(&h, MINUTE_MS);
	CHECK(h.certificates <= 1 + 21);
	still_joined();
	end();
}

/* The broker refuses whatever KeyEx gives (its clock is wrong): ever longer pauses, and not the end. */
TEST(broker_refuses_the_new_one_too)
{
	REQUIRE(joined());
	h.life_s = -1000;
	hf_fake_home_stop(&h);
	h.now_ms += 200 * DAY_MS;
	REQUIRE(hf_fake_home_start(&h) == HF_E_OK);
	hf_fake_home_run(&h, DAY_MS);
	CHECK(h.certificates >= 8 && h.certificates <= 30);
	h.life_s = 90 * DAY_MS / 1000;
	hf_fake_home_run(&h, 7 * HOUR_MS);
	still_joined();
	end();
}

/* --- power cuts --------------------------------------------------------------------------------------------------- */

static bool renewal_with_fault(enum hf_fake_fault fault, unsigned at)
{
	if (!unit_check(joined(), __FILE__, __LINE__, "joined"))
		return false;
	hf_fake_home_run(&h, 59 * DAY_MS);
	h.fake.fault = fault;
	h.fake.fail_at = h.fake.puts + at;
	hf_fake_home_run(&h, 2 * DAY_MS);
	bool met = h.fake.puts >= h.fake.fail_at;

	hf_fake_home_stop(&h);
	h.fake.fail_at = 0;
	if (!unit_check(hf_fake_home_start(&h) == HF_E_OK, __FILE__, __LINE__, "starts again"))
		return false;
	hf_fake_home_run(&h, 2 * DAY_MS);
	CHECK(h.certificates >= 2);
	still_joined();
	end();
	return met;
}

TEST(renewal_survives_every_store_fault)
{
	static const enum hf_fake_fault faults[] = {HF_FAKE_REFUSE, HF_FAKE_FULL, HF_FAKE_CUT_BEFORE, HF_FAKE_CUT_AFTER};

	for (unsigned f = 0; f < 4; f++)
		for (unsigned at = 1; renewal_with_fault(faults[f], at); at++)
			;
}

/* --- older stores ------------------------------------------------------------------------------------------------- */

static void put(enum hf_node_item item, struct hf_span value)
{
	h.fake.store[item].there = true;
	h.fake.store[item].len = value.len;
	memcpy(h.fake.store[item].bytes, value.ptr, value.len);
}

/* As the first version kept it: three items. Cut at every write, it becomes one, and the broker takes it. */
TEST(older_store_is_taken_over)
{
	bool met = true;

	for (unsigned at = 1; met; at++) {
		struct hf_node_access a;

		REQUIRE(joined());
		hf_fake_home_stop(&h);
		struct hf_fake_value v = h.fake.store[HF_NODE_ITEM_ACCESS];

		REQUIRE(hf_node_access_parse(hf_span_of(v.bytes, v.len), &a) == HF_E_OK);
		h.fake.store[HF_NODE_ITEM_ACCESS].there = false;
		CHECK_EQ(hf_fake_home_start(&h), HF_E_MISSING);
		put(HF_NODE_ITEM_ACCESS_KEY, a.key);
		put(HF_NODE_ITEM_CERTIFICATE, a.certificate);
		put(HF_NODE_ITEM_CA_CERTIFICATE, a.ca);
		h.fake.fault = HF_FAKE_CUT_AFTER;
		h.fake.fail_at = h.fake.puts + at;
		CHECK_EQ(hf_fake_home_start(&h), at <= 4 ? HF_E_IO : HF_E_OK);
		met = at <= 4;
		hf_fake_home_stop(&h);
		h.fake.fail_at = 0;
		REQUIRE(hf_fake_home_start(&h) == HF_E_OK);
		hf_fake_home_run(&h, MINUTE_MS);
		CHECK_MEM(h.fake.store[HF_NODE_ITEM_ACCESS].bytes, v.bytes, v.len);
		still_joined();
		end();
	}
}

UNIT_TESTS(T(not_due_before_two_thirds), T(a_year_of_renewals), T(readings_in_flight_survive_the_new_connection),
           T(expired_while_switched_off), T(expired_while_it_had_left), T(nobody_is_disturbed_while_a_code_is_on_show),
           T(keyex_down_or_refusing), T(keyex_never_answers), T(a_bad_answer_replaces_nothing),
           T(clock_jumps_both_ways), T(clock_never_set), T(clock_in_the_future_and_restarts),
           T(broker_refuses_the_new_one_too), T(renewal_survives_every_store_fault), T(older_store_is_taken_over))
