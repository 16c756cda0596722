/* account tests - tokens: found, expired, revoked, and what they may where. Uses: account, cmocka. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "account/account.h"
#include "tests/server_stage.h"

enum { NOW = 1000000, A_DEVICE = 0xd1, ANOTHER = 0xd2 };

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

static int64_t make(const char *name, const char *role, uint64_t device, int64_t expires_ms, char bearer[96])
{
	struct account_token want = {.expires_ms = expires_ms,
	                             .scope = device ? ACCOUNT_DEVICE : ACCOUNT_EVERYTHING,
	                             .scope_id = device};
	char text[ACCOUNT_TOKEN_TEXT_MAX];
	int64_t id = 0;

	(void)snprintf(want.name, sizeof want.name, "%s", name);
	(void)snprintf(want.role, sizeof want.role, "%s", role);
	assert_int_equal(account_token_new(stage.db, &want, NOW, &id, text), HF_E_OK);
	assert_int_equal(strlen(text), 4 + 64);
	assert_int_equal(strspn(text + 4, "0123456789abcdef"), 64);
	(void)snprintf(bearer, 96, "Bearer %s", text);
	return id;
}

static void found_with_its_name(void **state)
{
	struct account_caller caller;
	char bearer[96], other[96];
	int64_t id = make("anna", "operator", 0, 0, bearer);

	(void)state;
	(void)make("bert", "viewer", 0, 0, other);
	assert_string_not_equal(bearer, other);
	assert_int_equal(account_find(stage.db, bearer, NOW, &caller), HF_E_OK);
	assert_string_equal(caller.name, "anna");
	assert_int_equal(caller.token, id);
	assert_int_equal(caller.grants, 1);
}

static void W2_no_token_that_is_one(void **state)
{
	struct account_caller caller = {.token = 77};
	char bearer[96], changed[128];

	(void)state;
	(void)make("anna", "admin", 0, 0, bearer);
	const char *wrong[] = {NULL, "", "Bearer", "Bearer ", "Bearer hft_", bearer + 7, "Basic YTpi", changed};

	(void)snprintf(changed, sizeof changed, "%s", bearer);
	changed[40] = changed[40] == 'a' ? 'b' : 'a';
	for (size_t i = 0; i < COUNT(wrong); i++)
		assert_int_equal(account_find(stage.db, wrong[i], NOW, &caller), HF_E_LOGIN);
	(void)snprintf(changed, sizeof changed, "%s ", bearer);
	assert_int_equal(account_find(stage.db, changed, NOW, &caller), HF_E_LOGIN);
	(void)snprintf(changed, sizeof changed, "Bearer  %s", bearer + 7);
	assert_int_equal(account_find(stage.db, changed, NOW, &caller), HF_E_LOGIN);
	assert_int_equal(caller.token, 77); /* untouched */
}

/* The clock jumps: a token that has not ended is good again when the clock is right again, and so is the count of admins. */
static void tokens_outlive_a_jump(void **state)
{
	static const int64_t odd[] = {
		INT64_MIN,     INT64_MIN / 2, -1, (INT64_C(2147483647) + 1) * 1000, INT64_C(253402300800000),
		INT64_MAX / 2, INT64_MAX};
	struct account_caller caller;
	char bearer[96];
	int64_t admins = -1;

	(void)state;
	(void)make("anna", "admin", 0, NOW + 10, bearer);
	for (size_t i = 0; i < COUNT(odd); i++) {
		assert_int_equal(account_find(stage.db, bearer, odd[i], &caller), odd[i] < NOW ? HF_E_OK : HF_E_LOGIN);
		assert_int_equal(account_find(stage.db, bearer, NOW, &caller), HF_E_OK);
		assert_int_equal(account_admins(stage.db, odd[i], &admins), HF_E_OK);
		assert_int_equal(admins, odd[i] < NOW);
	}
}

static void W2_expired_or_revoked(void **state)
{
	struct account_caller caller;
	char short_lived[96], revoked[96];
	int64_t id;

	(void)state;
	(void)make("anna", "admin", 0, NOW + 10, short_lived);
	id = make("bert", "admin", 0, 0, revoked);
	assert_int_equal(account_find(stage.db, short_lived, NOW + 9, &caller), HF_E_OK);
	assert_int_equal(account_find(stage.db, short_lived, NOW + 10, &caller), HF_E_LOGIN);
	assert_int_equal(account_token_revoke(stage.db, id, NOW), HF_E_OK);
	assert_int_equal(account_find(stage.db, revoked, NOW, &caller), HF_E_LOGIN);
	assert_int_equal(account_token_revoke(stage.db, id, NOW), HF_E_NOT_FOUND);
	assert_int_equal(account_token_revoke(stage.db, 999, NOW), HF_E_NOT_FOUND);
}

struct role_case {
	const char *role;
	unsigned rights;
};

