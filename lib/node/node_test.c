/* node_test - the machine, registration and join, against the other side of port/fake. Uses: node, port/fake,
 * tests/unit.h. */
#include "node/node.h"
#include "port/fake/home.h"
#include "tests/unit.h"

enum { MINUTE_MS = 60000, HOUR_MS = 60 * MINUTE_MS };

static struct hf_fake_home h;

static void begin(void)
{
	hf_fake_home_init(&h, 1);
}

/* Power on and a minute of life. */
static bool live(void)
{
	if (hf_fake_home_start(&h) != HF_E_OK)
		return false;
	hf_fake_home_run(&h, MINUTE_MS);
	return true;
}

static void end(void)
{
	hf_fake_home_stop(&h);
	CHECK_EQ(h.fake.keys_held, 0);
	CHECK_EQ(h.reused, 0);
	CHECK_EQ(h.forged, 0);
}

/* --- the machine -------------------------------------------------------------------------------------------------- */

enum { S = HF_NODE_S_COUNT_, I = HF_NODE_I_COUNT_ };

/* Every pair, written down once more. A row is a state, a column an input in the order of machine.def; a letter is
 * the next state (N new, s status, k keyex, r register, v validate, a access, c confirm, P pause, A apart, R ready,
 * j asked, m moderated, w showing, Y away, J joined, p parting, L left, I idle, G gone), a dot means that nothing
 * changes. */
static const char letters[] = "NskrvacPARjmwYJpLIG";
static const char *const pairs[S] = {
	/* in the order timer pass known member fail up down simple human value accepted expel part leave wipe rejoin */
	"s.AY.........LG.", /* NEW */
	"Pkr.P...........", /* STATUS */
	"Pr..P...........", /* KEYEX */
	"Pv..P...........", /* REGISTER */
	"Pa..P...........", /* VALIDATE */
	"Pc..P...........", /* ACCESS */
	"PA..P...........", /* CONFIRM */
	"s...............", /* PAUSE */
	"A...AR......p...", /* APART */
	"......Ajm...p.G.", /* READY */
	"R...R.A.m.J.p.G.", /* ASKED */
	"R...R.A..wJ.p.G.", /* MODERATED */
	"R...R.A...J.p.G.", /* SHOWING */
	"Y...YJ......p...", /* AWAY */
	"......Y....RpIG.", /* JOINED */
	"p...p.Y......IG.", /* PARTING */
	"L...LI......p..A", /* LEFT */
	"......L.....p.GR", /* IDLE */
	"G...G..........s", /* GONE */
};

static const struct hf_node_row *row_of(unsigned state, unsigned input, unsigned *count)
{
	const struct hf_node_row *found = NULL, *r;

	*count = 0;
	for (size_t i = 0; (r = hf_node_row_at(i)) != NULL; i++)
		if (r->state == state && r->input == input) {
			found = r;
			++*count;
		}
	return found;
}

TEST(machine_every_pair)
{
	CHECK_EQ(sizeof letters - 1, S);
	for (unsigned s = 0; s < S; s++) {
		REQUIRE(strlen(pairs[s]) == I);
		for (unsigned i = 0; i < I; i++) {
			unsigned count;
			const struct hf_node_row *r = row_of(s, i, &count);
			char got = r ? letters[r->next] : '.';

			CHECK(count <= 1);
			if (got != pairs[s][i]) {
				UNIT_PUT(hf_node_state_name((enum hf_node_state)s));
				UNIT_PUT(" on ");
				UNIT_PUT(hf_node_input_name((enum hf_node_input)i));
				CHECK_EQ(got, pairs[s][i]);
			}
		}
	}
}

/* Whatever state the device is in, it can come to JOINED, and it never stays where nothing moves it. */
TEST(machine_no_dead_end)
{
	bool good[S] = {false};
	const struct hf_node_row *r;

	good[HF_NODE_S_JOINED] = true;
	for (unsigned round = 0; round < S; round++)
		for (size_t i = 0; (r = hf_node_row_at(i)) != NULL; i++)
			good[r->state] = good[r->state] || good[r->next];
	for (unsigned s = 0; s < S; s++)
		CHECK(good[s]);
}

