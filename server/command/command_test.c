/* command tests - which answer settles which command, and which settles none. Uses: command, cmocka. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "command/command.h"
#include "os/os.h"
#include "port/openssl/openssl.h"
#include "registry/registry.h"
#include "session/session.h"
#include "tests/session_stage.h"

static const struct command_limits limits = {30000, 4};
static uint8_t token[SESSION_TOKEN_LEN]; /* of the command that was issued last */

static int set_up(void **state)
{
	(void)state;
	stage_begin(&stage);
	device_add(stage.db, DEVICE_ID, device_key, REGISTRY_JOINED, "box");
	device_add(stage.db, OTHER_ID, other_key, REGISTRY_JOINED, "box");
	session_cache_init(&cache, stage.db, &stage.facts, SERVER_ID);
	return 0;
}

static void remember_token(void)
{
	struct hf_wire_msg m = {0};
	int64_t after = 0;

	while (outbox_next(stage.db, &after, &m)) {
		assert_int_equal(m.token.len, sizeof token);
		memcpy(token, m.token.ptr, sizeof token);
	}
}

static enum hf_err order_action(uint64_t device, int64_t *id)
{
	const struct command_order order = {device, "led-on", "anna"};

	return command_action(&cache, &limits, &order, 1, id);
}

static enum hf_err order_identify(uint64_t device, int64_t *id)
{
	const struct command_order order = {device, "identify", "anna"};

	return command_identify(&cache, &limits, &order, id);
}

static int64_t action(uint64_t device)
{
	int64_t id = 0;

	assert_int_equal(order_action(device, &id), HF_E_OK);
	remember_token();
	return id;
}

static int64_t setting(uint64_t device)
{
	const struct command_order order = {device, "PM25-LIMIT", "anna"};
	int64_t id = 0;

	assert_int_equal(command_data(&cache, &limits, &order, hf_span_text("\x1\x2\x3\x4\x5\x6\x7\x8"), "25", &id),
	                 HF_E_OK);
	remember_token();
	return id;
}

static int64_t identify(uint64_t device)
{
	int64_t id = 0;

	assert_int_equal(order_identify(device, &id), HF_E_OK);
	remember_token();
	return id;
}

static enum hf_err answered(uint64_t device, unsigned status)
{
	return command_answered(&cache, device, hf_span_of(token, sizeof token), status, os_now_ms());
}

static void assert_state(int64_t id, const char *state)
{
	struct command c;

	assert_int_equal(command_get(stage.db, id, &c), HF_E_OK);
	assert_string_equal(c.state, state);
	assert_int_equal(command_final(&c), strcmp(state, "queued") != 0 && strcmp(state, "sent") != 0);
}

/* --- asked, sent, answered ----------------------------------------------------------------------------------------- */

static void action_to_its_answer(void **state)
{
	int64_t id = action(DEVICE_ID);
	struct command c;

	(void)state;
	assert_state(id, "queued");
	assert_true(stage_told(&stage, FACTS_COMMAND, DEVICE_ID) && stage_told(&stage, FACTS_OUTBOX, DEVICE_ID));
	assert_int_equal(command_sent(stage.db, &stage.facts, id, DEVICE_ID, 1234), HF_E_OK);
	assert_state(id, "sent");
	assert_int_equal(answered(DEVICE_ID, HF_WIRE_ACTION_OK), HF_E_OK);
	assert_int_equal(command_get(stage.db, id, &c), HF_E_OK);
	assert_string_equal(c.state, "answered");
	assert_string_equal(c.kind, "ACTION");
	assert_string_equal(c.what, "led-on");
	assert_string_equal(c.who, "anna");
	assert_string_equal(c.answer, hf_wire_status_text(HF_WIRE_ACTION_OK));
	assert_int_equal(c.status, HF_WIRE_ACTION_OK);
	assert_int_equal(c.sent_ms, 1234);
	assert_true(c.answered_ms > 0 && c.deadline_ms == c.created_ms + limits.timeout_ms);
}

static void setting_in_the_outbox(void **state)
{
	int64_t id = setting(DEVICE_ID), after = 0;
	struct hf_wire_msg m = {0};
	struct command c;

	(void)state;
	assert_true(outbox_next(stage.db, &after, &m));
	assert_int_equal(m.type, HF_WIRE_DATA);
	assert_true(hf_span_equal(m.data.data_id, hf_span_text("PM25-LIMIT")));
	assert_int_equal(m.data.data.len, 8);
	assert_int_equal(command_get(stage.db, id, &c), HF_E_OK);
	assert_string_equal(c.value, "25");
	assert_int_equal(c.status, -1);
}

/* --- tokens -------------------------------------------------------------------------------------------------------- */

