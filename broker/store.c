/* broker - opens snapshot and journal, applies control payloads. Uses: base, wire, table, journal. */
#include "broker/store.h"

#include <stdlib.h>

/* --- open ---------------------------------------------------------------------------------------- */

static enum hf_err load_snapshot(struct hf_span text, struct broker_table *t, uint64_t *generation)
{
	struct hf_span line;
	struct broker_line l = {.verb = BROKER_RESET};
	uint64_t count = 0;
	bool ended = false;

	if (!broker_line_next(&text, &line, &ended) || broker_line_parse(line, &l) != HF_E_OK ||
	    l.verb != BROKER_TABLE_HEAD)
		return HF_E_TEXT;
	*generation = l.number;
	while (broker_line_next(&text, &line, &ended)) {
		if (!ended || broker_line_parse(line, &l) != HF_E_OK)
			return HF_E_TEXT;
		if (l.verb == BROKER_TABLE_END)
			return l.number == count && text.len == 0 ? HF_E_OK : HF_E_TEXT;
		if (l.verb != BROKER_PUT)
			return HF_E_TEXT;
		enum hf_err err = broker_table_put(t, &l.row);

		if (err != HF_E_OK)
			return err;
		count++;
	}
	return HF_E_TEXT;
}

static enum hf_err open_snapshot(struct broker_store *s, const char *path)
{
	uint8_t *data = NULL;
	size_t len = 0;
	enum hf_err err = broker_file_read(path, BROKER_SNAPSHOT_MAX, &data, &len);

	if (err != HF_E_OK)
		return err;
	err = load_snapshot(hf_span_of(data, len), &s->table, &s->generation);
	free(data);
	if (err != HF_E_OK)
		broker_table_release(&s->table);
	return err;
}

/* What a journal line does to the table. A revoke, and what another generation takes away, stays as a row of its own:
 * a new journal repeats it. */
static enum hf_err replay_line(struct broker_table *t, const struct broker_line *l, bool same)
{
	if (l->verb > BROKER_REVOKE)
		return HF_E_TEXT;
	if (l->verb == BROKER_PUT && !same)
		return HF_E_OK;
	if (l->verb != BROKER_DEL || !same)
		return broker_table_put(t, &l->row);
	broker_table_del(t, l->row.id);
	return HF_E_OK;
}

/* Sets whole to the bytes of whole lines, and same to whether the journal continues the snapshot. */
static enum hf_err replay(struct broker_store *s, struct hf_span text, uint64_t *whole, bool *same)
{
	struct hf_span rest = text, line;
	struct broker_line l = {.verb = BROKER_RESET};
	enum hf_err err = HF_E_OK;
	bool ended = false;

	if (!broker_line_next(&rest, &line, &ended) || !ended || broker_line_parse(line, &l) != HF_E_OK ||
	    l.verb != BROKER_JOURNAL_HEAD)
		return HF_E_TEXT;
	*same = l.number == s->generation;
	*whole = text.len - rest.len;
	while (err == HF_E_OK && broker_line_next(&rest, &line, &ended) && ended) {
		err = broker_line_parse(line, &l);
		if (err == HF_E_OK)
			err = replay_line(&s->table, &l, *same);
		*whole = text.len - rest.len;
	}
	return err;
}

/* Nobody may come back because a file is damaged: whoever it named revoked could not be told from the rest. */
static enum hf_err open_journal(struct broker_store *s)
{
	uint8_t *data = NULL;
	size_t len = 0;
	uint64_t whole = 0;
	bool same = false;
	enum hf_err err = broker_file_read(s->journal.path, BROKER_JOURNAL_MAX + BROKER_JOURNAL_SPARE, &data, &len);

	if (err == HF_E_OK)
		err = replay(s, hf_span_of(data, len), &whole, &same);
	free(data);
	s->ready = err == HF_E_OK || err == HF_E_NOT_FOUND;
	if (!s->ready) {
		broker_table_release(&s->table);
		return err;
	}
	return same ? broker_journal_resume(&s->journal, whole)
	            : broker_journal_start(&s->journal, s->generation, &s->table);
}

enum hf_err broker_store_open(struct broker_store *s, const char *snapshot, const char *journal)
{
	enum hf_err err;

	*s = (struct broker_store){.lines = malloc(BROKER_PAYLOAD_MAX + 1)};
	broker_table_init(&s->table);
	broker_table_init(&s->fill);
	broker_journal_init(&s->journal, journal);
	if (!s->lines)
		return HF_E_MEMORY;
	err = open_snapshot(s, snapshot);
	return err == HF_E_OK ? open_journal(s) : err;
}

void broker_store_release(struct broker_store *s)
{
	broker_table_release(&s->table);
	broker_table_release(&s->fill);
	broker_journal_release(&s->journal);
	free(s->lines);
	s->lines = NULL;
}

/* --- apply --------------------------------------------------------------------------------------- */

/* What a payload asks for, found out before anything is changed. */
struct plan {
	bool reset, commit, grants, revokes;
	size_t rows; /* that its target table may need */
	struct hf_wr journal;
};

static enum hf_err plan_line(const struct broker_store *s, struct plan *p, const struct broker_line *l, size_t number)
{
	bool filling = s->filling || p->reset || l->verb == BROKER_RESET;

	if (p->commit || l->verb > BROKER_COMMIT)
		return HF_E_TEXT;
	if (l->verb == BROKER_RESET ? number != 0 : !filling && (l->verb == BROKER_COMMIT || !s->ready))
		return HF_E_STATE;
	p->reset |= l->verb == BROKER_RESET;
	p->commit |= l->verb == BROKER_COMMIT;
	p->grants |= l->verb == BROKER_PUT && !filling;
	p->revokes |= l->verb == BROKER_REVOKE;
	if (l->verb == BROKER_PUT || (l->verb == BROKER_REVOKE && filling))
		p->rows += p->reset || !broker_table_find(filling ? &s->fill : &s->table, l->row.id);
	return HF_E_OK;
}

