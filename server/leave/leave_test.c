/* leave tests - every way to go: what it ends, what is told, and what a second time does. Uses: leave, cmocka. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "audit/audit.h"
#include "command/command.h"
#include "leave/leave.h"
#include "port/openssl/openssl.h"
#include "tests/session_stage.h"

static int64_t command;
enum { UNTIL = DEVICE_NOW + 30000 };

/* A joined device with a command on its way. */
static int set_up(void **state)
{
	const struct command_limits limits = {30000, 4};
	const struct command_order order = {DEVICE_ID, "led-on", "anna"};

	(void)state;
	stage_begin(&stage);
	device_add(stage.db, DEVICE_ID, device_key, REGISTRY_JOINED, "box");
	device_add(stage.db, OTHER_ID, other_key, REGISTRY_REGISTERED, "box");
	session_cache_init(&cache, stage.db, &stage.facts, SERVER_ID);
	assert_int_equal(command_action(&cache, &limits, &order, 1, &command), HF_E_OK);
	return 0;
}

static struct registry_identity identity_now(uint64_t id)
{
	struct registry_identity i;

	assert_int_equal(registry_get(stage.db, id, &i), HF_E_OK);
	return i;
}

static struct session *session_of(uint64_t id)
{
	struct session *s = NULL;

	assert_int_equal(session_get(&cache, id, &s), HF_E_OK);
	return s;
}

/* What is in the outbox: one message of that type, or none (-1). */
static void assert_told(int type)
{
	struct hf_wire_msg m = {0};
	int64_t after = 0;
	bool told = false;

	assert_int_equal(outbox_next(stage.db, &after, &m), type >= 0);
	assert_int_equal(m.type, type >= 0 ? type : 0);
	assert_false(outbox_next(stage.db, &after, &m));
	assert_int_equal(leave_told(stage.db, DEVICE_ID, &told), HF_E_OK);
	assert_int_equal(told, type < 0);
}

static bool newest_event(void *ctx, const struct audit_entry *e)
{
	(void)snprintf(ctx, sizeof e->event, "%s", e->event);
	return false;
}

static void assert_event(const char *name)
{
	char event[64] = "";

	assert_int_equal(audit_list(stage.db, DEVICE_ID, 1, newest_event, event), HF_E_OK);
	assert_string_equal(event, name);
}

static void assert_command(const char *state, const char *why)
{
	struct command c;

	assert_int_equal(command_get(stage.db, command, &c), HF_E_OK);
	assert_string_equal(c.state, state);
	assert_string_equal(c.answer, why);
}

static void resigned_may_come_again(void **state)
{
	struct registry_identity i;

	(void)state;
	assert_int_equal(command_sent(stage.db, &stage.facts, command, DEVICE_ID, 1), HF_E_OK);
	assert_int_equal(leave_resigned(&cache, session_of(DEVICE_ID), DEVICE_NOW), HF_E_OK);
	i = identity_now(DEVICE_ID);
	assert_int_equal(i.state, REGISTRY_REGISTERED);
	assert_int_equal(i.controller, 0);
	assert_int_equal(i.left_ms, DEVICE_NOW);
	assert_string_equal(i.left_why, "the device left");
	assert_command("unknown", "the device left");
	assert_event("device.resigned");
	assert_told(-1);
	assert_true(stage_told(&stage, FACTS_RIGHTS, DEVICE_ID) && stage_told(&stage, FACTS_DEVICE, DEVICE_ID));
	assert_int_equal(session_of(DEVICE_ID)->identity.state, REGISTRY_REGISTERED);
	assert_int_equal(registry_set_state(stage.db, &stage.facts, DEVICE_ID, REGISTRY_JOINED, SERVER_ID, DEVICE_NOW + 1),
	                 HF_E_OK);
	assert_int_equal(identity_now(DEVICE_ID).left_ms, 0);
}

/* The request to join again came first, by its own connection: then the older wish to leave means nothing. */
static void a_resignation_that_was_overtaken(void **state)
{
	struct hf_wire_msg m = {.type = HF_WIRE_JOIN_REQ};
	struct arrived a = device_says(device_key, DEVICE_ID, 320, "again", m);
	struct session *s = session_of(DEVICE_ID);

	(void)state;
	assert_int_equal(session_receive(&cache, s, &a.m, &a.covered, DEVICE_NOW), HF_E_OK);
	m.type = HF_WIRE_RESIGN_REQ;
	a = device_says(device_key, DEVICE_ID, 304, "resign", m);
	assert_int_equal(session_receive(&cache, s, &a.m, &a.covered, DEVICE_NOW), HF_E_OK);
	assert_int_equal(leave_resigned(&cache, s, DEVICE_NOW), HF_E_STATE);
	assert_int_equal(identity_now(DEVICE_ID).state, REGISTRY_JOINED);
}

