/* registry tests - identities: their states, half-made registrations, what is told. Uses: registry, cmocka. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "registry/registry.h"
#include "tests/server_stage.h"

enum { HALF_MADE_MAX = 3 };

static struct stage stage;

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

static enum hf_err add(uint64_t id, enum registry_state state, int64_t expires_ms)
{
	struct registry_identity i = {.id = id,
	                              .kind = REGISTRY_DEVICE,
	                              .state = state,
	                              .type = "box",
	                              .key_len = sizeof id,
	                              .created_ms = 100,
	                              .expires_ms = expires_ms};

	memcpy(i.key, &id, sizeof id); /* one key, one identity */
	return registry_add(stage.db, &i, HALF_MADE_MAX);
}

static struct registry_identity get(uint64_t id)
{
	struct registry_identity i;

	assert_int_equal(registry_get(stage.db, id, &i), HF_E_OK);
	return i;
}

static void set_state(uint64_t id, enum registry_state state, uint64_t controller)
{
	assert_int_equal(registry_set_state(stage.db, &stage.facts, id, state, controller, 500), HF_E_OK);
}

static void there_and_back(void **state)
{
	static const uint64_t ids[] = {1, 0x2a, INT64_MAX, UINT64_C(1) << 63, UINT64_MAX};

	(void)state;
	for (size_t k = 0; k < COUNT(ids); k++) {
		assert_int_equal(add(ids[k], REGISTRY_REGISTERED, 0), HF_E_OK);
		assert_int_equal(add(ids[k], REGISTRY_REGISTERED, 0), HF_E_EXISTS);
		assert_int_equal(registry_set_sent(stage.db, ids[k], UINT64_MAX - k), HF_E_OK);
	}
	assert_int_equal(db_commit(stage.db), HF_E_OK);
	stage_restart(&stage);
	for (size_t k = 0; k < COUNT(ids); k++) {
		struct registry_identity i = get(ids[k]);

		assert_true(i.id == ids[k] && i.sent == UINT64_MAX - k && i.controller == 0);
		assert_int_equal(i.state, REGISTRY_REGISTERED);
		assert_string_equal(i.type, "box");
		assert_int_equal(i.key_len, sizeof ids[k]);
		assert_memory_equal(i.key, &ids[k], sizeof ids[k]);
		assert_int_equal(i.joined_ms + i.revoked_ms + i.seen_ms + i.certificate_ms + i.expires_ms + i.generation, 0);
	}
	assert_int_equal(registry_get(stage.db, 2, &(struct registry_identity){0}), HF_E_NOT_FOUND);
}

static void states_and_what_is_told(void **state)
{
	(void)state;
	assert_int_equal(add(7, REGISTRY_NEW, 1000), HF_E_OK);
	set_state(7, REGISTRY_PROVEN, 0);
	assert_int_equal(get(7).expires_ms, 1000);
	set_state(7, REGISTRY_REGISTERED, 0);
	assert_int_equal(get(7).expires_ms, 0);
	assert_true(stage_told(&stage, FACTS_RIGHTS, 7) && stage_told(&stage, FACTS_DEVICE, 7));
	set_state(7, REGISTRY_JOINED, 0x5e);
	assert_true(get(7).controller == 0x5e && get(7).joined_ms == 500);
	set_state(7, REGISTRY_REVOKED, 0);
	assert_true(get(7).controller == 0 && get(7).joined_ms == 500 && get(7).revoked_ms == 500);
	assert_int_equal(registry_set_state(stage.db, &stage.facts, 8, REGISTRY_JOINED, 1, 1), HF_E_NOT_FOUND);
	assert_false(stage_told(&stage, FACTS_RIGHTS, 8));
}

static void K4_one_key_one_identity(void **state)
{
	struct registry_identity thief = {.id = 8, .kind = REGISTRY_REFERENCE, .state = REGISTRY_JOINED, .type = "c2"};

	(void)state;
	assert_int_equal(add(7, REGISTRY_REGISTERED, 0), HF_E_OK);
	memcpy(thief.key, get(7).key, get(7).key_len);
	thief.key_len = get(7).key_len;
	assert_int_equal(registry_add(stage.db, &thief, HALF_MADE_MAX), HF_E_EXISTS);
}

