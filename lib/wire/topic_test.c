/* topic_test - topics: who may do what with which, and that nobody may do anything else. Uses: wire, tests/unit.h. */
#include "tests/unit.h"
#include "wire/wire.h"

#define COUNT(table) (sizeof(table) / sizeof(table)[0])
#define FULL UINT64_C(0xfedcba9876543210)

enum { PUB = HF_WIRE_V_PUBLISH, SUB = HF_WIRE_V_SUBSCRIBE, RCV = HF_WIRE_V_RECEIVE };

/* The universe of these tests: devices d1 (joined to 5e), d2 (joined to 7e), d3 (registered); servers 5e (ours), 7e (reference). */
static bool known(void *ctx, uint64_t id)
{
	static const uint64_t ids[] = {0xd1, 0xd2, 0xd3, 0x5e, 0x7e};

	(void)ctx;
	for (size_t i = 0; i < COUNT(ids); i++)
		if (ids[i] == id)
			return true;
	return false;
}

static bool controls(void *ctx, uint64_t server, uint64_t device)
{
	(void)ctx;
	return (server == 0x5e && device == 0xd1) || (server == 0x7e && device == 0xd2);
}

static const struct hf_wire_rights rights = {NULL, known, controls};
static const struct hf_wire_client joined = {HF_WIRE_R_DEVICE, HF_WIRE_S_JOINED, 0xd1},
								   fresh = {HF_WIRE_R_DEVICE, HF_WIRE_S_REGISTERED, 0xd3},
								   server = {HF_WIRE_R_SERVER, HF_WIRE_S_JOINED, 0x5e},
								   reference = {HF_WIRE_R_REFERENCE, HF_WIRE_S_JOINED, 0x7e},
								   control = {HF_WIRE_R_CONTROL, HF_WIRE_S_JOINED, 0};

struct allow_case {
	const struct hf_wire_client *who;
	int verb; /* PUB SUB RCV */
	const char *topic;
	bool allowed;
};

static void check_allows(const struct allow_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct allow_case *c = &cases[i];

		if (hf_wire_topic_allows(c->who, &rights, (enum hf_wire_verb)c->verb, hf_span_text(c->topic)) != c->allowed)
			CHECK_EQ(i, -1), UNIT_PUT(c->topic), UNIT_PUT("\n");
	}
}

TEST(allowed_by_the_rules)
{
	static const struct allow_case cases[] = {
		{&fresh, PUB, "SRUP/servers/5e/d3", true},
		{&fresh, PUB, "SRUP/servers/7e/d3", true},
		{&joined, PUB, "SRUP/servers/5e/d1", true},
		{&fresh, SUB, "SRUP/d3", true},
		{&fresh, RCV, "SRUP/d3", true},
		{&joined, SUB, "SRUP/d1", true},
		{&joined, RCV, "SRUP/d1", true},
		{&joined, PUB, "SRUP/d1", true},
		{&server, SUB, "SRUP/servers/5e/+", true},
		{&server, SUB, "SRUP/+", true},
		{&server, RCV, "SRUP/servers/5e/d1", true},
		{&server, RCV, "SRUP/servers/5e/d3", true},
		{&server, RCV, "SRUP/d1", true},
		{&reference, SUB, "SRUP/servers/7e/#", true},
		{&reference, RCV, "SRUP/servers/7e/d3", true},
		{&reference, SUB, "SRUP/d2/#", true},
		{&reference, SUB, "SRUP/d2", true},
		{&reference, RCV, "SRUP/d2", true},
		{&reference, PUB, "SRUP/d2", true},
		{&reference, PUB, "SRUP/d3", true},
		{&control, PUB, "SRUP/d1", true},
		{&control, PUB, "SRUP/d3", true},
		{&control, PUB, "$CONTROL/holdfast/v1", true},
		{&control, SUB, "$holdfast/v1/events", true},
		{&control, RCV, "$holdfast/v1/events", true},
	};

	check_allows(cases, COUNT(cases));
}