static void roles_and_their_rights(void **state)
{
	static const struct role_case cases[] = {
		{"viewer", ACCOUNT_VIEW},
		{"moderator", ACCOUNT_VIEW | ACCOUNT_JOIN},
		{"operator", ACCOUNT_VIEW | ACCOUNT_COMMAND},
		{"maintainer", ACCOUNT_VIEW | ACCOUNT_MAINTAIN},
		{"admin", ACCOUNT_VIEW | ACCOUNT_JOIN | ACCOUNT_COMMAND | ACCOUNT_MAINTAIN | ACCOUNT_ADMIN},
		{"root", 0},
		{"", 0},
		{"Admin", 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal(account_role_rights(cases[i].role), cases[i].rights);
}

static void W2_right_role_in_the_wrong_scope(void **state)
{
	struct account_caller caller;
	char bearer[96];

	(void)state;
	(void)make("anna", "operator", A_DEVICE, 0, bearer);
	assert_int_equal(account_find(stage.db, bearer, NOW, &caller), HF_E_OK);
	assert_true(account_may(&caller, ACCOUNT_COMMAND, A_DEVICE));
	assert_true(account_may(&caller, ACCOUNT_VIEW, A_DEVICE));
	assert_false(account_may(&caller, ACCOUNT_COMMAND, ANOTHER));
	assert_false(account_may(&caller, ACCOUNT_VIEW, ANOTHER));
	assert_false(account_may(&caller, ACCOUNT_VIEW, 0));
	assert_false(account_may(&caller, ACCOUNT_JOIN, A_DEVICE));
	assert_false(account_may(&caller, ACCOUNT_ADMIN, A_DEVICE));
	assert_true(account_may_somewhere(&caller, ACCOUNT_COMMAND));
	assert_false(account_may_somewhere(&caller, ACCOUNT_ADMIN));
}

static void everything_is_every_device(void **state)
{
	struct account_caller caller, nobody = {0};
	char bearer[96];

	(void)state;
	(void)make("anna", "viewer", 0, 0, bearer);
	assert_int_equal(account_find(stage.db, bearer, NOW, &caller), HF_E_OK);
	assert_true(account_may(&caller, ACCOUNT_VIEW, 0) && account_may(&caller, ACCOUNT_VIEW, UINT64_MAX));
	assert_false(account_may(&caller, ACCOUNT_COMMAND, A_DEVICE));
	assert_false(account_may(&nobody, ACCOUNT_VIEW, A_DEVICE) || account_may_somewhere(&nobody, ACCOUNT_VIEW));
}

static void what_is_no_token(void **state)
{
	struct account_token want = {.name = "", .role = "admin"};
	char text[ACCOUNT_TOKEN_TEXT_MAX];
	int64_t id = 0;

	(void)state;
	assert_int_equal(account_token_new(stage.db, &want, NOW, &id, text), HF_E_INPUT);
	want = (struct account_token){.name = "a", .role = "root"};
	assert_int_equal(account_token_new(stage.db, &want, NOW, &id, text), HF_E_INPUT);
	want = (struct account_token){.name = "a", .role = "viewer", .scope = ACCOUNT_GROUP, .scope_id = 1};
	assert_int_equal(account_token_new(stage.db, &want, NOW, &id, text), HF_E_INPUT);
	assert_int_equal(id, 0);
}

static void admins_that_work(void **state)
{
	char bearer[96];
	int64_t id, count = -1;

	(void)state;
	assert_int_equal(account_admins(stage.db, NOW, &count), HF_E_OK);
	assert_int_equal(count, 0);
	id = make("anna", "admin", 0, 0, bearer);
	(void)make("bert", "admin", A_DEVICE, 0, bearer);
	(void)make("cleo", "maintainer", 0, 0, bearer);
	(void)make("dora", "admin", 0, NOW + 5, bearer);
	assert_int_equal(account_admins(stage.db, NOW, &count), HF_E_OK);
	assert_int_equal(count, 2);
	assert_int_equal(account_admins(stage.db, NOW + 5, &count), HF_E_OK);
	assert_int_equal(count, 1);
	assert_int_equal(account_token_revoke(stage.db, id, NOW), HF_E_OK);
	assert_int_equal(account_admins(stage.db, NOW + 5, &count), HF_E_OK);
	assert_int_equal(count, 0);
}

static bool last_token(void *ctx, const struct account_token *t)
{
	*(struct account_token *)ctx = *t;
	return true;
}

/* What a thief of the database finds opens nothing: the token's text is in no file of it. */
static void the_secret_is_not_kept(void **state)
{
	struct account_token t = {0};
	OS_BUF_SCOPED file = os_buf_of(1 << 22);
	char bearer[96], wal[128];
	int64_t id = make("anna", "operator", A_DEVICE, NOW + 9, bearer);

	(void)state;
	assert_int_equal(db_commit(stage.db), HF_E_OK);
	(void)snprintf(wal, sizeof wal, "%s-wal", stage.path);
	assert_int_equal(os_read_file(stage.path, &file), HF_E_OK);
	assert_int_equal(os_read_file(wal, &file), HF_E_OK);
	assert_non_null(memmem(file.ptr, file.len, "operator", 8));
	assert_null(memmem(file.ptr, file.len, bearer + 7, 20));
	assert_int_equal(account_token_list(stage.db, last_token, &t), HF_E_OK);
	assert_int_equal(t.id, id);
	assert_string_equal(t.name, "anna");
	assert_string_equal(t.role, "operator");
	assert_int_equal(t.scope, ACCOUNT_DEVICE);
	assert_true(t.scope_id == A_DEVICE && t.expires_ms == NOW + 9 && t.created_ms == NOW && t.revoked_ms == 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(tokens_outlive_a_jump),      CASE(found_with_its_name),    CASE(W2_no_token_that_is_one),
		CASE(W2_expired_or_revoked),      CASE(roles_and_their_rights), CASE(W2_right_role_in_the_wrong_scope),
		CASE(everything_is_every_device), CASE(what_is_no_token),       CASE(admins_that_work),
		CASE(the_secret_is_not_kept),
	};

	return cmocka_run_group_tests_name("account", tests, NULL, NULL);
}
