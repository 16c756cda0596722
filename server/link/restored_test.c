/* link tests - a database that is older than what lies beside the broker; a row for each message that a device may say.
 * Uses: link, cmocka. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "alert/alert.h"
#include "link/link_internal.h"
#include "peer/peer.h"
#include "port/openssl/openssl.h"
#include "tests/server_device.h"
#include "tests/server_stage.h"

enum { LOCAL_ID = 0xd3 }; /* known to the database alone */
static struct stage stage;
static struct session_cache cache;
static struct hf_seal_key *key;
static char path[3][128];
static const struct link_files files = {path[0], path[1], path[2]};
static const char *const names[] = {"table", "journal", "mark"};

static int set_up(void **state)
{
	(void)state;
	stage_begin(&stage);
	for (size_t i = 0; i < COUNT(path); i++)
		(void)snprintf(path[i], sizeof path[i], "%s/%s", stage.folder, names[i]);
	key = vector_key("vis-a");
	device_add(stage.db, DEVICE_ID, key, REGISTRY_JOINED, "box");
	device_add(stage.db, OTHER_ID, key, REGISTRY_JOINED, "box");
	device_add(stage.db, LOCAL_ID, key, REGISTRY_REGISTERED, "box");
	session_cache_init(&cache, stage.db, &stage.facts, SERVER_ID);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(path); i++)
		(void)unlink(path[i]);
	hf_openssl_key_free(key);
	session_cache_release(&cache);
	stage_end(&stage);
	return 0;
}

static void write_file(const char *at, const char *text)
{
	if (text)
		assert_int_equal(os_replace_file(at, hf_span_text(text), 0600), HF_E_OK);
}

static void set_mark(int64_t mark)
{
	assert_int_equal(db_exec(stage.db, DB_SETTING_PUT, DB_ARGS(db_text("mark"), db_int(mark)), NULL), HF_E_OK);
}

static bool noticed(void)
{
	int64_t since = 0;

	assert_int_equal(alert_since(stage.db, 0, LINK_RESTORED, &since), HF_E_OK);
	return since != 0;
}

static enum registry_state state_of(uint64_t id)
{
	struct registry_identity i;

	assert_int_equal(registry_get(stage.db, id, &i), HF_E_OK);
	return i.state;
}

static void compare(void)
{
	assert_int_equal(link_compare(&files, &cache, DEVICE_NOW), HF_E_OK);
}

#define TABLE_HEAD "holdfast-table 1 7\n"
#define BOTH "put d1 device joined 5e\nput d2 device joined 5e\n"

static void R1_database_that_is_as_new_is_left_alone(void **state)
{
	static const char *const tables[] = {NULL, TABLE_HEAD "end 0\n", "nonsense\n"};
	static const char *const journals[] = {NULL, "holdfast-journal 1 7\n", "holdfast-journal 1 7\ndel d1\nrevoke d"};
	static const char *const marks[] = {NULL, "holdfast-mark 1 4\n", "holdfast-mark 1 5\n", "holdfast-mark 1 x\n", ""};

	(void)state;
	set_mark(5);
	for (size_t t = 0; t < COUNT(tables); t++)
		for (size_t j = 0; j < COUNT(journals); j++)
			for (size_t m = 0; m < COUNT(marks); m++) {
				write_file(path[0], tables[t]);
				write_file(path[1], journals[j]);
				write_file(path[2], marks[m]);
				compare();
				assert_false(noticed());
			}
	assert_int_equal(state_of(DEVICE_ID), REGISTRY_JOINED);
}

struct restored_case {
	const char *table, *journal;
	enum registry_state device, other, local; /* afterwards */
};

