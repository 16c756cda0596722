/* type tests - profiles: what is wrong is said in a sentence that names it, what is right is kept. Uses: type, cmocka. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/server_stage.h"
#include "type/type.h"

static struct stage stage;
static struct type_profile p;

static int set_up(void **state)
{
	(void)state;
	stage_begin(&stage);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	stage_end(&stage);
	return 0;
}

static enum hf_err parse(const char *document)
{
	char why[TYPE_WHY_MAX];

	return type_parse(hf_span_text(document), &p, why);
}

#define ACTION_OF(text) "{\"name\":\"a\",\"actions\":[" text "]}"
#define DATA_OF(text) "{\"name\":\"a\",\"data\":[" text "]}"
#define NAME_63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

struct bad_case {
	const char *document, *why; /* what the sentence says */
};

static void bad_profiles_and_why(void **state)
{
	static const struct bad_case cases[] = {
		{"", "not a JSON object"},
		{"[]", "not a JSON object"},
		{"7", "not a JSON object"},
		{"{\"name\":\"a\"", "not a JSON object"},
		{"{\"name\":\"a\"} x", "not a JSON object"},
		{"{\"name\":\"a\",\"name\":\"b\"}", "duplicate"},
		{"{}", "\"name\" must be"},
		{"{\"name\":7}", "\"name\" must be"},
		{"{\"name\":\"\"}", "\"name\" must be"},
		{"{\"name\":\"a b\"}", "\"name\" must be"},
		{"{\"name\":\"a/b\"}", "\"name\" must be"},
		{"{\"name\":\"<b>\"}", "\"name\" must be"},
		{"{\"name\":\"" NAME_63 "a\"}", "\"name\" must be 1 to 63"},
		{"{\"name\":\"a\",\"certificate_days\":0}", "certificate_days"},
		{"{\"name\":\"a\",\"certificate_days\":826}", "certificate_days"},
		{"{\"name\":\"a\",\"certificate_days\":\"90\"}", "certificate_days"},
		{"{\"name\":\"a\",\"certificate_days\":1.5}", "certificate_days"},
		{"{\"name\":\"a\",\"join\":{\"simple\":\"ask\"}}", "join.simple must be"},
		{"{\"name\":\"a\",\"join\":{\"moderated\":\"accept\"}}", "join.moderated must be"},
		{"{\"name\":\"a\",\"actions\":{}}", "\"actions\" must be a list of at most 64"},
		{"{\"name\":\"a\",\"data\":7}", "\"data\" must be a list of at most 64"},
		{ACTION_OF("7"), "actions[0].id must be"},
		{ACTION_OF("{\"name\":\"x\"}"), "actions[0].id must be"},
		{ACTION_OF("{\"id\":256,\"name\":\"x\"}"), "actions[0].id must be"},
		{ACTION_OF("{\"id\":-1,\"name\":\"x\"}"), "actions[0].id must be"},
		{ACTION_OF("{\"id\":1.0,\"name\":\"x\"}"), "actions[0].id must be"},
		{ACTION_OF("{\"id\":1}"), "\"name\" must be"},
		{ACTION_OF("{\"id\":1,\"name\":\"x\"},{\"id\":1,\"name\":\"y\"}"), "action 1 (y) stands twice"},
		{ACTION_OF("{\"id\":1,\"name\":\"x\"},{\"id\":2,\"name\":\"x\"}"), "action 2 (x) stands twice"},
		{DATA_OF("{}"), "\"id\" must be"},
		{DATA_OF("{\"id\":\"T\"}"), "data T: \"kind\" must be"},
		{DATA_OF("{\"id\":\"T\",\"kind\":\"uint8\"}"), "data T: \"kind\" must be"},
		{DATA_OF("{\"id\":\"T\",\"kind\":\"int8\"}"), "data T: \"from\" must be"},
		{DATA_OF("{\"id\":\"T\",\"kind\":\"int8\",\"from\":\"both\"}"), "data T: \"from\" must be"},
		{DATA_OF("{\"id\":\"T\",\"kind\":\"int8\",\"from\":\"device\",\"unit\":\"sixteen letters!\"}"),
	     "longer than 15"},
		{DATA_OF("{\"id\":\"T\",\"kind\":\"int8\",\"from\":\"device\"},{\"id\":\"T\",\"kind\":\"text\",\"from\":"
	             "\"server\"}"),
	     "data T stands twice"},
		{DATA_OF("{\"id\":\"T\",\"kind\":\"int8\",\"from\":\"server\",\"min\":\"1\"}"),
	     "data T: \"min\" and \"max\" must be"},
		{DATA_OF("{\"id\":\"T\",\"kind\":\"int8\",\"from\":\"server\",\"max\":[]}"),
	     "data T: \"min\" and \"max\" must be"},
		{DATA_OF("{\"id\":\"T\",\"kind\":\"int8\",\"from\":\"server\",\"min\":2,\"max\":1}"),
	     "data T: \"min\" and \"max\" must be"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char why[TYPE_WHY_MAX] = "";

		if (type_parse(hf_span_text(cases[i].document), &p, why) != HF_E_INPUT || !strstr(why, cases[i].why))
			fail_msg("%s: \"%s\" instead of \"%s\"", cases[i].document, why, cases[i].why);
	}
}

static void W3_bad_text_and_depth(void **state)
{
	static char deep[20001], large[TYPE_DOCUMENT_MAX + 2];
	static const char *const texts[] = {"{\"name\":\"a\",\"label\":\"\xff\"}", "{\"name\":\"a\\u0000\"}",
	                                    "{\"name\":\"\\ud800\"}", "\xef\xbb\xbf{\"name\":\"a\"}"};
	char why[TYPE_WHY_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++)
		assert_int_equal(parse(texts[i]), HF_E_INPUT);
	memset(deep, '[', sizeof deep - 1);
	assert_int_equal(parse(deep), HF_E_INPUT);
	memset(large, ' ', sizeof large - 1);
	memcpy(large, "{\"name\":\"a\"}", 12);
	assert_int_equal(type_parse(hf_span_of(large, TYPE_DOCUMENT_MAX), &p, why), HF_E_OK);
	assert_int_equal(type_parse(hf_span_of(large, TYPE_DOCUMENT_MAX + 1), &p, why), HF_E_TOO_BIG);
	assert_non_null(strstr(why, "65536"));
}

static void as_many_as_fit(void **state)
{
	char text[8192] = "{\"name\":\"a\",\"actions\":[";

	(void)state;
	for (unsigned i = 0; i <= TYPE_ACTIONS_MAX; i++) {
		size_t n = strlen(text);

		(void)snprintf(text + n, sizeof text - n, "%s{\"id\":%u,\"name\":\"x%u\"}]}", i ? "," : "", i, i);
		assert_int_equal(parse(text), i < TYPE_ACTIONS_MAX ? HF_E_OK : HF_E_INPUT);
		text[strlen(text) - 2] = 0;
	}
}

static void good_profile(void **state)
{
	(void)state;
	assert_int_equal(parse(
						 "{\"name\":\"" NAME_63
						 "\",\"join\":{\"simple\":\"accept\",\"moderated\":\"refuse\"},\"certificate_days\":825,"
						 "\"actions\":[{\"id\":255,\"name\":\"boil\",\"dangerous\":true},{\"id\":0,\"name\":\"off\"}],"
						 "\"data\":[{\"id\":\"T\",\"kind\":\"double\",\"from\":\"device\",\"unit\":\"C\"},"
						 "{\"id\":\"L\",\"kind\":\"int16\",\"from\":\"server\",\"min\":-1.5,\"max\":7}]}"),
	                 HF_E_OK);
	assert_string_equal(p.name, NAME_63);
	assert_true(p.join_simple && !p.join_moderated && p.certificate_days == 825);
	assert_true(type_action_of(&p, 255)->dangerous && !type_action_named(&p, "off")->dangerous);
	assert_null(type_action_of(&p, 1));
	assert_null(type_action_named(&p, "Off"));
	const struct type_data *t = type_data_of(&p, hf_span_text("T")), *l = type_data_of(&p, hf_span_text("L"));

	assert_true(t && t->kind == TYPE_DOUBLE && !t->from_server && !t->has_min && !t->has_max);
	assert_string_equal(t->unit, "C");
	assert_true(l && l->kind == TYPE_INT16 && l->from_server && l->has_min && l->min == -1.5 && l->max == 7);
	assert_null(type_data_of(&p, hf_span_text("t")));
}

/* What says nothing about joins: nobody unseen, and a person is asked. */
static void least_profile(void **state)
{
	(void)state;
	assert_int_equal(parse("{\"name\":\"a\"}"), HF_E_OK);
	assert_true(!p.join_simple && p.join_moderated && p.certificate_days == 0 && p.actions + p.datas == 0);
}

static void kinds_by_name(void **state)
{
	(void)state;
	for (unsigned k = 0; k < TYPE_KIND_COUNT_; k++)
		assert_int_equal(type_kind_named(type_kind_name((enum type_kind)k)), k);
	assert_int_equal(type_kind_named("int"), TYPE_KIND_COUNT_);
	assert_int_equal(type_kind_named(""), TYPE_KIND_COUNT_);
}

static bool count_one(void *ctx, struct hf_span document)
{
	assert_true(document.len > 2);
	++*(int *)ctx;
	return true;
}

static void stored_and_installed(void **state)
{
	const char *mine = "{\"name\":\"airmonitor\",\"join\":{\"simple\":\"accept\"}}";
	int count = 0;

	(void)state;
	assert_int_equal(type_get(stage.db, "airmonitor", &p), HF_E_OK);
	assert_true(!p.join_simple && p.join_moderated && p.actions == 0); /* the default */
	assert_string_equal(p.name, "airmonitor");
	assert_int_equal(type_install(stage.db, 1), HF_E_OK);
	assert_int_equal(type_get(stage.db, "airmonitor", &p), HF_E_OK);
	assert_int_equal(p.actions, 3);
	assert_true(!p.join_simple && type_data_of(&p, hf_span_text("PM25-LIMIT"))->from_server);
	assert_int_equal(parse(mine), HF_E_OK);
	assert_int_equal(type_put(stage.db, &p, hf_span_text(mine), "anna", 2), HF_E_OK);
	assert_int_equal(type_install(stage.db, 3), HF_E_OK); /* leaves what is there */
	assert_int_equal(db_commit(stage.db), HF_E_OK);
	stage_restart(&stage);
	assert_int_equal(type_get(stage.db, "airmonitor", &p), HF_E_OK);
	assert_true(p.join_simple && p.actions == 0);
	assert_int_equal(type_list(stage.db, count_one, &count), HF_E_OK);
	assert_int_equal(count, 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(bad_profiles_and_why), CASE(W3_bad_text_and_depth), CASE(as_many_as_fit),       CASE(good_profile),
		CASE(least_profile),        CASE(kinds_by_name),         CASE(stored_and_installed),
	};

	return cmocka_run_group_tests_name("type", tests, NULL, NULL);
}
