/* account - API tokens and grants: who may do what, where. Uses: base os db; SHA-256 of libcrypto. */
#ifndef ACCOUNT_H
#define ACCOUNT_H
#include "base/base.h"
#include "db/db.h"

enum account_right {
	ACCOUNT_PUBLIC = 0, /* no token needed */
#define RIGHT(NAME, bit, doc) ACCOUNT_##NAME = (bit),
#include "account/roles.def"
};
enum account_scope { ACCOUNT_EVERYTHING, ACCOUNT_GROUP, ACCOUNT_DEVICE };
enum { ACCOUNT_GRANTS_MAX = 16, ACCOUNT_NAME_MAX = 64, ACCOUNT_TOKEN_TEXT_MAX = 72, ACCOUNT_DAYS_MAX = 3650 };

/* A role on a scope. scope_id is a group's or a device's. */
struct account_grant {
	unsigned rights;
	enum account_scope scope;
	uint64_t scope_id;
};
/* Who calls, with what he was granted. */
struct account_caller {
	int64_t token;
	char name[ACCOUNT_NAME_MAX];
	struct account_grant grant[ACCOUNT_GRANTS_MAX];
	size_t grants;
};

/* The rights of a role by its name ("viewer"); 0 if there is none. */
unsigned account_role_rights(const char *role);
/* Finds who a bearer token belongs to. Errors: LOGIN (none, unknown, expired, revoked), DATABASE. */
HF_NODISCARD enum hf_err account_find(struct db *db, const char *bearer, int64_t now_ms, struct account_caller *out);
/* May he do this to that device? Device 0 asks for a grant on everything. */
bool account_may(const struct account_caller *c, enum account_right right, uint64_t device);
/* May he do this to anything at all? Lists then show only what account_may allows. */
bool account_may_somewhere(const struct account_caller *c, enum account_right right);

struct account_token {
	int64_t id, created_ms, expires_ms, revoked_ms; /* 0 = never */
	char name[ACCOUNT_NAME_MAX], role[16];
	enum account_scope scope;
	uint64_t scope_id;
};
/* Makes a token; text (NUL-terminated, `hft_` + 64 hex digits) is not kept anywhere. Errors: INPUT (role, name, scope), DATABASE. */
HF_NODISCARD enum hf_err account_token_new(struct db *db, const struct account_token *want, int64_t now_ms, int64_t *id,
                                           char text[ACCOUNT_TOKEN_TEXT_MAX]);
HF_NODISCARD enum hf_err account_token_revoke(struct db *db, int64_t id, int64_t now_ms);
HF_NODISCARD enum hf_err account_token_list(struct db *db, bool (*each)(void *ctx, const struct account_token *t),
                                            void *ctx);
/* How many tokens with the admin role on everything work now. */
HF_NODISCARD enum hf_err account_admins(struct db *db, int64_t now_ms, int64_t *count);

#endif
