/* session_test - attacks, replays, and power cuts of a joined device. Uses: node, port/fake, tests/unit.h. */
#include "node/node.h"
#include "port/fake/home.h"
#include "tests/unit.h"

enum { MINUTE_MS = 60000, LED_ON = 1 };

static struct hf_fake_home h;

static struct hf_wire_msg action(uint8_t id)
{
	return (struct hf_wire_msg){.type = HF_WIRE_ACTION, .token = hf_span_text("a token"), .action = {.action_id = id}};
}

static bool joined(void)
{
	hf_fake_home_init(&h, 7);
	if (hf_fake_home_start(&h) != HF_E_OK)
		return false;
	hf_fake_home_run(&h, MINUTE_MS);
	return h.node.state == HF_NODE_S_JOINED;
}

/* Power off without warning, power on, back at the broker. */
static bool power_cut(void)
{
	hf_fake_home_stop(&h);
	if (hf_fake_home_start(&h) != HF_E_OK)
		return false;
	hf_fake_home_run(&h, MINUTE_MS);
	return h.up;
}

static void end(void)
{
	hf_fake_home_run(&h, MINUTE_MS);
	CHECK_EQ(h.reused, 0);
	CHECK_EQ(h.forged, 0);
	hf_fake_home_stop(&h);
	CHECK_EQ(h.fake.keys_held, 0);
}

static enum hf_err report(const char *id, const char *value)
{
	return hf_node_report(&h.node, h.now_ms, hf_span_text(id), hf_span_text(value));
}

/* --- commands ----------------------------------------------------------------------------------------------------- */

TEST(action_is_done_and_answered_with_its_token)
{
	static const struct {
		enum hf_err outcome;
		uint8_t status;
	} cases[] = {{HF_E_OK, HF_WIRE_ACTION_OK},
	             {HF_E_NOT_FOUND, HF_WIRE_ACTION_UNKNOWN},
	             {HF_E_IO, HF_WIRE_ACTION_FAIL}};

	REQUIRE(joined());
	for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		h.outcome = cases[i].outcome;
		hf_fake_home_send(&h, action(LED_ON), h.server_key);
		hf_fake_home_run(&h, 1);
		CHECK_EQ(h.actions, i + 1);
		CHECK_EQ(h.last_action, LED_ON);
		CHECK_EQ(h.status, cases[i].status);
		CHECK(hf_span_equal(hf_span_of(h.token, h.token_len), hf_span_text("a token")));
	}
	end();
}

TEST(setting_is_done_and_answered)
{
	struct hf_wire_msg m = {.type = HF_WIRE_DATA, .token = hf_span_text("another")};

	REQUIRE(joined());
	m.data.data_id = hf_span_text("LIMIT");
	m.data.data = hf_span_text("12345678");
	hf_fake_home_send(&h, m, h.server_key);
	hf_fake_home_run(&h, 1);
	CHECK_EQ(h.settings, 1);
	CHECK_EQ(h.status, HF_WIRE_ACTION_OK);
	h.outcome = HF_E_NOT_FOUND;
	hf_fake_home_send(&h, m, h.server_key);
	hf_fake_home_run(&h, 1);
	CHECK_EQ(h.status, HF_WIRE_DATA_UNKNOWN);
	end();
}

TEST(identification_has_a_token_of_its_own)
{
	REQUIRE(joined());
	hf_fake_home_send(&h, (struct hf_wire_msg){.type = HF_WIRE_ID_REQ, .token = hf_span_text("who")}, h.server_key);
	hf_fake_home_run(&h, 1);
	CHECK_EQ(h.identifications, 1);
	CHECK_EQ(h.token_len, HF_PEER_TOKEN_LEN);
	end();
}

/* What the broker gives back of our own words is dropped without a word. */
TEST(own_messages_come_back)
{
	REQUIRE(joined());
	CHECK_EQ(report("T", "1"), HF_E_OK);
	hf_fake_home_run(&h, 1);
	CHECK_EQ(h.node.counts.own, 1);
	CHECK_EQ(h.node.counts.refused, 0);
	end();
}

/* --- attacks ------------------------------------------------------------------------------------------------------ */

