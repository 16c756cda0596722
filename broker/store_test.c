/* broker tests - snapshot, journal, control payloads, a disk that is full. Uses: store, cmocka; a temporary folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/store.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define A_JOINED "put a1 device joined 5e\n"
#define TABLE_1 "holdfast-table 1 1\nput 5e server joined -\n" A_JOINED "put b2 device registered -\nend 3\n"

static char folder[] = "/tmp/broker_store_test.XXXXXX";
static char snapshot_path[64], journal_path[64], temp_path[64];
static struct broker_store store;
static char kicked[256]; /* ids, each with a space behind it */

static void note_kick(void *ctx, uint64_t id)
{
	struct hf_wr w = hf_wr_of(kicked, sizeof kicked);

	assert_ptr_equal(ctx, &store);
	w.len = strlen(kicked);
	hf_wr_id(&w, id);
	hf_wr_text(&w, " ");
	hf_wr_nul(&w);
	assert_int_equal(w.err, HF_E_OK);
}

static void write_file(const char *path, const char *text)
{
	FILE *f = text ? fopen(path, "w") : NULL;

	if (!text) {
		(void)unlink(path);
		return;
	}
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}

static void assert_journal(const char *text)
{
	uint8_t *data = NULL;
	size_t len = 0;

	assert_int_equal(broker_file_read(journal_path, BROKER_JOURNAL_MAX, &data, &len), HF_E_OK);
	assert_int_equal(len, strlen(text));
	assert_memory_equal(data, text, len);
	free(data);
}

static enum hf_err start(const char *snapshot, const char *journal)
{
	write_file(snapshot_path, snapshot);
	write_file(journal_path, journal);
	kicked[0] = '\0';
	return broker_store_open(&store, snapshot_path, journal_path);
}

static enum hf_err restart(void)
{
	broker_store_release(&store);
	return broker_store_open(&store, snapshot_path, journal_path);
}

static enum hf_err apply(const char *payload)
{
	kicked[0] = '\0';
	return broker_store_apply(&store, hf_span_text(payload), note_kick, &store);
}

/* The state of an id: 0 for nobody. */
static unsigned state_of(uint64_t id)
{
	const struct broker_row *row = broker_table_get(&store.table, id);

	return row ? row->state : 0;
}

enum { R = HF_WIRE_S_REGISTERED, J = HF_WIRE_S_JOINED };

/* --- files --------------------------------------------------------------------------------------- */