/* A row on FAIL may not lead to an action that can fail for ever without time passing. */
TEST(machine_failures_wait)
{
	const struct hf_node_row *r;

	for (size_t i = 0; (r = hf_node_row_at(i)) != NULL; i++)
		if (r->input == HF_NODE_I_FAIL)
			CHECK(strcmp(r->action, "start_over") == 0 || strcmp(r->action, "link_later") == 0 ||
			      strcmp(r->action, "ask_later") == 0 || strcmp(r->action, "part_later") == 0 ||
			      strcmp(r->action, "wipe_later") == 0);
}

/* --- registration ------------------------------------------------------------------------------------------------- */

TEST(registers_and_joins)
{
	begin();
	REQUIRE(live());
	CHECK_EQ(h.events[HF_NODE_REGISTERED], 1);
	CHECK_EQ(h.events[HF_NODE_JOINED], 1);
	CHECK_EQ(h.events[HF_NODE_KEYEX_UNKNOWN], 0);
	CHECK_EQ(h.registrations, 1);
	CHECK_EQ(h.joins, 1);
	CHECK_EQ(h.node.state, HF_NODE_S_JOINED);
	CHECK(h.fake.store[HF_NODE_ITEM_KEYEX_KEY].there);
	end();
}

TEST(restart_needs_no_registration_and_no_join)
{
	begin();
	REQUIRE(live());
	hf_fake_home_stop(&h);
	REQUIRE(live());
	CHECK_EQ(h.registrations, 1);
	CHECK_EQ(h.joins, 1);
	CHECK_EQ(h.events[HF_NODE_JOINED], 2);
	end();
}

/* Each step refused once: the next try is a new id and a new key. */
TEST(half_made_registration_starts_over_with_a_new_identity)
{
	static const char *const steps[] = {"status", "get_key", "register", "validate", "access"};

	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
		begin();
		h.broken = steps[i];
		h.broken_status = 500;
		REQUIRE(hf_fake_home_start(&h) == HF_E_OK);
		while (h.events[HF_NODE_REGISTER_FAILED] == 0)
			hf_fake_home_run(&h, 1);
		uint64_t id = h.device, key = h.device_key;

		CHECK_EQ(h.last_err, HF_E_BUSY);
		h.broken = NULL;
		hf_fake_home_run(&h, MINUTE_MS);
		CHECK_EQ(h.events[HF_NODE_REGISTERED], 1);
		CHECK(h.device != id && h.device_key != key);
		CHECK_EQ(h.node.state, HF_NODE_S_JOINED);
		end();
	}
}

TEST(registration_backs_off)
{
	begin();
	h.broken = "status";
	h.broken_status = 0;
	REQUIRE(hf_fake_home_start(&h) == HF_E_OK);
	hf_fake_home_run(&h, HOUR_MS);
	CHECK_EQ(h.last_err, HF_E_UNREACHABLE);
	CHECK(h.events[HF_NODE_REGISTER_FAILED] >= 12); /* at least every five minutes */
	CHECK(h.events[HF_NODE_REGISTER_FAILED] <= 40);
	CHECK_EQ(h.registrations, 0);
	end();
}

TEST(register_wants_exactly_201)
{
	begin();
	h.broken = "register";
	h.broken_status = 200;
	REQUIRE(live());
	CHECK_EQ(h.events[HF_NODE_REGISTERED], 0);
	end();
}

TEST(inactive_keyex_is_not_asked_to_register)
{
	begin();
	h.inactive = true;
	REQUIRE(live());
	CHECK_EQ(h.registrations, 0);
	CHECK_EQ(h.last_err, HF_E_DENIED);
	end();
}

/* What KeyEx hands to others as our server's key must be what it gave to us. */
TEST(server_key_that_differs_is_refused)
{
	begin();
	h.told_key = 0x99;
	REQUIRE(live());
	CHECK_EQ(h.events[HF_NODE_REGISTERED], 0);
	CHECK_EQ(h.last_err, HF_E_MISMATCH);
	CHECK(!h.fake.store[HF_NODE_ITEM_DEVICE].there);
	end();
}