static void M6_token_never_issued(void **state)
{
	int64_t id = action(DEVICE_ID);

	(void)state;
	token[0] ^= 1;
	assert_int_equal(answered(DEVICE_ID, HF_WIRE_ACTION_OK), HF_E_NOT_FOUND);
	token[0] ^= 1;
	assert_int_equal(command_answered(&cache, DEVICE_ID, hf_span_of(token, sizeof token - 1), HF_WIRE_ACTION_OK,
	                                  os_now_ms()),
	                 HF_E_NOT_FOUND);
	assert_int_equal(command_answered(&cache, DEVICE_ID, hf_span_of(NULL, 0), HF_WIRE_ACTION_OK, os_now_ms()),
	                 HF_E_NOT_FOUND);
	assert_state(id, "queued");
}

static void M6_token_used(void **state)
{
	int64_t id = action(DEVICE_ID);
	struct command c;

	(void)state;
	assert_int_equal(answered(DEVICE_ID, HF_WIRE_ACTION_OK), HF_E_OK);
	assert_int_equal(answered(DEVICE_ID, HF_WIRE_ACTION_FAIL), HF_E_NOT_FOUND);
	assert_int_equal(command_get(stage.db, id, &c), HF_E_OK);
	assert_int_equal(c.status, HF_WIRE_ACTION_OK);
}

static void M6_token_of_another_device(void **state)
{
	int64_t id = action(DEVICE_ID);

	(void)state;
	assert_int_equal(answered(OTHER_ID, HF_WIRE_ACTION_OK), HF_E_NOT_FOUND);
	assert_state(id, "queued");
	assert_int_equal(answered(DEVICE_ID, HF_WIRE_ACTION_OK), HF_E_OK);
}

static void M6_answer_of_another_kind(void **state)
{
	static const unsigned wrong[] = {
		HF_WIRE_JOIN_OK, HF_WIRE_UPDATE_OK, HF_WIRE_OBSERVE_VALID, HF_WIRE_DATA_UNKNOWN, 0x21, 0x300};
	int64_t id = action(DEVICE_ID);

	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++)
		assert_int_equal(answered(DEVICE_ID, wrong[i]), HF_E_NOT_FOUND);
	assert_state(id, "queued");
	assert_int_equal(answered(DEVICE_ID, HF_WIRE_ACTION_UNKNOWN), HF_E_OK);
	id = setting(DEVICE_ID);
	assert_int_equal(answered(DEVICE_ID, HF_WIRE_ACTION_UNKNOWN), HF_E_NOT_FOUND);
	assert_int_equal(answered(DEVICE_ID, HF_WIRE_DATA_UNKNOWN), HF_E_OK);
	assert_state(id, "answered");
}

static void M6_answer_too_late(void **state)
{
	int64_t id = action(DEVICE_ID), late = os_now_ms() + limits.timeout_ms + 1000;

	(void)state;
	assert_int_equal(command_sent(stage.db, &stage.facts, id, DEVICE_ID, 1), HF_E_OK);
	assert_int_equal(command_answered(&cache, DEVICE_ID, hf_span_of(token, sizeof token), HF_WIRE_ACTION_OK, late),
	                 HF_E_NOT_FOUND);
	assert_int_equal(command_expire(stage.db, &stage.facts, late), HF_E_OK);
	assert_state(id, "unknown");
	assert_int_equal(answered(DEVICE_ID, HF_WIRE_ACTION_OK), HF_E_NOT_FOUND);
}

/* --- identification carries a token of its own --------------------------------------------------------------------- */

static void M6_identification_that_nobody_asked_for(void **state)
{
	struct hf_span text = hf_span_text("box 1.2");
	int64_t id, now = os_now_ms();
	struct command c;

	(void)state;
	assert_int_equal(command_identified(&cache, DEVICE_ID, text, now), HF_E_NOT_FOUND);
	id = identify(DEVICE_ID);
	assert_int_equal(command_identified(&cache, DEVICE_ID, text, now), HF_E_NOT_FOUND); /* the question has not left */
	assert_int_equal(command_sent(stage.db, &stage.facts, id, DEVICE_ID, now), HF_E_OK);
	assert_int_equal(command_identified(&cache, OTHER_ID, text, now), HF_E_NOT_FOUND);
	assert_int_equal(command_identified(&cache, DEVICE_ID, text, now), HF_E_OK);
	assert_int_equal(command_identified(&cache, DEVICE_ID, text, now), HF_E_NOT_FOUND);
	assert_int_equal(command_get(stage.db, id, &c), HF_E_OK);
	assert_string_equal(c.answer, "box 1.2");
	assert_int_equal(c.status, -1);
}