static void snapshots(void **state)
{
	static const struct {
		const char *text;
		enum hf_err err;
		size_t rows;
	} cases[] = {
		{NULL, HF_E_NOT_FOUND, 0},
		{"", HF_E_TEXT, 0},
		{TABLE_1, HF_E_OK, 3},
		{"holdfast-table 1 1\nend 0\n", HF_E_OK, 0},
		{"holdfast-table 1 1\n" A_JOINED "put a1 device registered -\nend 2\n", HF_E_OK, 1},
		{"holdfast-table 1 1\n" A_JOINED, HF_E_TEXT, 0}, /* torn */
		{"holdfast-table 1 1\n" A_JOINED "end 1", HF_E_TEXT, 0}, /* torn */
		{"holdfast-table 1 1\n" A_JOINED "put b2 devi", HF_E_TEXT, 0},
		{"holdfast-table 1", HF_E_TEXT, 0},
		{"holdfast-table 1 1\n" A_JOINED "end 0\n", HF_E_TEXT, 0}, /* wrong count */
		{"holdfast-table 1 1\n" A_JOINED "end 2\n", HF_E_TEXT, 0},
		{"holdfast-table 1 1\n" A_JOINED "end 1\n\n", HF_E_TEXT, 0}, /* more behind it */
		{"holdfast-table 1 1\nend 0\n" A_JOINED "end 1\n", HF_E_TEXT, 0},
		{"holdfast-table 1 1\nrevoke a1\nend 1\n", HF_E_TEXT, 0},
		{"holdfast-table 1 1\nholdfast-table 1 1\nend 1\n", HF_E_TEXT, 0},
		{"holdfast-table 2 1\nend 0\n", HF_E_TEXT, 0},
		{"holdfast-journal 1 1\nend 0\n", HF_E_TEXT, 0},
		{A_JOINED "end 1\n", HF_E_TEXT, 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(start(cases[i].text, NULL), cases[i].err);
		assert_int_equal(store.ready, cases[i].err == HF_E_OK);
		assert_int_equal(store.table.count, cases[i].rows);
		assert_int_equal(access(journal_path, F_OK) == 0, store.ready);
		broker_store_release(&store);
	}
}

static void journals(void **state)
{
	static const struct {
		const char *text;
		enum hf_err err; /* OK: ready */
		unsigned a1, b2, c3;
		const char *after; /* NULL: as it was */
	} cases[] = {
		{NULL, HF_E_OK, J, R, 0, "holdfast-journal 1 1\n"},
		{"holdfast-journal 1 1\n", HF_E_OK, J, R, 0, NULL},
		{"holdfast-journal 1 1\nput c3 device registered -\nput b2 device joined 5e\ndel a1\n", HF_E_OK, 0, J, R, NULL},
		{"holdfast-journal 1 1\nrevoke a1\n", HF_E_OK, 0, R, 0, NULL},
		{"holdfast-journal 1 1\nrevoke a1\nput a1 device registered -\n", HF_E_OK, R, R, 0, NULL},
		{"holdfast-journal 1 1\nrevoke a1\ndel b2", HF_E_OK, 0, R, 0,
	     "holdfast-journal 1 1\nrevoke a1\n"}, /* torn last line */
		{"holdfast-journal 1 1\nrev", HF_E_OK, J, R, 0, "holdfast-journal 1 1\n"},
		/* another generation takes and does not give */
		{"holdfast-journal 1 2\nput c3 device registered -\nput b2 device joined 5e\nrevoke a1\nput a1 device joined "
	     "5e\n",
	     HF_E_OK, 0, R, 0, "holdfast-journal 1 1\nrevoke a1\n"},
		{"holdfast-journal 1 0\ndel b2\nput b2 device joined 5e\n", HF_E_OK, J, 0, 0,
	     "holdfast-journal 1 1\nrevoke b2\n"},
		/* damaged: whom did it revoke? */
		{"", HF_E_TEXT, 0, 0, 0, NULL},
		{"holdfast-journal 1 1", HF_E_TEXT, 0, 0, 0, NULL},
		{"revoke a1\n", HF_E_TEXT, 0, 0, 0, NULL},
		{"holdfast-journal 1 1\nrevoke\nrevoke a1\n", HF_E_TEXT, 0, 0, 0, NULL},
		{"holdfast-journal 1 1\n\n", HF_E_TEXT, 0, 0, 0, NULL},
		{"holdfast-journal 1 1\ncommit 2\n", HF_E_TEXT, 0, 0, 0, NULL},
		{"holdfast-journal 1 1\nreset\n", HF_E_TEXT, 0, 0, 0, NULL},
		{"holdfast-journal 1 1\nend 0\n", HF_E_TEXT, 0, 0, 0, NULL},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(start(TABLE_1, cases[i].text), cases[i].err);
		assert_int_equal(store.ready, cases[i].err == HF_E_OK);
		assert_int_equal(state_of(0xa1), cases[i].a1);
		assert_int_equal(state_of(0xb2), cases[i].b2);
		assert_int_equal(state_of(0xc3), cases[i].c3);
		assert_journal(cases[i].after ? cases[i].after : cases[i].text);
		bool ready = store.ready;

		assert_int_equal(restart() == HF_E_OK, ready); /* and the same again */
		assert_int_equal(state_of(0xa1), cases[i].a1);
		assert_int_equal(state_of(0xb2), cases[i].b2);
		assert_int_equal(state_of(0xc3), cases[i].c3);
		broker_store_release(&store);
	}
}

static void journal_cannot_be_read(void **state)
{
	(void)state;
	write_file(journal_path, NULL);
	assert_int_equal(mkdir(journal_path, 0700), 0);
	write_file(snapshot_path, TABLE_1);
	assert_int_equal(broker_store_open(&store, snapshot_path, journal_path), HF_E_IO);
	assert_false(store.ready);
	broker_store_release(&store);
	assert_int_equal(rmdir(journal_path), 0);
}

/* --- payloads ------------------------------------------------------------------------------------ */

static const struct {
	const char *payload;
	enum hf_err err;
	unsigned a1, b2, c3;
	const char *kicks, *journal; /* what it adds to the journal; the first line when it begins a new one */
} changes[] = {
	{"put c3 device registered -\n", HF_E_OK, J, R, R, "", "put c3 device registered -\n"},
	{"put c3 device registered -", HF_E_OK, J, R, R, "", "put c3 device registered -\n"},
	{"put a1 device registered -\n", HF_E_OK, R, R, 0, "", "put a1 device registered -\n"}, /* by the table alone */
	{"put a1 server joined -\n", HF_E_OK, J, R, 0, "a1 ", "put a1 server joined -\n"}, /* another kind of client */
	{"del a1\nput c3 device joined 5e\n", HF_E_OK, 0, R, J, "a1 ", "del a1\nput c3 device joined 5e\n"},
	{"revoke a1\nrevoke 99\n", HF_E_OK, 0, R, 0, "a1 99 ", "revoke a1\nrevoke 99\n"},
	{"del a1\nput a1 device joined 5e\n", HF_E_OK, J, R, 0, "a1 ", "del a1\nput a1 device joined 5e\n"},
	{"", HF_E_INPUT, J, R, 0, "", ""},
	{"\n", HF_E_TEXT, J, R, 0, "", ""},
	{"revoke a1\n\n", HF_E_TEXT, J, R, 0, "", ""},
	{"revoke a1\nrevoke", HF_E_TEXT, J, R, 0, "", ""},
	{"revoke a1\nend 1\n", HF_E_TEXT, J, R, 0, "", ""},
	{"holdfast-journal 1 1\nrevoke a1\n", HF_E_TEXT, J, R, 0, "", ""},
	{"revoke a1\nreset\n", HF_E_STATE, J, R, 0, "", ""},
	{"reset\nreset\n", HF_E_STATE, J, R, 0, "", ""},
	{"commit 2\n", HF_E_STATE, J, R, 0, "", ""},
	{"reset\ncommit 2\nrevoke a1\n", HF_E_TEXT, J, R, 0, "", ""},
	{"reset\nput b2 device registered -\n", HF_E_OK, J, R, 0, "", ""},
	{"reset\nput a1 device joined 5e\nput b2 device registered -\ncommit 2\n", HF_E_OK, J, R, 0, "5e ",
     "holdfast-journal 1 2\n"},
	{"reset\nput a1 device registered -\nput 5e server joined -\nput c3 device joined 5e\ncommit 2\n", HF_E_OK, R, 0, J,
     "a1 b2 ", "holdfast-journal 1 2\n"},
	{"reset\nput a1 reference joined -\nput b2 device joined 5e\nput 5e server joined -\ncommit 2", HF_E_OK, J, J, 0,
     "a1 ", "holdfast-journal 1 2\n"},
	{"reset\ncommit 1\n", HF_E_OK, 0, 0, 0, "a1 b2 5e ", "holdfast-journal 1 1\n"},
	/* A revoke in a fill holds in both tables, whatever the fill brings, and in the new journal. */
	{"reset\nrevoke a1\nput a1 device joined 5e\nput b2 device registered -\nput 5e server joined -\ncommit 2\n",
     HF_E_OK, 0, R, 0, "a1 ", "holdfast-journal 1 2\nrevoke a1\n"},
	{"reset\nput a1 device joined 5e\nput b2 device registered -\nput 5e server joined -\ndel a1\ncommit 2\n", HF_E_OK,
     0, R, 0, "a1 ", "holdfast-journal 1 2\n"},
};

static void payloads(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(changes); i++) {
		char text[200] = "";
		struct hf_wr w = hf_wr_of(text, sizeof text);

		assert_int_equal(start(TABLE_1, NULL), HF_E_OK);
		assert_int_equal(apply(changes[i].payload), changes[i].err);
		assert_int_equal(state_of(0xa1), changes[i].a1);
		assert_int_equal(state_of(0xb2), changes[i].b2);
		assert_int_equal(state_of(0xc3), changes[i].c3);
		/* Kicks of a commit come in the order of the rows. */
		assert_int_equal(strlen(kicked), strlen(changes[i].kicks));
		for (const char *id = changes[i].kicks; *id; id = strchr(id, ' ') + 1) {
			char one[20];

			(void)snprintf(one, sizeof one, "%.*s", (int)(strchr(id, ' ') - id) + 1, id);
			assert_non_null(strstr(kicked, one));
		}
		hf_wr_text(&w, changes[i].journal[0] == 'h' ? "" : "holdfast-journal 1 1\n");
		hf_wr_text(&w, changes[i].journal);
		hf_wr_nul(&w);
		assert_journal(text);
		broker_store_release(&store);
	}
}

