/* link - was the database restored from an older copy? What lies beside the broker tells: a mark that the database commits first
 * and the file follows, and the broker's own table and journal. The newer truth about who is out wins.
 * Uses: base os db alert audit registry leave. Format: docs/protocol.md, broker table. */
#include "link/link_internal.h"

#include "alert/alert.h"
#include "audit/audit.h"
#include "leave/leave.h"

#include <stdio.h>
#include <stdlib.h>

enum { FILE_MAX = 128 << 20, MARK_MAX = 64, WORDS_MAX = 5, MARK_EVERY = 10 };
#define MARK "mark" /* setting */
#define TABLE "broker-table" /* setting: generation of the table that was pushed last */

/* What the broker knows of an identity. */
enum standing { OUT, IN, REVOKED };
struct known {
	uint64_t id;
	size_t order; /* later lines count */
	enum standing is;
};
struct broker_view {
	struct known *row;
	size_t count, cap;
	uint64_t generation; /* of the snapshot */
	bool whole; /* snapshot and its own journal are there: who is not in them is out */
};

static bool next_line(struct hf_span *rest, struct hf_span *line)
{
	size_t n = 0;

	while (n < rest->len && rest->ptr[n] != '\n')
		n++;
	if (n == rest->len) /* a torn line counts for nothing */
		return false;
	*line = hf_span_of(rest->ptr, n);
	*rest = hf_span_of(rest->ptr + n + 1, rest->len - n - 1);
	return true;
}

static size_t split(struct hf_span line, struct hf_span word[WORDS_MAX])
{
	size_t count = 0, from = 0;

	for (size_t i = 0; i <= line.len && count < WORDS_MAX; i++)
		if (i == line.len || line.ptr[i] == ' ') {
			word[count++] = hf_span_of(line.ptr + from, i - from);
			from = i + 1;
		}
	return count;
}

static bool is(struct hf_span word, const char *text)
{
	return hf_span_equal(word, hf_span_text(text));
}

/* The number in "NAME 1 NUMBER". */
static bool read_head(struct hf_span *rest, const char *name, uint64_t *number)
{
	struct hf_span line, word[WORDS_MAX];

	return next_line(rest, &line) && split(line, word) == 3 && is(word[0], name) && is(word[1], "1") &&
	       hf_dec_parse(word[2], number) == HF_E_OK;
}

static enum hf_err know(struct broker_view *v, uint64_t id, enum standing as)
{
	if (v->count == v->cap) {
		size_t cap = v->cap ? 2 * v->cap : 1024;
		struct known *row = realloc(v->row, cap * sizeof *row);

		if (!row)
			return HF_E_MEMORY;
		v->row = row;
		v->cap = cap;
	}
	v->row[v->count] = (struct known){id, v->count, as};
	v->count++;
	return HF_E_OK;
}

/* Lines of a snapshot or journal; puts: do they count? */
static enum hf_err read_lines(struct broker_view *v, struct hf_span rest, bool puts)
{
	static const struct {
		const char *verb;
		enum standing as;
	} verbs[] = {{"put", IN}, {"del", OUT}, {"revoke", REVOKED}};
	struct hf_span line, word[WORDS_MAX];
	enum hf_err err = HF_E_OK;

	while (err == HF_E_OK && next_line(&rest, &line)) {
		size_t count = split(line, word);
		uint64_t id = 0;

		for (size_t i = 0; i < sizeof verbs / sizeof verbs[0] && count >= 2; i++)
			if (is(word[0], verbs[i].verb) && (puts || verbs[i].as != IN) && hf_id_parse(word[1], &id) == HF_E_OK)
				err = know(v, id, verbs[i].as);
	}
	return err;
}

/* Reads one of the broker's files, if it is there: its generation, and the lines behind. */
static bool read_part(const char *path, const char *head, struct os_buf *file, uint64_t *generation,
                      struct hf_span *rest)
{
	*file = os_buf_of(FILE_MAX);
	if (os_read_file(path, file) != HF_E_OK)
		return false;
	*rest = os_buf_span(file);
	return read_head(rest, head, generation);
}

