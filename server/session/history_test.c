/* session tests - counters that are reset, stores that went back in time, gaps, join requests that overtake. Uses: session, cmocka. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "alert/alert.h"
#include "port/openssl/openssl.h"
#include "registry/registry.h"
#include "session/session_internal.h"
#include "tests/session_stage.h"

static int set_up(void **state)
{
	(void)state;
	stage_begin(&stage);
	device_add(stage.db, DEVICE_ID, device_key, REGISTRY_JOINED, "box");
	assert_int_equal(db_commit(stage.db), HF_E_OK);
	session_cache_init(&cache, stage.db, &stage.facts, SERVER_ID);
	return 0;
}

static void restart(void)
{
	session_cache_release(&cache);
	stage_restart(&stage);
	session_cache_init(&cache, stage.db, &stage.facts, SERVER_ID);
}

static void end_turn(void)
{
	enum hf_err err = db_commit(stage.db);

	session_turn_done(&cache, err == HF_E_OK);
	facts_turn_done(&stage.facts, err == HF_E_OK);
}

static struct session *session_now(void)
{
	struct session *s = NULL;

	assert_int_equal(session_get(&cache, DEVICE_ID, &s), HF_E_OK);
	return s;
}

/* One message in a turn of its own, signed by key, at now_ms. */
static enum hf_err turn(struct hf_seal_key *key, enum hf_wire_type type, uint64_t id, const char *token, int64_t now_ms)
{
	struct hf_wire_msg m = {.type = (uint8_t)type, .data = {hf_span_text("T"), hf_span_text("12345678")}};

	if (type != HF_WIRE_DATA)
		m = (struct hf_wire_msg){.type = (uint8_t)type};
	struct arrived a = device_says(key, DEVICE_ID, id, token, m);
	enum hf_err err = session_receive(&cache, session_now(), &a.m, &a.covered, now_ms);

	end_turn();
	return err;
}

static enum hf_err hear(uint64_t id, const char *token)
{
	return turn(device_key, HF_WIRE_DATA, id, token, DEVICE_NOW);
}

static uint64_t say(void)
{
	struct hf_wire_msg m = {.type = HF_WIRE_ACTION, .token = hf_span_text("t"), .action = {3}};

	assert_int_equal(session_say(&cache, session_now(), &m, 0, DEVICE_NOW), HF_E_OK);
	end_turn();
	return m.sequence_id;
}

static struct registry_gaps gaps_stored(void)
{
	struct registry_identity i;

	assert_int_equal(registry_get(stage.db, DEVICE_ID, &i), HF_E_OK);
	return i.gaps;
}

static void assert_gaps(int64_t count, int64_t missed, int64_t unsized)
{
	struct registry_gaps g = gaps_stored();

	assert_int_equal(g.count, count);
	assert_int_equal(g.missed, missed);
	assert_int_equal(g.unsized, unsized);
}

/* --- the counter is reset ------------------------------------------------------------------------------------------ */

static void M3_replay_after_reset(void **state)
{
	(void)state;
	assert_int_equal(hear(16, "a"), HF_E_OK);
	assert_int_equal(hear(100000, "b"), HF_E_OK);
	assert_int_equal(hear(1, "lost its state"), HF_E_REPLAY);
	for (unsigned generation = 1; generation <= 3; generation++) {
		assert_int_equal(session_reset_counter(&cache, DEVICE_ID, "anna"), HF_E_OK);
		end_turn();
		assert_int_equal(hear(16, "a"), HF_E_EXISTS);
		assert_int_equal(hear(100000, "b"), HF_E_EXISTS);
		assert_int_equal(session_now()->window.high, 0);
		assert_int_equal(hear(generation, "begins anew"), HF_E_OK);
		assert_int_equal(hear(generation, "begins anew"), HF_E_EXISTS);
		restart();
		assert_int_equal(hear(100000, "b"), HF_E_EXISTS);
		assert_int_equal(hear(generation + 1, "goes on"), HF_E_OK);
	}
	assert_int_equal(hear(16, "another"), HF_E_OK); /* an id is not a message */
}

static void sent_ids_go_on_above_after_a_reset(void **state)
{
	uint64_t last;

	(void)state;
	assert_int_equal(hear(5000, "a"), HF_E_OK);
	last = say();
	assert_true(last > 5000);
	assert_int_equal(session_reset_counter(&cache, DEVICE_ID, "anna"), HF_E_OK);
	end_turn();
	assert_true(say() >= last + HF_SEAL_GAP);
}

