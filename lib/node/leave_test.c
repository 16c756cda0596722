/* leave_test - resign, terminate, deregister and the way back, with power cuts at every write. Uses: node, port/fake,
 * tests/unit.h. */
#include "node/node.h"
#include "port/fake/home.h"
#include "tests/unit.h"

enum { MINUTE_MS = 60000, HOUR_MS = 60 * MINUTE_MS };

static struct hf_fake_home h;

static const enum hf_fake_fault faults[] = {HF_FAKE_REFUSE, HF_FAKE_FULL, HF_FAKE_CUT_BEFORE, HF_FAKE_CUT_AFTER};

static bool joined(void)
{
	hf_fake_home_init(&h, 7);
	if (hf_fake_home_start(&h) != HF_E_OK)
		return false;
	hf_fake_home_run(&h, MINUTE_MS);
	return h.node.state == HF_NODE_S_JOINED;
}

static bool power_cut(void)
{
	hf_fake_home_stop(&h);
	h.fake.fail_at = 0;
	if (hf_fake_home_start(&h) != HF_E_OK)
		return false;
	hf_fake_home_run(&h, MINUTE_MS);
	return true;
}

static void end(void)
{
	CHECK_EQ(h.reused, 0);
	CHECK_EQ(h.forged, 0);
	CHECK_EQ(h.bad_pairs, 0);
	hf_fake_home_stop(&h);
	CHECK_EQ(h.fake.keys_held, 0);
}

static void command(uint8_t type)
{
	hf_fake_home_send(&h, (struct hf_wire_msg){.type = type, .token = hf_span_text("t")}, h.server_key);
}

/* How many items the store holds, but for the mark and what is the application's. */
static unsigned items_left(void)
{
	unsigned count = 0;

	for (unsigned i = 0; i < HF_NODE_ITEM_COUNT_; i++)
		count += h.fake.store[i].there && i != HF_NODE_ITEM_STANDING && i != HF_NODE_ITEM_APPLICATION;
	return count;
}

static bool wiped(void)
{
	return h.node.state == HF_NODE_S_GONE && items_left() == 0 && h.fake.keys_held == 0 && !h.fake.linked;
}

/* --- resign and terminate ----------------------------------------------------------------------------------------- */

TEST(resign_is_told_and_lasts)
{
	REQUIRE(joined());
	CHECK_EQ(hf_node_resign(&h.node, h.now_ms), HF_E_OK);
	CHECK_EQ(h.node.state, HF_NODE_S_PARTING); /* not yet: the broker has not acknowledged it */
	CHECK_EQ(h.events[HF_NODE_LEFT], 0);
	hf_fake_home_run(&h, HOUR_MS);
	CHECK_EQ(h.node.state, HF_NODE_S_IDLE);
	CHECK_EQ(h.resignations, 1);
	CHECK_EQ(h.events[HF_NODE_LEFT], 1);
	CHECK_EQ(h.joins, 1);
	CHECK_EQ(hf_node_resign(&h.node, h.now_ms), HF_E_OK); /* fulfilled already */
	hf_fake_home_drop(&h);
	hf_fake_home_run(&h, HOUR_MS);
	REQUIRE(power_cut());
	CHECK_EQ(h.node.state, HF_NODE_S_IDLE);
	CHECK_EQ(h.joins, 1);
	CHECK_EQ(h.resignations, 1);
	CHECK_EQ(h.registrations, 1);
	end();
}

TEST(rejoin_asks_again)
{
	REQUIRE(joined());
	CHECK_EQ(hf_node_rejoin(&h.node, h.now_ms), HF_E_OK); /* there is nothing to do */
	CHECK_EQ(hf_node_resign(&h.node, h.now_ms), HF_E_OK);
	CHECK_EQ(hf_node_rejoin(&h.node, h.now_ms), HF_E_STATE); /* the broker has it, perhaps */
	hf_fake_home_run(&h, MINUTE_MS);
	CHECK_EQ(hf_node_rejoin(&h.node, h.now_ms), HF_E_OK);
	hf_fake_home_run(&h, MINUTE_MS);
	CHECK_EQ(h.node.state, HF_NODE_S_JOINED);
	CHECK_EQ(h.joins, 2);
	CHECK_EQ(h.registrations, 1);
	end();
}

