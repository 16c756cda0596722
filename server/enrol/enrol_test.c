/* enrol tests - who may register under which policy, and what a refusal leaves behind. Uses: enrol, cmocka. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "enrol/enrol.h"
#include "tests/server_stage.h"

enum { NOW = 1000000, END = NOW + 1000, DEVICE = 0xd1, OTHER = 0xd2 };
/* printf 'key' | sha256sum */
#define KEY "key"
#define KEY_SHA256 "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"

static struct stage stage;
static struct enrol rules;
static char text[ENROL_TOKEN_TEXT_MAX];
static int64_t number;

static int set_up(void **state)
{
	(void)state;
	stage_begin(&stage);
	rules = (struct enrol){.db = stage.db, .facts = &stage.facts, .allowed_max = 3};
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	stage_end(&stage);
	return 0;
}

static void make_token(const char *type, int64_t uses)
{
	struct enrol_token t = {.uses_max = uses, .expires_ms = END, .name = "hall 3", .who = "anna"};

	(void)snprintf(t.type, sizeof t.type, "%s", type);
	assert_int_equal(enrol_token_new(&rules, &t, NOW, &number, text), HF_E_OK);
}

static enum enrol_refusal judged(enum enrol_policy policy, uint64_t id, const char *type, const char *token,
                                 int64_t now)
{
	const struct enrol_applicant a = {id, hf_span_text(KEY), type, hf_span_text(token)};
	enum enrol_refusal why = ENROL_REFUSAL_COUNT_;
	int64_t ticket = -1;

	assert_int_equal(enrol_judge(&rules, policy, &a, now, &why, &ticket), HF_E_OK);
	return why;
}

static enum enrol_refusal admitted(enum enrol_policy policy, uint64_t id, int64_t ticket, int64_t now)
{
	const struct enrol_applicant a = {.id = id, .key = hf_span_text(KEY), .type = "box"};
	enum enrol_refusal why = ENROL_REFUSAL_COUNT_;

	assert_int_equal(enrol_admit(&rules, policy, &a, ticket, now, &why), HF_E_OK);
	return why;
}

static void open_to_all(void **state)
{
	(void)state;
	assert_int_equal(judged(ENROL_OPEN, DEVICE, "box", "", NOW), ENROL_FINE);
	assert_int_equal(judged(ENROL_OPEN, DEVICE, "box", "hfe_nonsense", NOW), ENROL_FINE);
	assert_int_equal(admitted(ENROL_OPEN, DEVICE, 0, NOW), ENROL_FINE);
}

static void K6_token_is_bound(void **state)
{
	char other[ENROL_TOKEN_TEXT_MAX];

	(void)state;
	make_token("box", 2);
	assert_int_equal(strlen(text), 4 + 40);
	memcpy(other, text, sizeof other);
	other[20] = other[20] == '0' ? '1' : '0';
	assert_int_equal(judged(ENROL_TOKEN, DEVICE, "box", text, NOW), ENROL_FINE);
	assert_int_equal(judged(ENROL_TOKEN, DEVICE, "box", "", NOW), ENROL_NO_TOKEN);
	assert_int_equal(judged(ENROL_TOKEN, DEVICE, "box", other, NOW), ENROL_UNKNOWN);
	assert_int_equal(judged(ENROL_TOKEN, DEVICE, "box", text + 1, NOW), ENROL_UNKNOWN);
	assert_int_equal(judged(ENROL_TOKEN, DEVICE, "crate", text, NOW), ENROL_TYPE);
	assert_int_equal(judged(ENROL_TOKEN, DEVICE, "box", text, END - 1), ENROL_FINE);
	assert_int_equal(judged(ENROL_TOKEN, DEVICE, "box", text, END), ENROL_EXPIRED);
	assert_int_equal(enrol_token_revoke(&rules, number, NOW), HF_E_OK);
	assert_int_equal(enrol_token_revoke(&rules, number, NOW), HF_E_NOT_FOUND);
	assert_int_equal(judged(ENROL_TOKEN, DEVICE, "box", text, NOW), ENROL_REVOKED);
	assert_int_equal(admitted(ENROL_TOKEN, DEVICE, number, NOW), ENROL_REVOKED);
}

/* Beginning costs nothing; who proves a key spends a use, and the last use is spent once. */
static void K6_token_uses(void **state)
{
	(void)state;
	make_token("", 2);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(judged(ENROL_TOKEN, DEVICE, "box", text, NOW), ENROL_FINE);
	assert_int_equal(admitted(ENROL_TOKEN, DEVICE, number, NOW), ENROL_FINE);
	assert_int_equal(admitted(ENROL_TOKEN, DEVICE, number, END), ENROL_EXPIRED);
	assert_int_equal(admitted(ENROL_TOKEN, OTHER, number, NOW), ENROL_FINE);
	assert_int_equal(admitted(ENROL_TOKEN, OTHER, number, NOW), ENROL_SPENT);
	assert_int_equal(judged(ENROL_TOKEN, DEVICE, "box", text, NOW), ENROL_SPENT);
	assert_int_equal(admitted(ENROL_TOKEN, DEVICE, 0, NOW), ENROL_NO_TOKEN); /* it began while registration was open */
}

static bool look_for_text(void *ctx, const struct enrol_token *t)
{
	(void)ctx;
	assert_null(strstr(t->name, text + 4));
	assert_true(t->uses_max == 2 && t->uses == 0 && t->expires_ms == END && strcmp(t->who, "anna") == 0);
	return true;
}