static void only_devices_of_ours_have_a_counter(void **state)
{
	(void)state;
	assert_int_equal(session_reset_counter(&cache, 0x99, "anna"), HF_E_STATE);
	assert_int_equal(registry_set_state(stage.db, &stage.facts, DEVICE_ID, REGISTRY_REVOKED, 0, 1), HF_E_OK);
	assert_int_equal(session_reset_counter(&cache, DEVICE_ID, "anna"), HF_E_STATE);
}

/* --- a device's store went back ------------------------------------------------------------------------------------- */

static int64_t alert_open_since(void)
{
	int64_t since = 0;

	assert_int_equal(alert_since(stage.db, DEVICE_ID, SESSION_STEPPED_BACK, &since), HF_E_OK);
	return since;
}

static void R2_device_that_went_back_is_noticed_once(void **state)
{
	int64_t alerts = 0;

	(void)state;
	assert_int_equal(hear(10000, "a"), HF_E_OK);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(hear(16 + 16 * i, "restored"), HF_E_REPLAY);
	assert_true(alert_open_since() != 0);
	assert_int_equal(cache.counts.stepped_back, 1);
	assert_int_equal(cache.counts.unjudged, 0);
	assert_int_equal(alert_count(stage.db, &alerts), HF_E_OK);
	assert_int_equal(alerts, 1);
	assert_int_equal(hear(10016, "the other one goes on"), HF_E_OK);
	assert_int_equal(session_reset_counter(&cache, DEVICE_ID, "anna"), HF_E_OK);
	assert_int_equal(alert_open_since(), 0);
	assert_int_equal(hear(400, "the restored one is heard"), HF_E_OK);
}

/* A used id with another message is the same proof; a redelivery is none. */
static void R2_clone_that_uses_the_same_ids(void **state)
{
	(void)state;
	assert_int_equal(hear(160, "a"), HF_E_OK);
	assert_int_equal(hear(160, "a"), HF_E_EXISTS);
	assert_int_equal(alert_open_since(), 0);
	assert_int_equal(hear(160, "b"), HF_E_REPLAY);
	assert_true(alert_open_since() != 0);
}

/* Who cannot sign proves nothing, and costs at most SESSION_PROOFS verifications a minute. */
static void R2_forgeries_prove_nothing_and_are_bounded(void **state)
{
	(void)state;
	assert_int_equal(hear(10000, "a"), HF_E_OK);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(turn(other_key, HF_WIRE_DATA, 16, "forged", DEVICE_NOW), HF_E_REPLAY);
	assert_int_equal(alert_open_since(), 0);
	assert_int_equal(cache.counts.unjudged, 10 - SESSION_PROOFS);
	assert_int_equal(hear(16, "too many"), HF_E_REPLAY);
	assert_int_equal(alert_open_since(), 0);
	assert_int_equal(turn(device_key, HF_WIRE_DATA, 16, "later", DEVICE_NOW + SESSION_PROOFS_MS), HF_E_REPLAY);
	assert_true(alert_open_since() != 0);
}

/* --- our own store went back ---------------------------------------------------------------------------------------- */

/* After a restore the next message in either direction is honest and must be taken. */
static void R1_ids_go_on_above_what_the_device_saw(void **state)
{
	uint64_t seen_by_device, next;

	(void)state;
	assert_int_equal(hear(160, "in the copy"), HF_E_OK);
	seen_by_device = say() + 1000000; /* said after the copy was made */
	assert_int_equal(db_exec(stage.db, DB_IDENTITY_BEHIND, NULL, 0, NULL), HF_E_OK);
	restart();
	assert_int_equal(db_exec(stage.db, DB_IDENTITY_BEHIND, NULL, 0, NULL), HF_E_OK);
	end_turn();
	next = say();
	assert_true(next > seen_by_device && next >= SESSION_FAR);
	assert_int_equal(say(), next + HF_SEAL_GAP);
	assert_int_equal(hear(seen_by_device + 16, "first after"), HF_E_OK);
	restart();
	assert_int_equal(say(), next + 2 * HF_SEAL_GAP);
}