/* --- limits, expiry, leaving --------------------------------------------------------------------------------------- */

static void expired_or_unknown(void **state)
{
	int64_t waiting = action(DEVICE_ID), gone = action(DEVICE_ID), done = action(DEVICE_ID);

	(void)state;
	assert_int_equal(answered(DEVICE_ID, HF_WIRE_ACTION_OK), HF_E_OK);
	assert_int_equal(command_sent(stage.db, &stage.facts, gone, DEVICE_ID, 1), HF_E_OK);
	assert_int_equal(command_expire(stage.db, &stage.facts, os_now_ms()), HF_E_OK);
	assert_state(waiting, "queued");
	assert_int_equal(command_expire(stage.db, &stage.facts, os_now_ms() + limits.timeout_ms + 1), HF_E_OK);
	assert_state(waiting, "expired");
	assert_state(gone, "unknown");
	assert_state(done, "answered");
	/* Nothing brings it back. */
	assert_int_equal(command_sent(stage.db, &stage.facts, waiting, DEVICE_ID, 1), HF_E_OK);
	assert_state(waiting, "expired");
}

static void so_many_open_and_no_more(void **state)
{
	int64_t id = 0;

	(void)state;
	for (int64_t i = 0; i < limits.open_max; i++)
		(void)action(DEVICE_ID);
	assert_int_equal(order_action(DEVICE_ID, &id), HF_E_FULL);
	assert_int_equal(order_identify(DEVICE_ID, &id), HF_E_FULL);
	(void)action(OTHER_ID);
	remember_token();
	assert_int_equal(answered(OTHER_ID, HF_WIRE_ACTION_OK), HF_E_OK);
}

static void not_to_everybody(void **state)
{
	int64_t id = 0;

	(void)state;
	assert_int_equal(order_action(0x99, &id), HF_E_NOT_FOUND);
	device_add(stage.db, 0xd3, device_key, REGISTRY_REGISTERED, "box");
	assert_int_equal(order_action(0xd3, &id), HF_E_STATE);
	assert_int_equal(registry_set_state(stage.db, &stage.facts, 0xd3, REGISTRY_JOINED, SERVER_ID + 1, 1), HF_E_OK);
	session_forget(&cache, 0xd3);
	assert_int_equal(order_action(0xd3, &id), HF_E_STATE); /* another server's */
	assert_int_equal(registry_set_state(stage.db, &stage.facts, DEVICE_ID, REGISTRY_REVOKED, 0, 1), HF_E_OK);
	session_forget(&cache, DEVICE_ID);
	assert_int_equal(order_action(DEVICE_ID, &id), HF_E_DENIED);
	assert_int_equal(command_get(stage.db, 1, &(struct command){0}), HF_E_NOT_FOUND);
}

static void B1_dropped_with_its_device(void **state)
{
	int64_t mine = action(DEVICE_ID), sent = action(DEVICE_ID), others = action(OTHER_ID), after = 0;
	struct hf_wire_msg m = {0};

	(void)state;
	assert_int_equal(command_sent(stage.db, &stage.facts, sent, DEVICE_ID, 1), HF_E_OK);
	assert_int_equal(command_drop(stage.db, &stage.facts, DEVICE_ID, "the device left"), HF_E_OK);
	assert_state(mine, "expired");
	assert_state(sent, "unknown");
	assert_state(others, "queued");
	assert_true(outbox_next(stage.db, &after, &m));
	assert_false(outbox_next(stage.db, &after, &m));
}

static bool count_one(void *ctx, const struct command *c)
{
	int64_t *count = ctx;

	assert_true(c->device == DEVICE_ID);
	return ++*count < 3;
}

static void newest_first(void **state)
{
	int64_t count = 0;

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		(void)action(DEVICE_ID);
	assert_int_equal(command_list(stage.db, DEVICE_ID, 2, count_one, &count), HF_E_OK);
	assert_int_equal(count, 2);
	count = 0;
	assert_int_equal(command_list(stage.db, DEVICE_ID, 100, count_one, &count), HF_E_OK);
	assert_int_equal(count, 3);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(action_to_its_answer),
		CASE(setting_in_the_outbox),
		CASE(M6_token_never_issued),
		CASE(M6_token_used),
		CASE(M6_token_of_another_device),
		CASE(M6_answer_of_another_kind),
		CASE(M6_answer_too_late),
		CASE(M6_identification_that_nobody_asked_for),
		CASE(expired_or_unknown),
		CASE(so_many_open_and_no_more),
		CASE(not_to_everybody),
		CASE(B1_dropped_with_its_device),
		CASE(newest_first),
	};

	return cmocka_run_group_tests_name("command", tests, load_keys, free_keys);
}
