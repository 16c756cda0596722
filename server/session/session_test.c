/* session tests - replay, forgery, restarts and failed turns, with real signatures and a real database. Uses: session, cmocka. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "port/openssl/openssl.h"
#include "registry/registry.h"
#include "session/session.h"
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

static struct arrived reading(struct hf_seal_key *key, uint64_t sequence, const char *token)
{
	struct hf_wire_msg m = {.type = HF_WIRE_DATA, .data = {hf_span_text("T"), hf_span_text("12345678")}};

	return device_says(key, DEVICE_ID, sequence, token, m);
}

static enum hf_err receive(const struct arrived *a)
{
	struct session *s = NULL;

	assert_int_equal(session_get(&cache, DEVICE_ID, &s), HF_E_OK);
	return session_receive(&cache, s, &a->m, &a->covered, DEVICE_NOW);
}

/* One message in a turn of its own. */
static enum hf_err turn_with(uint64_t sequence, const char *token)
{
	struct arrived a = reading(device_key, sequence, token);
	enum hf_err err = receive(&a);

	end_turn();
	return err;
}

/* --- receiving ---------------------------------------------------------------------------------------------------- */

static void M3_replay_at_once(void **state)
{
	(void)state;
	assert_int_equal(turn_with(5, "five"), HF_E_OK);
	assert_int_equal(turn_with(5, "five"), HF_E_EXISTS);
	assert_int_equal(turn_with(5, "other"), HF_E_REPLAY);
	assert_int_equal(turn_with(6, "five"), HF_E_OK);
	assert_int_equal(cache.counts.received, 2);
	assert_int_equal(cache.counts.repeated, 1);
	assert_int_equal(cache.counts.refused_replay, 1);
}

static void M3_replay_after_restart(void **state)
{
	(void)state;
	assert_int_equal(turn_with(5, "five"), HF_E_OK);
	assert_int_equal(turn_with(9, "nine"), HF_E_OK);
	restart();
	assert_int_equal(turn_with(5, "five"), HF_E_EXISTS);
	assert_int_equal(turn_with(9, "nine"), HF_E_EXISTS);
	assert_int_equal(turn_with(9, "again"), HF_E_REPLAY);
	assert_int_equal(turn_with(10, "ten"), HF_E_OK); /* the next honest one */
	assert_int_equal(turn_with(7, "late"), HF_E_OK); /* and one that was overtaken */
	restart();
	assert_int_equal(turn_with(7, "late"), HF_E_EXISTS);
	assert_int_equal(turn_with(11, "eleven"), HF_E_OK);
}

/* What fell out of the window is refused, whether it was ever seen or not; the database still knows an exact repeat. */
static void M3_replay_from_below_the_window(void **state)
{
	(void)state;
	assert_int_equal(turn_with(2, "two"), HF_E_OK);
	for (uint64_t id = 1000; id < 1000 + 2 * HF_SEAL_WINDOW; id++)
		assert_int_equal(turn_with(id, "many"), HF_E_OK);
	for (unsigned round = 0; round < 2; round++) {
		assert_int_equal(turn_with(2, "two"), HF_E_EXISTS);
		assert_int_equal(turn_with(1, "one"), HF_E_REPLAY);
		assert_int_equal(turn_with(1000, "many"), HF_E_EXISTS);
		assert_int_equal(turn_with(1000 + 2 * HF_SEAL_WINDOW + round, "next"), HF_E_OK);
		restart();
	}
}

/* Ids with the highest bit set sort above the others in the database too. */
static void M3_replay_of_ids_beyond_the_signed_range(void **state)
{
	const uint64_t high = UINT64_C(0x8000000000000010);

	(void)state;
	assert_int_equal(turn_with(UINT64_C(0x7ffffffffffffff0), "low"), HF_E_OK);
	assert_int_equal(turn_with(high, "high"), HF_E_OK);
	restart();
	assert_int_equal(turn_with(high, "high"), HF_E_EXISTS);
	assert_int_equal(turn_with(UINT64_C(0x7ffffffffffffff0), "low"), HF_E_EXISTS);
	assert_int_equal(turn_with(high - 1, "between"), HF_E_OK);
	assert_int_equal(turn_with(high + 1, "next"), HF_E_OK);
}