/* Sends one bad message and says why it was refused; nothing may have happened. */
static enum hf_err refusal(struct hf_wire_msg m, uint64_t key)
{
	uint32_t refused = h.node.counts.refused;
	unsigned state = h.node.state;

	h.last_err = HF_E_OK;
	hf_fake_home_send(&h, m, key);
	hf_fake_home_run(&h, 1);
	CHECK_EQ(h.node.counts.refused, refused + 1);
	CHECK_EQ(h.actions + h.settings + h.responses, 0);
	CHECK_EQ(h.node.state, state);
	return h.last_err;
}

static void next_action_works(void)
{
	unsigned before = h.actions;

	hf_fake_home_send(&h, action(LED_ON), h.server_key);
	hf_fake_home_run(&h, 1);
	CHECK_EQ(h.actions, before + 1);
	CHECK_EQ(h.status, HF_WIRE_ACTION_OK);
}

TEST(M2_device_forged_highest_sequence)
{
	static const uint64_t ids[] = {UINT64_MAX, HF_SEAL_SEQUENCE_MAX + 1, HF_SEAL_SEQUENCE_MAX};

	for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
		struct hf_wire_msg m = action(LED_ON);

		REQUIRE(joined());
		m.sequence_id = ids[i];
		CHECK_EQ(refusal(m, 0x666), ids[i] > HF_SEAL_SEQUENCE_MAX ? HF_E_SEQUENCE : HF_E_SIGNATURE);
		next_action_works();
		end();
	}
}

TEST(M2_device_flipped_bits)
{
	REQUIRE(joined());
	hf_fake_home_send(&h, action(LED_ON), h.server_key);
	hf_fake_home_run(&h, 1);
	for (size_t at = 0; at < h.last.len; at++) {
		h.last.bytes[at] ^= 4;
		hf_fake_home_replay(&h);
		h.last.bytes[at] ^= 4;
	}
	hf_fake_home_run(&h, 1);
	CHECK_EQ(h.actions, 1);
	next_action_works();
	end();
}

TEST(M1_device_every_cut)
{
	struct hf_fake_sent whole;

	REQUIRE(joined());
	h.up = false; /* made but not heard */
	hf_fake_home_send(&h, action(LED_ON), h.server_key);
	h.up = true;
	whole = h.last;
	for (size_t len = 0; len < whole.len; len++) {
		h.last.len = len;
		hf_fake_home_replay(&h);
	}
	CHECK_EQ(h.actions, 0);
	CHECK_EQ(h.node.counts.refused, whole.len);
	h.last = whole;
	hf_fake_home_replay(&h);
	CHECK_EQ(h.actions, 1);
	end();
}

TEST(M3_device_replay_at_once)
{
	REQUIRE(joined());
	hf_fake_home_send(&h, action(LED_ON), h.server_key);
	hf_fake_home_replay(&h);
	hf_fake_home_run(&h, 1);
	hf_fake_home_replay(&h);
	CHECK_EQ(h.actions, 1);
	CHECK_EQ(h.node.counts.replayed, 2);
	end();
}

TEST(M3_device_replay_after_power_cut)
{
	REQUIRE(joined());
	hf_fake_home_send(&h, action(LED_ON), h.server_key);
	hf_fake_home_run(&h, 1);
	REQUIRE(power_cut());
	hf_fake_home_replay(&h);
	CHECK_EQ(h.actions, 1);
	CHECK_EQ(h.last_err, HF_E_REPLAY);
	next_action_works();
	end();
}

/* The power goes at every store operation while commands come in: none is done twice, and the next honest one is
 * always taken. */
TEST(M3_device_power_cut_at_every_store_operation)
{
	static const enum hf_fake_fault faults[] = {HF_FAKE_REFUSE, HF_FAKE_CUT_BEFORE, HF_FAKE_CUT_AFTER};

	for (unsigned f = 0; f < 3; f++) {
		bool met = true;

		for (unsigned at = 1; met; at++) {
			REQUIRE(joined());
			h.fake.fault = faults[f];
			h.fake.fail_at = h.fake.puts + at;
			for (unsigned i = 0; i < 6; i++) {
				hf_fake_home_send(&h, action(LED_ON), h.server_key);
				hf_fake_home_run(&h, 1);
				unsigned done = h.actions;

				if (h.fake.dead)
					REQUIRE(power_cut());
				hf_fake_home_replay(&h); /* taken now only if it was not before */
				CHECK(h.actions <= i + 1 && h.actions >= done);
				h.actions = i + 1;
			}
			met = h.fake.puts >= h.fake.fail_at;
			h.fake.fail_at = 0;
			next_action_works();
			end();
		}
	}
}

