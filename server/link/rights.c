/* link - the broker's table follows the registry: all of it when the control connection comes up, then change by change.
 * Uses: base wire os db registry. Format: docs/protocol.md, broker table. */
#include "link/link_internal.h"

#include "registry/registry.h"

#include <stdio.h>
#include <string.h>

enum { REPUSH_MS = 5000 };
static char table_topic[HF_WIRE_TOPIC_MAX];

static int publish(struct link *l, struct hf_span lines)
{
	int mid = 0;

	if (!table_topic[0] && hf_wire_topic_make(HF_WIRE_TOPIC_TABLE, 0, 0, table_topic) != HF_E_OK)
		return 0;
	if (mosquitto_publish_v5(l->conn[LINK_OUT].m, &mid, table_topic, (int)lines.len, lines.ptr, 1, false, NULL) !=
	    MOSQ_ERR_SUCCESS)
		return 0;
	return mid;
}

/* The line of one identity; empty for one that the broker need not know. */
static void line_of(const struct registry_identity *i, struct os_buf *out)
{
	char id[HF_ID_TEXT_MAX], controller[HF_ID_TEXT_MAX];

	hf_id_text(i->id, id);
	hf_id_text(i->controller, controller);
	if (i->kind != REGISTRY_DEVICE && i->state == REGISTRY_JOINED)
		os_buf_format(out, "put %s %s joined -\n", id, registry_kind_name(i->kind));
	else if (i->kind == REGISTRY_DEVICE && i->state == REGISTRY_REGISTERED)
		os_buf_format(out, "put %s device registered -\n", id);
	else if (i->kind == REGISTRY_DEVICE && i->state == REGISTRY_JOINED)
		os_buf_format(out, "put %s device joined %s\n", id, controller);
}

/* Broker and registry may differ: tell it everything again. */
static void repush_later(struct link *l)
{
	os_timer_set(l->s.loop, &l->repush, os_monotonic_ms() + REPUSH_MS);
}

struct push {
	struct link *link;
	struct os_buf file, chunk;
	size_t count;
	bool failed;
};

static void push_chunk(struct push *p)
{
	if (p->link->conn[LINK_OUT].up && publish(p->link, os_buf_span(&p->chunk)) == 0)
		p->failed = true;
	p->chunk.len = 0;
}

static bool push_one(void *ctx, const struct registry_identity *i)
{
	struct push *p = ctx;
	size_t before = p->file.len;

	line_of(i, &p->file);
	if (p->file.len == before)
		return true;
	p->count++;
	os_buf_put(&p->chunk, hf_span_of(p->file.ptr + before, p->file.len - before));
	if (p->chunk.len > LINK_TABLE_CHUNK - 128)
		push_chunk(p);
	return p->file.err == HF_E_OK;
}

/* Each push has its own number: a journal of an older one is not read on top of a newer snapshot. */
static enum hf_err next_generation(struct link *l, int64_t *out)
{
	enum hf_err err = db_get_int(l->s.db, DB_SETTING_GET, DB_ARGS(db_text("broker-table")), 0, out);

	*out += 1;
	return err != HF_E_OK ? err
	                      : db_exec(l->s.db, DB_SETTING_PUT, DB_ARGS(db_text("broker-table"), db_int(*out)), NULL);
}

/* Writes the snapshot that the broker starts from, and tells it the same if it is there. */
static void push_all(struct link *l, struct push *p, int64_t generation)
{
	os_buf_format(&p->file, "holdfast-table 1 %lld\n", (long long)generation);
	os_buf_text(&p->chunk, "reset\n");
	if (registry_list(l->s.db, REGISTRY_KIND_COUNT_, push_one, p) != HF_E_OK)
		p->failed = true;
	os_buf_format(&p->file, "end %zu\n", p->count);
	push_chunk(p);
	if (p->failed || p->file.err != HF_E_OK ||
	    os_replace_file(l->s.files.table, os_buf_span(&p->file), 0600) != HF_E_OK) {
		os_log(OS_LOG_FAILED, "what=\"the broker's table could not be written\" file=%s", l->s.files.table);
		repush_later(l);
		return;
	}
	os_buf_format(&p->chunk, "commit %lld\n", (long long)generation);
	if (l->conn[LINK_OUT].up)
		l->table_mid = publish(l, os_buf_span(&p->chunk));
}