static enum hf_err read_view(const struct link_files *f, struct broker_view *v)
{
	OS_BUF_SCOPED table = {0};
	OS_BUF_SCOPED journal = {0};
	struct hf_span rows = {0}, changes = {0};
	uint64_t generation = 0;
	bool has_rows = read_part(f->table, "holdfast-table", &table, &v->generation, &rows);
	bool has_changes = read_part(f->journal, "holdfast-journal", &journal, &generation, &changes);
	enum hf_err err = read_lines(v, rows, true);

	v->whole = has_rows && has_changes && generation == v->generation;
	return err == HF_E_OK ? read_lines(v, changes, v->whole) : err;
}

static int by_id(const void *a, const void *b)
{
	const struct known *x = a, *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

/* Rows must be sorted; of several the last counts, and a revocation for good. */
static bool is_out(const struct broker_view *v, uint64_t id)
{
	size_t low = 0, high = v->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (v->row[mid].id < id)
			low = mid + 1;
		else
			high = mid;
	}
	bool out = v->whole;

	for (; low < v->count && v->row[low].id == id && v->row[low].is != REVOKED; low++)
		out = v->row[low].is == OUT;
	return out || (low < v->count && v->row[low].id == id);
}

/* --- what has to be done --------------------------------------------------------------------------------------------------- */

static enum hf_err read_mark(const char *path, uint64_t *mark)
{
	OS_BUF_SCOPED file = os_buf_of(MARK_MAX);
	enum hf_err err = os_read_file(path, &file);
	struct hf_span rest = os_buf_span(&file);

	*mark = 0;
	if (err == HF_E_OK && !read_head(&rest, "holdfast-mark", mark))
		*mark = 0; /* a damaged file tells nothing */
	return err == HF_E_OK || err == HF_E_NOT_FOUND ? HF_E_OK : err;
}

static enum hf_err raise_setting(struct db *db, const char *name, uint64_t least)
{
	int64_t have = 0;
	enum hf_err err = db_get_int(db, DB_SETTING_GET, DB_ARGS(db_text(name)), 0, &have);

	if (err != HF_E_OK || have >= (int64_t)least)
		return err;
	return db_exec(db, DB_SETTING_PUT, DB_ARGS(db_text(name), db_int((int64_t)least)), NULL);
}

/* Somebody whom the broker holds as revoked, and the database does not: the database is committed first. */
static enum hf_err contradicts(struct db *db, const struct broker_view *v, bool *out)
{
	enum hf_err err = HF_E_OK;

	for (size_t n = 0; n < v->count && err == HF_E_OK && !*out; n++) {
		struct registry_identity i;

		if (v->row[n].is != REVOKED)
			continue;
		err = registry_get(db, v->row[n].id, &i);
		*out = err == HF_E_OK && (i.state == REGISTRY_REGISTERED || i.state == REGISTRY_JOINED);
		err = err == HF_E_NOT_FOUND ? HF_E_OK : err;
	}
	return err;
}

struct comparison {
	const struct broker_view *view;
	struct broker_view out; /* who is let in by the database alone */
	enum hf_err err;
};

static bool compare_one(void *ctx, const struct registry_identity *i)
{
	struct comparison *c = ctx;

	if ((i->state == REGISTRY_REGISTERED || i->state == REGISTRY_JOINED) && is_out(c->view, i->id))
		c->err = know(&c->out, i->id, OUT);
	return c->err == HF_E_OK;
}

/* The newer truth wins: whoever the broker does not know any more was revoked since the copy was made. */
static enum hf_err keep_out(struct session_cache *c, const struct broker_view *v, int64_t now_ms, size_t *count)
{
	struct comparison all = {.view = v};
	enum hf_err err = registry_list(c->db, REGISTRY_DEVICE, compare_one, &all);

