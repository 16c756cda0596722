/* registry - identities. Uses: base os db facts. */
#include "registry/registry.h"

#include <string.h>

/* The database sorts ids as signed numbers: this one comes first. */
#define FIRST_ID (UINT64_C(1) << 63)

#define NAME_ROW(NAME, text) [REGISTRY_##NAME] = (text),
static const char *const state_names[] = {REGISTRY_STATES(NAME_ROW)};
static const char *const kind_names[] = {REGISTRY_KINDS(NAME_ROW)};

const char *registry_state_name(enum registry_state s)
{
	return state_names[s];
}

const char *registry_kind_name(enum registry_kind k)
{
	return kind_names[k];
}

static unsigned index_of(struct hf_span text, const char *const *names, unsigned count)
{
	unsigned i = 0;

	while (i + 1 < count && !hf_span_equal(text, hf_span_text(names[i])))
		i++;
	return i;
}

enum hf_err registry_add(struct db *db, const struct registry_identity *i, int64_t half_made_max)
{
	int64_t half_made = 0;
	enum hf_err err = db_get_int(db, DB_IDENTITY_HALF_MADE, NULL, 0, 0, &half_made);

	if (err == HF_E_OK && i->state == REGISTRY_NEW && half_made >= half_made_max)
		err = HF_E_FULL;
	if (err != HF_E_OK)
		return err;
	return db_exec(db, DB_IDENTITY_ADD,
	               DB_ARGS(db_id(i->id), db_text(kind_names[i->kind]), db_text(i->type), db_text(state_names[i->state]),
	                       db_bytes(hf_span_of(i->key, i->key_len)), db_int(i->created_ms),
	                       i->expires_ms ? db_int(i->expires_ms) : db_null(), db_seq(0), db_id(i->origin),
	                       i->ticket ? db_int(i->ticket) : db_null()),
	               NULL);
}

/* Who holds most of the half-made registrations, and how many. */
static enum hf_err greediest(struct db *db, uint64_t *origin, int64_t *held)
{
	DB_ROWS_SCOPED r = db_select(db, DB_HALF_MADE_GREEDIEST, NULL, 0);

	*held = 0;
	if (db_step(&r)) {
		*origin = db_col_id(&r, 0);
		*held = db_col_int(&r, 1);
	}
	return r.err;
}

enum hf_err registry_make_room(struct db *db, uint64_t origin, int64_t half_made_max, bool *pushed_out)
{
	int64_t all = 0, own = 0, most = 0;
	uint64_t whose = 0;
	enum hf_err err = db_get_int(db, DB_IDENTITY_HALF_MADE, NULL, 0, 0, &all);

	if (err != HF_E_OK || all < half_made_max)
		return err;
	err = db_get_int(db, DB_HALF_MADE_OF, DB_ARGS(db_id(origin)), 0, &own);
	if (err == HF_E_OK)
		err = greediest(db, &whose, &most);
	if (err == HF_E_OK && most <= own)
		err = HF_E_FULL;
	if (err == HF_E_OK)
		err = db_exec(db, DB_HALF_MADE_DROP, DB_ARGS(db_id(whose)), NULL);
	if (err == HF_E_OK)
		*pushed_out = true;
	return err;
}

enum hf_err registry_total(struct db *db, int64_t *count)
{
	return db_get_int(db, DB_IDENTITY_ALL, NULL, 0, 0, count);
}

enum hf_err registry_ticket(struct db *db, uint64_t id, int64_t *ticket)
{
	return db_get_int(db, DB_IDENTITY_TICKET, DB_ARGS(db_id(id)), 0, ticket);
}

