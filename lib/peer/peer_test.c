/* peer_test - who may say what, and which answers count. Uses: peer, tests/unit.h. */
#include "peer/peer.h"
#include "tests/unit.h"

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

enum { A = 0xa1, B = 0xb2, CAP = 4, DEVICE = HF_PEER_DEVICE, SERVER = HF_PEER_SERVER };

static struct hf_peer_request slots[CAP];
static struct hf_peer_table table;

static void begin(void)
{
	table = (struct hf_peer_table){.slot = slots, .cap = CAP};
}

static enum hf_err ask(enum hf_peer_kind kind, uint64_t peer, const char *token, int64_t deadline_ms)
{
	return hf_peer_open(&table, kind, peer, hf_span_text(token), deadline_ms, peer + 1);
}

static enum hf_err settle(enum hf_peer_kind kind, uint64_t peer, const char *token, int64_t now_ms)
{
	uint64_t tag = 0;
	enum hf_err err = hf_peer_settle(&table, kind, peer, hf_span_text(token), now_ms, &tag);

	CHECK_EQ(tag, err == HF_E_OK ? peer + 1 : 0);
	return err;
}

/* --- who may say what --------------------------------------------------------------------------------------------- */

/* Written down once more: in which states each side may say a type (1 registered, 2 joined, 3 both). Whatever is not
 * here: never. */
struct may {
	uint8_t type, device, server;
};
static const struct may mays[] = {
	{HF_WIRE_RESPONSE, 2, 3},       {HF_WIRE_ACTION, 0, 2},         {HF_WIRE_DATA, 2, 2},
	{HF_WIRE_ID_REQ, 0, 2},         {HF_WIRE_JOIN_REQ, 3, 0},       {HF_WIRE_HM_JOIN_REQ, 3, 0},
	{HF_WIRE_HM_JOIN_RESP, 0, 3},   {HF_WIRE_RESIGN_REQ, 2, 0},     {HF_WIRE_TERMINATE_CMD, 0, 2},
	{HF_WIRE_DEREGISTER_REQ, 2, 0}, {HF_WIRE_DEREGISTER_CMD, 0, 3},
};

TEST(who_may_say_what)
{
	for (unsigned type = 0; type < 256; type++) {
		struct may m = {0};

		for (size_t i = 0; i < COUNT(mays); i++)
			if (mays[i].type == type)
				m = mays[i];
		for (unsigned state = 1; state <= 2; state++) {
			CHECK_EQ(hf_peer_may_send(type, HF_PEER_DEVICE, (enum hf_peer_state)state), (m.device & state) != 0);
			CHECK_EQ(hf_peer_may_send(type, HF_PEER_SERVER, (enum hf_peer_state)state), (m.server & state) != 0);
		}
	}
}

TEST(join_topic_is_for_join_requests)
{
	for (unsigned type = 0; type < 256; type++)
		CHECK_EQ(hf_peer_on_join_topic(type), type == HF_WIRE_JOIN_REQ || type == HF_WIRE_HM_JOIN_REQ);
}

TEST(which_status_answers_which_kind)
{
	static const struct {
		uint8_t kind, status[4];
		unsigned count;
	} want[] = {
		{HF_PEER_K_JOIN, {0x50, 0x5e, 0x5f}, 3},
		{HF_PEER_K_HM_JOIN, {0x50, 0x5e, 0x5f}, 3},
		{HF_PEER_K_ACTION, {0x20, 0x2e, 0x2f}, 3},
		{HF_PEER_K_DATA, {0x20, 0x2f, 0x3f}, 3},
		{HF_PEER_K_IDENTIFY, {0}, 0},
	};

	CHECK_EQ(COUNT(want), HF_PEER_K_COUNT_);
	for (size_t i = 0; i < COUNT(want); i++)
		for (unsigned status = 0; status < 256; status++) {
			bool in = false;

			for (unsigned k = 0; k < want[i].count; k++)
				in = in || want[i].status[k] == status;
			CHECK_EQ(hf_peer_answers((enum hf_peer_kind)want[i].kind, status), in);
		}
}

TEST(every_kind_has_a_name_and_a_time)
{
	for (unsigned k = 0; k < HF_PEER_K_COUNT_; k++) {
		CHECK(hf_peer_timeout_ms((enum hf_peer_kind)k) > 0);
		CHECK(strlen(hf_peer_kind_name((enum hf_peer_kind)k)) > 0);
	}
}

/* --- open requests ------------------------------------------------------------------------------------------------ */