/* Does the journal need this line? Rows of a fill come with its commit. */
static bool is_journaled(const struct broker_line *l, bool filling)
{
	return l->verb == BROKER_DEL || l->verb == BROKER_REVOKE || (l->verb == BROKER_PUT && !filling);
}

static enum hf_err make_plan(const struct broker_store *s, struct hf_span payload, struct plan *p)
{
	struct hf_span rest = payload, line;
	bool ended = false;

	if (payload.len == 0)
		return HF_E_INPUT;
	if (payload.len > BROKER_PAYLOAD_MAX)
		return HF_E_TOO_BIG;
	for (size_t n = 0; broker_line_next(&rest, &line, &ended); n++) {
		struct broker_line l;
		enum hf_err err = broker_line_parse(line, &l);

		if (err == HF_E_OK)
			err = plan_line(s, p, &l, n);
		if (err != HF_E_OK)
			return err;
		if (is_journaled(&l, s->filling || p->reset)) {
			hf_wr_put(&p->journal, line);
			hf_wr_text(&p->journal, "\n");
		}
	}
	return p->journal.err;
}

static enum hf_err take_away(struct broker_store *s, const struct broker_line *l, broker_kick *kick, void *ctx)
{
	enum hf_err err = HF_E_OK;

	broker_table_del(&s->table, l->row.id);
	if (s->filling && l->verb == BROKER_REVOKE)
		err = broker_table_put(&s->fill, &l->row); /* stays revoked whatever the fill still brings */
	else if (s->filling)
		broker_table_del(&s->fill, l->row.id);
	kick(ctx, l->row.id);
	return err;
}

static enum hf_err put(struct broker_store *s, const struct broker_line *l, broker_kick *kick, void *ctx)
{
	struct broker_table *t = s->filling ? &s->fill : &s->table;
	const struct broker_row *old = broker_table_find(t, l->row.id);
	bool other = old && old->role != l->row.role;
	enum hf_err err;

	if (s->filling && old && old->state == BROKER_REVOKED)
		return HF_E_OK;
	err = broker_table_put(t, &l->row);
	if (err == HF_E_OK && other && !s->filling)
		kick(ctx, l->row.id);
	return err;
}

/* Kicks whoever of the old table is gone, another kind, or joined no more. */
static void kick_changed(const struct broker_store *s, const struct broker_table *old, broker_kick *kick, void *ctx)
{
	for (size_t i = 0; i < old->cap; i++) {
		const struct broker_row *was = &old->row[i];
		const struct broker_row *is = was->id != 0 ? broker_table_get(&s->table, was->id) : NULL;

		if (was->id != 0 && (!is || is->role != was->role || is->state < was->state))
			kick(ctx, was->id);
	}
}

static enum hf_err commit(struct broker_store *s, uint64_t generation, broker_kick *kick, void *ctx)
{
	struct broker_table old = s->table;
	enum hf_err err;

	s->table = s->fill;
	broker_table_init(&s->fill);
	s->filling = false;
	s->ready = true;
	s->generation = generation;
	err = broker_journal_start(&s->journal, generation, &s->table);
	kick_changed(s, &old, kick, ctx);
	broker_table_release(&old);
	return err;
}

/* Gives and takes in the order of the lines; without grants only takes. Returns the first error, and goes on. */
static enum hf_err run(struct broker_store *s, struct hf_span payload, bool grants, broker_kick *kick, void *ctx)
{
	struct hf_span line;
	enum hf_err first = HF_E_OK;
	bool ended = false;

	while (broker_line_next(&payload, &line, &ended)) {
		struct broker_line l = {.verb = BROKER_RESET};
		enum hf_err err = broker_line_parse(line, &l);

		if (err == HF_E_OK && (l.verb == BROKER_DEL || l.verb == BROKER_REVOKE))
			err = take_away(s, &l, kick, ctx);
		else if (err == HF_E_OK && l.verb == BROKER_PUT && grants)
			err = put(s, &l, kick, ctx);
		else if (err == HF_E_OK && l.verb == BROKER_COMMIT && grants)
			err = commit(s, l.number, kick, ctx);
		if (first == HF_E_OK)
			first = err;
	}
	return first;
}

static void end_fill(struct broker_store *s)
{
	s->filling = false;
	broker_table_release(&s->fill);
}

static enum hf_err write_journal(struct broker_store *s, const struct plan *p)
{
	uint64_t max = BROKER_JOURNAL_MAX + (p->grants ? 0u : BROKER_JOURNAL_SPARE);

	if (p->journal.len == 0)
		return HF_E_OK;
	return broker_journal_append(&s->journal, hf_wr_span(&p->journal), max, p->revokes ? BROKER_SYNC : BROKER_LAZY);
}

enum hf_err broker_store_apply(struct broker_store *s, struct hf_span payload, broker_kick *kick, void *ctx)
{
	struct plan p = {.journal = hf_wr_of(s->lines, BROKER_PAYLOAD_MAX + 1)};
	enum hf_err err = make_plan(s, payload, &p), ran;

	if (err != HF_E_OK) {
		end_fill(s);
		return err;
	}
	if (p.reset) {
		end_fill(s);
		s->filling = true;
	}
	err = broker_table_reserve(s->filling ? &s->fill : &s->table, p.rows);
	if (err == HF_E_OK)
		err = write_journal(s, &p);
	ran = run(s, payload, err == HF_E_OK, kick, ctx);
	if (err == HF_E_OK)
		err = ran;
	if (err != HF_E_OK)
		end_fill(s);
	return err;
}