static void terminated_is_told(void **state)
{
	(void)state;
	assert_int_equal(leave_terminate(&cache, DEVICE_ID, "anna", DEVICE_NOW), HF_E_OK);
	assert_int_equal(identity_now(DEVICE_ID).state, REGISTRY_REGISTERED);
	assert_command("expired", "the device was let go"); /* it never left */
	assert_told(HF_WIRE_TERMINATE_CMD);
	assert_event("device.terminated");
	assert_int_equal(leave_terminate(&cache, DEVICE_ID, "anna", DEVICE_NOW), HF_E_STATE);
	assert_int_equal(leave_terminate(&cache, OTHER_ID, "anna", DEVICE_NOW), HF_E_STATE);
	assert_int_equal(leave_terminate(&cache, 0x99, "anna", DEVICE_NOW), HF_E_NOT_FOUND);
	assert_told(HF_WIRE_TERMINATE_CMD);
}

static void deregistered_by_itself_is_out(void **state)
{
	struct session *s = NULL;

	(void)state;
	assert_int_equal(leave_by(&cache, DEVICE_ID, LEAVE_DEREGISTERED, "device", DEVICE_NOW), HF_E_OK);
	assert_int_equal(identity_now(DEVICE_ID).state, REGISTRY_REVOKED);
	assert_string_equal(identity_now(DEVICE_ID).left_why, "deregistered by the device");
	assert_event("device.deregistered");
	assert_int_equal(session_get(&cache, DEVICE_ID, &s), HF_E_DENIED);
	assert_told(-1);
	assert_int_equal(leave_terminate(&cache, DEVICE_ID, "anna", DEVICE_NOW), HF_E_DENIED);
	assert_int_equal(leave_deregister(&cache, DEVICE_ID, "anna", UNTIL, DEVICE_NOW), HF_E_DENIED);
}

static void begin_deregistration(void)
{
	assert_int_equal(leave_deregister(&cache, DEVICE_ID, "anna", UNTIL, DEVICE_NOW), HF_E_OK);
	assert_int_equal(identity_now(DEVICE_ID).state, REGISTRY_REGISTERED);
	assert_int_equal(identity_now(DEVICE_ID).ending_ms, UNTIL);
	assert_told(HF_WIRE_DEREGISTER_CMD);
	assert_event("device.deregistering");
}

static void deregistered_ends_when_it_disconnects(void **state)
{
	(void)state;
	begin_deregistration();
	assert_int_equal(leave_deregister(&cache, DEVICE_ID, "anna", UNTIL + 1, DEVICE_NOW), HF_E_STATE);
	assert_int_equal(leave_disconnected(&cache, OTHER_ID, DEVICE_NOW), HF_E_OK);
	assert_int_equal(leave_disconnected(&cache, 0x99, DEVICE_NOW), HF_E_OK);
	assert_int_equal(identity_now(OTHER_ID).state, REGISTRY_REGISTERED);
	assert_int_equal(leave_disconnected(&cache, DEVICE_ID, DEVICE_NOW + 5), HF_E_OK);
	assert_int_equal(identity_now(DEVICE_ID).state, REGISTRY_REVOKED);
	assert_int_equal(identity_now(DEVICE_ID).ending_ms, 0);
	assert_string_equal(identity_now(DEVICE_ID).left_why, "deregistered by the server");
}

/* Also when the server was restarted meanwhile. */
static void deregistered_ends_when_its_time_is_up(void **state)
{
	(void)state;
	begin_deregistration();
	assert_int_equal(db_commit(stage.db), HF_E_OK);
	session_cache_release(&cache);
	stage_restart(&stage);
	session_cache_init(&cache, stage.db, &stage.facts, SERVER_ID);
	assert_int_equal(leave_expire(&cache, UNTIL - 1), HF_E_OK);
	assert_int_equal(identity_now(DEVICE_ID).state, REGISTRY_REGISTERED);
	assert_int_equal(session_of(DEVICE_ID)->identity.ending_ms, UNTIL);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(leave_expire(&cache, UNTIL + i), HF_E_OK);
	assert_int_equal(identity_now(DEVICE_ID).state, REGISTRY_REVOKED);
	assert_int_equal(identity_now(DEVICE_ID).revoked_ms, UNTIL);
}

static void a_device_that_has_not_joined_can_be_deregistered(void **state)
{
	(void)state;
	assert_int_equal(leave_deregister(&cache, OTHER_ID, "anna", UNTIL, DEVICE_NOW), HF_E_OK);
	assert_int_equal(identity_now(OTHER_ID).ending_ms, UNTIL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(resigned_may_come_again),
		CASE(a_resignation_that_was_overtaken),
		CASE(terminated_is_told),
		CASE(deregistered_by_itself_is_out),
		CASE(deregistered_ends_when_it_disconnects),
		CASE(deregistered_ends_when_its_time_is_up),
		CASE(a_device_that_has_not_joined_can_be_deregistered),
	};

	return cmocka_run_group_tests_name("leave", tests, load_keys, free_keys);
}
