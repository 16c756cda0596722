/* audit - who did what. Uses: base os db. */
#include "audit/audit.h"

#include "os/os.h"

enum hf_err audit_record(struct db *db, const char *who, const char *event, uint64_t device, const char *detail)
{
	char id[HF_ID_TEXT_MAX] = "-";

	if (device)
		hf_id_text(device, id);
	os_log(OS_LOG_ACT, "who=\"%s\" act=%s device=%s detail=\"%s\"", who, event, id, detail);
	return db_exec(db, DB_EVENT_ADD,
	               DB_ARGS(db_int(os_now_ms()), db_text(who), db_text(event), device ? db_id(device) : db_null(),
	                       db_text(detail)),
	               NULL);
}

enum hf_err audit_list(struct db *db, uint64_t device, int64_t limit,
                       bool (*each)(void *ctx, const struct audit_entry *e), void *ctx)
{
	DB_ROWS_SCOPED r = db_select(db, DB_EVENT_LIST, DB_ARGS(db_id(device), db_int(limit)));
	bool more = true;

	while (more && db_step(&r)) {
		struct audit_entry e = {.id = db_col_int(&r, 0), .at_ms = db_col_int(&r, 1), .device = db_col_id(&r, 4)};

		db_col_text(&r, 2, e.who, sizeof e.who);
		db_col_text(&r, 3, e.event, sizeof e.event);
		db_col_text(&r, 5, e.detail, sizeof e.detail);
		more = each(ctx, &e);
	}
	return r.err;
}