/* Without a broker the wish waits, also over a restart; with the way back before the first step. */
TEST(resign_waits_for_the_broker)
{
	REQUIRE(joined());
	h.offline = true;
	hf_fake_home_drop(&h);
	CHECK_EQ(hf_node_resign(&h.node, h.now_ms), HF_E_OK);
	hf_fake_home_run(&h, HOUR_MS);
	REQUIRE(power_cut());
	CHECK_EQ(h.events[HF_NODE_LEFT], 0);
	h.offline = false;
	hf_fake_home_run(&h, MINUTE_MS);
	CHECK_EQ(h.node.state, HF_NODE_S_IDLE);
	CHECK_EQ(h.resignations, 1);
	hf_fake_home_stop(&h);
	REQUIRE(hf_fake_home_start(&h) == HF_E_OK);
	CHECK_EQ(hf_node_rejoin(&h.node, h.now_ms), HF_E_OK);
	hf_fake_home_run(&h, MINUTE_MS);
	CHECK_EQ(h.node.state, HF_NODE_S_JOINED);
	end();
}

/* A join that nobody has answered is given up, and the code with it; a broker that refuses to pass it on says enough. */
TEST(resign_while_a_join_waits)
{
	hf_fake_home_init(&h, 7);
	h.join_status = HF_WIRE_JOIN_REFUSED;
	REQUIRE(hf_fake_home_start(&h) == HF_E_OK);
	CHECK_EQ(hf_node_resign(&h.node, 0), HF_E_STATE); /* not registered yet */
	CHECK_EQ(hf_node_deregister(&h.node, 0), HF_E_STATE);
	hf_fake_home_run(&h, MINUTE_MS);
	REQUIRE(h.node.state == HF_NODE_S_SHOWING);
	h.deny = true;
	CHECK_EQ(hf_node_resign(&h.node, h.now_ms), HF_E_OK);
	hf_fake_home_run(&h, MINUTE_MS);
	CHECK_EQ(h.node.state, HF_NODE_S_IDLE);
	CHECK_EQ(strlen(h.code), 0);
	CHECK_EQ(h.last_err, HF_E_DENIED);
	end();
}

TEST(resign_drops_waiting_readings)
{
	REQUIRE(joined());
	h.offline = true;
	hf_fake_home_drop(&h);
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQ(hf_node_report(&h.node, h.now_ms, hf_span_text("T"), hf_span_text("1")), HF_E_OK);
	CHECK_EQ(hf_node_resign(&h.node, h.now_ms), HF_E_OK);
	h.offline = false;
	hf_fake_home_run(&h, MINUTE_MS);
	CHECK_EQ(hf_node_waiting(&h.node), 0);
	CHECK_EQ(h.node.counts.readings_dropped, 3);
	CHECK_EQ(h.readings, 0);
	end();
}

TEST(terminate_has_the_same_end)
{
	REQUIRE(joined());
	command(HF_WIRE_TERMINATE_CMD);
	CHECK_EQ(h.node.state, HF_NODE_S_IDLE);
	CHECK_EQ(h.events[HF_NODE_LEFT], 1);
	hf_fake_home_run(&h, HOUR_MS);
	REQUIRE(power_cut());
	CHECK_EQ(h.joins, 1);
	CHECK_EQ(h.responses + h.resignations, 0); /* nobody answers it */
	CHECK_EQ(hf_node_rejoin(&h.node, h.now_ms), HF_E_OK);
	hf_fake_home_run(&h, MINUTE_MS);
	CHECK_EQ(h.node.state, HF_NODE_S_JOINED);
	end();
}

/* Signed by somebody else, repeated after the way back, or on another's topic: it stays joined, or whole. */
TEST(M12_device_leaves_for_its_server_only)
{
	static const uint8_t types[] = {HF_WIRE_TERMINATE_CMD, HF_WIRE_DEREGISTER_CMD};

	for (unsigned i = 0; i < 2; i++) {
		REQUIRE(joined());
		hf_fake_home_send(&h, (struct hf_wire_msg){.type = types[i], .token = hf_span_text("t")}, 0x666);
		CHECK_EQ(h.last_err, HF_E_SIGNATURE);
		hf_fake_home_send(&h, (struct hf_wire_msg){.type = types[i], .token = hf_span_text("t"), .sender_id = 0x999},
		                  0x999);
		CHECK_EQ(h.last_err, HF_E_DENIED);
		CHECK_EQ(h.node.state, HF_NODE_S_JOINED);
		end();
	}
	REQUIRE(joined());
	command(HF_WIRE_TERMINATE_CMD);
	hf_fake_home_run(&h, 1);
	CHECK_EQ(hf_node_rejoin(&h.node, h.now_ms), HF_E_OK);
	struct hf_fake_sent captured = h.last;

	hf_fake_home_run(&h, MINUTE_MS);
	h.last = captured;
	hf_fake_home_replay(&h);
	CHECK_EQ(h.node.state, HF_NODE_S_JOINED);
	CHECK_EQ(h.last_err, HF_E_REPLAY);
	end();
}

