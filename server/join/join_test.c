/* join tests - policy, confirmation by a person, wrong codes, time running out. Uses: join, cmocka. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "alert/alert.h"
#include "join/join.h"
#include "port/openssl/openssl.h"
#include "registry/registry.h"
#include "seal/seal.h"
#include "session/session.h"
#include "tests/session_stage.h"
#include "type/type.h"

static const struct join_limits limits = {600000, 2};

static int set_up(void **state)
{
	(void)state;
	stage_begin(&stage);
	device_add(stage.db, DEVICE_ID, device_key, REGISTRY_REGISTERED, "box");
	session_cache_init(&cache, stage.db, &stage.facts, SERVER_ID);
	return 0;
}

static void profile(const char *document)
{
	static struct type_profile p;
	char why[TYPE_WHY_MAX];

	assert_int_equal(type_parse(hf_span_text(document), &p, why), HF_E_OK);
	assert_int_equal(type_put(stage.db, &p, hf_span_text(document), "test", 1), HF_E_OK);
}

static struct session *session_of(uint64_t id)
{
	struct session *s = NULL;

	assert_int_equal(session_get(&cache, id, &s), HF_E_OK);
	return s;
}

static enum hf_err ask(uint64_t id)
{
	return join_moderated(&cache, &limits, session_of(id), hf_span_text("asked"), DEVICE_NOW);
}

/* What the device was told last, and under which token. */
struct told {
	unsigned type, status;
	uint8_t token[64];
	size_t token_len;
	char value[JOIN_VALUE_LEN + 1]; /* what it shows */
};

static struct told told_last(void)
{
	struct told t = {0};
	struct hf_wire_msg m;
	int64_t after = 0;

	while (outbox_next(stage.db, &after, &m)) {
		t = (struct told){.type = m.type, .token_len = m.token.len};
		assert_true(m.token.len <= sizeof t.token);
		memcpy(t.token, m.token.ptr, m.token.len);
		if (m.type == HF_WIRE_RESPONSE)
			t.status = m.response.status;
		if (m.type != HF_WIRE_HM_JOIN_RESP)
			continue;
		uint8_t plain[64];
		struct hf_wr w = hf_wr_of(plain, sizeof plain);

		if (hf_seal_envelope_open(hf_openssl_crypto(), device_key, m.hm_join_resp.encrypted, &w) != HF_E_OK)
			continue; /* another device's */
		assert_int_equal(w.len, JOIN_VALUE_LEN);
		memcpy(t.value, plain, JOIN_VALUE_LEN);
	}
	return t;
}

static void assert_told(unsigned status, const void *token, size_t len)
{
	struct told t = told_last();

	assert_int_equal(t.type, HF_WIRE_RESPONSE);
	assert_int_equal(t.status, status);
	assert_int_equal(t.token_len, len);
	assert_memory_equal(t.token, token, len);
}

static void assert_identity(enum registry_state expected, uint64_t controller)
{
	struct registry_identity i;

	assert_int_equal(registry_get(stage.db, DEVICE_ID, &i), HF_E_OK);
	assert_int_equal(i.state, expected);
	assert_true(i.controller == controller);
}

static int64_t waiting(int64_t now_ms)
{
	int64_t count = -1;

	assert_int_equal(join_count(stage.db, now_ms, &count), HF_E_OK);
	return count;
}

static int64_t alerts(void)
{
	int64_t count = -1;

	assert_int_equal(alert_count(stage.db, &count), HF_E_OK);
	return count;
}

/* --- simple -------------------------------------------------------------------------------------------------------- */

static void simple_join_by_policy(void **state)
{
	(void)state;
	assert_int_equal(join_simple(&cache, session_of(DEVICE_ID), hf_span_text("asked"), DEVICE_NOW), HF_E_OK);
	assert_told(HF_WIRE_JOIN_REFUSED, "asked", 5); /* no profile: refused, try a moderated join */
	assert_identity(REGISTRY_REGISTERED, 0);
	profile("{\"name\":\"box\",\"join\":{\"simple\":\"accept\"}}");
	assert_int_equal(join_simple(&cache, session_of(DEVICE_ID), hf_span_text("again"), DEVICE_NOW), HF_E_OK);
	assert_told(HF_WIRE_JOIN_OK, "again", 5);
	assert_identity(REGISTRY_JOINED, SERVER_ID);
	assert_true(stage_told(&stage, FACTS_RIGHTS, DEVICE_ID));
	profile("{\"name\":\"box\",\"join\":{\"simple\":\"refuse\"}}");
	assert_int_equal(join_simple(&cache, session_of(DEVICE_ID), hf_span_text("third"), DEVICE_NOW), HF_E_OK);
	assert_told(HF_WIRE_JOIN_OK, "third", 5); /* it is in already */
}

/* --- moderated ----------------------------------------------------------------------------------------------------- */

