/* account - API tokens and grants. Uses: base os db; SHA-256 of libcrypto. */
#include "account/account.h"

#include "os/os.h"

#include <openssl/sha.h>
#include <string.h>

enum { SECRET_LEN = 32 };
static const char prefix[] = "hft_";
static const char *const scope_names[] = {
	[ACCOUNT_EVERYTHING] = "all", [ACCOUNT_GROUP] = "group", [ACCOUNT_DEVICE] = "device"};

struct role_row {
	const char *name;
	unsigned rights;
};
static const struct role_row roles[] = {
#define ROLE(NAME, name, rights, doc) {(name), (rights)},
#include "account/roles.def"
};

unsigned account_role_rights(const char *role)
{
	for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++)
		if (strcmp(roles[i].name, role) == 0)
			return roles[i].rights;
	return 0;
}

static enum account_scope scope_named(const char *name)
{
	return strcmp(name, "all") == 0 ? ACCOUNT_EVERYTHING : strcmp(name, "group") == 0 ? ACCOUNT_GROUP : ACCOUNT_DEVICE;
}

static enum hf_err load_grants(struct db *db, struct account_caller *c)
{
	DB_ROWS_SCOPED r = db_select(db, DB_GRANTS, DB_ARGS(db_int(c->token)));

	while (c->grants < ACCOUNT_GRANTS_MAX && db_step(&r)) {
		char role[16], scope[16];
		struct account_grant *g = &c->grant[c->grants++];

		db_col_text(&r, 0, role, sizeof role);
		db_col_text(&r, 1, scope, sizeof scope);
		*g = (struct account_grant){account_role_rights(role), scope_named(scope), db_col_id(&r, 2)};
	}
	return r.err;
}

/* Tokens are looked up by their hash: what a thief of the database finds opens nothing. */
enum hf_err account_find(struct db *db, const char *bearer, int64_t now_ms, struct account_caller *out)
{
	static const char scheme[] = "Bearer ";
	struct account_caller c = {0};
	uint8_t hash[SHA256_DIGEST_LENGTH];

	if (!bearer || strncmp(bearer, scheme, sizeof scheme - 1) != 0)
		return HF_E_LOGIN;
	bearer += sizeof scheme - 1;
	SHA256((const uint8_t *)bearer, strlen(bearer), hash);
	DB_ROWS_SCOPED r = db_select(db, DB_TOKEN_FIND, DB_ARGS(db_bytes(hf_span_of(hash, sizeof hash)), db_int(now_ms)));

	if (!db_step(&r))
		return r.err != HF_E_OK ? r.err : HF_E_LOGIN;
	c.token = db_col_int(&r, 0);
	db_col_text(&r, 1, c.name, sizeof c.name);
	enum hf_err err = load_grants(db, &c);

	if (err == HF_E_OK)
		*out = c;
	return err;
}

bool account_may(const struct account_caller *c, enum account_right right, uint64_t device)
{
	for (size_t i = 0; i < c->grants; i++) {
		const struct account_grant *g = &c->grant[i];

		if (!(g->rights & (unsigned)right))
			continue;
		if (g->scope == ACCOUNT_EVERYTHING || (g->scope == ACCOUNT_DEVICE && device != 0 && g->scope_id == device))
			return true;
	}
	return false;
}

bool account_may_somewhere(const struct account_caller *c, enum account_right right)
{
	for (size_t i = 0; i < c->grants; i++)
		if (c->grant[i].rights & (unsigned)right)
			return true;
	return false;
}

enum hf_err account_token_new(struct db *db, const struct account_token *want, int64_t now_ms, int64_t *id,
                              char text[ACCOUNT_TOKEN_TEXT_MAX])
{
	uint8_t secret[SECRET_LEN], hash[SHA256_DIGEST_LENGTH];
	struct hf_wr w = hf_wr_of(text, ACCOUNT_TOKEN_TEXT_MAX);

	if (!want->name[0] || account_role_rights(want->role) == 0 || want->scope == ACCOUNT_GROUP)
		return HF_E_INPUT;
	os_random(secret, sizeof secret);
	hf_wr_text(&w, prefix);
	hf_wr_hex(&w, hf_span_of(secret, sizeof secret));
	hf_wr_nul(&w);
	hf_wipe(secret, sizeof secret);
	SHA256((const uint8_t *)text, w.len, hash);
	enum hf_err err = db_exec(db, DB_TOKEN_ADD,
	                          DB_ARGS(db_text(want->name), db_bytes(hf_span_of(hash, sizeof hash)), db_int(now_ms),
	                                  want->expires_ms ? db_int(want->expires_ms) : db_null()),
	                          NULL);

	if (err != HF_E_OK)
		return err;
	*id = db_last_key(db);
	return db_exec(db, DB_GRANT_ADD,
	               DB_ARGS(db_int(*id), db_text(want->role), db_text(scope_names[want->scope]), db_id(want->scope_id)),
	               NULL);
}

enum hf_err account_token_revoke(struct db *db, int64_t id, int64_t now_ms)
{
	int64_t changes = 0;
	enum hf_err err = db_exec(db, DB_TOKEN_REVOKE, DB_ARGS(db_int(now_ms), db_int(id)), &changes);

	return err != HF_E_OK ? err : changes ? HF_E_OK : HF_E_NOT_FOUND;
}

enum hf_err account_token_list(struct db *db, bool (*each)(void *ctx, const struct account_token *t), void *ctx)
{
	DB_ROWS_SCOPED r = db_select(db, DB_TOKEN_LIST, NULL, 0);
	bool more = true;

	while (more && db_step(&r)) {
		char scope[16];
		struct account_token t = {.id = db_col_int(&r, 0),
		                          .created_ms = db_col_int(&r, 2),
		                          .expires_ms = db_col_int(&r, 3),
		                          .revoked_ms = db_col_int(&r, 4),
		                          .scope_id = db_col_id(&r, 7)};

		db_col_text(&r, 1, t.name, sizeof t.name);
		db_col_text(&r, 5, t.role, sizeof t.role);
		db_col_text(&r, 6, scope, sizeof scope);
		t.scope = scope_named(scope);
		more = each(ctx, &t);
	}
	return r.err;
}

enum hf_err account_admins(struct db *db, int64_t now_ms, int64_t *count)
{
	return db_get_int(db, DB_TOKEN_ADMINS, DB_ARGS(db_int(now_ms)), 0, count);
}