/* A registered device that is not joined: its join topics and its own ear, no more. */
TEST(B2_registered_device)
{
	static const struct allow_case cases[] = {
		{&fresh, PUB, "SRUP/d3", false},
		{&fresh, PUB, "SRUP/d1", false},
		{&fresh, PUB, "SRUP/servers/5e/d1", false},
		{&fresh, PUB, "SRUP/servers/99/d3", false},
		{&fresh, PUB, "SRUP/servers/5e", false},
		{&fresh, PUB, "SRUP/servers/5e/", false},
		{&fresh, PUB, "SRUP/servers/5e/d3/", false},
		{&fresh, PUB, "SRUP/servers/5e/d3/x", false},
		{&fresh, SUB, "SRUP/servers/5e/d3", false},
		{&fresh, RCV, "SRUP/servers/5e/d3", false},
		{&fresh, SUB, "SRUP/d1", false},
		{&fresh, RCV, "SRUP/d1", false},
		{&fresh, SUB, "SRUP/d3/#", false},
		{&fresh, SUB, "SRUP/+", false},
		{&fresh, SUB, "#", false},
		{&fresh, PUB, "$CONTROL/holdfast/v1", false},
	};

	check_allows(cases, COUNT(cases));
}

TEST(B3_joined_device_on_what_is_not_its_own)
{
	static const struct allow_case cases[] = {
		{&joined, PUB, "SRUP/d2", false},
		{&joined, SUB, "SRUP/d2", false},
		{&joined, RCV, "SRUP/d2", false},
		{&joined, PUB, "SRUP/5e", false},
		{&joined, SUB, "SRUP/5e", false},
		{&joined, PUB, "SRUP/servers/5e/d2", false},
		{&joined, SUB, "SRUP/servers/5e/d1", false},
		{&joined, RCV, "SRUP/servers/5e/d1", false},
		{&joined, SUB, "SRUP/servers/5e/#", false},
		{&joined, SUB, "SRUP/servers/5e/+", false},
		{&joined, SUB, "SRUP/servers/#", false},
		{&joined, SUB, "SRUP/d1/#", false},
		{&joined, SUB, "SRUP/+", false},
		{&joined, SUB, "SRUP/#", false},
		{&joined, SUB, "#", false},
		{&joined, SUB, "+", false},
		{&joined, SUB, "+/+", false},
		{&joined, SUB, "+/d1", false},
		{&joined, SUB, "/SRUP/d1", false},
		{&joined, SUB, "$SYS/#", false},
		{&joined, SUB, "$SYS/broker/clients/total", false},
		{&joined, SUB, "$share/x/SRUP/+", false},
		{&joined, SUB, "$share/x/SRUP/d1", false},
		{&joined, SUB, "$share/x/SRUP/d2", false},
		{&joined, PUB, "$CONTROL/holdfast/v1", false},
		{&joined, PUB, "$CONTROL/dynamic-security/v1", false},
		{&joined, SUB, "$CONTROL/holdfast/v1", false},
		{&joined, SUB, "$CONTROL/#", false},
		{&joined, SUB, "$holdfast/v1/events", false},
		{&joined, RCV, "$holdfast/v1/events", false},
		{&joined, PUB, "$holdfast/v1/events", false},
		{&joined, PUB, "", false},
		{&joined, PUB, "SRUP", false},
		{&joined, PUB, "other/topic", false},
	};

	check_allows(cases, COUNT(cases));
}

