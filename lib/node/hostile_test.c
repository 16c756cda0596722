/* hostile_test - a joined device and a broker that is against it, and links that are slow. Uses: node, port/fake,
 * tests/unit.h. */
#include "node/node.h"
#include "port/fake/home.h"
#include "tests/unit.h"

enum { MINUTE_MS = 60000, LED_ON = 1, CAUGHT = 64, STRANGER = 0x666 };

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

static void end(void)
{
	hf_fake_home_run(&h, MINUTE_MS);
	CHECK_EQ(h.reused, 0);
	CHECK_EQ(h.forged, 0);
	CHECK_EQ(h.lost, 0);
	hf_fake_home_stop(&h);
	CHECK_EQ(h.fake.keys_held, 0);
}

static void hear(const char *topic, const struct hf_fake_sent *s)
{
	hf_node_on_message(&h.node, h.now_ms, hf_span_text(topic), hf_span_of(s->bytes, s->len));
}

static void next_action_works(void)
{
	unsigned before = h.actions;

	hf_fake_home_send(&h, action(LED_ON), h.server_key);
	hf_fake_home_run(&h, 1);
	CHECK_EQ(h.actions, before + 1);
	CHECK_EQ(h.status, HF_WIRE_ACTION_OK);
}

/* --- M4 ----------------------------------------------------------------------------------------------------------- */

TEST(M4_device_message_on_anothers_topic)
{
	static const char *const topics[] = {"SRUP/abcdef", "SRUP/servers/5e4/abc", "SRUP/servers/5e4", "SRUP/", "#", ""};

	REQUIRE(joined());
	h.up = false; /* made but not heard */
	hf_fake_home_send(&h, action(LED_ON), h.server_key);
	h.up = true;
	for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++)
		hear(topics[i], &h.last);
	CHECK_EQ(h.actions, 0);
	CHECK_EQ(h.node.counts.refused, sizeof topics / sizeof topics[0]);
	hf_fake_home_replay(&h); /* on its own topic: it was good */
	CHECK_EQ(h.actions, 1);
	end();
}

/* The value that another device is to show, or the answer to its join, given to us while we wait for ours. */
TEST(M4_device_join_of_another_device)
{
	struct hf_wire_msg m = {.type = HF_WIRE_HM_JOIN_RESP, .token = hf_span_text("of another")};
	uint8_t envelope[512];
	struct hf_wr w = hf_wr_of(envelope, sizeof envelope);

	hf_fake_home_init(&h, 7);
	h.config.join = HF_NODE_JOIN_MODERATED;
	h.latency_ms = 5000;
	REQUIRE(hf_fake_home_start(&h) == HF_E_OK);
	hf_fake_home_run(&h, 2000);
	REQUIRE(h.node.state == HF_NODE_S_MODERATED);
	h.latency_ms = 0;
	CHECK_EQ(hf_seal_envelope_seal(&h.fake.crypto, hf_fake_key(0x777, 256),
	                               hf_span_text("0123456789abcdef0123456789abcdef"), &w),
	         HF_E_OK);
	m.hm_join_resp.encrypted = hf_wr_span(&w);
	hf_fake_home_send(&h, m, h.server_key);
	CHECK_EQ(h.last_err, HF_E_ENVELOPE);
	CHECK_EQ(h.events[HF_NODE_CODE], 0);
	hf_fake_home_send(&h,
	                  (struct hf_wire_msg){.type = HF_WIRE_RESPONSE,
	                                       .token = hf_span_text("of another"),
	                                       .response = {.status = HF_WIRE_JOIN_OK}},
	                  h.server_key);
	CHECK_EQ(h.last_err, HF_E_NOT_FOUND);
	CHECK_EQ(h.node.state, HF_NODE_S_MODERATED);
	end();
}

/* --- M3 ----------------------------------------------------------------------------------------------------------- */

TEST(M3_device_replay_after_100000_messages)
{
	struct hf_fake_sent first;

	REQUIRE(joined());
	hf_fake_home_send(&h, action(LED_ON), h.server_key);
	first = h.last;
	for (unsigned i = 0; i < 100000; i++) {
		hf_fake_home_send(&h, action(LED_ON), h.server_key);
		hf_fake_home_run(&h, 1);
	}
	CHECK_EQ(h.actions, 100001);
	h.last = first;
	hf_fake_home_replay(&h);
	hf_fake_home_stop(&h);
	REQUIRE(hf_fake_home_start(&h) == HF_E_OK);
	hf_fake_home_run(&h, MINUTE_MS);
	hf_fake_home_replay(&h);
	CHECK_EQ(h.actions, 100001);
	CHECK_EQ(h.last_err, HF_E_REPLAY);
	next_action_works();
	end();
}

/* --- M8 ----------------------------------------------------------------------------------------------------------- */