static void changes_survive_a_restart(void **state)
{
	(void)state;
	assert_int_equal(start(TABLE_1, NULL), HF_E_OK);
	assert_int_equal(apply("put c3 device joined 5e\ndel b2\n"), HF_E_OK);
	assert_int_equal(apply("revoke a1\n"), HF_E_OK);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(restart(), HF_E_OK);
		assert_true(state_of(0xa1) == 0 && state_of(0xb2) == 0 && state_of(0xc3) == J && state_of(0x5e) == J);
	}
	/* The server wrote its next snapshot before it knew of the revocation, and the broker ended before the commit. */
	write_file(snapshot_path, "holdfast-table 1 2\n" A_JOINED "put d4 device registered -\nend 2\n");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(restart(), HF_E_OK);
		assert_true(state_of(0xa1) == 0 && state_of(0xc3) == 0 && state_of(0xd4) == R);
	}
	/* Its word is final at the next commit. */
	assert_int_equal(apply("reset\n" A_JOINED "commit 2\n"), HF_E_OK);
	assert_int_equal(state_of(0xa1), J);
	assert_int_equal(restart(), HF_E_OK);
	assert_int_equal(state_of(0xa1), J);
	broker_store_release(&store);
}

static void fill_over_several_payloads(void **state)
{
	(void)state;
	assert_int_equal(start(NULL, NULL), HF_E_NOT_FOUND);
	assert_int_equal(apply(A_JOINED), HF_E_STATE); /* there is no table yet */
	assert_int_equal(apply("revoke a1\n"), HF_E_STATE);
	assert_int_equal(apply("reset\n" A_JOINED), HF_E_OK);
	assert_int_equal(apply("put b2 device registered -\n"), HF_E_OK);
	assert_false(store.ready);
	assert_int_equal(state_of(0xa1), 0);
	assert_int_equal(apply("put c3 device registered\n"), HF_E_TEXT); /* a refused payload ends the fill */
	assert_int_equal(apply("commit 1\n"), HF_E_STATE);
	assert_int_equal(apply("reset\n" A_JOINED), HF_E_OK);
	assert_int_equal(apply("put b2 device registered -\n"), HF_E_OK);
	assert_int_equal(apply("commit 1\n"), HF_E_OK);
	assert_true(store.ready && state_of(0xa1) == J && state_of(0xb2) == R && store.table.count == 2);
	/* A new reset forgets what a fill that was broken off had brought. */
	assert_int_equal(apply("reset\nput c3 device registered -\n"), HF_E_OK);
	assert_int_equal(apply("reset\n" A_JOINED "commit 2\n"), HF_E_OK);
	assert_true(state_of(0xc3) == 0 && store.table.count == 1 && store.generation == 2);
	assert_string_equal(kicked, "b2 ");
	broker_store_release(&store);
}