TEST(provisioned_keyex_key_is_checked)
{
	uint8_t pem[128];
	struct hf_wr w = hf_wr_of(pem, sizeof pem);

	begin();
	hf_fake_public_pem(0x77, &w);
	h.config.keyex_key = hf_wr_span(&w);
	REQUIRE(live());
	CHECK_EQ(h.events[HF_NODE_REGISTERED], 0);
	CHECK_EQ(h.last_err, HF_E_SIGNATURE);
	h.keyex_key = 0x77;
	hf_fake_home_run(&h, 10 * MINUTE_MS);
	CHECK_EQ(h.events[HF_NODE_REGISTERED], 1);
	end();
}

/* Pinned at the first try, it counts at the second. */
TEST(keyex_key_pinned_at_first_use)
{
	begin();
	h.broken = "access";
	h.broken_status = 500;
	REQUIRE(live());
	CHECK(h.fake.store[HF_NODE_ITEM_KEYEX_KEY].there);
	h.broken = NULL;
	h.keyex_key = 0x78;
	hf_fake_home_run(&h, 10 * MINUTE_MS);
	CHECK_EQ(h.events[HF_NODE_REGISTERED], 0);
	CHECK_EQ(h.last_err, HF_E_SIGNATURE);
	end();
}

TEST(keyex_without_a_key_of_its_own)
{
	begin();
	h.keyex_silent = true;
	REQUIRE(live());
	CHECK_EQ(h.events[HF_NODE_KEYEX_UNKNOWN], 1);
	CHECK_EQ(h.events[HF_NODE_REGISTERED], 1);
	end();
}

/* The store refuses, or the power goes, at each write: in the end there is one whole registration, or none yet. */
static void registration_with_fault(enum hf_fake_fault fault)
{
	for (unsigned at = 1;; at++) {
		begin();
		h.fake.fault = fault;
		h.fake.fail_at = at;
		REQUIRE(live());
		bool met = h.fake.puts >= at;

		hf_fake_home_stop(&h);
		h.fake.fail_at = 0;
		h.fake.dead = false;
		REQUIRE(live());
		hf_fake_home_run(&h, 10 * MINUTE_MS);
		CHECK_EQ(h.node.state, HF_NODE_S_JOINED);
		CHECK(h.events[HF_NODE_REGISTERED] >= 1 || h.registrations == 1);
		end();
		if (!met)
			return;
	}
}

TEST(registration_survives_every_store_fault)
{
	registration_with_fault(HF_FAKE_REFUSE);
	registration_with_fault(HF_FAKE_CUT_BEFORE);
	registration_with_fault(HF_FAKE_CUT_AFTER);
}

TEST(registration_without_a_part_is_refused_not_reset)
{
	static const enum hf_node_item parts[] = {HF_NODE_ITEM_IDENTITY_KEY, HF_NODE_ITEM_SERVER_KEY, HF_NODE_ITEM_ACCESS};

	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		begin();
		REQUIRE(live());
		hf_fake_home_stop(&h);
		h.fake.store[parts[i]].there = false;
		CHECK_EQ(hf_fake_home_start(&h), HF_E_MISSING);
		CHECK_EQ(h.fake.keys_held, 0);
		h.fake.store[parts[i]].there = true;
		h.fake.store[HF_NODE_ITEM_WINDOW].len--;
		CHECK_EQ(hf_fake_home_start(&h), HF_E_MISSING);
		CHECK_EQ(h.fake.keys_held, 0);
	}
}

/* --- odd replies -------------------------------------------------------------------------------------------------- */

/* A reply to the first step, and whether the device went on. */
struct reply_case {
	const char *body;
	enum hf_err err;
};