/* Whatever write fails, and however: it left in the end, and asks nobody. */
TEST(resign_survives_every_store_fault)
{
	for (unsigned f = 0; f < 4; f++) {
		bool met = true;

		for (unsigned at = 1; met; at++) {
			REQUIRE(joined());
			h.fake.fault = faults[f];
			h.fake.fail_at = h.fake.puts + at;
			bool stored = hf_node_resign(&h.node, h.now_ms) == HF_E_OK;

			hf_fake_home_run(&h, 10 * MINUTE_MS);
			met = h.fake.puts >= h.fake.fail_at;
			REQUIRE(power_cut());
			hf_fake_home_run(&h, 10 * MINUTE_MS);
			CHECK(h.node.state == HF_NODE_S_IDLE || (!stored && h.node.state == HF_NODE_S_JOINED));
			CHECK(h.node.state == HF_NODE_S_JOINED || h.resignations >= 1);
			CHECK_EQ(h.joins, 1);
			end();
		}
	}
}

/* --- deregister --------------------------------------------------------------------------------------------------- */

TEST(deregister_wipes_and_lasts)
{
	REQUIRE(joined());
	CHECK_EQ(hf_node_deregister(&h.node, h.now_ms), HF_E_OK);
	CHECK_EQ(hf_node_resign(&h.node, h.now_ms), HF_E_STATE);
	hf_fake_home_run(&h, HOUR_MS);
	CHECK(wiped());
	CHECK_EQ(h.deregistrations, 1);
	CHECK_EQ(h.events[HF_NODE_DEREGISTERED], 1);
	CHECK_EQ(hf_node_deregister(&h.node, h.now_ms), HF_E_OK);
	REQUIRE(power_cut());
	hf_fake_home_run(&h, HOUR_MS);
	CHECK(wiped());
	CHECK_EQ(h.registrations, 1);
	end();
}

TEST(deregister_by_command)
{
	REQUIRE(joined());
	command(HF_WIRE_DEREGISTER_CMD);
	CHECK(wiped());
	CHECK_EQ(h.deregistrations, 0);
	hf_fake_home_run(&h, HOUR_MS);
	REQUIRE(power_cut());
	CHECK(wiped());
	CHECK_EQ(h.registrations, 1);
	end();
}

/* Also of a device that has left, that shows a code, or that is about to leave. */
TEST(deregister_by_command_in_other_states)
{
	REQUIRE(joined());
	command(HF_WIRE_TERMINATE_CMD);
	hf_fake_home_run(&h, MINUTE_MS);
	command(HF_WIRE_DEREGISTER_CMD);
	CHECK(wiped());
	end();
	hf_fake_home_init(&h, 7);
	h.join_status = HF_WIRE_JOIN_REFUSED;
	REQUIRE(hf_fake_home_start(&h) == HF_E_OK);
	hf_fake_home_run(&h, MINUTE_MS);
	REQUIRE(h.node.state == HF_NODE_S_SHOWING);
	command(HF_WIRE_DEREGISTER_CMD);
	CHECK(wiped());
	CHECK_EQ(strlen(h.code), 0);
	end();
	REQUIRE(joined());
	CHECK_EQ(hf_node_resign(&h.node, h.now_ms), HF_E_OK);
	command(HF_WIRE_DEREGISTER_CMD);
	CHECK(wiped());
	end();
}

TEST(rejoin_after_deregister_is_a_new_device)
{
	REQUIRE(joined());
	uint64_t id = h.device, key = h.device_key;

	CHECK_EQ(hf_node_deregister(&h.node, h.now_ms), HF_E_OK);
	hf_fake_home_run(&h, MINUTE_MS);
	CHECK_EQ(hf_node_rejoin(&h.node, h.now_ms), HF_E_OK);
	hf_fake_home_run(&h, MINUTE_MS);
	CHECK_EQ(h.node.state, HF_NODE_S_JOINED);
	CHECK_EQ(h.registrations, 2);
	CHECK(h.device != id && h.device_key != key);
	end();
}