static void moderated_join_approved(void **state)
{
	struct told shown;

	(void)state;
	assert_int_equal(ask(DEVICE_ID), HF_E_OK);
	shown = told_last();
	assert_int_equal(shown.type, HF_WIRE_HM_JOIN_RESP);
	assert_int_equal(strspn(shown.value, "0123456789abcdef"), JOIN_VALUE_LEN);
	assert_int_equal(shown.value[12], '4');
	assert_int_equal(waiting(DEVICE_NOW), 1);
	assert_identity(REGISTRY_REGISTERED, 0);
	assert_int_equal(join_approve(&cache, DEVICE_ID, shown.value, "anna", DEVICE_NOW + 1), HF_E_OK);
	assert_told(HF_WIRE_JOIN_OK, shown.token, shown.token_len);
	assert_identity(REGISTRY_JOINED, SERVER_ID);
	assert_int_equal(waiting(DEVICE_NOW), 0);
	assert_int_equal(join_approve(&cache, DEVICE_ID, shown.value, "anna", DEVICE_NOW + 2), HF_E_NOT_FOUND);
}

static void compared_by_the_person(void **state)
{
	(void)state;
	assert_int_equal(ask(DEVICE_ID), HF_E_OK);
	assert_int_equal(join_approve(&cache, DEVICE_ID, NULL, "anna", DEVICE_NOW + 1), HF_E_OK);
	assert_identity(REGISTRY_JOINED, SERVER_ID);
}

/* One digit wrong, cut short, with something behind it, empty. */
static void M6_wrong_codes(void **state)
{
	char code[JOIN_VALUE_LEN + 2];
	struct told shown;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(ask(DEVICE_ID), HF_E_OK);
		shown = told_last();
		(void)snprintf(code, sizeof code, "%s%s", shown.value, i == 0 ? "0" : "");
		if (i == 1)
			code[JOIN_VALUE_LEN - 1] = 0;
		if (i == 2)
			code[0] = code[0] == '0' ? '1' : '0';
		if (i == 3)
			code[0] = 0;
		assert_int_equal(join_approve(&cache, DEVICE_ID, code, "anna", DEVICE_NOW + 1), HF_E_MISMATCH);
		assert_identity(REGISTRY_REGISTERED, 0);
		assert_int_equal(waiting(DEVICE_NOW), 1);
	}
	assert_int_equal(join_approve(&cache, DEVICE_ID, shown.value, "anna", DEVICE_NOW + 1), HF_E_OK);
}

static void M6_third_wrong_code_ends_it(void **state)
{
	struct told shown;

	(void)state;
	assert_int_equal(ask(DEVICE_ID), HF_E_OK);
	shown = told_last();
	for (unsigned i = 1; i <= JOIN_TRIES; i++) {
		assert_int_equal(alerts(), 0);
		assert_int_equal(waiting(DEVICE_NOW), 1);
		assert_int_equal(join_approve(&cache, DEVICE_ID, "ffffffffffffffffffffffffffffffff", "anna", DEVICE_NOW + 1),
		                 HF_E_MISMATCH);
	}
	assert_int_equal(alerts(), 1);
	assert_int_equal(waiting(DEVICE_NOW), 0);
	assert_told(HF_WIRE_JOIN_FAIL, shown.token, shown.token_len);
	assert_int_equal(join_approve(&cache, DEVICE_ID, shown.value, "anna", DEVICE_NOW + 2), HF_E_NOT_FOUND);
	assert_identity(REGISTRY_REGISTERED, 0);
}

static void refused_by_the_person(void **state)
{
	struct told shown;

	(void)state;
	assert_int_equal(join_refuse(&cache, DEVICE_ID, 1000, "anna", DEVICE_NOW), HF_E_NOT_FOUND);
	assert_int_equal(ask(DEVICE_ID), HF_E_OK);
	shown = told_last();
	assert_int_equal(join_refuse(&cache, DEVICE_ID, 1000, "anna", DEVICE_NOW + 1), HF_E_OK);
	assert_told(HF_WIRE_JOIN_FAIL, shown.token, shown.token_len);
	assert_identity(REGISTRY_REGISTERED, 0);
	assert_int_equal(waiting(DEVICE_NOW), 0);
}

/* Who was refused and asks again at once is told failed, and nobody sees it; after a while it may ask again. */
static void K6_a_refusal_lasts(void **state)
{
	(void)state;
	assert_int_equal(ask(DEVICE_ID), HF_E_OK);
	assert_int_equal(join_refuse(&cache, DEVICE_ID, 1, "anna", DEVICE_NOW), HF_E_OK);
	assert_int_equal(ask(DEVICE_ID), HF_E_OK); /* at DEVICE_NOW */
	assert_int_equal(told_last().status, HF_WIRE_JOIN_FAIL);
	assert_int_equal(waiting(DEVICE_NOW), 0);
	assert_int_equal(join_expire(&cache, DEVICE_NOW + 1), HF_E_OK);
	assert_int_equal(ask(DEVICE_ID), HF_E_OK);
	assert_int_equal(waiting(DEVICE_NOW), 1);
}