static void K6_half_made_are_bounded(void **state)
{
	(void)state;
	for (uint64_t id = 1; id <= HALF_MADE_MAX; id++)
		assert_int_equal(add(id, REGISTRY_NEW, 1000), HF_E_OK);
	assert_int_equal(add(9, REGISTRY_NEW, 1000), HF_E_FULL);
	set_state(1, REGISTRY_PROVEN, 0); /* still half-made */
	assert_int_equal(add(9, REGISTRY_NEW, 1000), HF_E_FULL);
	set_state(1, REGISTRY_REGISTERED, 0);
	assert_int_equal(add(9, REGISTRY_NEW, 1000), HF_E_OK);
}

static enum hf_err add_from(uint64_t id, uint64_t origin, int64_t created_ms, bool *pushed_out)
{
	struct registry_identity i = {
		.id = id, .state = REGISTRY_NEW, .type = "a", .created_ms = created_ms, .origin = origin};

	memcpy(i.key, &id, sizeof id);
	i.key_len = 16;
	*pushed_out = false;
	enum hf_err err = registry_make_room(stage.db, origin, HALF_MADE_MAX, pushed_out);

	return err == HF_E_OK ? registry_add(stage.db, &i, HALF_MADE_MAX) : err;
}

/* Who fills the table makes room for others, its oldest first, down to an equal share; for itself it finds none. */
static void K6_the_greediest_makes_room(void **state)
{
	enum { GREEDY = 0x10, HONEST = 0x20, FIRST = 0x100 };
	struct registry_identity i;
	bool pushed_out;

	(void)state;
	for (uint64_t n = 0; n < HALF_MADE_MAX; n++)
		assert_int_equal(add_from(FIRST + n, GREEDY, 1000 - (int64_t)n, &pushed_out), HF_E_OK);
	assert_false(pushed_out);
	assert_int_equal(add_from(0x200, GREEDY, 2000, &pushed_out), HF_E_FULL);
	assert_int_equal(add_from(1, HONEST, 2000, &pushed_out), HF_E_OK);
	assert_true(pushed_out);
	assert_int_equal(registry_get(stage.db, FIRST + HALF_MADE_MAX - 1, &i), HF_E_NOT_FOUND); /* the oldest */
	assert_int_equal(registry_get(stage.db, FIRST, &i), HF_E_OK);
	assert_int_equal(add_from(0x200, GREEDY, 2000, &pushed_out), HF_E_FULL);
	assert_int_equal(registry_get(stage.db, 1, &i), HF_E_OK);
}

/* Registered, silent, never joined: forgotten. Whoever joined once, speaks, or was revoked: kept. */
static void K6_idle_identities_are_forgotten(void **state)
{
	uint64_t gone[REGISTRY_IDLE_BATCH];
	size_t count = 0;
	struct registry_identity i;
	int64_t total = 0;

	(void)state;
	for (uint64_t id = 1; id <= 5; id++)
		assert_int_equal(add(id, REGISTRY_REGISTERED, 0), HF_E_OK);
	assert_int_equal(registry_certificate(stage.db, 1, hf_span_text("serial"), 10, 90), HF_E_OK);
	assert_int_equal(registry_seen(stage.db, 2, 5000), HF_E_OK);
	set_state(3, REGISTRY_JOINED, 0x5e);
	set_state(4, REGISTRY_JOINED, 0x5e);
	set_state(4, REGISTRY_REGISTERED, 0);
	set_state(5, REGISTRY_REVOKED, 0);
	assert_int_equal(registry_forget_idle(stage.db, &stage.facts, get(1).created_ms - 1, gone, &count), HF_E_OK);
	assert_int_equal(count, 0);
	assert_int_equal(registry_forget_idle(stage.db, &stage.facts, 4999, gone, &count), HF_E_OK);
	assert_true(count == 1 && gone[0] == 1);
	assert_int_equal(registry_get(stage.db, 1, &i), HF_E_NOT_FOUND);
	assert_true(stage_told(&stage, FACTS_RIGHTS, 1));
	assert_int_equal(registry_total(stage.db, &total), HF_E_OK);
	assert_int_equal(total, 4);
	assert_int_equal(add(1, REGISTRY_NEW, 9000), HF_E_OK); /* it may begin anew */
}