TEST(M5_device_strange_server)
{
	struct hf_wire_msg m = action(LED_ON);

	REQUIRE(joined());
	m.sender_id = 0x999;
	CHECK_EQ(refusal(m, h.server_key), HF_E_DENIED);
	CHECK_EQ(refusal(m, 0x999), HF_E_DENIED);
	m = (struct hf_wire_msg){.type = HF_WIRE_JOIN_CMD,
	                         .token = hf_span_text("t"),
	                         .sender_id = 0x999,
	                         .join_cmd = {.device_id = h.device}};
	CHECK_EQ(refusal(m, 0x999), HF_E_DENIED);
	end();
}

/* Types that no rule lets a server say, signed by our server all the same. */
TEST(M5_device_unruled_types)
{
	const struct hf_wire_shape *s;

	REQUIRE(joined());
	for (size_t i = 0; (s = hf_wire_shape_at(i)) != NULL; i++) {
		uint8_t pool[1024];
		struct hf_wire_msg m;

		if (hf_peer_may_send(s->code, HF_PEER_SERVER, HF_PEER_JOINED))
			continue;
		hf_wire_random(i, s, pool, sizeof pool, &m);
		m.sender_id = m.sequence_id = 0;
		(void)refusal(m, h.server_key);
	}
	next_action_works();
	end();
}

TEST(commands_before_the_join_are_refused)
{
	hf_fake_home_init(&h, 7);
	h.join_status = HF_WIRE_JOIN_REFUSED;
	REQUIRE(hf_fake_home_start(&h) == HF_E_OK);
	hf_fake_home_run(&h, MINUTE_MS);
	REQUIRE(h.node.state == HF_NODE_S_SHOWING);
	CHECK_EQ(refusal(action(LED_ON), h.server_key), HF_E_DENIED);
	CHECK_EQ(refusal((struct hf_wire_msg){.type = HF_WIRE_ID_REQ, .token = hf_span_text("who")}, h.server_key),
	         HF_E_DENIED);
	end();
}

static struct hf_wire_msg response(const char *token, uint8_t status)
{
	return (struct hf_wire_msg){.type = HF_WIRE_RESPONSE, .token = hf_span_text(token), .response = {.status = status}};
}

TEST(M6_device_foreign_token)
{
	hf_fake_home_init(&h, 7);
	h.join_status = 0; /* nobody answers */
	REQUIRE(hf_fake_home_start(&h) == HF_E_OK);
	hf_fake_home_run(&h, 2000);
	REQUIRE(h.node.state == HF_NODE_S_ASKED);
	CHECK_EQ(refusal(response("never issued", HF_WIRE_JOIN_OK), h.server_key), HF_E_NOT_FOUND);
	struct hf_wire_msg right = response("", HF_WIRE_JOIN_OK);

	right.token = hf_span_of(h.token, h.token_len);
	right.sender_id = 0x999; /* another peer's */
	CHECK_EQ(refusal(right, 0x999), HF_E_DENIED);
	right.sender_id = 0;
	CHECK_EQ(refusal(right, 0x999), HF_E_SIGNATURE);
	right.response.status = HF_WIRE_ACTION_OK; /* another kind's */
	CHECK_EQ(refusal(right, h.server_key), HF_E_INPUT);
	right.response.status = HF_WIRE_JOIN_OK;
	hf_fake_home_send(&h, right, h.server_key);
	CHECK_EQ(h.node.state, HF_NODE_S_JOINED);
	end();
}

TEST(M6_device_used_token)
{
	REQUIRE(joined());
	struct hf_wire_msg again = response("", HF_WIRE_JOIN_FAIL);

	again.token = hf_span_of(h.token, h.token_len); /* of the join that was accepted */
	CHECK_EQ(refusal(again, h.server_key), HF_E_NOT_FOUND);
	end();
}

