/* alert - what somebody should look at. Uses: base os db facts audit. */
#include "alert/alert.h"

#include "audit/audit.h"
#include "os/os.h"

static enum hf_err open_one(struct db *db, uint64_t device, const char *kind, int64_t *id)
{
	return db_get_int(db, DB_ALERT_OPEN, DB_ARGS(db_id(device), db_text(kind)), 0, id);
}

enum hf_err alert_raise(struct db *db, struct facts *f, uint64_t device, const char *kind, const char *text)
{
	int64_t id = 0;
	enum hf_err err = open_one(db, device, kind, &id);

	if (err != HF_E_OK || id != 0)
		return err;
	err = db_exec(db, DB_ALERT_RAISE, DB_ARGS(db_id(device), db_text(kind), db_text(text), db_int(os_now_ms())), NULL);
	if (err != HF_E_OK)
		return err;
	facts_emit(f, FACTS_ALERT, device);
	return audit_record(db, "server", "alert.raised", device, text);
}

enum hf_err alert_clear(struct db *db, struct facts *f, int64_t id, const char *who)
{
	uint64_t device = 0;
	int64_t changes = 0;
	enum hf_err err = alert_device(db, id, &device);

	if (err == HF_E_OK)
		err = db_exec(db, DB_ALERT_CLEAR, DB_ARGS(db_int(os_now_ms()), db_text(who), db_int(id)), &changes);
	if (err != HF_E_OK || changes == 0)
		return err != HF_E_OK ? err : HF_E_STATE;
	facts_emit(f, FACTS_ALERT, device);
	return audit_record(db, who, "alert.cleared", device, "");
}

enum hf_err alert_clear_kind(struct db *db, struct facts *f, uint64_t device, const char *kind, const char *who)
{
	int64_t id = 0;
	enum hf_err err = open_one(db, device, kind, &id);

	return err != HF_E_OK || id == 0 ? err : alert_clear(db, f, id, who);
}

enum hf_err alert_device(struct db *db, int64_t id, uint64_t *device)
{
	DB_ROWS_SCOPED r = db_select(db, DB_ALERT_GET, DB_ARGS(db_int(id)));

	if (!db_step(&r))
		return r.err != HF_E_OK ? r.err : HF_E_NOT_FOUND;
	*device = db_col_id(&r, 0);
	return HF_E_OK;
}

enum hf_err alert_since(struct db *db, uint64_t device, const char *kind, int64_t *since_ms)
{
	return db_get_int(db, DB_ALERT_SINCE, DB_ARGS(db_id(device), db_text(kind)), 0, since_ms);
}

enum hf_err alert_list(struct db *db, int64_t limit, bool (*each)(void *ctx, const struct alert_row *a), void *ctx)
{
	DB_ROWS_SCOPED r = db_select(db, DB_ALERT_LIST, DB_ARGS(db_int(limit)));
	bool more = true;

	while (more && db_step(&r)) {
		struct alert_row a = {.id = db_col_int(&r, 0),
		                      .device = db_col_id(&r, 1),
		                      .raised_ms = db_col_int(&r, 4),
		                      .cleared_ms = db_col_int(&r, 5)};

		db_col_text(&r, 2, a.kind, sizeof a.kind);
		db_col_text(&r, 3, a.text, sizeof a.text);
		db_col_text(&r, 6, a.cleared_by, sizeof a.cleared_by);
		more = each(ctx, &a);
	}
	return r.err;
}

enum hf_err alert_count(struct db *db, int64_t *count)
{
	return db_get_int(db, DB_ALERT_COUNT, NULL, 0, 0, count);
}