/* Marked or not marked, never something between: whole, or wiped to the end; and a way back from there. */
static bool deregister_with_fault(enum hf_fake_fault fault, unsigned at, bool own)
{
	bool stored = true;

	if (!unit_check(joined(), __FILE__, __LINE__, "joined"))
		return false;
	unsigned whole = items_left();

	h.fake.fault = fault;
	h.fake.fail_at = h.fake.puts + at;
	if (own)
		stored = hf_node_deregister(&h.node, h.now_ms) == HF_E_OK;
	else
		command(HF_WIRE_DEREGISTER_CMD);
	hf_fake_home_run(&h, 10 * MINUTE_MS);
	bool met = h.fake.puts >= h.fake.fail_at, begun = items_left() < whole;

	if (!unit_check(power_cut(), __FILE__, __LINE__, "starts again"))
		return false;
	hf_fake_home_run(&h, 10 * MINUTE_MS);
	CHECK(wiped() || h.node.state == HF_NODE_S_JOINED);
	CHECK(wiped() || !begun);
	CHECK(wiped() || !own || !stored);
	CHECK_EQ(hf_node_rejoin(&h.node, h.now_ms), HF_E_OK);
	hf_fake_home_run(&h, 10 * MINUTE_MS);
	CHECK_EQ(h.node.state, HF_NODE_S_JOINED);
	end();
	return met;
}

TEST(deregister_survives_every_store_fault)
{
	for (unsigned f = 0; f < 4; f++)
		for (unsigned own = 0; own < 2; own++)
			for (unsigned at = 1; deregister_with_fault(faults[f], at, own); at++)
				;
}

/* The way back, cut at every write: in the end one new device, joined. */
TEST(rejoin_survives_every_store_fault)
{
	for (unsigned f = 0; f < 4; f++) {
		bool met = true;

		for (unsigned at = 1; met; at++) {
			REQUIRE(joined());
			command(HF_WIRE_DEREGISTER_CMD);
			h.fake.fault = faults[f];
			h.fake.fail_at = h.fake.puts + at;
			enum hf_err err = hf_node_rejoin(&h.node, h.now_ms);

			CHECK(err == HF_E_OK || err == HF_E_IO);
			hf_fake_home_run(&h, MINUTE_MS);
			met = h.fake.puts >= h.fake.fail_at;
			REQUIRE(power_cut());
			CHECK_EQ(hf_node_rejoin(&h.node, h.now_ms), HF_E_OK);
			hf_fake_home_run(&h, 10 * MINUTE_MS);
			CHECK_EQ(h.node.state, HF_NODE_S_JOINED);
			end();
		}
	}
}

/* --- together ----------------------------------------------------------------------------------------------------- */

/* In every state that a wish can come in: it is told, the broker refuses or takes it, and the end is the same. */
TEST(wishes_in_every_state)
{
	for (unsigned setup = 0; setup < 8; setup++)
		for (unsigned deregister = 0; deregister < 2; deregister++) {
			hf_fake_home_init(&h, setup);
			h.join_status = setup & 1 ? HF_WIRE_JOIN_OK : setup & 2 ? 0 : HF_WIRE_JOIN_REFUSED;
			REQUIRE(hf_fake_home_start(&h) == HF_E_OK);
			hf_fake_home_run(&h, setup & 2 ? 2000 : MINUTE_MS);
			h.offline = (setup & 4) != 0;
			if (h.offline)
				hf_fake_home_drop(&h);
			h.deny = (setup & 1) == 0;
			CHECK_EQ(deregister ? hf_node_deregister(&h.node, h.now_ms) : hf_node_resign(&h.node, h.now_ms), HF_E_OK);
			hf_fake_home_run(&h, 1000);
			h.offline = false;
			hf_fake_home_run(&h, MINUTE_MS);
			CHECK(deregister ? wiped() : h.node.state == HF_NODE_S_IDLE);
			end();
		}
}

UNIT_TESTS(T(resign_is_told_and_lasts), T(rejoin_asks_again), T(resign_waits_for_the_broker),
           T(resign_while_a_join_waits), T(resign_drops_waiting_readings), T(terminate_has_the_same_end),
           T(M12_device_leaves_for_its_server_only), T(resign_survives_every_store_fault),
           T(deregister_wipes_and_lasts), T(deregister_by_command), T(deregister_by_command_in_other_states),
           T(rejoin_after_deregister_is_a_new_device), T(deregister_survives_every_store_fault),
           T(rejoin_survives_every_store_fault), T(wishes_in_every_state))