static void revoke_between_reset_and_commit(void **state)
{
	(void)state;
	assert_int_equal(start(TABLE_1, NULL), HF_E_OK);
	assert_int_equal(apply("reset\n" A_JOINED), HF_E_OK);
	assert_int_equal(apply("revoke a1\n"), HF_E_OK);
	assert_int_equal(state_of(0xa1), 0);
	assert_journal("holdfast-journal 1 1\nrevoke a1\n");
	assert_int_equal(apply(A_JOINED "put b2 device registered -\ncommit 2\n"), HF_E_OK);
	assert_int_equal(state_of(0xa1), 0);
	assert_journal("holdfast-journal 1 2\nrevoke a1\n");
	assert_int_equal(apply("put a1 device registered -\n"), HF_E_OK); /* the server takes it back */
	assert_int_equal(state_of(0xa1), R);
	broker_store_release(&store);
}

static void payload_too_big(void **state)
{
	static char text[BROKER_PAYLOAD_MAX + 2];
	struct hf_wr w = hf_wr_of(text, sizeof text);

	(void)state;
	assert_int_equal(start(TABLE_1, NULL), HF_E_OK);
	while (w.len + 10 <= BROKER_PAYLOAD_MAX)
		hf_wr_text(&w, "revoke a1\n");
	while (w.len < BROKER_PAYLOAD_MAX - 5)
		hf_wr_text(&w, " ");
	hf_wr_text(&w, "del 5e");
	assert_int_equal(w.len, BROKER_PAYLOAD_MAX + 1);
	assert_int_equal(broker_store_apply(&store, hf_wr_span(&w), note_kick, &store), HF_E_TOO_BIG);
	assert_int_equal(state_of(0xa1), J);
	broker_store_release(&store);
}

