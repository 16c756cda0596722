/* db - SQLite behind named queries: statements, transactions, migrations. Uses: base os; SQLite. */
#include "db/db.h"

#include "os/os.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct db {
	sqlite3 *handle;
	sqlite3_stmt *stmt[DB_QUERY_COUNT_];
	bool open; /* this turn has a transaction */
	char *log_path; /* of its write-ahead log; NULL for a reader */
	bool lost; /* and a statement of it failed: nothing more is tried, nothing of it is kept */
	unsigned fail_commit;
};

static const char *const queries[] = {
#define QUERY(NAME, sql) [DB_##NAME] = (sql),
#include "db/queries.def"
};

struct migration {
	int number;
	const char *sql;
};
static const struct migration migrations[] = {
#define MIGRATION(number, sql) {(number), (sql)},
#include "db/migrations.def"
};
/* Somebody else may hold the database for a moment: how long an opening waits, and how long a turn does, once. */
enum { MIGRATIONS = sizeof migrations / sizeof migrations[0], BUSY_OPEN_MS = 5000, BUSY_TURN_MS = 250 };
static const char log_tail[] = "-wal";
#define SEQUENCE_SHIFT (UINT64_C(1) << 63)

struct db_arg db_null(void)
{
	return (struct db_arg){.kind = DB_K_NULL};
}

struct db_arg db_int(int64_t v)
{
	return (struct db_arg){.kind = DB_K_INT, .number = v};
}

struct db_arg db_real(double v)
{
	return (struct db_arg){.kind = DB_K_REAL, .real = v};
}

struct db_arg db_span(struct hf_span text)
{
	return (struct db_arg){.kind = DB_K_TEXT, .bytes = text};
}

struct db_arg db_text(const char *text)
{
	return text ? db_span(hf_span_text(text)) : db_null();
}

struct db_arg db_bytes(struct hf_span bytes)
{
	return (struct db_arg){.kind = DB_K_BYTES, .bytes = bytes};
}

struct db_arg db_id(uint64_t id)
{
	return db_int((int64_t)id);
}

struct db_arg db_seq(uint64_t sequence)
{
	return db_int((int64_t)(sequence ^ SEQUENCE_SHIFT));
}

static enum hf_err fail(struct db *db, const char *what)
{
	os_log(OS_LOG_DB_ERROR, "what=\"%s\" why=\"%s\"", what, sqlite3_errmsg(db->handle));
	return HF_E_DATABASE;
}

static enum hf_err run(struct db *db, const char *sql)
{
	return sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK ? HF_E_OK : fail(db, sql);
}

static enum hf_err begin(struct db *db)
{
	if (db->lost)
		return HF_E_DATABASE;
	if (db->open) /* a full disk can end a transaction by itself: then nothing more of this turn may be written */
		return sqlite3_get_autocommit(db->handle) ? HF_E_DATABASE : HF_E_OK;
	enum hf_err err = run(db, "BEGIN");

	db->open = err == HF_E_OK;
	return err;
}

static int bind(sqlite3_stmt *s, int at, const struct db_arg *a)
{
	static const uint8_t nothing[1];
	const void *bytes = a->bytes.ptr ? a->bytes.ptr : nothing;

	switch (a->kind) {
	case DB_K_NULL: return sqlite3_bind_null(s, at);
	case DB_K_INT: return sqlite3_bind_int64(s, at, a->number);
	case DB_K_REAL: return sqlite3_bind_double(s, at, a->real);
	case DB_K_TEXT: return sqlite3_bind_text64(s, at, bytes, a->bytes.len, SQLITE_STATIC, SQLITE_UTF8);
	case DB_K_BYTES: return sqlite3_bind_blob64(s, at, bytes, a->bytes.len, SQLITE_STATIC);
	}
	return SQLITE_MISUSE;
}

struct db_rows db_select(struct db *db, enum db_query q, const struct db_arg *arg, size_t count)
{
	struct db_rows r = {.db = db, .err = begin(db)};
	sqlite3_stmt **s = &db->stmt[q];
	int rc = SQLITE_OK;

	if (r.err != HF_E_OK)
		return r;
	if (!*s)
		rc = sqlite3_prepare_v3(db->handle, queries[q], -1, SQLITE_PREPARE_PERSISTENT, s, NULL);
	if (rc == SQLITE_OK && (sqlite3_stmt_busy(*s) || (size_t)sqlite3_bind_parameter_count(*s) != count))
		rc = SQLITE_MISUSE;
	for (size_t i = 0; i < count && rc == SQLITE_OK; i++)
		rc = bind(*s, (int)i + 1, &arg[i]);
	if (rc == SQLITE_OK) {
		r.stmt = *s;
		return r;
	}
	r.err = fail(db, queries[q]);
	db->lost |= rc != SQLITE_MISUSE;
	return r;
}

