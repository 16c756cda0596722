/* db - a look at a database that no server has open: is it whole, how old is it. Changes nothing. Uses: SQLite. */
#include "db/db.h"

#include <sqlite3.h>
#include <stdio.h>

static const int numbers[] = {
#define MIGRATION(number, sql) (number),
#include "db/migrations.def"
};
enum { NEWEST = sizeof numbers / sizeof numbers[0] - 1 };

/* The first column of the first row; false when there is none. */
static bool first_int(sqlite3 *db, const char *sql, int64_t value, int64_t *out)
{
	sqlite3_stmt *s = NULL;
	bool ok = sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK &&
	          (sqlite3_bind_parameter_count(s) == 0 || sqlite3_bind_int64(s, 1, value) == SQLITE_OK) &&
	          sqlite3_step(s) == SQLITE_ROW;

	if (ok)
		*out = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return ok;
}

/* What SQLite finds wrong with the file; empty when nothing. */
static void check(sqlite3 *db, char out[DB_LOOK_TEXT_MAX])
{
	sqlite3_stmt *s = NULL;
	const char *text = NULL;

	if (sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
		text = (const char *)sqlite3_column_text(s, 0);
	if (!text)
		text = sqlite3_errmsg(db);
	snprintf(out, DB_LOOK_TEXT_MAX, "%s", sqlite3_stricmp(text, "ok") == 0 ? "" : text);
	sqlite3_finalize(s);
}

enum hf_err db_look(const char *path, int64_t before_ms, struct db_look *out)
{
	struct db_look look = {0};
	sqlite3 *db = NULL;
	int64_t version = 0;
	bool ok = sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK;

	if (ok)
		check(db, look.broken);
	if (ok && !look.broken[0] && first_int(db, "PRAGMA user_version", 0, &version)) {
		look.is_newer = version > numbers[NEWEST];
		(void)first_int(db, "SELECT value FROM setting WHERE name = 'broker-table'", 0, &look.table_generation);
		(void)first_int(db, "SELECT count(*) FROM identity WHERE state = 'joined' AND certificate_ms < ?1", before_ms,
		                &look.certificates_ending);
	}
	sqlite3_close(db);
	if (!ok)
		return HF_E_DATABASE;
	*out = look;
	return HF_E_OK;
}
