/* sequence_test - the window of what was received, the counter of what was sent. Uses: seal, tests/unit.h. */
#include "seal/seal.h"
#include "tests/unit.h"

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

/* Judges and, when it may be taken, marks: what a receiver does with an honest message. */
static enum hf_err take(struct hf_seal_window *w, uint64_t id)
{
	enum hf_err err = hf_seal_window_judge(w, id);

	if (err == HF_E_OK)
		hf_seal_window_mark(w, id);
	return err;
}

struct step {
	uint64_t id;
	enum hf_err want;
};

static void walk(const struct step *steps, size_t count)
{
	struct hf_seal_window w = {0};

	for (size_t i = 0; i < count; i++)
		CHECK_EQ(take(&w, steps[i].id), steps[i].want);
}

TEST(window_from_nothing)
{
	static const struct step steps[] = {
		{0, HF_E_SEQUENCE}, {1, HF_E_OK}, {1, HF_E_REPLAY}, {2, HF_E_OK}, {2, HF_E_REPLAY}};
	static const struct step high[] = {
		{1000, HF_E_OK}, {999, HF_E_OK}, {999, HF_E_REPLAY}, {937, HF_E_OK}, {936, HF_E_REPLAY}};

	walk(steps, COUNT(steps));
	walk(high, COUNT(high));
}

TEST(window_late_messages)
{
	static const struct step steps[] = {
		{100, HF_E_OK},     {164, HF_E_OK},     {101, HF_E_OK}, {100, HF_E_REPLAY}, {163, HF_E_OK},
		{101, HF_E_REPLAY}, {163, HF_E_REPLAY}, {165, HF_E_OK}, {102, HF_E_OK},     {101, HF_E_REPLAY},
	};

	walk(steps, COUNT(steps));
}

TEST(window_steps_of_its_own_width)
{
	static const struct step steps[] = {
		{1, HF_E_OK},
		{64, HF_E_OK},
		{1, HF_E_REPLAY},
		{2, HF_E_OK},
		{128, HF_E_OK},
		{64, HF_E_REPLAY},
		{65, HF_E_OK},
		{1u << 20, HF_E_OK},
		{128, HF_E_REPLAY},
		{(1u << 20) - 63, HF_E_OK},
		{(1u << 20) - 64, HF_E_REPLAY},
	};

	walk(steps, COUNT(steps));
}

TEST(window_at_its_end)
{
	static const struct step steps[] = {
		{HF_SEAL_SEQUENCE_MAX + 1, HF_E_SEQUENCE}, {UINT64_MAX, HF_E_SEQUENCE},         {HF_SEAL_SEQUENCE_MAX, HF_E_OK},
		{HF_SEAL_SEQUENCE_MAX, HF_E_REPLAY},       {HF_SEAL_SEQUENCE_MAX - 1, HF_E_OK}, {1, HF_E_REPLAY},
	};

	walk(steps, COUNT(steps));
}

/* Judging alone changes nothing: a forged message with any id leaves the honest sender's next one good. */
TEST(M2_judging_moves_nothing)
{
	static const uint64_t forged[] = {UINT64_MAX, HF_SEAL_SEQUENCE_MAX, 500, 43, 41, 0};
	struct hf_seal_window w = {0};

	CHECK_EQ(take(&w, 42), HF_E_OK);
	for (size_t i = 0; i < COUNT(forged); i++)
		CHECK(hf_seal_window_judge(&w, forged[i]) != HF_E_OK || forged[i] != 0);
	CHECK_EQ(w.high, 42);
	CHECK_EQ(w.seen, 1);
	CHECK_EQ(take(&w, 43), HF_E_OK);
}

TEST(M3_replay_after_100000_messages)
{
	struct hf_seal_window w = {0};

	for (uint64_t id = HF_SEAL_GAP; id <= UINT64_C(100000) * HF_SEAL_GAP; id += HF_SEAL_GAP)
		if (take(&w, id) != HF_E_OK)
			CHECK_EQ(id, 0);
	CHECK_EQ(hf_seal_window_judge(&w, HF_SEAL_GAP), HF_E_REPLAY);
	CHECK_EQ(hf_seal_window_judge(&w, w.high), HF_E_REPLAY);
}