/* What the device said between copy and restore is missing here, but no broker lost it. */
static void R1_first_message_after_a_restore_is_a_gap_of_unknown_size(void **state)
{
	(void)state;
	assert_int_equal(hear(160, "in the copy"), HF_E_OK);
	assert_int_equal(db_exec(stage.db, DB_IDENTITY_BEHIND, NULL, 0, NULL), HF_E_OK);
	end_turn();
	restart();
	assert_int_equal(hear(1600, "first after"), HF_E_OK);
	assert_gaps(1, 0, 1);
	assert_int_equal(hear(1632, "one is lost"), HF_E_OK);
	assert_gaps(2, 1, 1);
}

/* Resumed from a memory snapshot the server knows less than the device: the device is heard at once, that is shown as a
 * gap, and what we say is above what it saw. */
static void R5_resumed_server_hears_and_is_heard(void **state)
{
	uint64_t seen_by_device;

	(void)state;
	assert_int_equal(hear(160, "before the snapshot"), HF_E_OK);
	seen_by_device = say() + 3200; /* said after the snapshot, by the life that is gone */
	assert_int_equal(hear(seen_by_device + 16, "first after"), HF_E_OK);
	assert_int_equal(gaps_stored().count, 1);
	assert_true(say() > seen_by_device);
}

/* --- gaps ------------------------------------------------------------------------------------------------------------ */

enum { HEAR, SAY, RESTART };
struct step {
	int what;
	uint64_t id;
	int64_t count, missed, unsized; /* after it */
};

static void walk(const struct step *step, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char token[16];

		(void)snprintf(token, sizeof token, "%zu", i);
		if (step[i].what == HEAR)
			assert_int_equal(hear(step[i].id, token), HF_E_OK);
		else if (step[i].what == SAY)
			assert_int_equal(say(), step[i].id);
		else
			restart();
		assert_gaps(step[i].count, step[i].missed, step[i].unsized);
	}
}
#define WALK(...)                               \
	do {                                        \
		const struct step s_[] = {__VA_ARGS__}; \
		walk(s_, COUNT(s_));                    \
	} while (0)

static void no_gaps_where_none_are(void **state)
{
	(void)state;
	/* ours in steps of 16, what we say in between, and its answer; the reference in steps of 1 */
	WALK({HEAR, 4000, 0, 0, 0}, {HEAR, 4016, 0, 0, 0}, {SAY, 4032, 0, 0, 0}, {SAY, 4048, 0, 0, 0},
	     {HEAR, 4064, 0, 0, 0}, {HEAR, 4065, 0, 0, 0}, {RESTART, 0, 0, 0, 0}, {HEAR, 4081, 0, 0, 0},
	     {SAY, 4097, 0, 0, 0}, {RESTART, 0, 0, 0, 0}, {HEAR, 4113, 0, 0, 0});
}

static void gaps_are_counted(void **state)
{
	(void)state;
	WALK({HEAR, 16, 0, 0, 0}, {HEAR, 48, 1, 1, 0}, {HEAR, 64, 1, 1, 0}, {HEAR, 128, 2, 4, 0}, {RESTART, 0, 2, 4, 0},
	     {HEAR, 145, 3, 5, 0}, {SAY, 161, 3, 5, 0}, {HEAR, 193, 4, 6, 0});
}

static void a_late_message_takes_its_gap_back(void **state)
{
	(void)state;
	WALK({HEAR, 16, 0, 0, 0}, {HEAR, 64, 1, 2, 0}, {HEAR, 32, 1, 1, 0}, {HEAR, 48, 0, 0, 0}, {HEAR, 63, 0, 0, 0});
}

/* Our device reserves 4096 ids when it takes 16 and steps behind them when it starts anew: that is no loss. */
static void a_restart_is_a_gap_of_unknown_size(void **state)
{
	(void)state;
	WALK({HEAR, 16, 0, 0, 0}, {HEAR, 32, 0, 0, 0}, {HEAR, 16 + 4096 + 16, 1, 0, 1}, {RESTART, 0, 1, 0, 1},
	     {HEAR, 4128 + 4096 + 16, 2, 0, 2}, {HEAR, 8240 + 4096, 3, 255, 2});
}

static void steps_beyond_belief(void **state)
{
	(void)state;
	WALK({HEAR, 16, 0, 0, 0}, {HEAR, UINT64_C(1) << 62, 1, 0, 1}, {HEAR, HF_SEAL_SEQUENCE_MAX, 2, 0, 2});
}

