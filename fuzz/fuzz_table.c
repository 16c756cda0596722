/* fuzz - the broker's table: lines, snapshot, journal and a control payload; what was applied is there after a restart.
 * Input: snapshot, NUL, journal, NUL, payload. Uses: broker; Linux. */
#include "broker/store.h"
#include "fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/fuzz_table.XXXXXX";
static char snapshot_path[64], journal_path[64];

static void check(bool good)
{
	if (!good)
		abort();
}

static void leave(void)
{
	(void)unlink(snapshot_path);
	(void)unlink(journal_path);
	(void)rmdir(folder);
}

static void enter(void)
{
	if (snapshot_path[0])
		return;
	check(mkdtemp(folder) != NULL);
	(void)snprintf(snapshot_path, sizeof snapshot_path, "%s/table", folder);
	(void)snprintf(journal_path, sizeof journal_path, "%s/journal", folder);
	check(atexit(leave) == 0);
}

/* What stands before the next NUL, which is taken off too. */
static struct hf_span part(struct hf_span *rest)
{
	const uint8_t *nul = rest->len ? memchr(rest->ptr, 0, rest->len) : NULL;
	struct hf_span head = hf_span_of(rest->ptr, nul ? (size_t)(nul - rest->ptr) : rest->len);

	*rest = nul ? hf_span_of(nul + 1, rest->len - head.len - 1) : hf_span_of(NULL, 0);
	return head;
}

static void write_file(const char *path, struct hf_span content)
{
	FILE *file = fopen(path, "wb");

	check(file && fwrite(content.ptr ? content.ptr : (const uint8_t *)"", 1, content.len, file) == content.len);
	check(fclose(file) == 0);
}

static void check_lines(struct hf_span rest)
{
	struct hf_span line;
	struct broker_line parsed;
	bool ended = false;

	while (broker_line_next(&rest, &line, &ended)) {
		enum hf_err err = broker_line_parse(line, &parsed);

		check(err == HF_E_OK || err == HF_E_TEXT);
		check(err != HF_E_OK || parsed.verb > BROKER_REVOKE || parsed.row.id != 0);
	}
}

static void ignore_kick(void *ctx, uint64_t id)
{
	(void)ctx;
	check(id != 0);
}

/* Whoever may do something in a may do the same in b; returns how many. A revoked row stands for nobody and may be missing. */
static size_t check_living(const struct broker_table *a, const struct broker_table *b)
{
	size_t living = 0;

	for (size_t i = 0; i < a->cap; i++) {
		const struct broker_row *row = &a->row[i], *other;

		if (row->id == 0 || row->state == BROKER_REVOKED)
			continue;
		living++;
		other = broker_table_get(b, row->id);
		check(other && other->state == row->state && other->role == row->role && other->controller == row->controller);
	}
	return living;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hf_span rest = hf_span_of(data, size), snapshot = part(&rest), journal = part(&rest), payload = part(&rest);
	struct broker_store s, again;

	check_lines(hf_span_of(data, size));
	enter();
	write_file(snapshot_path, snapshot);
	write_file(journal_path, journal);
	enum hf_err opened = broker_store_open(&s, snapshot_path, journal_path);
	uint64_t generation = s.generation;
	bool ready = s.ready;
	enum hf_err applied = broker_store_apply(&s, payload, ignore_kick, NULL);

	check(opened == HF_E_OK || opened == HF_E_TEXT || opened == HF_E_TOO_BIG || opened == HF_E_FULL);
	/* A commit waits for the server's snapshot; anything else has to be there again by itself. */
	if (opened == HF_E_OK && applied == HF_E_OK && ready && s.generation == generation && !s.filling) {
		check(broker_store_open(&again, snapshot_path, journal_path) == HF_E_OK);
		check(again.generation == generation);
		check(check_living(&s.table, &again.table) == check_living(&again.table, &s.table));
		broker_store_release(&again);
	}
	broker_store_release(&s);
	return 0;
}