static void load(const struct db_rows *r, struct registry_identity *i)
{
	struct hf_span key = db_col_span(r, 13);

	*i = (struct registry_identity){
		.id = db_col_id(r, 0),
		.kind = (enum registry_kind)index_of(db_col_span(r, 1), kind_names, REGISTRY_KIND_COUNT_),
		.state = (enum registry_state)index_of(db_col_span(r, 3), state_names, REGISTRY_STATE_COUNT_),
		.controller = db_col_id(r, 4),
		.created_ms = db_col_int(r, 5),
		.expires_ms = db_col_int(r, 6),
		.joined_ms = db_col_int(r, 7),
		.revoked_ms = db_col_int(r, 8),
		.seen_ms = db_col_int(r, 9),
		.certificate_ms = db_col_int(r, 10),
		.generation = db_col_int(r, 11),
		.sent = db_col_seq(r, 12),
		.purged_ms = db_col_int(r, 14),
		.left_ms = db_col_int(r, 15),
		.ending_ms = db_col_int(r, 17),
		.behind = db_col_int(r, 18) != 0,
		.gaps = {db_col_int(r, 19), db_col_int(r, 20), db_col_int(r, 21), db_col_int(r, 22), db_col_id(r, 23)},
	};
	db_col_text(r, 2, i->type, sizeof i->type);
	db_col_text(r, 16, i->left_why, sizeof i->left_why);
	i->key_len = key.len <= sizeof i->key ? key.len : 0;
	if (i->key_len > 0)
		memcpy(i->key, key.ptr, i->key_len);
}

enum hf_err registry_get(struct db *db, uint64_t id, struct registry_identity *out)
{
	DB_ROWS_SCOPED r = db_select(db, DB_IDENTITY_GET, DB_ARGS(db_id(id)));

	if (!db_step(&r))
		return r.err != HF_E_OK ? r.err : HF_E_NOT_FOUND;
	load(&r, out);
	return HF_E_OK;
}

enum hf_err registry_set_state(struct db *db, struct facts *f, uint64_t id, enum registry_state state,
                               uint64_t controller, int64_t now_ms)
{
	int64_t changes = 0;
	enum hf_err err = db_exec(db, DB_IDENTITY_STATE,
	                          DB_ARGS(db_text(state_names[state]), controller ? db_id(controller) : db_null(),
	                                  state == REGISTRY_JOINED ? db_int(now_ms) : db_null(),
	                                  state == REGISTRY_REVOKED ? db_int(now_ms) : db_null(), db_id(id)),
	                          &changes);

	if (err != HF_E_OK)
		return err;
	if (changes == 0)
		return HF_E_NOT_FOUND;
	facts_emit(f, FACTS_RIGHTS, id);
	facts_emit(f, FACTS_DEVICE, id);
	return HF_E_OK;
}

enum hf_err registry_set_left(struct db *db, uint64_t id, const char *why, int64_t ending_ms, int64_t now_ms)
{
	return db_exec(db, DB_IDENTITY_LEFT,
	               DB_ARGS(db_int(now_ms), db_text(why), ending_ms ? db_int(ending_ms) : db_null(), db_id(id)), NULL);
}

enum hf_err registry_reset_counter(struct db *db, struct facts *f, uint64_t id)
{
	int64_t changes = 0;
	enum hf_err err = db_exec(db, DB_IDENTITY_GENERATION, DB_ARGS(db_id(id)), &changes);

	if (err == HF_E_OK && changes == 0)
		err = HF_E_STATE;
	if (err == HF_E_OK)
		facts_emit(f, FACTS_DEVICE, id);
	return err;
}

enum hf_err registry_set_gaps(struct db *db, uint64_t id, const struct registry_gaps *g)
{
	return db_exec(db, DB_IDENTITY_GAPS,
	               DB_ARGS(db_int(g->count), db_int(g->unsized), db_int(g->missed),
	                       g->last_ms ? db_int(g->last_ms) : db_null(), db_id(g->block), db_id(id)),
	               NULL);
}

enum hf_err registry_gaps_sum(struct db *db, int64_t *count, int64_t *missed)
{
	DB_ROWS_SCOPED r = db_select(db, DB_GAPS_SUM, NULL, 0);