/* Spellings of its own id that are not its own id. */
TEST(B3_id_in_another_spelling)
{
	static const struct allow_case cases[] = {
		{&joined, PUB, "SRUP/0d1", false},
		{&joined, PUB, "SRUP/00000000000000d1", false},
		{&joined, PUB, "SRUP/000000000000000d1", false},
		{&joined, PUB, "SRUP/1000000000000000d1", false},
		{&joined, PUB, "SRUP/D1", false},
		{&joined, PUB, "SRUP/0xd1", false},
		{&joined, PUB, "SRUP/d1/", false},
		{&joined, PUB, "SRUP//d1", false},
		{&joined, PUB, "SRUP/ d1", false},
		{&joined, PUB, "SRUP/d1 ", false},
		{&joined, PUB, "srup/d1", false},
		{&joined, PUB, "SRUP/servers//d1", false},
		{&joined, PUB, "SRUP/servers/05e/d1", false},
		{&joined, PUB, "SRUP/servers/5E/d1", false},
		{&joined, PUB, "SRUP/servers/5e/+", false},
		{&joined, SUB, "SRUP/{device}", false},
		{&joined, PUB, "SRUP/", false},
	};

	check_allows(cases, COUNT(cases));
	CHECK(!hf_wire_topic_allows(&joined, &rights, HF_WIRE_V_PUBLISH, hf_span_of("SRUP/d1\0", 8)));
	CHECK(!hf_wire_topic_allows(&joined, &rights, HF_WIRE_V_PUBLISH, hf_span_of("SRUP/d\0", 7)));
	CHECK(!hf_wire_topic_allows(&joined, &rights, HF_WIRE_V_PUBLISH, hf_span_of(NULL, 0)));
}

TEST(B3_servers_keep_to_their_devices)
{
	static const struct allow_case cases[] = {
		{&server, RCV, "SRUP/d2", false},
		{&server, RCV, "SRUP/d3", false},
		{&server, RCV, "SRUP/servers/7e/d1", false},
		{&server, RCV, "SRUP/servers/5e/99", false},
		{&server, SUB, "SRUP/servers/7e/+", false},
		{&server, SUB, "SRUP/servers/5e/#", false},
		{&server, SUB, "SRUP/#", false},
		{&server, SUB, "SRUP/d1", false},
		{&server, SUB, "SRUP/d1/#", false},
		{&server, SUB, "#", false},
		{&server, PUB, "SRUP/d1", false},
		{&server, PUB, "SRUP/+", false},
		{&server, PUB, "SRUP/servers/5e/d1", false},
		{&server, PUB, "$CONTROL/holdfast/v1", false},
		{&reference, SUB, "SRUP/d1/#", false},
		{&reference, SUB, "SRUP/d1", false},
		{&reference, RCV, "SRUP/d1", false},
		{&reference, PUB, "SRUP/99", false},
		{&reference, SUB, "SRUP/servers/5e/#", false},
		{&reference, SUB, "SRUP/+", false},
		{&reference, SUB, "SRUP/servers/#", false},
		{&reference, PUB, "SRUP/servers/7e/d2", false},
		{&reference, SUB, "SRUP/+/#", false},
		{&reference, PUB, "$CONTROL/holdfast/v1", false},
		{&control, PUB, "SRUP/99", false},
		{&control, SUB, "SRUP/+", false},
		{&control, SUB, "#", false},
		{&control, RCV, "SRUP/d1", false},
		{&control, SUB, "SRUP/d1", false},
		{&control, PUB, "$holdfast/v1/events", false},
		{&control, RCV, "$CONTROL/holdfast/v1", false},
	};

	check_allows(cases, COUNT(cases));
}

/* A state that no rule names has no rights at all. */
TEST(B2_no_state_no_rights)
{
	struct hf_wire_client c = {HF_WIRE_R_DEVICE, (enum hf_wire_state)0, 0xd1};

	CHECK(!hf_wire_topic_allows(&c, &rights, HF_WIRE_V_SUBSCRIBE, hf_span_text("SRUP/d1")));
	c = (struct hf_wire_client){HF_WIRE_R_SERVER, HF_WIRE_S_REGISTERED, 0x5e};
	CHECK(!hf_wire_topic_allows(&c, &rights, HF_WIRE_V_SUBSCRIBE, hf_span_text("SRUP/+")));
}

/* --- text there and back ------------------------------------------------------------------------------------------- */

