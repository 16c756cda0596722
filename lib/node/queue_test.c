/* queue_test - readings that wait, fly, are repeated, dropped or refused. Uses: node, port/fake, tests/unit.h. */
#include "node/node.h"
#include "port/fake/home.h"
#include "tests/unit.h"

enum { MINUTE_MS = 60000 };

static struct hf_fake_home h;

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
	hf_fake_home_stop(&h);
	CHECK_EQ(h.fake.keys_held, 0);
}

static enum hf_err report(const char *id, const char *value)
{
	return hf_node_report(&h.node, h.now_ms, hf_span_text(id), hf_span_text(value));
}

TEST(readings_wait_for_the_broker)
{
	REQUIRE(joined());
	h.offline = true;
	hf_fake_home_drop(&h);
	for (unsigned i = 0; i < 10; i++)
		CHECK_EQ(report("T", "1"), HF_E_OK);
	hf_fake_home_run(&h, MINUTE_MS);
	CHECK_EQ(h.readings, 0);
	CHECK_EQ(hf_node_waiting(&h.node), 10);
	h.offline = false;
	hf_fake_home_run(&h, MINUTE_MS);
	CHECK_EQ(h.readings, 10);
	CHECK_EQ(hf_node_waiting(&h.node), 0);
	CHECK_EQ(h.node.counts.readings_sent, 10);
	end();
}

TEST(readings_wait_for_the_join)
{
	hf_fake_home_init(&h, 7);
	h.join_status = 0;
	REQUIRE(hf_fake_home_start(&h) == HF_E_OK);
	CHECK_EQ(report("T", "1"), HF_E_OK);
	hf_fake_home_run(&h, MINUTE_MS);
	CHECK_EQ(h.readings, 0);
	h.join_status = HF_WIRE_JOIN_OK;
	hf_fake_home_run(&h, 2 * MINUTE_MS);
	CHECK_EQ(h.readings, 1);
	end();
}

TEST(full_ring_drops_the_oldest_and_counts)
{
	REQUIRE(joined());
	h.offline = true;
	hf_fake_home_drop(&h);
	for (unsigned i = 0; i < HF_FAKE_RING + 5; i++)
		CHECK_EQ(report("T", "1"), HF_E_OK);
	CHECK_EQ(hf_node_waiting(&h.node), HF_FAKE_RING);
	CHECK_EQ(h.node.counts.readings_dropped, 5);
	h.offline = false;
	hf_fake_home_run(&h, MINUTE_MS);
	CHECK_EQ(h.readings, HF_FAKE_RING);
	end();
}

/* In flight when the connection broke: sent again as the same bytes, so that the server knows the repeat. */
TEST(reading_in_flight_is_repeated_exactly)
{
	struct hf_fake_sent first, second;

	REQUIRE(joined());
	CHECK_EQ(report("T", "1"), HF_E_OK);
	(void)hf_node_step(&h.node, h.now_ms);
	REQUIRE(hf_fake_take(&h.fake, &first));
	hf_fake_home_drop(&h);
	CHECK_EQ(hf_node_waiting(&h.node), 1);
	h.up = true;
	hf_node_on_connected(&h.node, h.now_ms);
	REQUIRE(hf_fake_take(&h.fake, &second));
	CHECK_EQ(first.len, second.len);
	CHECK_MEM(first.bytes, second.bytes, first.len);
	CHECK(first.ticket != second.ticket);
	hf_node_on_published(&h.node, h.now_ms, first.ticket, true); /* of the old connection: counts for nothing */
	CHECK_EQ(hf_node_waiting(&h.node), 1);
	hf_node_on_published(&h.node, h.now_ms, second.ticket, true);
	CHECK_EQ(hf_node_waiting(&h.node), 0);
	end();
}

TEST(acknowledgements_in_any_order)
{
	struct hf_fake_sent s[3];

	REQUIRE(joined());
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQ(report("T", "1"), HF_E_OK);
	(void)hf_node_step(&h.node, h.now_ms);
	for (unsigned i = 0; i < 3; i++)
		REQUIRE(hf_fake_take(&h.fake, &s[i]));
	hf_node_on_published(&h.node, h.now_ms, s[2].ticket, true);
	hf_node_on_published(&h.node, h.now_ms, s[1].ticket, true);
	CHECK_EQ(hf_node_waiting(&h.node), 3);
	hf_node_on_published(&h.node, h.now_ms, s[0].ticket, true);
	CHECK_EQ(hf_node_waiting(&h.node), 0);
	CHECK_EQ(h.node.counts.readings_sent, 3);
	end();
}

/* The broker takes us for a stranger: nothing is lost, and after a few refusals we ask to join again. */
TEST(expelled_device_asks_to_join_again)
{
	REQUIRE(joined());
	h.deny = true;
	CHECK_EQ(report("T", "1"), HF_E_OK);
	hf_fake_home_run(&h, MINUTE_MS);
	CHECK_EQ(h.events[HF_NODE_EXPELLED], 1);
	CHECK(h.joins >= 2);
	CHECK_EQ(hf_node_waiting(&h.node), 1);
	h.readings = 0;
	h.deny = false;
	hf_fake_home_run(&h, 10 * MINUTE_MS);
	CHECK_EQ(h.node.state, HF_NODE_S_JOINED);
	CHECK_EQ(h.readings, 1);
	end();
}

TEST(readings_too_large)
{
	static const char big[HF_NODE_DATA_MAX + 2] = "x";

	REQUIRE(joined());
	CHECK_EQ(hf_node_report(&h.node, 0, hf_span_of(big, HF_NODE_DATA_ID_MAX + 1), hf_span_text("1")), HF_E_TOO_BIG);
	CHECK_EQ(hf_node_report(&h.node, 0, hf_span_text("T"), hf_span_of(big, HF_NODE_DATA_MAX + 1)), HF_E_TOO_BIG);
	CHECK_EQ(report("", "1"), HF_E_INPUT);
	CHECK_EQ(report("T", ""), HF_E_OK);
	end();
}

UNIT_TESTS(T(readings_wait_for_the_broker), T(readings_wait_for_the_join), T(full_ring_drops_the_oldest_and_counts),
           T(reading_in_flight_is_repeated_exactly), T(acknowledgements_in_any_order),
           T(expelled_device_asks_to_join_again), T(readings_too_large))