static void idle_ones_go_in_steps(void **state)
{
	uint64_t gone[REGISTRY_IDLE_BATCH];
	size_t count = 0;

	(void)state;
	for (uint64_t id = 1; id <= REGISTRY_IDLE_BATCH + 3; id++)
		assert_int_equal(add(id, REGISTRY_REGISTERED, 0), HF_E_OK);
	assert_int_equal(registry_forget_idle(stage.db, &stage.facts, 1000000, gone, &count), HF_E_OK);
	assert_int_equal(count, REGISTRY_IDLE_BATCH);
	assert_int_equal(registry_forget_idle(stage.db, &stage.facts, 1000000, gone, &count), HF_E_OK);
	assert_int_equal(count, 3);
}

/* Whatever the clock says: only what was half-made goes, and it can be begun again. */
static void no_clock_takes_a_device(void **state)
{
	static const int64_t odd[] = {INT64_MIN,     -1,       (INT64_C(2147483647) + 1) * 1000, INT64_C(4294967296) * 1000,
	                              INT64_MAX / 2, INT64_MAX};
	int64_t count = -1;

	(void)state;
	assert_int_equal(add(3, REGISTRY_NEW, 1000), HF_E_OK);
	set_state(3, REGISTRY_REGISTERED, 0);
	for (size_t i = 0; i < COUNT(odd); i++) {
		assert_int_equal(add(1, REGISTRY_NEW, 1000), HF_E_OK);
		assert_int_equal(registry_expire(stage.db, odd[i], &count), HF_E_OK);
		assert_int_equal(count, odd[i] >= 1000);
		assert_int_equal(registry_expire(stage.db, 1000, &count), HF_E_OK);
		assert_int_equal(count, odd[i] < 1000);
	}
	assert_int_equal(registry_count(stage.db, REGISTRY_REGISTERED, &count), HF_E_OK);
	assert_int_equal(count, 1);
}

static void half_made_expire_and_others_stay(void **state)
{
	int64_t count = -1;

	(void)state;
	assert_int_equal(add(1, REGISTRY_NEW, 1000), HF_E_OK);
	assert_int_equal(add(2, REGISTRY_NEW, 1001), HF_E_OK);
	assert_int_equal(add(3, REGISTRY_NEW, 1000), HF_E_OK);
	set_state(2, REGISTRY_PROVEN, 0);
	set_state(3, REGISTRY_REGISTERED, 0);
	assert_int_equal(registry_expire(stage.db, 999, &count), HF_E_OK);
	assert_int_equal(count, 0);
	assert_int_equal(registry_expire(stage.db, 1000, &count), HF_E_OK);
	assert_int_equal(count, 1);
	assert_int_equal(registry_expire(stage.db, 1001, &count), HF_E_OK);
	assert_int_equal(count, 1);
	assert_int_equal(get(3).state, REGISTRY_REGISTERED);
	assert_int_equal(add(1, REGISTRY_NEW, 5000), HF_E_OK); /* its id is free again */
}

static void certificates_are_kept(void **state)
{
	(void)state;
	assert_int_equal(add(1, REGISTRY_PROVEN, 0), HF_E_OK);
	assert_int_equal(registry_certificate(stage.db, 1, hf_span_text("serial"), 10, 90), HF_E_OK);
	assert_int_equal(get(1).certificate_ms, 90);
	assert_int_equal(registry_certificate(stage.db, 1, hf_span_text("serial"), 11, 91), HF_E_EXISTS);
	assert_int_equal(get(1).certificate_ms, 90);
}

