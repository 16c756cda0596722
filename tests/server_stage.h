/* server_stage - a real database in a folder of its own, for tests of the server's modules. Uses: os, db, facts; cmocka. */
#ifndef TESTS_SERVER_STAGE_H
#define TESTS_SERVER_STAGE_H
#include "db/db.h"
#include "facts/facts.h"
#include "os/os.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

struct stage {
	char folder[64], path[96];
	struct db *db;
	struct facts facts;
};

static inline void stage_open(struct stage *s)
{
	const char *why = NULL;

	assert_int_equal(db_open(s->path, &s->db, &why), HF_E_OK);
}

static inline void stage_begin(struct stage *s)
{
	*s = (struct stage){.folder = "/tmp/hf_server_test.XXXXXX"};
	os_log_level(OS_ERROR);
	assert_non_null(mkdtemp(s->folder));
	(void)snprintf(s->path, sizeof s->path, "%s/holdfast.db", s->folder);
	stage_open(s);
}

/* As a crash does: what was not committed is gone. */
static inline void stage_restart(struct stage *s)
{
	db_close(s->db);
	memset(&s->facts, 0, sizeof s->facts);
	stage_open(s);
}

static inline void stage_end(struct stage *s)
{
	static const char *const tails[] = {"", "-wal", "-shm", "-journal"};

	db_close(s->db);
	for (size_t i = 0; i < COUNT(tails); i++) {
		char path[128];

		(void)snprintf(path, sizeof path, "%s%s", s->path, tails[i]);
		(void)unlink(path);
	}
	assert_int_equal(rmdir(s->folder), 0);
}

/* Was this told in this turn? */
static inline bool stage_told(const struct stage *s, enum facts_kind kind, uint64_t device)
{
	for (size_t i = 0; i < s->facts.count; i++)
		if (s->facts.fact[i].kind == kind && s->facts.fact[i].device == device)
			return true;
	return false;
}

#endif