TEST(status_replies)
{
	static const struct reply_case cases[] = {
		{"{\"active\":true,\"identity\":\"4be\"}", HF_E_OK},
		{" {\"identity\" : \"4be\" , \"more\":[1,{\"active\":0}], \"active\":true}\n", HF_E_OK},
		{"{\"active\":false,\"identity\":\"4be\"}", HF_E_DENIED},
		{"{\"active\":\"true\",\"identity\":\"4be\"}", HF_E_TEXT},
		{"{\"active\":1,\"identity\":\"4be\"}", HF_E_TEXT},
		{"{\"active\":true,\"active\":true,\"identity\":\"4be\"}", HF_E_TEXT},
		{"{\"active\":true}", HF_E_NOT_FOUND},
		{"{\"active\":true,\"x\":{\"identity\":\"4be\"}}", HF_E_NOT_FOUND},
		{"{\"active\":true,\"identity\":\"04be\"}", HF_E_ID},
		{"{\"active\":true,\"identity\":\"12345678123456781\"}", HF_E_ID},
		{"{\"active\":true,\"identity\":\"\\u00e9\"}", HF_E_TEXT},
		{"{\"active\":true,\"identity\":\"4b\\u0065\"}", HF_E_OK},
		{"{\"active\":true,\"identity\":\"4be", HF_E_TEXT},
		{"[\"active\",true]", HF_E_TEXT},
		{"", HF_E_TEXT},
		{"null", HF_E_TEXT},
		{"\x80\xff", HF_E_TEXT},
		{"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", HF_E_TEXT},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		begin();
		REQUIRE(hf_fake_home_start(&h) == HF_E_OK);
		(void)hf_node_step(&h.node, 0);
		hf_node_on_http(&h.node, 0, 200, hf_span_text(cases[i].body));
		if (cases[i].err == HF_E_OK)
			CHECK_EQ(h.node.state, HF_NODE_S_KEYEX);
		else
			CHECK(h.node.state == HF_NODE_S_PAUSE &&
			      unit_equal(h.last_err, cases[i].err, __FILE__, __LINE__, cases[i].body));
		end();
	}
}

/* An answer that comes when none is awaited changes nothing. */
TEST(late_answer)
{
	begin();
	REQUIRE(live());
	hf_node_on_http(&h.node, h.now_ms, 200, hf_span_text("{\"active\":true,\"identity\":\"4be\"}"));
	CHECK_EQ(h.node.state, HF_NODE_S_JOINED);
	end();
}

/* --- join --------------------------------------------------------------------------------------------------------- */

TEST(moderated_after_refusal)
{
	begin();
	h.join_status = HF_WIRE_JOIN_REFUSED;
	REQUIRE(live());
	CHECK_EQ(h.node.state, HF_NODE_S_SHOWING);
	CHECK_EQ(h.events[HF_NODE_CODE], 1);
	CHECK_EQ(strlen(h.code), 32);
	hf_fake_home_send(&h,
	                  (struct hf_wire_msg){.type = HF_WIRE_RESPONSE,
	                                       .token = hf_span_text("token of the value"),
	                                       .response = {.status = HF_WIRE_JOIN_OK}},
	                  h.server_key);
	CHECK_EQ(h.node.state, HF_NODE_S_JOINED);
	CHECK_EQ(h.events[HF_NODE_CODE_GONE], 1);
	CHECK_EQ(strlen(h.code), 0);
	end();
}

TEST(moderated_at_once)
{
	begin();
	h.config.join = HF_NODE_JOIN_MODERATED;
	h.person_status = HF_WIRE_JOIN_OK;
	REQUIRE(live());
	CHECK_EQ(h.node.state, HF_NODE_S_JOINED);
	CHECK_EQ(h.joins, 1);
	CHECK_EQ(h.events[HF_NODE_CODE], 1);
	CHECK_EQ(h.events[HF_NODE_CODE_GONE], 1);
	end();
}

TEST(simple_only_never_shows_a_code)
{
	begin();
	h.config.join = HF_NODE_JOIN_SIMPLE;
	h.join_status = HF_WIRE_JOIN_REFUSED;
	REQUIRE(live());
	CHECK_EQ(h.events[HF_NODE_CODE], 0);
	CHECK(h.joins >= 2);
	end();
}

TEST(refused_by_the_person_asks_again_later)
{
	begin();
	h.config.join = HF_NODE_JOIN_MODERATED;
	h.person_status = HF_WIRE_JOIN_FAIL;
	REQUIRE(live());
	CHECK(h.events[HF_NODE_JOIN_FAILED] >= 1);
	CHECK_EQ(strlen(h.code), 0);
	h.person_status = HF_WIRE_JOIN_OK;
	hf_fake_home_run(&h, 10 * MINUTE_MS);
	CHECK_EQ(h.node.state, HF_NODE_S_JOINED);
	end();
}

