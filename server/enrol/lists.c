/* enrol - the tokens and the allow-list as rows. Uses: base os db; SHA-256 of libcrypto. */
#include "enrol/enrol_internal.h"
#include "os/os.h"

#include <openssl/sha.h>
#include <string.h>

enum { SECRET_LEN = 20, FINGERPRINT_LEN = SHA256_DIGEST_LENGTH };
static const char prefix[] = "hfe_";

static void load_token(const struct db_rows *r, struct enrol_token *t)
{
	*t = (struct enrol_token){.id = db_col_int(r, 0),
	                          .uses_max = db_col_int(r, 3),
	                          .uses = db_col_int(r, 4),
	                          .created_ms = db_col_int(r, 5),
	                          .expires_ms = db_col_int(r, 6),
	                          .revoked_ms = db_col_int(r, 7)};
	db_col_text(r, 1, t->name, sizeof t->name);
	db_col_text(r, 2, t->type, sizeof t->type);
	db_col_text(r, 8, t->who, sizeof t->who);
}

static enum hf_err one_token(struct db_rows *r, struct enrol_token *out)
{
	if (!db_step(r))
		return r->err != HF_E_OK ? r->err : HF_E_NOT_FOUND;
	load_token(r, out);
	return HF_E_OK;
}

/* Tokens are looked up by their hash: what a thief of the database finds opens nothing. */
enum hf_err enrol_token_find(struct enrol *e, struct hf_span text, struct enrol_token *out)
{
	uint8_t hash[SHA256_DIGEST_LENGTH];

	SHA256(text.ptr, text.len, hash);
	DB_ROWS_SCOPED r = db_select(e->db, DB_ENROL_TOKEN_FIND, DB_ARGS(db_bytes(hf_span_of(hash, sizeof hash))));

	return one_token(&r, out);
}

enum hf_err enrol_token_get(struct enrol *e, int64_t id, struct enrol_token *out)
{
	DB_ROWS_SCOPED r = db_select(e->db, DB_ENROL_TOKEN_GET, DB_ARGS(db_int(id)));

	return one_token(&r, out);
}

enum hf_err enrol_token_new(struct enrol *e, const struct enrol_token *want, int64_t now_ms, int64_t *id,
                            char text[ENROL_TOKEN_TEXT_MAX])
{
	uint8_t secret[SECRET_LEN], hash[SHA256_DIGEST_LENGTH];
	struct hf_wr w = hf_wr_of(text, ENROL_TOKEN_TEXT_MAX);

	os_random(secret, sizeof secret);
	hf_wr_text(&w, prefix);
	hf_wr_hex(&w, hf_span_of(secret, sizeof secret));
	hf_wr_nul(&w);
	hf_wipe(secret, sizeof secret);
	SHA256((const uint8_t *)text, w.len, hash);
	enum hf_err err =
		db_exec(e->db, DB_ENROL_TOKEN_ADD,
	            DB_ARGS(db_text(want->name), db_bytes(hf_span_of(hash, sizeof hash)), db_text(want->type),
	                    db_int(want->uses_max), db_int(now_ms), db_int(want->expires_ms), db_text(want->who)),
	            NULL);

	if (err == HF_E_OK)
		*id = db_last_key(e->db);
	return err;
}

enum hf_err enrol_token_revoke(struct enrol *e, int64_t id, int64_t now_ms)
{
	int64_t changes = 0;
	enum hf_err err = db_exec(e->db, DB_ENROL_TOKEN_REVOKE, DB_ARGS(db_int(now_ms), db_int(id)), &changes);

	return err != HF_E_OK ? err : changes ? HF_E_OK : HF_E_NOT_FOUND;
}

enum hf_err enrol_token_list(struct enrol *e, bool (*each)(void *ctx, const struct enrol_token *t), void *ctx)
{
	DB_ROWS_SCOPED r = db_select(e->db, DB_ENROL_TOKEN_LIST, NULL, 0);
	bool more = true;

	while (more && db_step(&r)) {
		struct enrol_token t;

		load_token(&r, &t);
		more = each(ctx, &t);
	}
	return r.err;
}

enum hf_err enrol_who_parse(struct hf_span text, char out[ENROL_WHO_MAX])
{
	uint8_t digest[FINGERPRINT_LEN];
	struct hf_wr d = hf_wr_of(digest, sizeof digest), w = hf_wr_of(out, ENROL_WHO_MAX);
	uint64_t id = 0;

	if (hf_id_parse(text, &id) == HF_E_OK)
		hf_wr_id(&w, id);
	else if (hf_hex_decode(text, &d) == HF_E_OK && d.len == sizeof digest)
		hf_wr_hex(&w, hf_wr_span(&d));
	else
		return HF_E_TEXT;
	hf_wr_nul(&w);
	return w.err;
}

enum hf_err enrol_allow(struct enrol *e, const struct enrol_allowed *entry)
{
	return db_exec(e->db, DB_ENROL_ALLOWED_PUT,
	               DB_ARGS(db_text(entry->who), db_text(entry->type), db_int(entry->at_ms), db_text(entry->by)), NULL);
}

enum hf_err enrol_allowed_fit(struct enrol *e)
{
	int64_t count = 0;
	enum hf_err err = db_get_int(e->db, DB_ENROL_ALLOWED_COUNT, NULL, 0, 0, &count);

	return err == HF_E_OK && count > e->allowed_max ? HF_E_FULL : err;
}

enum hf_err enrol_disallow(struct enrol *e, const char *who)
{
	int64_t changes = 0;
	enum hf_err err = db_exec(e->db, DB_ENROL_ALLOWED_DROP, DB_ARGS(db_text(who)), &changes);

	return err != HF_E_OK ? err : changes ? HF_E_OK : HF_E_NOT_FOUND;
}

enum hf_err enrol_allowed_list(struct enrol *e, const char *after, int64_t limit,
                               bool (*each)(void *ctx, const struct enrol_allowed *a), void *ctx)
{
	DB_ROWS_SCOPED r = db_select(e->db, DB_ENROL_ALLOWED_LIST, DB_ARGS(db_text(after), db_int(limit)));
	bool more = true;

	while (more && db_step(&r)) {
		struct enrol_allowed a = {.at_ms = db_col_int(&r, 2)};

		db_col_text(&r, 0, a.who, sizeof a.who);
		db_col_text(&r, 1, a.type, sizeof a.type);
		db_col_text(&r, 3, a.by, sizeof a.by);
		more = each(ctx, &a);
	}
	return r.err;
}