TEST(M6_device_expired_token)
{
	struct hf_wire_msg late = response("", HF_WIRE_JOIN_OK);
	uint8_t token[HF_PEER_TOKEN_MAX];

	hf_fake_home_init(&h, 7);
	h.join_status = 0;
	REQUIRE(hf_fake_home_start(&h) == HF_E_OK);
	hf_fake_home_run(&h, 2000);
	memcpy(token, h.token, h.token_len);
	late.token = hf_span_of(token, h.token_len);
	while (h.events[HF_NODE_JOIN_FAILED] == 0)
		hf_fake_home_run(&h, 1000);
	CHECK_EQ(refusal(late, h.server_key), HF_E_NOT_FOUND);
	end();
}

/* The answer to a moderated join must carry the token of the value, no longer the one of the request. */
TEST(M6_device_token_of_the_request)
{
	struct hf_wire_msg m = response("", HF_WIRE_JOIN_OK);

	hf_fake_home_init(&h, 7);
	h.config.join = HF_NODE_JOIN_MODERATED;
	REQUIRE(hf_fake_home_start(&h) == HF_E_OK);
	hf_fake_home_run(&h, MINUTE_MS);
	REQUIRE(h.node.state == HF_NODE_S_SHOWING);
	m.token = hf_span_of(h.token, h.token_len);
	CHECK_EQ(refusal(m, h.server_key), HF_E_NOT_FOUND);
	end();
}

/* A second value while one is on show would let somebody swap it under the person's eyes. */
TEST(M6_device_value_not_asked_for)
{
	struct hf_wire_msg m = {.type = HF_WIRE_HM_JOIN_RESP,
	                        .token = hf_span_text("t"),
	                        .hm_join_resp = {.encrypted = hf_span_text("x")}};

	REQUIRE(joined());
	CHECK_EQ(refusal(m, h.server_key), HF_E_STATE);
	end();
}

TEST(M10_device_envelope_that_does_not_open)
{
	struct hf_wire_msg m = {.type = HF_WIRE_HM_JOIN_RESP, .token = hf_span_text("t")};
	uint8_t envelope[512];
	struct hf_wr w = hf_wr_of(envelope, sizeof envelope);

	hf_fake_home_init(&h, 7);
	h.config.join = HF_NODE_JOIN_MODERATED;
	h.fake.refuse_publish = true; /* the request stays in the air: the state is reached, no answer comes */
	REQUIRE(hf_fake_home_start(&h) == HF_E_OK);
	hf_fake_home_run(&h, 2000);
	h.fake.refuse_publish = false;
	while (h.node.state != HF_NODE_S_MODERATED)
		(void)hf_node_step(&h.node, ++h.now_ms);
	h.fake.sent_count = 0;
	CHECK_EQ(hf_seal_envelope_seal(&h.fake.crypto, hf_fake_key(h.device_key, 256),
	                               hf_span_text("NOT THIRTY-TWO LOWER HEX DIGITS!"), &w),
	         HF_E_OK);
	m.hm_join_resp.encrypted = hf_wr_span(&w);
	CHECK_EQ(refusal(m, h.server_key), HF_E_TEXT);
	for (size_t len = 0; len < w.len; len += 7) {
		m.hm_join_resp.encrypted = hf_span_of(envelope, len);
		CHECK_EQ(refusal(m, h.server_key), HF_E_ENVELOPE);
	}
	CHECK_EQ(h.events[HF_NODE_CODE], 0);
	hf_fake_home_stop(&h);
}

/* --- sequence ids ------------------------------------------------------------------------------------------------- */

/* A life with readings over two blocks of reserved ids, commands, a lost connection; the store fails at each
 * operation in turn. */
static void life(void)
{
	for (unsigned i = 0; i < 90; i++) {
		for (unsigned k = 0; k < 4; k++)
			CHECK_EQ(report("T", "20.5"), HF_E_OK);
		if (i % 20 == 7)
			hf_fake_home_send(&h, action(LED_ON), h.server_key);
		if (i == 40 && h.up)
			hf_fake_home_drop(&h);
		hf_fake_home_run(&h, 2000);
		if (h.fake.dead)
			REQUIRE(power_cut());
	}
}