bool db_step(struct db_rows *r)
{
	if (r->err != HF_E_OK || !r->stmt)
		return false;
	int rc = sqlite3_step(r->stmt);

	if (rc == SQLITE_ROW)
		return true;
	if (rc == SQLITE_CONSTRAINT)
		r->err = HF_E_EXISTS;
	else if (rc != SQLITE_DONE) {
		r->err = fail(r->db, sqlite3_sql(r->stmt));
		r->db->lost = true;
	}
	return false;
}

enum hf_err db_finish(struct db_rows *r)
{
	if (r->stmt) {
		sqlite3_reset(r->stmt);
		sqlite3_clear_bindings(r->stmt);
	}
	r->stmt = NULL;
	return r->err;
}

void db_rows_release(struct db_rows *r)
{
	(void)db_finish(r);
}

enum hf_err db_exec(struct db *db, enum db_query q, const struct db_arg *arg, size_t count, int64_t *changes)
{
	struct db_rows r = db_select(db, q, arg, count);

	while (db_step(&r))
		continue;
	if (changes && r.err == HF_E_OK)
		*changes = sqlite3_changes64(db->handle);
	return db_finish(&r);
}

enum hf_err db_get_int(struct db *db, enum db_query q, const struct db_arg *arg, size_t count, int64_t fallback,
                       int64_t *out)
{
	struct db_rows r = db_select(db, q, arg, count);
	int64_t v = db_step(&r) && !db_col_null(&r, 0) ? db_col_int(&r, 0) : fallback;
	enum hf_err err = db_finish(&r);

	if (err == HF_E_OK)
		*out = v;
	return err;
}

bool db_col_null(const struct db_rows *r, int col)
{
	return sqlite3_column_type(r->stmt, col) == SQLITE_NULL;
}

int64_t db_col_int(const struct db_rows *r, int col)
{
	return sqlite3_column_int64(r->stmt, col);
}

double db_col_real(const struct db_rows *r, int col)
{
	return sqlite3_column_double(r->stmt, col);
}

uint64_t db_col_id(const struct db_rows *r, int col)
{
	return (uint64_t)sqlite3_column_int64(r->stmt, col);
}

uint64_t db_col_seq(const struct db_rows *r, int col)
{
	return (uint64_t)sqlite3_column_int64(r->stmt, col) ^ SEQUENCE_SHIFT;
}

struct hf_span db_col_span(const struct db_rows *r, int col)
{
	const void *ptr = sqlite3_column_blob(r->stmt, col);

	return hf_span_of(ptr, (size_t)sqlite3_column_bytes(r->stmt, col));
}

void db_col_text(const struct db_rows *r, int col, char *out, size_t cap)
{
	struct hf_span s = db_col_span(r, col);
	size_t n = s.len < cap ? s.len : cap - 1;

	if (n > 0)
		memcpy(out, s.ptr, n);
	out[n] = 0;
}

int64_t db_changes(const struct db *db)
{
	return sqlite3_total_changes64(db->handle);
}

int64_t db_last_key(struct db *db)
{
	return sqlite3_last_insert_rowid(db->handle);
}

enum hf_err db_commit(struct db *db)
{
	if (!db->open)
		return HF_E_OK;
	if (db->lost) {
		db_rollback(db);
		return HF_E_DATABASE;
	}
	if (db->fail_commit > 0 && --db->fail_commit == 0) {
		db_rollback(db);
		return HF_E_DATABASE;
	}
	if (run(db, "COMMIT") != HF_E_OK) {
		db_rollback(db);
		return HF_E_DATABASE;
	}
	db->open = false;
	return HF_E_OK;
}

void db_rollback(struct db *db)
{
	if (db->open && !sqlite3_get_autocommit(db->handle)) /* some errors roll back by themselves */
		(void)run(db, "ROLLBACK");
	db->open = db->lost = false;
}

enum hf_err db_mark(struct db *db)
{
	return db_exec(db, DB_HANDLER_MARK, NULL, 0, NULL);
}

enum hf_err db_settle(struct db *db, bool keep)
{
	enum hf_err err = keep ? HF_E_OK : db_exec(db, DB_HANDLER_UNDO, NULL, 0, NULL);

	return err == HF_E_OK ? db_exec(db, DB_HANDLER_END, NULL, 0, NULL) : err;
}

void db_fail_commit(struct db *db, unsigned n)
{
	db->fail_commit = n;
}