TEST(code_expires_and_a_new_one_is_asked_for)
{
	char first[33];

	begin();
	h.join_status = HF_WIRE_JOIN_REFUSED;
	REQUIRE(live());
	memcpy(first, h.code, sizeof first);
	hf_fake_home_run(&h, 11 * MINUTE_MS);
	CHECK(h.events[HF_NODE_CODE_GONE] >= 1);
	CHECK(h.events[HF_NODE_CODE] >= 2);
	CHECK(strcmp(first, h.code) != 0);
	end();
}

TEST(no_answer_to_a_join)
{
	begin();
	h.join_status = 0;
	REQUIRE(live());
	CHECK(h.events[HF_NODE_JOIN_FAILED] >= 1);
	CHECK_EQ(h.last_err, HF_E_EXPIRED);
	h.join_status = HF_WIRE_JOIN_OK;
	hf_fake_home_run(&h, 2 * MINUTE_MS);
	CHECK_EQ(h.node.state, HF_NODE_S_JOINED);
	end();
}

/* The broker goes while the code is on show: it is withdrawn, and a new join asked for on return. */
TEST(connection_lost_while_showing)
{
	begin();
	h.join_status = HF_WIRE_JOIN_REFUSED;
	REQUIRE(live());
	h.offline = true;
	hf_fake_home_drop(&h);
	CHECK_EQ(h.node.state, HF_NODE_S_APART);
	CHECK_EQ(strlen(h.code), 0);
	h.offline = false;
	hf_fake_home_run(&h, MINUTE_MS);
	CHECK_EQ(h.node.state, HF_NODE_S_SHOWING);
	CHECK_EQ(h.events[HF_NODE_CODE], 2);
	end();
}

TEST(join_that_the_broker_denies_is_asked_later)
{
	begin();
	h.deny = true;
	REQUIRE(live());
	CHECK_EQ(h.last_err, HF_E_DENIED);
	h.deny = false;
	hf_fake_home_run(&h, 10 * MINUTE_MS);
	CHECK_EQ(h.node.state, HF_NODE_S_JOINED);
	end();
}

TEST(unusable_configuration)
{
	begin();
	h.config.work_cap = HF_NODE_WORK_MIN - 1;
	CHECK_EQ(hf_fake_home_start(&h), HF_E_INPUT);
	begin();
	h.config.type = "";
	CHECK_EQ(hf_fake_home_start(&h), HF_E_INPUT);
	begin();
	h.config.ring_cap = 0;
	CHECK_EQ(hf_fake_home_start(&h), HF_E_INPUT);
}

/* No random numbers at each call in turn: the device waits and recovers. */
TEST(random_numbers_fail_once)
{
	for (unsigned at = 1; at <= 12; at++) {
		begin();
		h.fake.random_fail_at = at;
		REQUIRE(live());
		hf_fake_home_run(&h, 10 * MINUTE_MS);
		CHECK_EQ(h.node.state, HF_NODE_S_JOINED);
		end();
	}
}

UNIT_TESTS(T(machine_every_pair), T(machine_no_dead_end), T(machine_failures_wait), T(registers_and_joins),
           T(restart_needs_no_registration_and_no_join), T(half_made_registration_starts_over_with_a_new_identity),
           T(registration_backs_off), T(register_wants_exactly_201), T(inactive_keyex_is_not_asked_to_register),
           T(server_key_that_differs_is_refused), T(provisioned_keyex_key_is_checked), T(keyex_key_pinned_at_first_use),
           T(keyex_without_a_key_of_its_own), T(registration_survives_every_store_fault),
           T(registration_without_a_part_is_refused_not_reset), T(status_replies), T(late_answer),
           T(moderated_after_refusal), T(moderated_at_once), T(simple_only_never_shows_a_code),
           T(refused_by_the_person_asks_again_later), T(code_expires_and_a_new_one_is_asked_for),
           T(no_answer_to_a_join), T(connection_lost_while_showing), T(join_that_the_broker_denies_is_asked_later),
           T(unusable_configuration), T(random_numbers_fail_once))
