/* db tests - opening, schema versions, turns, savepoints, ids as the database sorts them. Uses: db, cmocka; SQLite. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "db/db.h"
#include "tests/server_stage.h"

#include <sqlite3.h>
#include <sys/stat.h>

static struct stage stage;

static int set_up(void **state)
{
	(void)state;
	stage_begin(&stage);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	stage_end(&stage);
	return 0;
}

static void put(const char *name, int64_t v)
{
	assert_int_equal(db_exec(stage.db, DB_SETTING_PUT, DB_ARGS(db_text(name), db_int(v)), NULL), HF_E_OK);
}

static int64_t get(const char *name)
{
	int64_t v = 0;

	assert_int_equal(db_get_int(stage.db, DB_SETTING_GET, DB_ARGS(db_text(name)), -1, &v), HF_E_OK);
	return v;
}

static void pragma(const char *sql)
{
	sqlite3 *handle = NULL;

	assert_int_equal(sqlite3_open(stage.path, &handle), SQLITE_OK);
	assert_int_equal(sqlite3_exec(handle, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(handle);
}

/* --- opening ------------------------------------------------------------------------------------------------------- */

static void opened_twice_is_migrated_once(void **state)
{
	struct stat st;

	(void)state;
	put("a", 7);
	assert_int_equal(db_commit(stage.db), HF_E_OK);
	stage_restart(&stage);
	assert_int_equal(get("a"), 7);
	assert_int_equal(stat(stage.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_true(db_size_bytes(stage.db) >= 4096);
}

static const struct {
	int number;
	const char *sql;
} migrations[] = {
#define MIGRATION(number, sql) {(number), (sql)},
#include "db/migrations.def"
};

static void newer_schema_is_refused(void **state)
{
	char back[48];
	const char *why = NULL;
	struct db *db = NULL;

	(void)state;
	pragma("PRAGMA user_version = 999");
	assert_int_equal(db_open(stage.path, &db, &why), HF_E_STATE);
	assert_null(db);
	assert_non_null(strstr(why, "newer"));
	(void)snprintf(back, sizeof back, "PRAGMA user_version = %d", migrations[COUNT(migrations) - 1].number);
	pragma(back);
	assert_int_equal(db_open(stage.path, &db, &why), HF_E_OK);
	db_close(db);
}

/* A database of each earlier version, with a device in it, is brought up to date. */
static void older_schemas_are_opened(void **state)
{
	const char *why = NULL;

	(void)state;
	for (size_t newest = 0; newest + 1 < COUNT(migrations); newest++) {
		char version[64];

		db_close(stage.db);
		assert_int_equal(unlink(stage.path), 0);
		for (size_t i = 0; i <= newest; i++)
			pragma(migrations[i].sql);
		pragma(
			"INSERT INTO identity (id, kind, type, state, key, created_ms, sent) VALUES (7, 'device', 'box', 'joined', "
			"x'01', 1, 16)");
		(void)snprintf(version, sizeof version, "PRAGMA user_version = %d", migrations[newest].number);
		pragma(version);
		assert_int_equal(db_open(stage.path, &stage.db, &why), HF_E_OK);
		struct db_rows r = db_select(stage.db, DB_IDENTITY_GET, DB_ARGS(db_id(7)));

		assert_true(db_step(&r) && db_col_id(&r, 0) == 7);
		assert_int_equal(db_finish(&r), HF_E_OK);
	}
}

static void no_database(void **state)
{
	const char *why = NULL;
	struct db *db = NULL;
	char path[160];
	FILE *file;

	(void)state;
	(void)snprintf(path, sizeof path, "%s/no/such/folder.db", stage.folder);
	assert_int_equal(db_open(path, &db, &why), HF_E_DATABASE);
	assert_non_null(strstr(why, "cannot be opened"));
	assert_int_equal(db_open(stage.folder, &db, &why), HF_E_DATABASE);
	(void)snprintf(path, sizeof path, "%s/text", stage.folder);
	file = fopen(path, "w");
	assert_non_null(file);
	for (unsigned i = 0; i < 1000; i++)
		(void)fputs("this is no database\n", file);
	(void)fclose(file);
	assert_int_equal(db_open(path, &db, &why), HF_E_DATABASE);
	assert_non_null(strstr(why, "damaged"));
	assert_int_equal(unlink(path), 0);
	assert_null(db);
	db_close(NULL);
}

/* --- turns --------------------------------------------------------------------------------------------------------- */

static void uncommitted_is_gone(void **state)
{
	(void)state;
	assert_int_equal(db_commit(stage.db), HF_E_OK); /* nothing to do */
	put("a", 1);
	assert_int_equal(db_commit(stage.db), HF_E_OK);
	put("a", 2);
	stage_restart(&stage);
	assert_int_equal(get("a"), 1);
	put("a", 3);
	db_rollback(stage.db);
	assert_int_equal(get("a"), 1);
}

static void failed_commit_rolls_back(void **state)
{
	(void)state;
	db_fail_commit(stage.db, 2);
	put("a", 1);
	assert_int_equal(db_commit(stage.db), HF_E_OK);
	put("a", 2);
	put("b", 2);
	assert_int_equal(db_commit(stage.db), HF_E_DATABASE);
	assert_int_equal(get("a"), 1);
	assert_int_equal(get("b"), -1);
	put("a", 3);
	assert_int_equal(db_commit(stage.db), HF_E_OK);
	stage_restart(&stage);
	assert_int_equal(get("a"), 3);
}

static void savepoint_undoes_one_handler(void **state)
{
	(void)state;
	assert_int_equal(db_mark(stage.db), HF_E_OK);
	put("a", 1);
	assert_int_equal(db_settle(stage.db, true), HF_E_OK);
	assert_int_equal(db_mark(stage.db), HF_E_OK);
	put("a", 2);
	put("b", 2);
	assert_int_equal(db_settle(stage.db, false), HF_E_OK);
	assert_int_equal(db_mark(stage.db), HF_E_OK);
	put("c", 3);
	assert_int_equal(db_settle(stage.db, true), HF_E_OK);
	assert_int_equal(db_commit(stage.db), HF_E_OK);
	stage_restart(&stage);
	assert_int_equal(get("a"), 1);
	assert_int_equal(get("b"), -1);
	assert_int_equal(get("c"), 3);
}

/* --- statements ---------------------------------------------------------------------------------------------------- */

static enum hf_err add_inbound(uint64_t device, uint64_t sequence)
{
	return db_exec(stage.db, DB_INBOUND_ADD,
	               DB_ARGS(db_id(device), db_int(0), db_seq(sequence), db_int(5), db_bytes(hf_span_text("t")),
	                       db_int(1)),
	               NULL);
}

/* Somebody else writes: the turn waits once, fails as a whole, and the next one works. */
static void a_held_database_fails_the_turn_once(void **state)
{
	sqlite3 *other = NULL;
	int64_t began_ms = os_monotonic_ms();

	(void)state;
	os_log_level((enum os_level)(OS_ERROR + 1));
	assert_int_equal(sqlite3_open(stage.path, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(db_exec(stage.db, DB_SETTING_PUT, DB_ARGS(db_text("a"), db_int(1)), NULL), HF_E_DATABASE);
	assert_in_range(os_monotonic_ms() - began_ms, 0, 2000);
	sqlite3_close(other);
	assert_int_equal(db_exec(stage.db, DB_SETTING_PUT, DB_ARGS(db_text("a"), db_int(2)), NULL), HF_E_DATABASE);
	assert_int_equal(db_commit(stage.db), HF_E_DATABASE);
	put("a", 3);
	assert_int_equal(db_commit(stage.db), HF_E_OK);
	assert_int_equal(get("a"), 3);
}

static void sequences_sort_as_unsigned(void **state)
{
	static const uint64_t rising[] = {
		0, 1, INT64_MAX, UINT64_C(1) << 63, (UINT64_C(1) << 63) + 1, UINT64_MAX - 1, UINT64_MAX};
	static const size_t order[] = {3, 6, 0, 2, 5, 1, 4};
	size_t i = COUNT(rising);

	(void)state;
	for (size_t k = 0; k < COUNT(order); k++)
		assert_int_equal(add_inbound(UINT64_MAX, rising[order[k]]), HF_E_OK);
	struct db_rows r = db_select(stage.db, DB_INBOUND_NEWEST, DB_ARGS(db_id(UINT64_MAX), db_int(0)));

	while (db_step(&r))
		assert_true(i > 0 && db_col_seq(&r, 0) == rising[--i]);
	assert_int_equal(db_finish(&r), HF_E_OK);
	assert_int_equal(i, 0);
}

static void a_taken_key_is_told(void **state)
{
	(void)state;
	assert_int_equal(add_inbound(1, 1), HF_E_OK);
	assert_int_equal(add_inbound(1, 1), HF_E_EXISTS);
	assert_int_equal(add_inbound(1, 2), HF_E_OK); /* the turn goes on */
	assert_int_equal(db_commit(stage.db), HF_E_OK);
}

static void kinds_of_values(void **state)
{
	const struct hf_span bytes = hf_span_of("\x00\xff\x00", 3);
	char text[3];

	(void)state;
	assert_int_equal(db_exec(stage.db, DB_SERIES_ADD,
	                         DB_ARGS(db_id(UINT64_C(0xfedcba9876543210)), db_span(hf_span_text("long name"))), NULL),
	                 HF_E_OK);
	int64_t series = db_last_key(stage.db);

	assert_int_equal(db_exec(stage.db, DB_READING_ADD,
	                         DB_ARGS(db_int(series), db_int(9), db_text("x"), db_real(-2.5), db_bytes(bytes)), NULL),
	                 HF_E_OK);
	assert_int_equal(db_exec(stage.db, DB_READING_ADD,
	                         DB_ARGS(db_int(series), db_int(9), db_text("x"), db_null(), db_bytes(hf_span_of(NULL, 0))),
	                         NULL),
	                 HF_E_OK);
	DB_ROWS_SCOPED r = db_select(stage.db, DB_READING_UP,
	                             DB_ARGS(db_id(UINT64_C(0xfedcba9876543210)), db_text(""), db_int(0), db_int(9),
	                                     db_int(0), db_int(10), db_int(5)));

	assert_true(db_step(&r));
	assert_true(db_col_real(&r, 4) == -2.5 && !db_col_null(&r, 4));
	assert_true(hf_span_equal(db_col_span(&r, 5), bytes));
	db_col_text(&r, 2, text, sizeof text);
	assert_string_equal(text, "lo");
	assert_true(db_step(&r));
	assert_true(db_col_null(&r, 4) && !db_col_null(&r, 5)); /* no bytes are not no value */
	assert_int_equal(db_col_span(&r, 5).len, 0);
	assert_false(db_step(&r));
}

/* Text is a value, never a part of the statement. */
static void W1_text_is_only_text(void **state)
{
	const char *evil = "a'); DROP TABLE setting; --";

	(void)state;
	put(evil, 5);
	assert_int_equal(get(evil), 5);
	assert_int_equal(get("a"), -1);
}

static void misuse_is_an_error(void **state)
{
	int64_t v = 4;

	(void)state;
	os_log_level((enum os_level)(OS_ERROR + 1));
	assert_int_equal(db_exec(stage.db, DB_SETTING_PUT, DB_ARGS(db_text("a")), NULL), HF_E_DATABASE);
	assert_int_equal(db_get_int(stage.db, DB_SETTING_GET, NULL, 0, 1, &v), HF_E_DATABASE);
	assert_int_equal(v, 4);
	put("a", 1);
	assert_int_equal(db_commit(stage.db), HF_E_OK);
}

/* Every statement is good SQL for this schema. */
static void every_query_is_prepared(void **state)
{
	struct db_arg arg[16];

	(void)state;
	os_log_level((enum os_level)(OS_ERROR + 1));
	for (size_t i = 0; i < COUNT(arg); i++)
		arg[i] = db_null();
	for (unsigned q = 0; q < DB_QUERY_COUNT_; q++) {
		bool fits = false;

		for (size_t n = 0; n < COUNT(arg) && !fits; n++) {
			struct db_rows r = db_select(stage.db, (enum db_query)q, arg, n);

			fits = db_finish(&r) == HF_E_OK;
		}
		assert_true(fits);
	}
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(opened_twice_is_migrated_once),
		CASE(newer_schema_is_refused),
		CASE(older_schemas_are_opened),
		CASE(no_database),
		CASE(a_held_database_fails_the_turn_once),
		CASE(uncommitted_is_gone),
		CASE(failed_commit_rolls_back),
		CASE(savepoint_undoes_one_handler),
		CASE(sequences_sort_as_unsigned),
		CASE(a_taken_key_is_told),
		CASE(kinds_of_values),
		CASE(W1_text_is_only_text),
		CASE(misuse_is_an_error),
		CASE(every_query_is_prepared),
	};

	return cmocka_run_group_tests_name("db", tests, NULL, NULL);
}