/* The server's numbers are far above ours: ours go on above them, and late ones within the window are taken. */
TEST(M8_device_late_message)
{
	struct hf_wire_msg late = action(LED_ON);

	REQUIRE(joined());
	late.sequence_id = h.sequence + 1000 - 40;
	h.sequence += 1000 - 16;
	hf_fake_home_send(&h, action(LED_ON), h.server_key);
	hf_fake_home_run(&h, 1);
	CHECK(h.seen[h.seen_count - 1].id > late.sequence_id + 40);
	h.sequence = h.seen[h.seen_count - 1].id;
	hf_fake_home_send(&h, late, h.server_key);
	hf_fake_home_run(&h, 1);
	CHECK_EQ(h.actions, 2);
	end();
}

/* A second each way, and both talk: readings, commands and their answers cross all the time; none is lost. */
TEST(M8_device_crossing_at_one_second)
{
	unsigned commands = 0, reports = 0;

	REQUIRE(joined());
	h.latency_ms = 1000;
	for (unsigned tick = 0; tick < 6000; tick++) {
		if (tick % 7 == 0) {
			CHECK_EQ(hf_node_report(&h.node, h.now_ms, hf_span_text("T"), hf_span_text("1")), HF_E_OK);
			reports++;
		}
		if (tick % 11 < 2) { /* two back to back */
			hf_fake_home_send(&h, action(LED_ON), h.server_key);
			commands++;
		}
		hf_fake_home_run(&h, 100);
	}
	hf_fake_home_run(&h, MINUTE_MS);
	CHECK_EQ(h.actions, commands);
	CHECK_EQ(h.responses, commands);
	CHECK_EQ(h.readings, reports);
	CHECK_EQ(h.node.counts.readings_dropped, 0);
	CHECK_EQ(h.node.counts.refused, 0);
	end();
}

/* --- M12 ---------------------------------------------------------------------------------------------------------- */

/* What a broker has caught: an honest action, and how often it was done. */
struct caught {
	struct hf_fake_sent sent;
	unsigned done;
};
static struct caught caught[CAUGHT];
static uint64_t dice;

static unsigned roll(unsigned sides)
{
	dice = dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(dice >> 33) % sides;
}

/* The server sends; the broker keeps it and gives on nothing. */
static void catch (unsigned i)
{
	h.up = false;
	hf_fake_home_send(&h, action(LED_ON), h.server_key);
	h.up = true;
	caught[i] = (struct caught){.sent = h.last};
}

/* Whatever is not as it was signed, or not from our server, or not on our topic: nothing happens. */
static void try_bad(const struct hf_fake_sent *good)
{
	struct hf_fake_sent bad = *good;
	unsigned before = h.actions;

	switch (roll(4)) {
	case 0: bad.bytes[roll((unsigned)bad.len)] ^= (uint8_t)(1u << roll(8)); break;
	case 1: bad.len = roll((unsigned)bad.len); break;
	case 2: memcpy(bad.topic, "SRUP/abc", 9); break;
	default:
		h.up = false;
		hf_fake_home_send(&h, (struct hf_wire_msg){.type = HF_WIRE_ACTION, .token = hf_span_text("x")}, STRANGER);
		h.up = true;
		bad = h.last;
	}
	hear(bad.topic, &bad);
	CHECK_EQ(h.actions, before);
}

/* Repeats, reorders and delays: whatever was caught, whenever. */
static void try_again(struct caught *c)
{
	unsigned before = h.actions;

	hear(c->sent.topic, &c->sent);
	c->done += h.actions - before;
	CHECK(c->done <= 1);
}

static void hostile_day(uint64_t seed)
{
	REQUIRE(joined());
	dice = seed;
	for (unsigned i = 0; i < CAUGHT; i++)
		catch (i);
	for (unsigned step = 0; step < 4000; step++) {
		struct caught *c = &caught[roll(CAUGHT)];
		unsigned what = roll(100);

		if (what < 10)
			catch ((unsigned)(c - caught)); /* what was there is dropped for ever */
		else if (what < 50)
			try_bad(&c->sent);
		else if (what < 97)
			try_again(c);
		else if (what < 99)
			hf_fake_home_drop(&h);
		else {
			hf_fake_home_stop(&h);
			REQUIRE(hf_fake_home_start(&h) == HF_E_OK);
		}
		hf_fake_home_run(&h, 1000);
	}
	CHECK(h.actions > 100);
	CHECK_EQ(h.joins, 1);
	next_action_works();
	end();
}

TEST(M12_device_hostile_broker)
{
	for (uint64_t seed = 1; seed <= 5; seed++)
		hostile_day(seed);
}

UNIT_TESTS(T(M4_device_message_on_anothers_topic), T(M4_device_join_of_another_device),
           T(M3_device_replay_after_100000_messages), T(M8_device_late_message), T(M8_device_crossing_at_one_second),
           T(M12_device_hostile_broker))