TEST(M6_token_never_issued)
{
	begin();
	CHECK_EQ(settle(HF_PEER_K_ACTION, A, "one", 0), HF_E_NOT_FOUND);
	CHECK_EQ(ask(HF_PEER_K_ACTION, A, "one", 100), HF_E_OK);
	CHECK_EQ(settle(HF_PEER_K_ACTION, A, "two", 0), HF_E_NOT_FOUND);
	CHECK_EQ(settle(HF_PEER_K_ACTION, A, "on", 0), HF_E_NOT_FOUND);
	CHECK_EQ(settle(HF_PEER_K_ACTION, A, "one1", 0), HF_E_NOT_FOUND);
	CHECK_EQ(settle(HF_PEER_K_ACTION, A, "", 0), HF_E_NOT_FOUND);
	CHECK_EQ(settle(HF_PEER_K_ACTION, A, "one", 0), HF_E_OK);
}

TEST(M6_token_used)
{
	begin();
	CHECK_EQ(ask(HF_PEER_K_ACTION, A, "one", 100), HF_E_OK);
	CHECK_EQ(settle(HF_PEER_K_ACTION, A, "one", 100), HF_E_OK);
	CHECK_EQ(settle(HF_PEER_K_ACTION, A, "one", 100), HF_E_NOT_FOUND);
}

TEST(M6_token_expired)
{
	begin();
	CHECK_EQ(ask(HF_PEER_K_ACTION, A, "one", 100), HF_E_OK);
	CHECK_EQ(settle(HF_PEER_K_ACTION, A, "one", 101), HF_E_EXPIRED);
	CHECK_EQ(settle(HF_PEER_K_ACTION, A, "one", 100), HF_E_NOT_FOUND);
}

TEST(M6_token_of_another_peer)
{
	begin();
	CHECK_EQ(ask(HF_PEER_K_ACTION, A, "one", 100), HF_E_OK);
	CHECK_EQ(settle(HF_PEER_K_ACTION, B, "one", 0), HF_E_NOT_FOUND);
	CHECK_EQ(settle(HF_PEER_K_ACTION, A, "one", 0), HF_E_OK);
}

TEST(M6_token_of_another_kind)
{
	begin();
	for (unsigned kind = 0; kind < HF_PEER_K_COUNT_; kind++) {
		CHECK_EQ(ask((enum hf_peer_kind)kind, A, "one", 100), HF_E_OK);
		for (unsigned other = 0; other < HF_PEER_K_COUNT_; other++)
			if (other != kind)
				CHECK_EQ(settle((enum hf_peer_kind)other, A, "one", 0), HF_E_NOT_FOUND);
		CHECK_EQ(settle((enum hf_peer_kind)kind, A, "one", 0), HF_E_OK);
	}
}

/* Every order of settling four requests finds each of them once. */
TEST(settling_in_any_order)
{
	static const char *const tokens[CAP] = {"a", "b", "c", "d"};

	for (unsigned code = 0; code < 256; code++) {
		unsigned done = 0;

		begin();
		for (unsigned i = 0; i < CAP; i++)
			CHECK_EQ(ask(HF_PEER_K_DATA, A, tokens[i], 100), HF_E_OK);
		for (unsigned i = 0; i < CAP; i++) {
			unsigned k = code >> (2 * i) & 3;

			CHECK_EQ(settle(HF_PEER_K_DATA, A, tokens[k], 0), done >> k & 1 ? HF_E_NOT_FOUND : HF_E_OK);
			done |= 1u << k;
		}
	}
}

TEST(full_table_refuses_and_counts)
{
	begin();
	CHECK_EQ(ask(HF_PEER_K_ACTION, A, "a", 1), HF_E_OK);
	CHECK_EQ(ask(HF_PEER_K_ACTION, A, "b", 1), HF_E_OK);
	CHECK_EQ(ask(HF_PEER_K_ACTION, B, "a", 1), HF_E_OK);
	CHECK_EQ(ask(HF_PEER_K_DATA, A, "a", 1), HF_E_OK);
	CHECK_EQ(ask(HF_PEER_K_DATA, A, "b", 1), HF_E_FULL);
	CHECK_EQ(table.refused, 1);
	CHECK_EQ(settle(HF_PEER_K_ACTION, B, "a", 1), HF_E_OK);
	CHECK_EQ(ask(HF_PEER_K_DATA, A, "b", 1), HF_E_OK);
}