static void M2_forged_sequence_keeps_window(void **state)
{
	static const uint64_t forged[] = {2, 1000, HF_SEAL_SEQUENCE_MAX};

	(void)state;
	assert_int_equal(turn_with(1, "one"), HF_E_OK);
	for (size_t i = 0; i < COUNT(forged); i++) {
		struct arrived a = reading(other_key, forged[i], "forged");

		assert_int_equal(receive(&a), HF_E_SIGNATURE);
		end_turn();
	}
	struct arrived most = reading(other_key, UINT64_MAX, "forged"), none = reading(other_key, 0, "forged");

	assert_int_equal(receive(&most), HF_E_SEQUENCE);
	assert_int_equal(receive(&none), HF_E_SEQUENCE);
	end_turn();
	assert_int_equal(turn_with(2, "two"), HF_E_OK);
	restart();
	assert_int_equal(turn_with(3, "three"), HF_E_OK);
	assert_int_equal(cache.counts.refused_signature, 0); /* counted in the cache that is gone */
}

/* A signature over other bytes: type, token and body are covered. */
static void M9_changed_after_signing(void **state)
{
	struct arrived a = reading(device_key, 1, "one"), b;
	uint8_t sig[256];

	(void)state;
	assert_int_equal(a.m.signature.len, sizeof sig);
	memcpy(sig, a.m.signature.ptr, sizeof sig);
	b = reading(device_key, 1, "two");
	b.m.signature = hf_span_of(sig, sizeof sig);
	assert_int_equal(receive(&b), HF_E_SIGNATURE);
	b.m.signature = hf_span_of(NULL, 0);
	assert_int_equal(receive(&b), HF_E_SIGNATURE);
	assert_int_equal(turn_with(1, "one"), HF_E_OK);
}

/* The turn's commit fails: nothing was taken, so the broker's redelivery of the same message is taken. */
static void M3_failed_commit_forgets_the_window(void **state)
{
	(void)state;
	assert_int_equal(turn_with(4, "four"), HF_E_OK);
	for (unsigned round = 0; round < 3; round++) {
		db_fail_commit(stage.db, 1);
		assert_int_equal(turn_with(5, "five"), HF_E_OK);
	}
	assert_int_equal(turn_with(5, "five"), HF_E_OK);
	assert_int_equal(turn_with(5, "five"), HF_E_EXISTS);
	assert_int_equal(turn_with(4, "four"), HF_E_EXISTS);
	assert_int_equal(turn_with(6, "six"), HF_E_OK);
}

static void M3_undone_handler_forgets_the_window(void **state)
{
	struct arrived a = reading(device_key, 5, "five");

	(void)state;
	assert_int_equal(db_mark(stage.db), HF_E_OK);
	assert_int_equal(receive(&a), HF_E_OK);
	assert_int_equal(db_settle(stage.db, false), HF_E_OK);
	session_forget(&cache, DEVICE_ID);
	end_turn();
	assert_int_equal(turn_with(5, "five"), HF_E_OK);
	assert_int_equal(turn_with(5, "five"), HF_E_EXISTS);
}

static void seen_is_kept(void **state)
{
	struct registry_identity i;

	(void)state;
	assert_int_equal(turn_with(1, "one"), HF_E_OK);
	assert_int_equal(registry_get(stage.db, DEVICE_ID, &i), HF_E_OK);
	assert_int_equal(i.seen_ms, DEVICE_NOW);
}

static int64_t seen_after(uint64_t sequence, int64_t now_ms)
{
	struct arrived a = reading(device_key, sequence, "again");
	struct registry_identity i;
	struct session *s = NULL;

	assert_int_equal(session_get(&cache, DEVICE_ID, &s), HF_E_OK);
	assert_int_equal(session_receive(&cache, s, &a.m, &a.covered, now_ms), HF_E_OK);
	end_turn();
	assert_int_equal(registry_get(stage.db, DEVICE_ID, &i), HF_E_OK);
	return i.seen_ms;
}

static void seen_is_written_once_a_second(void **state)
{
	(void)state;
	assert_int_equal(seen_after(1, DEVICE_NOW), DEVICE_NOW);
	assert_int_equal(seen_after(2, DEVICE_NOW + SESSION_SEEN_MS - 1), DEVICE_NOW);
	assert_int_equal(seen_after(3, DEVICE_NOW + SESSION_SEEN_MS), DEVICE_NOW + SESSION_SEEN_MS);
	assert_int_equal(seen_after(4, DEVICE_NOW), DEVICE_NOW); /* the clock stepped back */
}