static int64_t pragma_int(struct db *db, const char *sql)
{
	sqlite3_stmt *s = NULL;
	int64_t v = -1;

	if (sqlite3_prepare_v2(db->handle, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
		v = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return v;
}

int64_t db_size_bytes(struct db *db)
{
	int64_t size = pragma_int(db, "PRAGMA page_count") * pragma_int(db, "PRAGMA page_size");
	struct stat log;

	return size + (db->log_path && stat(db->log_path, &log) == 0 ? (int64_t)log.st_size : 0);
}

int64_t db_free_bytes(struct db *db)
{
	return pragma_int(db, "PRAGMA freelist_count") * pragma_int(db, "PRAGMA page_size");
}

static enum hf_err apply(struct db *db, const struct migration *m)
{
	char mark[64];
	enum hf_err err = run(db, "BEGIN IMMEDIATE");

	snprintf(mark, sizeof mark, "PRAGMA user_version = %d", m->number);
	if (err == HF_E_OK)
		err = run(db, m->sql);
	if (err == HF_E_OK)
		err = run(db, mark);
	if (err == HF_E_OK)
		err = run(db, "COMMIT");
	if (err != HF_E_OK && !sqlite3_get_autocommit(db->handle))
		(void)run(db, "ROLLBACK");
	if (err == HF_E_OK)
		os_log(OS_LOG_DB_MIGRATED, "version=%d", m->number);
	return err;
}

static enum hf_err migrate(struct db *db, const char **why)
{
	int64_t have = pragma_int(db, "PRAGMA user_version");

	*why = "the database could not be brought up to date; see the log";
	if (have > migrations[MIGRATIONS - 1].number) {
		*why = "the database was made by a newer holdfastd; install that version or restore an older backup";
		return HF_E_STATE;
	}
	for (size_t i = 0; i < MIGRATIONS; i++)
		if (migrations[i].number > have && apply(db, &migrations[i]) != HF_E_OK)
			return HF_E_DATABASE;
	return have < 0 ? HF_E_DATABASE : HF_E_OK;
}

/* What an operator can do when SQLite refuses the file. */
static const char *why_unusable(struct db *db)
{
	switch (sqlite3_errcode(db->handle)) {
	case SQLITE_NOTADB:
	case SQLITE_CORRUPT:
		return "the database file is damaged or is no database; restore the newest backup, see Backup and restore in "
			   "docs/operations.md";
	case SQLITE_BUSY:
	case SQLITE_LOCKED: return "another process holds the database; end it";
	default: return "the database file cannot be opened; is its folder writable, is the disk full?";
	}
}

enum hf_err db_open(const char *path, struct db **out, const char **why)
{
	struct db *db = calloc(1, sizeof *db);
	enum hf_err err = HF_E_DATABASE;

	if (!db)
		return HF_E_MEMORY;
	db->log_path = malloc(strlen(path) + sizeof log_tail);
	if (db->log_path)
		(void)snprintf(db->log_path, strlen(path) + sizeof log_tail, "%s%s", path, log_tail);
	mode_t was = umask(0077);

	if (sqlite3_open_v2(path, &db->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) ==
	    SQLITE_OK) {
		sqlite3_busy_timeout(db->handle, BUSY_OPEN_MS);
		err = run(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;"
		              "PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 16777216; PRAGMA cache_size = -16384;"
		              "PRAGMA wal_autocheckpoint = 4000"); /* both 16 MiB */
	}
	if (err != HF_E_OK)
		*why = why_unusable(db);
	else
		err = migrate(db, why);
	umask(was);
	if (err != HF_E_OK) {
		db_close(db);
		return err;
	}
	sqlite3_busy_timeout(db->handle, BUSY_TURN_MS);
	*out = db;
	return HF_E_OK;
}

enum hf_err db_open_reader(const char *path, struct db **out)
{
	struct db *db = calloc(1, sizeof *db);
	enum hf_err err = HF_E_DATABASE;

	if (!db)
		return HF_E_MEMORY;
	if (sqlite3_open_v2(path, &db->handle, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK) {
		sqlite3_busy_timeout(db->handle, BUSY_TURN_MS);
		err = run(db, "PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY");
	}
	if (err != HF_E_OK) {
		db_close(db);
		return err;
	}
	*out = db;
	return HF_E_OK;
}

enum hf_err db_sync(struct db *db, bool full)
{
	return run(db, full ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
}

void db_close(struct db *db)
{
	if (!db)
		return;
	db_rollback(db);
	for (size_t i = 0; i < DB_QUERY_COUNT_; i++)
		sqlite3_finalize(db->stmt[i]);
	sqlite3_close(db->handle);
	free(db->log_path);
	free(db);
}