void link_rights_push(struct link *l)
{
	struct push p = {.link = l, .file = os_buf_of(64u << 20), .chunk = os_buf_of(LINK_TABLE_CHUNK)};
	int64_t generation = 0;

	l->table_known = false;
	l->table_mid = 0;
	if (next_generation(l, &generation) == HF_E_OK)
		push_all(l, &p, generation);
	else
		repush_later(l);
	os_buf_release(&p.file);
	os_buf_release(&p.chunk);
}

static void settle(struct link_wait *w, enum hf_err err)
{
	struct link_wait was = *w;

	*w = (struct link_wait){0};
	if (was.done)
		was.done(was.ctx, err);
}

void link_rights_changed(struct link *l, uint64_t id)
{
	struct registry_identity i;
	char text[HF_ID_TEXT_MAX];
	OS_BUF_SCOPED line = os_buf_of(256);

	enum hf_err err = registry_get(l->s.db, id, &i);

	if (err != HF_E_OK && err != HF_E_NOT_FOUND) {
		repush_later(l);
		return;
	}
	bool gone = err == HF_E_NOT_FOUND, revoked = !gone && i.state == REGISTRY_REVOKED;

	if (!l->conn[LINK_OUT].up) { /* a broker that comes back alone must not let it in */
		if (revoked)
			link_rights_push(l);
		return;
	}
	hf_id_text(id, text);
	if (gone)
		os_buf_format(&line, "del %s\n", text);
	else if (revoked)
		os_buf_format(&line, "revoke %s\n", text);
	else
		line_of(&i, &line);
	int mid = line.len > 0 ? publish(l, os_buf_span(&line)) : 0;

	if (line.len > 0 && mid == 0)
		repush_later(l);
	if (revoked && mid)
		l->revoke_mid = mid;
	for (size_t n = 0; n < LINK_WAITS_MAX; n++)
		if (l->wait[n].used && l->wait[n].id == id && l->wait[n].mid == 0) {
			l->wait[n].mid = mid;
			l->wait[n].revoked = revoked;
		}
}

static void on_table(struct link *l, bool taken)
{
	l->table_mid = 0;
	l->table_known = taken;
	l->counts.tables++;
	os_log(OS_LOG_BROKER_TABLE, "taken=%s", taken ? "yes" : "no");
	l->submitted = 0; /* what waited for the connection leaves now */
	link_outbox_pump(l);
	for (unsigned i = 0; taken && i < LINK_OUT; i++)
		link_conn_hurry(&l->conn[i]); /* a broker without a table had to refuse them */
}

void link_rights_published(struct link *l, int mid, bool taken)
{
	if (mid == l->table_mid)
		on_table(l, taken);
	if (mid == l->revoke_mid)
		l->revoke_mid = 0;
	if (!taken)
		repush_later(l);
	for (size_t n = 0; n < LINK_WAITS_MAX; n++) {
		struct link_wait *w = &l->wait[n];

		if (!w->used || w->mid != mid)
			continue;
		if (taken && w->revoked)
			w->cut = true;
		else
			settle(w, taken ? HF_E_OK : HF_E_UNREACHABLE);
	}
	link_purge_next(l);
}

void link_rights_on_repush(struct os_timer *t)
{
	struct link *l = t->ctx;

	link_rights_push(l); /* the snapshot at least, when the broker is away */
}

/* Its session is gone too. */
void link_rights_purged(struct link *l, uint64_t id)
{
	for (size_t n = 0; n < LINK_WAITS_MAX; n++)
		if (l->wait[n].used && l->wait[n].cut && l->wait[n].id == id)
			settle(&l->wait[n], HF_E_OK);
}

void link_rights_lost(struct link *l)
{
	l->table_known = false;
	l->table_mid = 0;
	l->revoke_mid = 0;
	os_timer_clear(l->s.loop, &l->repush);
	for (size_t n = 0; n < LINK_WAITS_MAX; n++)
		if (l->wait[n].used)
			settle(&l->wait[n], HF_E_UNREACHABLE);
}

enum hf_err link_await(struct link *l, uint64_t id, link_done done, void *ctx)
{
	if (!link_up(l))
		return HF_E_UNREACHABLE;
	for (size_t n = 0; n < LINK_WAITS_MAX; n++) {
		if (l->wait[n].used)
			continue;
		l->wait[n] = (struct link_wait){.id = id, .used = true, .done = done, .ctx = ctx};
		return HF_E_OK;
	}
	l->counts.full++;
	return HF_E_FULL;
}

void link_forget(struct link *l, void *ctx)
{
	for (size_t n = 0; n < LINK_WAITS_MAX; n++)
		if (l->wait[n].used && l->wait[n].ctx == ctx)
			l->wait[n] = (struct link_wait){0};
}