TEST(tokens_that_are_refused)
{
	char longest[HF_PEER_TOKEN_MAX + 2];

	begin();
	memset(longest, 'x', sizeof longest);
	longest[HF_PEER_TOKEN_MAX + 1] = '\0';
	CHECK_EQ(ask(HF_PEER_K_ACTION, A, "", 1), HF_E_TOKEN);
	CHECK_EQ(ask(HF_PEER_K_ACTION, A, longest, 1), HF_E_TOO_BIG);
	longest[HF_PEER_TOKEN_MAX] = '\0';
	CHECK_EQ(ask(HF_PEER_K_ACTION, A, longest, 1), HF_E_OK);
	CHECK_EQ(ask(HF_PEER_K_ACTION, A, longest, 1), HF_E_EXISTS);
	CHECK_EQ(settle(HF_PEER_K_ACTION, A, longest, 1), HF_E_OK);
}

TEST(expiry_and_deadlines)
{
	struct hf_peer_request q;

	begin();
	CHECK_EQ(hf_peer_deadline_ms(&table), INT64_MAX);
	CHECK(!hf_peer_expire(&table, INT64_MAX, &q));
	CHECK_EQ(ask(HF_PEER_K_ACTION, A, "late", 300), HF_E_OK);
	CHECK_EQ(ask(HF_PEER_K_ACTION, A, "soon", 100), HF_E_OK);
	CHECK_EQ(ask(HF_PEER_K_ACTION, B, "mid", 200), HF_E_OK);
	CHECK_EQ(hf_peer_deadline_ms(&table), 100);
	CHECK(!hf_peer_expire(&table, 100, &q));
	CHECK(hf_peer_expire(&table, 250, &q));
	CHECK(hf_peer_expire(&table, 250, &q));
	CHECK(!hf_peer_expire(&table, 250, &q));
	CHECK_EQ(hf_peer_deadline_ms(&table), 300);
}

TEST(forgetting_a_peer)
{
	begin();
	CHECK_EQ(ask(HF_PEER_K_ACTION, A, "1", 1), HF_E_OK);
	CHECK_EQ(ask(HF_PEER_K_ACTION, B, "2", 1), HF_E_OK);
	CHECK_EQ(ask(HF_PEER_K_DATA, A, "3", 1), HF_E_OK);
	CHECK_EQ(ask(HF_PEER_K_DATA, A, "4", 1), HF_E_OK);
	hf_peer_forget(&table, A);
	CHECK_EQ(table.count, 1);
	CHECK_EQ(settle(HF_PEER_K_ACTION, B, "2", 1), HF_E_OK);
}

/* --- tokens and ids ----------------------------------------------------------------------------------------------- */

/* Source: RFC 4122 section 4.4: version 4, variant 10. */
TEST(token_is_a_uuid4)
{
	static const uint8_t ones[16] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255},
						 zeros[16] = {0};
	uint8_t text[HF_PEER_TOKEN_LEN];

	hf_peer_token_text(ones, text);
	CHECK_MEM(text, "ffffffff-ffff-4fff-bfff-ffffffffffff", HF_PEER_TOKEN_LEN);
	hf_peer_token_text(zeros, text);
	CHECK_MEM(text, "00000000-0000-4000-8000-000000000000", HF_PEER_TOKEN_LEN);
}

TEST(id_is_the_top_of_a_uuid4)
{
	static const uint8_t some[8] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef}, zeros[8] = {0};
	uint64_t back = 0;
	char text[HF_ID_TEXT_MAX];

	CHECK(hf_peer_id_from(some) == UINT64_C(0x0123456789ab4def));
	CHECK(hf_peer_id_from(zeros) == UINT64_C(0x4000));
	hf_id_text(hf_peer_id_from(some), text);
	CHECK_STR(text, "123456789ab4def"); /* fifteen digits: no leading zero */
	CHECK_EQ(hf_id_parse(hf_span_text(text), &back), HF_E_OK);
	CHECK(back == hf_peer_id_from(some));
}

UNIT_TESTS(T(who_may_say_what), T(join_topic_is_for_join_requests), T(which_status_answers_which_kind),
           T(every_kind_has_a_name_and_a_time), T(M6_token_never_issued), T(M6_token_used), T(M6_token_expired),
           T(M6_token_of_another_peer), T(M6_token_of_another_kind), T(settling_in_any_order),
           T(full_table_refuses_and_counts), T(tokens_that_are_refused), T(expiry_and_deadlines), T(forgetting_a_peer),
           T(token_is_a_uuid4), T(id_is_the_top_of_a_uuid4))
