/* upkeep - retention: rows that are too old, a few at a time. Uses: base os conf db audit type. */
#include "upkeep/upkeep.h"

#include "audit/audit.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
	SLICE_MS = 4, /* of one turn */
	ROWS_A_STEP = 64,
	BETWEEN_SLICES_MS = 25,
	BETWEEN_SWEEPS_MS = 3600 * 1000
};
#define DAY_MS (INT64_C(24) * 3600 * 1000)
#define NO_WALK DB_QUERY_COUNT_
#define DB_NONE NO_WALK

struct row {
	const char *name;
	size_t days_at; /* in struct conf */
	enum db_query walk, remove;
};
static const struct row rows[] = {
#define KEEP(name, key, WALK, DELETE, doc) {#name, offsetof(struct conf, key), DB_##WALK, DB_##DELETE},
#include "upkeep/retention.def"
};

const char *upkeep_kept_name(enum upkeep_kept k)
{
	return rows[k].name;
}

/* What stands under the next key of a walk; NOT_FOUND at its end. */
struct target {
	int64_t key;
	char type[TYPE_NAME_MAX];
};
static enum hf_err find_target(struct upkeep *u, const struct row *row, struct target *t)
{
	*t = (struct target){0};
	if (row->walk == NO_WALK)
		return u->place.key == INT64_MIN ? HF_E_OK : HF_E_NOT_FOUND;
	DB_ROWS_SCOPED r = db_select(u->db, row->walk, DB_ARGS(db_int(u->place.key)));

	if (!db_step(&r))
		return r.err != HF_E_OK ? r.err : HF_E_NOT_FOUND;
	t->key = db_col_int(&r, 0);
	db_col_text(&r, 1, t->type, sizeof t->type);
	return HF_E_OK;
}

/* Readings of a type whose profile says so are kept for another time. 0 = for ever. */
static enum hf_err days_of(struct upkeep *u, const struct row *row, const struct target *t, int64_t *days)
{
	static struct type_profile p;
	enum hf_err err = HF_E_OK;

	memcpy(days, (const char *)u->conf + row->days_at, sizeof *days);
	if (!t->type[0])
		return HF_E_OK;
	if (strcmp(t->type, u->type) != 0) {
		err = type_get(u->db, t->type, &p);
		if (err != HF_E_OK)
			return err;
		memcpy(u->type, t->type, sizeof u->type);
		u->type_days = p.readings_days;
	}
	if (u->type_days >= 0)
		*days = u->type_days;
	return HF_E_OK;
}

static enum hf_err next_key(struct upkeep *u, const struct target *t)
{
	if (t->key == INT64_MAX)
		return HF_E_NOT_FOUND;
	u->place.key = t->key + 1;
	return HF_E_OK;
}

/* A few rows of one key; then, when no more are old, on to the next. NOT_FOUND: the row of retention.def is through. */
static enum hf_err step(struct upkeep *u, int64_t now_ms)
{
	const struct row *row = &rows[u->place.row];
	struct target t;
	int64_t days = 0, gone = 0;
	enum hf_err err = find_target(u, row, &t);

	if (err == HF_E_OK)
		err = days_of(u, row, &t, &days);
	if (err != HF_E_OK)
		return err;
	if (days > 0) /* now_ms is one that is believed: it does not overflow */
		err = db_exec(u->db, row->remove,
		              DB_ARGS(db_int(t.key), db_int(now_ms - days * DAY_MS), db_int(ROWS_A_STEP),
		                      db_int(now_ms + DAY_MS)),
		              &gone);
	u->pending[u->place.row] += (uint64_t)gone;
	if (err != HF_E_OK || gone > 0)
		return err;
	return next_key(u, &t);
}

/* One event a day says what went. */
static enum hf_err tell(struct upkeep *u, int64_t mono_ms)
{
	char text[256];
	struct hf_wr w = hf_wr_of(text, sizeof text);

	if (mono_ms < u->next_tell_ms)
		return HF_E_OK;
	for (unsigned i = 0; i < UPKEEP_KEPT_COUNT_; i++) {
		uint64_t gone = u->removed[i] + u->pending[i] - u->told[i];

		if (gone == 0)
			continue;
		hf_wr_text(&w, w.len ? " " : "");
		hf_wr_text(&w, rows[i].name);
		hf_wr_text(&w, "=");
		hf_wr_dec(&w, gone);
		u->telling[i] = gone;
	}
	hf_wr_nul(&w);
	if (w.len == 0)
		return HF_E_OK;
	u->next_tell_ms = mono_ms + DAY_MS;
	return audit_record(u->db, "server", "retention.removed", 0, text);
}

static bool next_row(struct upkeep *u)
{
	u->place = (struct upkeep_place){.row = u->place.row + 1, .key = INT64_MIN};
	if (u->place.row < UPKEEP_KEPT_COUNT_)
		return true;
	u->place.row = 0;
	return false;
}

enum hf_err upkeep_sweep(struct upkeep *u, int64_t now_ms, int64_t *again_ms)
{
	int64_t mono = os_monotonic_ms(), end = mono + SLICE_MS;
	enum hf_err err = HF_E_OK;
	bool through = u->clock.doubted;

	while (!through && err == HF_E_OK && os_monotonic_ms() < end) {
		err = step(u, now_ms);
		if (err != HF_E_NOT_FOUND)
			continue;
		err = HF_E_OK;
		through = !next_row(u);
	}
	if (through && err == HF_E_OK)
		err = tell(u, mono);
	*again_ms = through ? BETWEEN_SWEEPS_MS : BETWEEN_SLICES_MS;
	return err;
}

void upkeep_turn_done(struct upkeep *u, bool committed)
{
	for (unsigned i = 0; i < UPKEEP_KEPT_COUNT_; i++) {
		if (committed) {
			u->removed[i] += u->pending[i];
			u->told[i] += u->telling[i];
		}
		u->pending[i] = u->telling[i] = 0;
	}
	if (committed)
		u->before = u->place;
	else
		u->place = u->before;
}