static void R1_who_was_revoked_since_stays_out(void **state)
{
	static const struct restored_case cases[] = {
		/* not in the newer table: revoked since, before that table was pushed */
		{TABLE_HEAD "put d1 device joined 5e\nend 1\n", "holdfast-journal 1 7\n", REGISTRY_JOINED, REGISTRY_REVOKED,
	     REGISTRY_REVOKED},
		/* revoked after it, and a device that registered after it */
		{TABLE_HEAD BOTH "end 2\n", "holdfast-journal 1 7\nput d3 device registered -\nrevoke d2\n", REGISTRY_JOINED,
	     REGISTRY_REVOKED, REGISTRY_REGISTERED},
		/* whatever follows a revocation */
		{TABLE_HEAD BOTH "end 2\n",
	     "holdfast-journal 1 7\nput d3 device registered -\nrevoke d2\nput d2 device joined 5e\n", REGISTRY_JOINED,
	     REGISTRY_REVOKED, REGISTRY_REGISTERED},
		/* a journal of another table takes away and gives nothing; whoever is in neither may be in what is missing */
		{TABLE_HEAD "put d1 device joined 5e\nend 1\n", "holdfast-journal 1 6\nrevoke d1\n", REGISTRY_REVOKED,
	     REGISTRY_JOINED, REGISTRY_REGISTERED},
		/* no table, no journal: nothing can be said */
		{NULL, NULL, REGISTRY_JOINED, REGISTRY_JOINED, REGISTRY_REGISTERED},
		{NULL, "holdfast-journal 1 7\nrevoke d2\n", REGISTRY_JOINED, REGISTRY_REVOKED, REGISTRY_REGISTERED},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct registry_identity device;

		set_mark(5);
		write_file(path[0], cases[i].table);
		write_file(path[1], cases[i].journal);
		write_file(path[2], "holdfast-mark 1 6\n");
		compare();
		assert_true(noticed());
		assert_int_equal(state_of(DEVICE_ID), cases[i].device);
		assert_int_equal(state_of(OTHER_ID), cases[i].other);
		assert_int_equal(state_of(LOCAL_ID), cases[i].local);
		assert_int_equal(registry_get(stage.db, DEVICE_ID, &device), HF_E_OK);
		assert_true(device.behind);
		(void)tear_down(state);
		(void)set_up(state);
	}
}

/* A revocation is committed before the broker hears of it: without a mark it proves the same. */
static void R1_journal_alone_is_proof(void **state)
{
	(void)state;
	write_file(path[1], "holdfast-journal 1 7\nrevoke d2\n");
	compare();
	assert_true(noticed());
	assert_int_equal(state_of(OTHER_ID), REGISTRY_REVOKED);
	compare(); /* and after that all is said */
	assert_int_equal(state_of(DEVICE_ID), REGISTRY_JOINED);
}

static void R1_is_noticed_once(void **state)
{
	int64_t id = 0, alerts = 0;

	set_mark(5);
	write_file(path[2], "holdfast-mark 1 6\n");
	compare();
	assert_true(noticed());
	assert_int_equal(db_get_int(stage.db, DB_ALERT_OPEN, DB_ARGS(db_id(0), db_text(LINK_RESTORED)), 0, &id), HF_E_OK);
	assert_int_equal(alert_clear(stage.db, &stage.facts, id, "anna"), HF_E_OK);
	compare();
	assert_int_equal(alert_count(stage.db, &alerts), HF_E_OK);
	assert_int_equal(alerts, 0);
	(void)state;
}

/* Whatever a device may say has one handler, and nothing else has. */
static void M9_one_row_for_each_message(void **state)
{
	(void)state;
	for (unsigned type = 0; type < 256; type++)
		assert_int_equal(link_takes(type), hf_peer_may_send(type, HF_PEER_DEVICE, HF_PEER_REGISTERED) ||
		                                       hf_peer_may_send(type, HF_PEER_DEVICE, HF_PEER_JOINED));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(R1_database_that_is_as_new_is_left_alone),
		CASE(R1_who_was_revoked_since_stays_out),
		CASE(R1_journal_alone_is_proof),
		CASE(R1_is_noticed_once),
		CASE(M9_one_row_for_each_message),
	};

	return cmocka_run_group_tests_name("link, restored", tests, NULL, NULL);
}