	if (err == HF_E_OK)
		err = all.err;
	for (size_t n = 0; n < all.out.count && err == HF_E_OK; n++)
		err = leave_by(c, all.out.row[n].id, LEAVE_RESTORED, "server", now_ms);
	*count = all.out.count;
	free(all.out.row);
	return err;
}

/* What the old copy says of things under way is not true any more, and sequence ids were used that it does not know. */
static enum hf_err forget_the_past(struct db *db)
{
	enum hf_err err = db_exec(db, DB_OUTBOX_CLEAR, NULL, 0, NULL);

	if (err == HF_E_OK)
		err = db_exec(db, DB_COMMAND_RESTORED, DB_ARGS(db_bytes(hf_span_text("the database was restored"))), NULL);
	return err == HF_E_OK ? db_exec(db, DB_IDENTITY_BEHIND, NULL, 0, NULL) : err;
}

static enum hf_err on_restored(struct session_cache *c, struct broker_view *v, int64_t now_ms)
{
	size_t count = 0;
	char text[200];
	enum hf_err err;

	if (v->count > 0)
		qsort(v->row, v->count, sizeof *v->row, by_id);
	err = keep_out(c, v, now_ms, &count);
	if (err == HF_E_OK)
		err = forget_the_past(c->db);
	if (err != HF_E_OK)
		return err;
	snprintf(text, sizeof text, "the database is an older copy; %s (%zu kept out)",
	         v->whole ? "who was revoked since stays out"
	                  : "the broker's table is not complete: revoke again who was revoked since",
	         count);
	err = audit_record(c->db, "server", "database.restored", 0, text);
	return err == HF_E_OK ? alert_raise(c->db, c->facts, 0, LINK_RESTORED, text) : err;
}

enum hf_err link_compare(const struct link_files *f, struct session_cache *c, int64_t now_ms)
{
	struct broker_view v = {0};
	uint64_t mark = 0;
	int64_t ours = 0;
	enum hf_err err = read_mark(f->mark, &mark);

	if (err == HF_E_OK)
		err = db_get_int(c->db, DB_SETTING_GET, DB_ARGS(db_text(MARK)), 0, &ours);
	if (err == HF_E_OK)
		err = read_view(f, &v);
	bool older = err == HF_E_OK && mark > (uint64_t)ours;

	if (err == HF_E_OK && !older)
		err = contradicts(c->db, &v, &older);
	if (err == HF_E_OK && older)
		err = on_restored(c, &v, now_ms);
	if (err == HF_E_OK && older)
		err = raise_setting(c->db, MARK, mark);
	if (err == HF_E_OK && older)
		err = raise_setting(c->db, TABLE, v.generation);
	free(v.row);
	return err;
}

/* --- the mark ---------------------------------------------------------------------------------------------------------------- */

enum hf_err link_mark(struct link *l)
{
	int64_t mark = 0;

	if (++l->unmarked < MARK_EVERY || db_changes(l->s.db) == l->changes)
		return HF_E_OK;
	enum hf_err err = db_get_int(l->s.db, DB_SETTING_GET, DB_ARGS(db_text(MARK)), 0, &mark);

	if (err == HF_E_OK)
		err = db_exec(l->s.db, DB_SETTING_PUT, DB_ARGS(db_text(MARK), db_int(mark + 1)), NULL);
	if (err == HF_E_OK)
		l->mark = mark + 1;
	return err;
}

void link_mark_turn_done(struct link *l, bool committed)
{
	char text[MARK_MAX];

	if (l->mark == 0)
		return;
	(void)snprintf(text, sizeof text, "holdfast-mark 1 %lld\n", (long long)l->mark);
	l->mark = 0;
	if (!committed)
		return;
	l->unmarked = 0;
	l->changes = db_changes(l->s.db);
	if (os_replace_file(l->s.files.mark, hf_span_text(text), 0600) != HF_E_OK)
		os_log(OS_LOG_FAILED, "what=\"the mark of the database could not be written\" file=%s", l->s.files.mark);
}