static bool life_with_fault(enum hf_fake_fault fault, unsigned at)
{
	hf_fake_home_init(&h, at);
	h.fake.fault = fault;
	h.fake.fail_at = at;
	if (!unit_check(hf_fake_home_start(&h) == HF_E_OK, __FILE__, __LINE__, "starts"))
		return false;
	hf_fake_home_run(&h, MINUTE_MS);
	if (h.fake.dead && !unit_check(power_cut(), __FILE__, __LINE__, "starts again"))
		return false;
	hf_fake_home_run(&h, 5 * MINUTE_MS); /* a registration that failed is made anew */
	life();
	CHECK(h.readings >= 300);
	CHECK_EQ(h.node.state, HF_NODE_S_JOINED);
	bool met = h.fake.puts >= at;

	end();
	return met;
}

TEST(M3_device_no_sequence_id_twice_after_a_crash)
{
	static const enum hf_fake_fault faults[] = {HF_FAKE_REFUSE, HF_FAKE_CUT_BEFORE, HF_FAKE_CUT_AFTER};

	for (unsigned f = 0; f < 3; f++)
		for (unsigned at = 1; life_with_fault(faults[f], at); at++)
			;
}

/* The disk is full when a block of ids is used up: nothing more is sent, and after a power cut no id comes again. */
TEST(M3_device_reservation_not_stored)
{
	REQUIRE(joined());
	h.fake.fault = HF_FAKE_FULL;
	h.fake.fail_at = h.fake.puts + 1;
	for (unsigned i = 0; i < 400; i++) {
		CHECK_EQ(report("T", "1"), HF_E_OK);
		hf_fake_home_run(&h, 2000);
	}
	CHECK(h.readings > 200 && h.readings <= HF_SEAL_BLOCK / HF_SEAL_GAP + 1);
	h.fake.fail_at = 0;
	REQUIRE(power_cut());
	for (unsigned i = 0; i < 400; i++) {
		CHECK_EQ(report("T", "2"), HF_E_OK);
		hf_fake_home_run(&h, 2000);
	}
	CHECK(h.readings > 600);
	end();
}

/* An id that could not be stored is not taken: nothing is done, and the same message may come again. */
TEST(window_not_stored_is_not_marked)
{
	REQUIRE(joined());
	h.fake.fault = HF_FAKE_REFUSE;
	h.fake.fail_at = h.fake.puts + 1;
	hf_fake_home_send(&h, action(LED_ON), h.server_key);
	CHECK_EQ(h.actions, 0);
	CHECK_EQ(h.events[HF_NODE_STORE_FAILED], 1);
	hf_fake_home_replay(&h);
	CHECK_EQ(h.actions, 1);
	end();
}

/* Killed over and over between messages: ids only rise. */
TEST(M3_device_ids_rise_over_restarts)
{
	uint64_t last = 0;

	REQUIRE(joined());
	for (unsigned i = 0; i < 50; i++) {
		REQUIRE(power_cut());
		CHECK_EQ(report("T", "1"), HF_E_OK);
		hf_fake_home_run(&h, 1);
		CHECK(h.seen[h.seen_count - 1].id > last);
		last = h.seen[h.seen_count - 1].id;
	}
	end();
}

UNIT_TESTS(T(action_is_done_and_answered_with_its_token), T(setting_is_done_and_answered),
           T(identification_has_a_token_of_its_own), T(own_messages_come_back), T(M1_device_every_cut),
           T(M2_device_forged_highest_sequence), T(M2_device_flipped_bits), T(M3_device_replay_at_once),
           T(M3_device_replay_after_power_cut), T(M3_device_power_cut_at_every_store_operation),
           T(M3_device_no_sequence_id_twice_after_a_crash), T(M3_device_reservation_not_stored),
           T(window_not_stored_is_not_marked), T(M3_device_ids_rise_over_restarts), T(M5_device_strange_server),
           T(M5_device_unruled_types), T(commands_before_the_join_are_refused), T(M6_device_foreign_token),
           T(M6_device_used_token), T(M6_device_expired_token), T(M6_device_token_of_the_request),
           T(M6_device_value_not_asked_for), T(M10_device_envelope_that_does_not_open))