static void nobody_decides(void **state)
{
	int64_t end = DEVICE_NOW + limits.ttl_ms;
	struct told shown;

	(void)state;
	assert_int_equal(ask(DEVICE_ID), HF_E_OK);
	shown = told_last();
	assert_int_equal(waiting(end - 1), 1);
	assert_int_equal(waiting(end), 0);
	assert_int_equal(join_approve(&cache, DEVICE_ID, shown.value, "anna", end), HF_E_NOT_FOUND);
	assert_int_equal(join_expire(&cache, end - 1), HF_E_OK);
	assert_int_equal(waiting(end - 1), 1);
	assert_int_equal(join_expire(&cache, end), HF_E_OK);
	assert_int_equal(waiting(end - 1), 0);
	assert_identity(REGISTRY_REGISTERED, 0);
}

/* A new request replaces the one that waits: the old value lets nobody in. */
static void asked_twice(void **state)
{
	struct told first, second;

	(void)state;
	assert_int_equal(ask(DEVICE_ID), HF_E_OK);
	first = told_last();
	assert_int_equal(ask(DEVICE_ID), HF_E_OK);
	second = told_last();
	assert_int_equal(waiting(DEVICE_NOW), 1);
	assert_string_not_equal(first.value, second.value);
	assert_int_equal(join_approve(&cache, DEVICE_ID, first.value, "anna", DEVICE_NOW), HF_E_MISMATCH);
	assert_int_equal(join_approve(&cache, DEVICE_ID, second.value, "anna", DEVICE_NOW), HF_E_OK);
}

static void not_moderated_or_too_many(void **state)
{
	(void)state;
	profile("{\"name\":\"shut\",\"join\":{\"moderated\":\"refuse\"}}");
	device_add(stage.db, 0xd5, device_key, REGISTRY_REGISTERED, "shut");
	assert_int_equal(ask(0xd5), HF_E_OK);
	assert_told(HF_WIRE_JOIN_FAIL, "asked", 5);
	device_add(stage.db, OTHER_ID, device_key, REGISTRY_REGISTERED, "box");
	device_add(stage.db, 0xd4, device_key, REGISTRY_REGISTERED, "box");
	assert_int_equal(ask(DEVICE_ID), HF_E_OK);
	assert_int_equal(ask(OTHER_ID), HF_E_OK);
	assert_int_equal(ask(0xd4), HF_E_OK); /* no room: it is told so */
	assert_told(HF_WIRE_JOIN_FAIL, "asked", 5);
	assert_int_equal(waiting(DEVICE_NOW), 2);
}

static bool first_row(void *ctx, const struct join_row *j)
{
	*(struct join_row *)ctx = *j;
	return false;
}

static void listed_without_the_value(void **state)
{
	struct join_row row = {0};

	(void)state;
	assert_int_equal(ask(DEVICE_ID), HF_E_OK);
	assert_int_equal(join_list(stage.db, DEVICE_NOW, first_row, &row), HF_E_OK);
	assert_true(row.device == DEVICE_ID);
	assert_string_equal(row.kind, "moderated");
	assert_string_equal(row.type, "box");
	assert_int_equal(row.expires_ms, DEVICE_NOW + limits.ttl_ms);
}

/* A commit that fails: the person is told so, and the same code works afterwards. */
static void approved_in_a_failed_turn(void **state)
{
	struct told shown;

	(void)state;
	assert_int_equal(ask(DEVICE_ID), HF_E_OK);
	shown = told_last();
	assert_int_equal(db_commit(stage.db), HF_E_OK);
	session_turn_done(&cache, true);
	assert_int_equal(join_approve(&cache, DEVICE_ID, shown.value, "anna", DEVICE_NOW), HF_E_OK);
	db_fail_commit(stage.db, 1);
	assert_int_equal(db_commit(stage.db), HF_E_DATABASE);
	session_turn_done(&cache, false);
	assert_identity(REGISTRY_REGISTERED, 0);
	assert_int_equal(join_approve(&cache, DEVICE_ID, shown.value, "anna", DEVICE_NOW), HF_E_OK);
	assert_identity(REGISTRY_JOINED, SERVER_ID);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(simple_join_by_policy),
		CASE(moderated_join_approved),
		CASE(compared_by_the_person),
		CASE(M6_wrong_codes),
		CASE(M6_third_wrong_code_ends_it),
		CASE(refused_by_the_person),
		CASE(K6_a_refusal_lasts),
		CASE(nobody_decides),
		CASE(asked_twice),
		CASE(not_moderated_or_too_many),
		CASE(listed_without_the_value),
		CASE(approved_in_a_failed_turn),
	};

	return cmocka_run_group_tests_name("join", tests, load_keys, free_keys);
}