static void two_sessions_of_one_turn(void **state)
{
	struct session *s = NULL, *other = NULL;

	(void)state;
	device_add(stage.db, OTHER_ID, other_key, REGISTRY_JOINED, "box");
	end_turn();
	for (unsigned committed = 0; committed < 2; committed++) {
		assert_int_equal(session_get(&cache, DEVICE_ID, &s), HF_E_OK);
		assert_int_equal(session_get(&cache, OTHER_ID, &other), HF_E_OK);
		session_forget(&cache, DEVICE_ID); /* the turn no longer knows it */
		session_turn_done(&cache, committed);
		assert_int_equal(cache.count, committed);
		assert_null(cache.touched);
		session_cache_release(&cache);
	}
}

/* --- who has a session --------------------------------------------------------------------------------------------- */

static void session_of_whom(void **state)
{
	static const enum registry_state half_made[] = {REGISTRY_NEW, REGISTRY_PROVEN};
	struct registry_identity server = {.id = 0x77, .kind = REGISTRY_REFERENCE, .state = REGISTRY_JOINED, .type = "c2"};
	struct session *s = NULL;

	(void)state;
	assert_int_equal(session_get(&cache, 0x99, &s), HF_E_NOT_FOUND);
	for (size_t i = 0; i < COUNT(half_made); i++) {
		device_add(stage.db, 0x80 + i, device_key, half_made[i], "box");
		assert_int_equal(session_get(&cache, 0x80 + i, &s), HF_E_NOT_FOUND);
	}
	assert_int_equal(registry_add(stage.db, &server, 10), HF_E_OK);
	assert_int_equal(session_get(&cache, 0x77, &s), HF_E_NOT_FOUND);
	device_add(stage.db, OTHER_ID, other_key, REGISTRY_REGISTERED, "box");
	assert_int_equal(session_get(&cache, OTHER_ID, &s), HF_E_OK);
	session_forget(&cache, OTHER_ID);
	assert_int_equal(registry_set_state(stage.db, &stage.facts, OTHER_ID, REGISTRY_REVOKED, 0, DEVICE_NOW), HF_E_OK);
	assert_int_equal(session_get(&cache, OTHER_ID, &s), HF_E_DENIED);
	assert_int_equal(cache.count, 0);
	assert_int_equal(cache.counts.refused_unknown, 5);
}

/* A session that was read in a turn that fails may hold what was never committed. */
static void session_of_a_failed_turn_is_read_anew(void **state)
{
	struct session *s = NULL;

	(void)state;
	assert_int_equal(registry_set_state(stage.db, &stage.facts, DEVICE_ID, REGISTRY_REGISTERED, 0, DEVICE_NOW),
	                 HF_E_OK);
	assert_int_equal(session_get(&cache, DEVICE_ID, &s), HF_E_OK);
	assert_int_equal(s->identity.state, REGISTRY_REGISTERED);
	db_fail_commit(stage.db, 1);
	end_turn();
	assert_int_equal(session_get(&cache, DEVICE_ID, &s), HF_E_OK);
	assert_int_equal(s->identity.state, REGISTRY_JOINED);
}

/* --- sending ------------------------------------------------------------------------------------------------------- */

static uint64_t say(const char *token)
{
	struct hf_wire_msg m = {.type = HF_WIRE_ACTION, .token = hf_span_text(token), .action = {3}};
	struct session *s = NULL;

	assert_int_equal(session_get(&cache, DEVICE_ID, &s), HF_E_OK);
	assert_int_equal(session_say(&cache, s, &m, 0, DEVICE_NOW), HF_E_OK);
	end_turn();
	return m.sequence_id;
}

static void M3_sent_ids_rise_over_restarts(void **state)
{
	uint64_t last = say("t");

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		uint64_t id = say("t");

		assert_true(id >= last + HF_SEAL_GAP);
		last = id;
		if (i % 5 == 0)
			restart();
	}
	assert_int_equal(turn_with(1000000, "far"), HF_E_OK);
	assert_true(say("t") > 1000000); /* the reference device counts both directions in one */
}