/* --- no room ------------------------------------------------------------------------------------- */

static void limit_files(rlim_t bytes)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes == RLIM_INFINITY ? limit.rlim_max : bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* The disk is full after each number of bytes in turn: nothing is given that is not kept, and a revoke holds. */
static void disk_full_at_every_byte(void **state)
{
	static const char before[] = "holdfast-journal 1 1\n",
					  change[] = "put b2 device joined 5e\nrevoke a1\nput c3 device registered -\n";

	(void)state;
	for (size_t room = 0; room < strlen(change); room++) {
		assert_int_equal(start(TABLE_1, NULL), HF_E_OK);
		limit_files(strlen(before) + room);
		assert_int_equal(apply(change), HF_E_IO);
		limit_files(RLIM_INFINITY);
		assert_true(state_of(0xa1) == 0 && state_of(0xb2) == R && state_of(0xc3) == 0);
		assert_string_equal(kicked, "a1 ");
		assert_journal(before);
		assert_int_equal(apply("revoke a1\n"), HF_E_OK); /* there is room again */
		assert_int_equal(restart(), HF_E_OK);
		assert_int_equal(state_of(0xa1), 0);
		broker_store_release(&store);
	}
}

static void disk_full_at_commit(void **state)
{
	(void)state;
	assert_int_equal(start(TABLE_1, NULL), HF_E_OK);
	assert_int_equal(apply("revoke a1\n"), HF_E_OK);
	limit_files(10);
	assert_int_equal(apply("reset\nput b2 device registered -\ncommit 2\n"), HF_E_IO);
	limit_files(RLIM_INFINITY);
	assert_true(state_of(0x5e) == 0 && state_of(0xb2) == R);
	assert_int_equal(access(temp_path, F_OK), -1);
	assert_int_equal(restart(), HF_E_OK); /* the old journal went on */
	assert_true(state_of(0xa1) == 0 && state_of(0x5e) == J);
	broker_store_release(&store);
}