static void gaps_of_a_failed_turn_are_not_counted(void **state)
{
	(void)state;
	assert_int_equal(hear(16, "a"), HF_E_OK);
	for (unsigned i = 0; i < 3; i++) {
		db_fail_commit(stage.db, 1);
		assert_int_equal(hear(64, "b"), HF_E_OK);
		assert_gaps(0, 0, 0);
	}
	assert_int_equal(hear(64, "b"), HF_E_OK);
	assert_gaps(1, 2, 0);
}

/* --- join requests come by another connection ------------------------------------------------------------------------ */

static void a_join_request_that_overtakes_costs_no_reading(void **state)
{
	(void)state;
	assert_int_equal(hear(16, "a"), HF_E_OK);
	assert_int_equal(turn(device_key, HF_WIRE_JOIN_REQ, 1600, "join", DEVICE_NOW), HF_E_OK);
	assert_true(session_asked_last(session_now()));
	restart();
	assert_true(session_asked_last(session_now()));
	for (uint64_t id = 32; id < 1600; id += 400)
		assert_int_equal(hear(id, "late"), HF_E_OK);
	assert_int_equal(turn(device_key, HF_WIRE_JOIN_REQ, 1600, "join", DEVICE_NOW), HF_E_EXISTS);
	assert_int_equal(turn(device_key, HF_WIRE_JOIN_REQ, 1600, "another", DEVICE_NOW), HF_E_REPLAY);
	assert_int_equal(hear(1616, "next"), HF_E_OK);
	assert_false(session_asked_last(session_now()));
	assert_true(say() > 1616);
	assert_int_equal(alert_open_since(), 0);
}

/* Old messages are removed from the database but for the newest 64: what is gone must not count as new. */
static void M3_replay_of_what_was_removed(void **state)
{
	(void)state;
	assert_int_equal(hear(16, "removed"), HF_E_OK);
	for (uint64_t i = 0; i < HF_SEAL_WINDOW; i++) {
		char token[16];

		(void)snprintf(token, sizeof token, "%u", (unsigned)i);
		assert_int_equal(turn(device_key, HF_WIRE_JOIN_REQ, 32 + 16 * i, token, DEVICE_NOW + (int64_t)i), HF_E_OK);
	}
	assert_int_equal(db_exec(stage.db, DB_RETAIN_INBOUND,
	                         DB_ARGS(db_id(DEVICE_ID), db_int(DEVICE_NOW + 1), db_int(10), db_int(INT64_MAX)), NULL),
	                 HF_E_OK);
	end_turn();
	restart();
	assert_int_equal(session_now()->window.high, 0);
	assert_int_equal(hear(16, "removed"), HF_E_REPLAY);
	assert_int_equal(hear(40, "overtaken"), HF_E_OK);
}

/* One that was overtaken is refused, and proves nothing. */
static void a_join_request_that_is_overtaken_proves_nothing(void **state)
{
	(void)state;
	assert_int_equal(hear(1600, "a"), HF_E_OK);
	assert_int_equal(turn(device_key, HF_WIRE_HM_JOIN_REQ, 16, "join", DEVICE_NOW), HF_E_REPLAY);
	assert_int_equal(alert_open_since(), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(M3_replay_after_reset),
		CASE(sent_ids_go_on_above_after_a_reset),
		CASE(only_devices_of_ours_have_a_counter),
		CASE(R2_device_that_went_back_is_noticed_once),
		CASE(R2_clone_that_uses_the_same_ids),
		CASE(R2_forgeries_prove_nothing_and_are_bounded),
		CASE(R1_ids_go_on_above_what_the_device_saw),
		CASE(R1_first_message_after_a_restore_is_a_gap_of_unknown_size),
		CASE(R5_resumed_server_hears_and_is_heard),
		CASE(no_gaps_where_none_are),
		CASE(gaps_are_counted),
		CASE(a_late_message_takes_its_gap_back),
		CASE(a_restart_is_a_gap_of_unknown_size),
		CASE(steps_beyond_belief),
		CASE(gaps_of_a_failed_turn_are_not_counted),
		CASE(a_join_request_that_overtakes_costs_no_reading),
		CASE(M3_replay_of_what_was_removed),
		CASE(a_join_request_that_is_overtaken_proves_nothing),
	};

	return cmocka_run_group_tests_name("session history", tests, load_keys, free_keys);
}