static void said_lies_in_the_outbox(void **state)
{
	struct hf_wire_msg m = {0};
	int64_t after = 0;
	uint64_t first = say("one"), second = say("two");

	(void)state;
	assert_true(outbox_next(stage.db, &after, &m));
	assert_true(m.sequence_id == first && m.sender_id == SERVER_ID && m.type == HF_WIRE_ACTION &&
	            m.action.action_id == 3);
	assert_true(hf_span_equal(m.token, hf_span_text("one")));
	assert_int_equal(m.signature.len, 0);
	assert_true(outbox_next(stage.db, &after, &m));
	assert_true(m.sequence_id == second);
	assert_false(outbox_next(stage.db, &after, &m));
}

static void said_in_a_failed_turn_is_gone(void **state)
{
	struct hf_wire_msg m = {0};
	int64_t after = 0;

	(void)state;
	db_fail_commit(stage.db, 1);
	say("lost");
	assert_int_equal(stage.facts.count, 0);
	say("kept");
	assert_true(outbox_next(stage.db, &after, &m));
	assert_true(hf_span_equal(m.token, hf_span_text("kept")));
	assert_false(outbox_next(stage.db, &after, &m));
}

static void too_large_to_say(void **state)
{
	static uint8_t big[65536];
	struct hf_wire_msg m = {.type = HF_WIRE_DATA, .token = hf_span_text("t"), .data = {hf_span_text("n"), {big, 0}}};
	static const size_t lens[] = {65536, 65535, 64900};
	struct session *s = NULL;

	(void)state;
	assert_int_equal(session_get(&cache, DEVICE_ID, &s), HF_E_OK);
	for (size_t i = 0; i < COUNT(lens); i++) {
		m.data.data.len = lens[i];
		assert_int_equal(session_say(&cache, s, &m, 0, DEVICE_NOW), i < 2 ? HF_E_TOO_BIG : HF_E_OK);
	}
}

/* A device that asks again and again is heard at first, then now and then. */
static void K6_join_requests_in_a_bucket(void **state)
{
	struct session *s = NULL;

	(void)state;
	assert_int_equal(session_get(&cache, DEVICE_ID, &s), HF_E_OK);
	for (unsigned i = 0; i < SESSION_JOIN_BURST; i++)
		assert_true(session_may_join(s, DEVICE_NOW + i));
	assert_false(session_may_join(s, DEVICE_NOW + SESSION_JOIN_REFILL_MS - 1));
	assert_true(session_may_join(s, DEVICE_NOW + SESSION_JOIN_REFILL_MS));
	assert_false(session_may_join(s, DEVICE_NOW + SESSION_JOIN_REFILL_MS + 1));
	for (unsigned i = 0; i < SESSION_JOIN_BURST; i++)
		assert_true(session_may_join(s, DEVICE_NOW + INT64_C(1000000000)));
	assert_false(session_may_join(s, DEVICE_NOW + INT64_C(1000000000)));
}

static void tokens_are_new(void **state)
{
	uint8_t a[SESSION_TOKEN_LEN], b[SESSION_TOKEN_LEN];

	(void)state;
	session_token(a);
	session_token(b);
	assert_memory_not_equal(a, b, sizeof a);
	assert_int_equal(a[14], '4');
	assert_int_equal(a[8], '-');
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(M3_replay_at_once),
		CASE(M3_replay_after_restart),
		CASE(M3_replay_from_below_the_window),
		CASE(M3_replay_of_ids_beyond_the_signed_range),
		CASE(M2_forged_sequence_keeps_window),
		CASE(M9_changed_after_signing),
		CASE(M3_failed_commit_forgets_the_window),
		CASE(M3_undone_handler_forgets_the_window),
		CASE(seen_is_kept),
		CASE(seen_is_written_once_a_second),
		CASE(two_sessions_of_one_turn),
		CASE(session_of_whom),
		CASE(session_of_a_failed_turn_is_read_anew),
		CASE(M3_sent_ids_rise_over_restarts),
		CASE(said_lies_in_the_outbox),
		CASE(said_in_a_failed_turn_is_gone),
		CASE(too_large_to_say),
		CASE(K6_join_requests_in_a_bucket),
		CASE(tokens_are_new),
	};

	return cmocka_run_group_tests_name("session", tests, load_keys, free_keys);
}
