/* db - the database: queries and migrations by name, one transaction a turn, a savepoint a handler. Uses: base os; SQLite. */
#ifndef DB_H
#define DB_H
#include "base/base.h"

struct db;

enum db_query {
#define QUERY(NAME, sql) DB_##NAME,
#include "db/queries.def"
	DB_QUERY_COUNT_
};

/* A parameter; make it with the functions below. Text and bytes are borrowed until the statement is finished. */
struct db_arg {
	enum { DB_K_NULL, DB_K_INT, DB_K_REAL, DB_K_TEXT, DB_K_BYTES } kind;
	int64_t number;
	double real;
	struct hf_span bytes;
};
struct db_arg db_null(void);
struct db_arg db_int(int64_t v);
struct db_arg db_real(double v);
struct db_arg db_text(const char *text); /* NULL becomes null */
struct db_arg db_span(struct hf_span text);
struct db_arg db_bytes(struct hf_span bytes);
/* A 64-bit id, bit-cast to signed; a sequence id, moved so that it sorts as unsigned. Only db knows how. */
struct db_arg db_id(uint64_t id);
struct db_arg db_seq(uint64_t sequence);
#define DB_ARGS(...) \
	(const struct db_arg[]){__VA_ARGS__}, sizeof((const struct db_arg[]){__VA_ARGS__}) / sizeof(struct db_arg)

/* Opens or makes the file and brings its schema up to date. *why gets a sentence on failure (static or until the next call).
 * Errors: DATABASE, STATE (made by a newer program), MEMORY. */
HF_NODISCARD enum hf_err db_open(const char *path, struct db **out, const char **why);
/* A second connection for another thread, to a file that db_open has opened: it only reads, and sees what was committed when its
 * transaction began; db_rollback ends that. Errors: DATABASE, MEMORY. */
HF_NODISCARD enum hf_err db_open_reader(const char *path, struct db **out);
void db_close(struct db *db);
/* What a commit outlives from now on: with full a power cut too (as after db_open), else only the end of this program. Between
 * turns only. Errors: DATABASE. */
HF_NODISCARD enum hf_err db_sync(struct db *db, bool full);

enum { DB_LOOK_TEXT_MAX = 256 };
/* What a look at a file found. broken: SQLite's words, empty when it is whole; the rest is 0 then. */
struct db_look {
	char broken[DB_LOOK_TEXT_MAX];
	bool is_newer; /* made by a newer program */
	int64_t table_generation; /* number of the last table that the broker was sent */
	int64_t certificates_ending; /* joined identities whose certificate ends before the time asked for */
};
/* Looks at a database that no server has open, without changing it. Errors: DATABASE (it cannot be opened). */
HF_NODISCARD enum hf_err db_look(const char *path, int64_t before_ms, struct db_look *out);

/* Runs a statement that gives no row. *changes (may be NULL) gets the number of rows it touched. Errors: DATABASE, EXISTS (a key is
 * taken). Opens this turn's transaction if none is open. */
HF_NODISCARD enum hf_err db_exec(struct db *db, enum db_query q, const struct db_arg *arg, size_t count,
                                 int64_t *changes);

/* A running query. Columns count from 0; text and bytes live until the next step. */
struct db_rows {
	struct db *db;
	void *stmt;
	enum hf_err err;
};
struct db_rows db_select(struct db *db, enum db_query q, const struct db_arg *arg, size_t count);
bool db_step(struct db_rows *r);
bool db_col_null(const struct db_rows *r, int col);
int64_t db_col_int(const struct db_rows *r, int col);
double db_col_real(const struct db_rows *r, int col);
uint64_t db_col_id(const struct db_rows *r, int col);
uint64_t db_col_seq(const struct db_rows *r, int col);
struct hf_span db_col_span(const struct db_rows *r, int col);
/* Copies a text column with NUL; cut at cap - 1. */
void db_col_text(const struct db_rows *r, int col, char *out, size_t cap);
/* Ends the query; it must be called for each db_select. Errors: DATABASE, EXISTS. */
enum hf_err db_finish(struct db_rows *r);
#define DB_ROWS_SCOPED __attribute__((cleanup(db_rows_release))) struct db_rows
void db_rows_release(struct db_rows *r);
/* The first column of the first row; fallback when there is none. Errors: DATABASE. */
HF_NODISCARD enum hf_err db_get_int(struct db *db, enum db_query q, const struct db_arg *arg, size_t count,
                                    int64_t fallback, int64_t *out);
/* The key of the row that the last INSERT made. */
int64_t db_last_key(struct db *db);

/* The turn's transaction: opened by the first statement, ended here. Commit without one is OK and does nothing.
 * Once a statement has failed (disk full, held by another process) every later one of this turn fails at once, and so does the
 * commit. Errors: DATABASE; everything of this turn is then rolled back. */
HF_NODISCARD enum hf_err db_commit(struct db *db);
void db_rollback(struct db *db);
/* Frames one handler inside the turn: what it wrote is undone when keep is false. */
HF_NODISCARD enum hf_err db_mark(struct db *db);
HF_NODISCARD enum hf_err db_settle(struct db *db, bool keep);
/* For tests: the n-th commit from now fails (1 = the next); 0 = none. */
void db_fail_commit(struct db *db, unsigned n);
/* Rows that were written since it was opened: has anything changed? */
int64_t db_changes(const struct db *db);
/* Bytes that the database takes on disk, its log included, and how many of them stand empty for new rows. */
int64_t db_size_bytes(struct db *db);
int64_t db_free_bytes(struct db *db);

#endif