static void K6_token_is_not_kept(void **state)
{
	FILE *file;
	char piece[65536];
	size_t len;

	(void)state;
	make_token("", 2);
	assert_int_equal(enrol_token_list(&rules, look_for_text, NULL), HF_E_OK);
	assert_int_equal(db_commit(stage.db), HF_E_OK);
	(void)snprintf(piece, sizeof piece, "%s-wal", stage.path);
	file = fopen(piece, "rb");
	assert_non_null(file);
	while ((len = fread(piece, 1, sizeof piece, file)) > 0)
		assert_null(memmem(piece, len, text + 4, 40));
	(void)fclose(file);
}

static void allow(const char *who, const char *type)
{
	struct enrol_allowed a = {.at_ms = NOW, .by = "anna"};

	(void)snprintf(a.type, sizeof a.type, "%s", type);
	assert_int_equal(enrol_who_parse(hf_span_text(who), a.who), HF_E_OK);
	assert_int_equal(enrol_allow(&rules, &a), HF_E_OK);
}

static void K6_allow_list(void **state)
{
	(void)state;
	assert_int_equal(judged(ENROL_ALLOWLIST, DEVICE, "box", "", NOW), ENROL_NOT_ALLOWED);
	allow("d1", "");
	assert_int_equal(judged(ENROL_ALLOWLIST, DEVICE, "box", "", NOW), ENROL_FINE);
	assert_int_equal(judged(ENROL_ALLOWLIST, OTHER, "box", "", NOW), ENROL_NOT_ALLOWED);
	allow("d1", "crate"); /* the same again, with a type */
	assert_int_equal(judged(ENROL_ALLOWLIST, DEVICE, "box", "", NOW), ENROL_TYPE);
}

static void K6_allow_list_by_key(void **state)
{
	(void)state;
	allow(KEY_SHA256, "box");
	assert_int_equal(judged(ENROL_ALLOWLIST, OTHER, "box", "", NOW), ENROL_FINE);
	assert_int_equal(judged(ENROL_ALLOWLIST, OTHER, "crate", "", NOW), ENROL_TYPE);
	assert_int_equal(admitted(ENROL_ALLOWLIST, OTHER, 0, NOW), ENROL_FINE);
	assert_int_equal(enrol_disallow(&rules, KEY_SHA256), HF_E_OK);
	assert_int_equal(enrol_disallow(&rules, KEY_SHA256), HF_E_NOT_FOUND);
	assert_int_equal(admitted(ENROL_ALLOWLIST, OTHER, 0, NOW), ENROL_NOT_ALLOWED);
}

static void allow_list_is_bounded(void **state)
{
	(void)state;
	allow("1", "");
	allow("2", "");
	allow("3", "");
	allow("3", "box");
	assert_int_equal(enrol_allowed_fit(&rules), HF_E_OK);
	allow("4", "");
	assert_int_equal(enrol_allowed_fit(&rules), HF_E_FULL);
}

static void what_may_be_listed(void **state)
{
	static const char too_long[] = KEY_SHA256 "00";
	static const char *const bad[] = {"", "0", "01", "D1", "d1 ", "#", "12345678901234567", too_long, "xx"};
	char out[ENROL_WHO_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(enrol_who_parse(hf_span_text(bad[i]), out), HF_E_TEXT);
	assert_int_equal(enrol_who_parse(hf_span_text("2C70E12B7A0646F92279F427C7B38E7334D8E5389CFF167A1DC30E73F826B683"),
	                                 out),
	                 HF_E_OK);
	assert_string_equal(out, KEY_SHA256);
}

static int64_t rows_of(const char *event)
{
	int64_t count = 0;
	DB_ROWS_SCOPED r = db_select(stage.db, DB_EVENT_LIST, DB_ARGS(db_int(0), db_int(1000)));

	while (db_step(&r)) {
		char text_of[64];

		db_col_text(&r, 3, text_of, sizeof text_of);
		count += strcmp(text_of, event) == 0;
	}
	return count;
}

/* All are counted; a flood fills neither the event table nor the list of alerts. */
static void K6_refusals_are_bounded(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(enrol_note_refusal(&rules, ENROL_UNKNOWN, DEVICE, NOW), HF_E_OK);
	assert_int_equal(rules.refused[ENROL_UNKNOWN], 1000);
	assert_int_equal(rows_of("enrol.refused"), ENROL_AUDITED);
	assert_int_equal(rows_of("alert.raised"), 1);
	assert_int_equal(enrol_note_refusal(&rules, ENROL_UNKNOWN, DEVICE, NOW + ENROL_WINDOW_MS), HF_E_OK);
	assert_int_equal(rows_of("enrol.refused"), ENROL_AUDITED + 1);
}

static void policies_by_name(void **state)
{
	(void)state;
	assert_int_equal(enrol_policy_named("open"), ENROL_OPEN);
	assert_int_equal(enrol_policy_named("allowlist"), ENROL_ALLOWLIST);
	assert_int_equal(enrol_policy_named("closed"), ENROL_POLICY_COUNT_);
	assert_string_equal(enrol_policy_name(ENROL_TOKEN), "token");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(open_to_all),           CASE(K6_token_is_bound),  CASE(K6_token_uses),
		CASE(K6_token_is_not_kept),  CASE(K6_allow_list),      CASE(K6_allow_list_by_key),
		CASE(allow_list_is_bounded), CASE(what_may_be_listed), CASE(K6_refusals_are_bounded),
		CASE(policies_by_name),
	};

	return cmocka_run_group_tests_name("enrol", tests, NULL, NULL);
}