static void journal_is_bounded(void **state)
{
	static char text[60001];
	struct hf_wr w = hf_wr_of(text, sizeof text);
	enum hf_err err;

	(void)state;
	while (w.len < sizeof text - 1)
		hf_wr_text(&w, "put b2 device joined 5e\n");
	assert_int_equal(start(TABLE_1, NULL), HF_E_OK);
	while ((err = broker_store_apply(&store, hf_wr_span(&w), note_kick, &store)) == HF_E_OK)
		;
	assert_int_equal(err, HF_E_FULL);
	assert_true(store.journal.len <= BROKER_JOURNAL_MAX && store.journal.len > BROKER_JOURNAL_MAX - sizeof text);
	assert_int_equal(apply("revoke a1\n"), HF_E_OK); /* for that there is some room to spare */
	assert_int_equal(apply("reset\nput b2 device registered -\ncommit 2\n"), HF_E_OK);
	assert_journal("holdfast-journal 1 2\n");
	assert_int_equal(broker_store_apply(&store, hf_wr_span(&w), note_kick, &store), HF_E_OK);
	broker_store_release(&store);
}

/* The last payload does not fit: nothing of it is applied, except what takes away. */
static void table_is_full(void **state)
{
	static char text[BROKER_PAYLOAD_MAX];
	struct hf_wr w;
	uint64_t id = 0x1000;

	(void)state;
	assert_int_equal(start(TABLE_1, NULL), HF_E_OK);
	assert_int_equal(apply("reset\n" A_JOINED), HF_E_OK);
	for (size_t rows = 1; rows < BROKER_TABLE_MAX;) {
		w = hf_wr_of(text, sizeof text);
		for (; w.len < sizeof text - 64 && rows < BROKER_TABLE_MAX; rows++) {
			hf_wr_text(&w, "put ");
			hf_wr_id(&w, id++);
			hf_wr_text(&w, " device registered -\n");
		}
		assert_int_equal(broker_store_apply(&store, hf_wr_span(&w), note_kick, &store), HF_E_OK);
	}
	assert_int_equal(apply("commit 2\n"), HF_E_OK);
	assert_int_equal(store.table.count, BROKER_TABLE_MAX);
	assert_int_equal(apply("put a1 device registered -\nput 1000 device joined 5e\n"), HF_E_OK);
	assert_int_equal(apply("put 1001 device joined 5e\nput d4 device registered -\nrevoke a1\n"), HF_E_FULL);
	assert_true(state_of(0x1000) == J && state_of(0x1001) == R && state_of(0xd4) == 0 && state_of(0xa1) == 0);
	assert_int_equal(apply("put d4 device registered -\n"), HF_E_OK); /* room was made */
	broker_store_release(&store);
}

static int set_up(void **state)
{
	(void)state;
	(void)signal(SIGXFSZ, SIG_IGN);
	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(snapshot_path, sizeof snapshot_path, "%s/table", folder);
	(void)snprintf(journal_path, sizeof journal_path, "%s/journal", folder);
	(void)snprintf(temp_path, sizeof temp_path, "%s/journal.new", folder);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	(void)unlink(snapshot_path);
	(void)unlink(journal_path);
	return rmdir(folder);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(snapshots),
		cmocka_unit_test(journals),
		cmocka_unit_test(journal_cannot_be_read),
		cmocka_unit_test(payloads),
		cmocka_unit_test(changes_survive_a_restart),
		cmocka_unit_test(fill_over_several_payloads),
		cmocka_unit_test(revoke_between_reset_and_commit),
		cmocka_unit_test(payload_too_big),
		cmocka_unit_test(disk_full_at_every_byte),
		cmocka_unit_test(disk_full_at_commit),
		cmocka_unit_test(journal_is_bounded),
		cmocka_unit_test(table_is_full),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