/* Against a list of everything ever taken: no id twice, and whatever is new and within reach is taken. */
TEST(M3_window_agrees_with_a_full_list)
{
	static bool taken[4096];
	struct hf_seal_window w = {0};
	uint64_t state = 88172645463325252u, high = 0;

	memset(taken, 0, sizeof taken);
	for (unsigned i = 0; i < 20000; i++) {
		state ^= state << 13, state ^= state >> 7, state ^= state << 17;
		uint64_t id = 1 + i / 8 + state % 100;
		bool wanted = !taken[id] && id + HF_SEAL_WINDOW > high;

		CHECK_EQ(take(&w, id) == HF_E_OK, wanted);
		taken[id] = taken[id] || wanted;
		high = wanted && id > high ? id : high;
	}
}

TEST(counter_goes_above_both)
{
	struct hf_seal_counter c = {0};
	uint64_t id = 0;
	bool store = false;

	CHECK_EQ(hf_seal_counter_take(&c, 0, &id, &store), HF_E_OK);
	CHECK_EQ(id, HF_SEAL_GAP);
	CHECK(store);
	CHECK_EQ(hf_seal_counter_take(&c, 1000, &id, &store), HF_E_OK);
	CHECK_EQ(id, 1000 + HF_SEAL_GAP);
	CHECK(!store);
	CHECK_EQ(hf_seal_counter_take(&c, 5, &id, &store), HF_E_OK);
	CHECK_EQ(id, 1000 + 2 * HF_SEAL_GAP);
	CHECK_EQ(hf_seal_counter_take(&c, 1000000, &id, &store), HF_E_OK);
	CHECK(store);
	CHECK(c.reserved >= id);
}

TEST(counter_is_exhausted_not_wrapped)
{
	static const uint64_t received[] = {UINT64_MAX, HF_SEAL_SEQUENCE_MAX, HF_SEAL_SEQUENCE_MAX - HF_SEAL_GAP + 1};
	uint64_t id = 77;
	bool store = false;

	for (size_t i = 0; i < COUNT(received); i++) {
		struct hf_seal_counter c = {0};

		CHECK_EQ(hf_seal_counter_take(&c, received[i], &id, &store), HF_E_SEQUENCE);
		CHECK_EQ(id, 77);
		CHECK_EQ(c.last, 0);
	}
	struct hf_seal_counter c = {0};

	CHECK_EQ(hf_seal_counter_take(&c, HF_SEAL_SEQUENCE_MAX - HF_SEAL_GAP, &id, &store), HF_E_OK);
	CHECK(id == HF_SEAL_SEQUENCE_MAX);
	CHECK_EQ(hf_seal_counter_take(&c, 0, &id, &store), HF_E_SEQUENCE);
}

/* Crashes at random: what is used never exceeds what was stored before, so no id comes twice. */
TEST(M3_counter_over_restarts)
{
	struct hf_seal_counter c = {0};
	uint64_t stored = 0, last = 0, state = 1;

	for (unsigned i = 0; i < 20000; i++) {
		uint64_t id = 0;
		bool store = false;

		state = state * 6364136223846793005u + 1442695040888963407u;
		if (state >> 59 == 0)
			hf_seal_counter_resume(&c, stored);
		REQUIRE(hf_seal_counter_take(&c, state >> 40 == 0 ? last + 5000 : 0, &id, &store) == HF_E_OK);
		if (store)
			stored = c.reserved;
		CHECK(id > last);
		CHECK(id <= stored);
		last = id;
	}
}

/* The power goes between storing the reservation and using it: a gap, nothing worse. */
TEST(counter_reserved_but_not_used)
{
	struct hf_seal_counter c = {0};
	uint64_t id = 0, again = 0;
	bool store = false;

	CHECK_EQ(hf_seal_counter_take(&c, 0, &id, &store), HF_E_OK);
	hf_seal_counter_resume(&c, c.reserved);
	CHECK_EQ(hf_seal_counter_take(&c, 0, &again, &store), HF_E_OK);
	CHECK(again > id);
	CHECK(again <= id + HF_SEAL_BLOCK + HF_SEAL_GAP);
	CHECK(store);
}

UNIT_TESTS(T(window_from_nothing), T(window_late_messages), T(window_steps_of_its_own_width), T(window_at_its_end),
           T(M2_judging_moves_nothing), T(M3_replay_after_100000_messages), T(M3_window_agrees_with_a_full_list),
           T(counter_goes_above_both), T(counter_is_exhausted_not_wrapped), T(M3_counter_over_restarts),
           T(counter_reserved_but_not_used))