static bool collect(void *ctx, const struct registry_identity *i)
{
	char *text = ctx;
	size_t n = strlen(text);

	assert_int_equal(i->key_len, 0);
	(void)snprintf(text + n, 64 - n, "%llx ", (unsigned long long)i->id);
	return n < 6;
}

static void listed_by_kind(void **state)
{
	struct registry_identity server = {.id = 0x5e,
	                                   .kind = REGISTRY_SERVER,
	                                   .state = REGISTRY_JOINED,
	                                   .type = "c2-server"};
	char text[64] = "";
	int64_t count = -1;

	(void)state;
	assert_int_equal(registry_add(stage.db, &server, HALF_MADE_MAX), HF_E_OK);
	assert_int_equal(add(2, REGISTRY_REGISTERED, 0), HF_E_OK);
	assert_int_equal(add(1, REGISTRY_REGISTERED, 0), HF_E_OK);
	assert_int_equal(registry_list(stage.db, REGISTRY_DEVICE, collect, text), HF_E_OK);
	assert_string_equal(text, "1 2 ");
	text[0] = 0;
	assert_int_equal(registry_list(stage.db, REGISTRY_KIND_COUNT_, collect, text), HF_E_OK);
	assert_string_equal(text, "1 2 5e ");
	text[0] = 0;
	assert_int_equal(registry_list(stage.db, REGISTRY_REFERENCE, collect, text), HF_E_OK);
	assert_string_equal(text, "");
	assert_int_equal(registry_count(stage.db, REGISTRY_REGISTERED, &count), HF_E_OK);
	assert_int_equal(count, 2);
	assert_int_equal(registry_count(stage.db, REGISTRY_JOINED, &count), HF_E_OK);
	assert_int_equal(count, 0); /* devices only */
}

/* Two devices of each page, until none is left. */
struct page {
	char text[64];
	unsigned left;
};

static bool collect_two(void *ctx, const struct registry_identity *i)
{
	struct page *p = ctx;

	if (p->left-- == 0)
		return false;
	return collect(p->text, i);
}

static struct page page_after(uint64_t after, const char *of_state, const char *type)
{
	const struct registry_filter f = {after, of_state, type};
	struct page p = {.left = 2};

	assert_int_equal(registry_page(stage.db, &f, collect_two, &p), HF_E_OK);
	return p;
}

static void listed_by_pages(void **state)
{
	static const uint64_t ids[] = {UINT64_C(1) << 63, UINT64_MAX, 1, 2, INT64_MAX};

	(void)state;
	for (size_t k = 0; k < COUNT(ids); k++)
		assert_int_equal(add(ids[k], REGISTRY_REGISTERED, 0), HF_E_OK);
	set_state(2, REGISTRY_JOINED, 0x5e);
	assert_string_equal(page_after(0, "", "").text, "8000000000000000 ffffffffffffffff ");
	assert_string_equal(page_after(ids[1], "", "").text, "1 2 ");
	assert_string_equal(page_after(2, "", "").text, "7fffffffffffffff ");
	assert_string_equal(page_after(1, "joined", "box").text, "2 ");
	assert_string_equal(page_after(0, "", "tin").text, "");
}

static void names(void **state)
{
	(void)state;
	assert_string_equal(registry_state_name(REGISTRY_PROVEN), "proven");
	assert_string_equal(registry_kind_name(REGISTRY_REFERENCE), "reference");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(there_and_back),
		CASE(states_and_what_is_told),
		CASE(K4_one_key_one_identity),
		CASE(K6_half_made_are_bounded),
		CASE(K6_the_greediest_makes_room),
		CASE(K6_idle_identities_are_forgotten),
		CASE(idle_ones_go_in_steps),
		CASE(half_made_expire_and_others_stay),
		CASE(certificates_are_kept),
		CASE(listed_by_kind),
		CASE(listed_by_pages),
		CASE(names),
		CASE(no_clock_takes_a_device),
	};

	return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