	if (!db_step(&r))
		return r.err != HF_E_OK ? r.err : HF_E_INTERNAL;
	*count = db_col_int(&r, 0);
	*missed = db_col_int(&r, 1);
	return HF_E_OK;
}

enum hf_err registry_set_sent(struct db *db, uint64_t id, uint64_t sent)
{
	return db_exec(db, DB_IDENTITY_SENT, DB_ARGS(db_seq(sent), db_id(id)), NULL);
}

enum hf_err registry_seen(struct db *db, uint64_t id, int64_t now_ms)
{
	return db_exec(db, DB_IDENTITY_SEEN, DB_ARGS(db_int(now_ms), db_id(id)), NULL);
}

enum hf_err registry_certificate(struct db *db, uint64_t id, struct hf_span serial, int64_t now_ms,
                                 int64_t not_after_ms)
{
	enum hf_err err = db_exec(db, DB_CERTIFICATE_ADD,
	                          DB_ARGS(db_bytes(serial), db_id(id), db_int(now_ms), db_int(not_after_ms)), NULL);

	return err != HF_E_OK ? err : db_exec(db, DB_IDENTITY_CERTIFICATE, DB_ARGS(db_int(not_after_ms), db_id(id)), NULL);
}

enum hf_err registry_expire(struct db *db, int64_t now_ms, int64_t *count)
{
	return db_exec(db, DB_IDENTITY_EXPIRE, DB_ARGS(db_int(now_ms)), count);
}

static enum hf_err forget(struct db *db, struct facts *f, uint64_t id)
{
	static const enum db_query drops[] = {DB_JOIN_END, DB_CERTIFICATE_DROP, DB_IDENTITY_DROP};
	enum hf_err err = HF_E_OK;

	for (size_t i = 0; i < sizeof drops / sizeof drops[0] && err == HF_E_OK; i++)
		err = db_exec(db, drops[i], DB_ARGS(db_id(id)), NULL);
	facts_emit(f, FACTS_RIGHTS, id);
	facts_emit(f, FACTS_DEVICE, id);
	return err;
}

enum hf_err registry_forget_idle(struct db *db, struct facts *f, int64_t before_ms, uint64_t gone[REGISTRY_IDLE_BATCH],
                                 size_t *count)
{
	struct db_rows r = db_select(db, DB_IDENTITY_IDLE, DB_ARGS(db_int(before_ms), db_int(REGISTRY_IDLE_BATCH)));
	size_t found = 0;

	while (found < REGISTRY_IDLE_BATCH && db_step(&r))
		gone[found++] = db_col_id(&r, 0);
	enum hf_err err = db_finish(&r);

	for (size_t i = 0; i < found && err == HF_E_OK; i++)
		err = forget(db, f, gone[i]);
	*count = found;
	return err;
}

static enum hf_err tell_each(struct db_rows *r, registry_each each, void *ctx)
{
	bool more = true;

	while (more && db_step(r)) {
		struct registry_identity i;

		load(r, &i);
		more = each(ctx, &i);
	}
	return r->err;
}

enum hf_err registry_list(struct db *db, enum registry_kind kind, registry_each each, void *ctx)
{
	DB_ROWS_SCOPED r =
		db_select(db, DB_IDENTITY_LIST, DB_ARGS(db_text(kind < REGISTRY_KIND_COUNT_ ? kind_names[kind] : "")));

	return tell_each(&r, each, ctx);
}

enum hf_err registry_page(struct db *db, const struct registry_filter *f, registry_each each, void *ctx)
{
	uint64_t from = f->after ? f->after + 1 : FIRST_ID;
	DB_ROWS_SCOPED r = db_select(db, DB_IDENTITY_PAGE, DB_ARGS(db_id(from), db_text(f->state), db_text(f->type)));

	return tell_each(&r, each, ctx);
}

enum hf_err registry_count(struct db *db, enum registry_state state, int64_t *count)
{
	return db_get_int(db, DB_IDENTITY_COUNT, DB_ARGS(db_text(state_names[state])), 0, count);
}