struct make_case {
	enum hf_wire_topic topic;
	bool has_server, has_device;
	const char *text; /* with server fedcba9876543210 and device 1 */
};
static const struct make_case makes[] = {
	{HF_WIRE_TOPIC_JOIN, true, true, "SRUP/servers/fedcba9876543210/1"},
	{HF_WIRE_TOPIC_DEVICE, false, true, "SRUP/1"},
	{HF_WIRE_TOPIC_JOINS, true, false, "SRUP/servers/fedcba9876543210/+"},
	{HF_WIRE_TOPIC_DEVICES, false, false, "SRUP/+"},
	{HF_WIRE_TOPIC_REF_JOINS, true, false, "SRUP/servers/fedcba9876543210/#"},
	{HF_WIRE_TOPIC_REF_DEVICE, false, true, "SRUP/1/#"},
	{HF_WIRE_TOPIC_TABLE, false, false, "$CONTROL/holdfast/v1"},
	{HF_WIRE_TOPIC_EVENTS, false, false, "$holdfast/v1/events"},
};
_Static_assert(COUNT(makes) == HF_WIRE_TOPIC_COUNT_, "every topic has a case");

TEST(every_topic_there_and_back)
{
	for (size_t i = 0; i < COUNT(makes); i++) {
		enum hf_wire_topic topic = HF_WIRE_TOPIC_COUNT_;
		uint64_t s = 7, d = 7;
		char text[HF_WIRE_TOPIC_MAX];

		REQUIRE(hf_wire_topic_make(makes[i].topic, FULL, 1, text) == HF_E_OK);
		CHECK_STR(text, makes[i].text);
		CHECK_EQ(hf_wire_topic_parse(hf_span_text(text), &topic, &s, &d), HF_E_OK);
		CHECK_EQ(topic, makes[i].topic);
		CHECK(s == (makes[i].has_server ? FULL : 0));
		CHECK(d == (makes[i].has_device ? 1 : 0));
	}
}

TEST(the_longest_topic_fits)
{
	char text[HF_WIRE_TOPIC_MAX];

	for (unsigned t = 0; t < HF_WIRE_TOPIC_COUNT_; t++)
		CHECK_EQ(hf_wire_topic_make((enum hf_wire_topic)t, UINT64_MAX, UINT64_MAX, text), HF_E_OK);
}

struct parse_case {
	const char *text;
	enum hf_err err;
};

TEST(M1_no_topic_of_ours)
{
	static const struct parse_case cases[] = {
		{"", HF_E_TEXT},
		{"S", HF_E_TEXT},
		{"SRUP", HF_E_TEXT},
		{"SRUP/", HF_E_ID},
		{"SRUP/0", HF_E_ID},
		{"SRUP/d1/", HF_E_TEXT},
		{"SRUP/d1/+", HF_E_TEXT},
		{"SRUP/D1", HF_E_ID},
		{"SRUP/12345678901234567", HF_E_ID},
		{"SRUP/servers", HF_E_ID},
		{"SRUP/servers/", HF_E_ID},
		{"SRUP/servers/5e", HF_E_ID},
		{"SRUP/servers/5e/", HF_E_ID},
		{"SRUP/servers/5e/d1/x", HF_E_ID},
		{"SRUP/servers/+/d1", HF_E_ID},
		{"SRUP/servers/+/+", HF_E_ID},
		{"SRUP/#", HF_E_ID},
		{"#", HF_E_TEXT},
		{"+", HF_E_TEXT},
		{"$CONTROL/holdfast/v1/", HF_E_TEXT},
		{"$CONTROL/holdfast/v2", HF_E_TEXT},
		{"$share/x/SRUP/+", HF_E_TEXT},
		{"$SYS/#", HF_E_TEXT},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		enum hf_wire_topic topic = HF_WIRE_TOPIC_COUNT_;
		uint64_t s = 7, d = 7;
		enum hf_err err = hf_wire_topic_parse(hf_span_text(cases[i].text), &topic, &s, &d);

		if (err != cases[i].err)
			CHECK_EQ(err, cases[i].err), UNIT_PUT(cases[i].text), UNIT_PUT("\n");
		CHECK_EQ(topic, HF_WIRE_TOPIC_COUNT_); /* untouched */
		CHECK(s == 7 && d == 7);
	}
}

UNIT_TESTS(T(allowed_by_the_rules), T(B2_registered_device), T(B3_joined_device_on_what_is_not_its_own),
           T(B3_id_in_another_spelling), T(B3_servers_keep_to_their_devices), T(B2_no_state_no_rights),
           T(every_topic_there_and_back), T(the_longest_topic_fits), T(M1_no_topic_of_ours))
