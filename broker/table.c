/* broker - rows by id, the grammar of lines, client ids. Uses: base, wire; Linux for a random seed. */
#include "broker/table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { CAP_MIN = 64, SERVER_WORD_MAX = 24 };

void broker_table_init(struct broker_table *t)
{
	*t = (struct broker_table){0};
	if (getrandom(&t->seed, sizeof t->seed, GRND_NONBLOCK) != (ssize_t)sizeof t->seed)
		t->seed = 0x9e3779b97f4a7c15; /* slower under attack, never wrong */
}

void broker_table_release(struct broker_table *t)
{
	free(t->row);
	*t = (struct broker_table){.seed = t->seed};
}

/* Where the search for id begins. Source: the finaliser of splitmix64. */
static size_t home(const struct broker_table *t, uint64_t id)
{
	uint64_t x = id ^ t->seed;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return (size_t)(x ^ x >> 31) & (t->cap - 1);
}

/* The place of id, or the empty one where it belongs. cap > count, so there is one. */
static struct broker_row *place(const struct broker_table *t, uint64_t id)
{
	size_t i = home(t, id);

	while (t->row[i].id != 0 && t->row[i].id != id)
		i = (i + 1) & (t->cap - 1);
	return &t->row[i];
}

enum hf_err broker_table_reserve(struct broker_table *t, size_t more)
{
	struct broker_table bigger = *t;

	if (more > BROKER_TABLE_MAX || t->count + more > BROKER_TABLE_MAX)
		return HF_E_FULL;
	bigger.cap = t->cap ? t->cap : CAP_MIN;
	while (bigger.cap / 4 * 3 < t->count + more)
		bigger.cap *= 2;
	if (bigger.cap == t->cap)
		return HF_E_OK;
	bigger.row = calloc(bigger.cap, sizeof *bigger.row);
	if (!bigger.row)
		return HF_E_MEMORY;
	for (size_t i = 0; i < t->cap; i++)
		if (t->row[i].id != 0)
			*place(&bigger, t->row[i].id) = t->row[i];
	free(t->row);
	*t = bigger;
	return HF_E_OK;
}

enum hf_err broker_table_put(struct broker_table *t, const struct broker_row *row)
{
	bool fresh = broker_table_find(t, row->id) == NULL;
	enum hf_err err = broker_table_reserve(t, fresh);

	if (err != HF_E_OK)
		return err;
	*place(t, row->id) = *row;
	t->count += fresh;
	return HF_E_OK;
}

void broker_table_del(struct broker_table *t, uint64_t id)
{
	size_t hole, i;

	if (!broker_table_find(t, id))
		return;
	hole = (size_t)(place(t, id) - t->row);
	t->count--;
	/* What was pushed past the hole moves back into it. */
	for (i = (hole + 1) & (t->cap - 1); t->row[i].id != 0; i = (i + 1) & (t->cap - 1)) {
		size_t from = home(t, t->row[i].id);

		if (((i - from) & (t->cap - 1)) < ((i - hole) & (t->cap - 1)))
			continue;
		t->row[hole] = t->row[i];
		hole = i;
	}
	t->row[hole] = (struct broker_row){0};
}

const struct broker_row *broker_table_find(const struct broker_table *t, uint64_t id)
{
	const struct broker_row *row = t->count ? place(t, id) : NULL;

	return row && row->id == id ? row : NULL;
}

const struct broker_row *broker_table_get(const struct broker_table *t, uint64_t id)
{
	const struct broker_row *row = broker_table_find(t, id);

	return row && row->state != BROKER_REVOKED ? row : NULL;
}

static bool known(void *ctx, uint64_t id)
{
	return broker_table_get(ctx, id) != NULL;
}

static bool controls(void *ctx, uint64_t server, uint64_t device)
{
	const struct broker_row *row = broker_table_get(ctx, device);

	return row && row->role == HF_WIRE_R_DEVICE && row->state == HF_WIRE_S_JOINED && row->controller == server;
}

struct hf_wire_rights broker_table_rights(struct broker_table *t)
{
	return (struct hf_wire_rights){t, known, controls};
}

/* --- lines --------------------------------------------------------------------------------------- */

static const struct form {
	const char *pattern; /* words with one space between; {id} {server} {number} are places */
	uint8_t verb, role, state;
} forms[] = {
	{"put {id} device registered -", BROKER_PUT, HF_WIRE_R_DEVICE, HF_WIRE_S_REGISTERED},
	{"put {id} device joined {server}", BROKER_PUT, HF_WIRE_R_DEVICE, HF_WIRE_S_JOINED},
	{"put {id} server joined -", BROKER_PUT, HF_WIRE_R_SERVER, HF_WIRE_S_JOINED},
	{"put {id} reference joined -", BROKER_PUT, HF_WIRE_R_REFERENCE, HF_WIRE_S_JOINED},
	{"del {id}", BROKER_DEL, 0, 0},
	{"revoke {id}", BROKER_REVOKE, 0, BROKER_REVOKED},
	{"reset", BROKER_RESET, 0, 0},
	{"commit {number}", BROKER_COMMIT, 0, 0},
	{"holdfast-table 1 {number}", BROKER_TABLE_HEAD, 0, 0},
	{"end {number}", BROKER_TABLE_END, 0, 0},
	{"holdfast-journal 1 {number}", BROKER_JOURNAL_HEAD, 0, 0},
};

/* Takes the bytes before the next sep, and sep itself, off rest. */
static struct hf_span take_until(struct hf_span *rest, uint8_t sep, bool *ended)
{
	const uint8_t *at = rest->len ? memchr(rest->ptr, sep, rest->len) : NULL;
	size_t len = at ? (size_t)(at - rest->ptr) : rest->len;
	struct hf_span word = hf_span_of(rest->ptr, len);

	*ended = at != NULL;
	*rest = hf_span_of(rest->ptr + len + *ended, rest->len - len - *ended);
	return word;
}

static bool read_place(struct hf_span name, struct hf_span text, struct broker_line *out)
{
	if (hf_span_equal(name, hf_span_text("{id}")))
		return hf_id_parse(text, &out->row.id) == HF_E_OK;
	if (hf_span_equal(name, hf_span_text("{server}")))
		return hf_id_parse(text, &out->row.controller) == HF_E_OK;
	return hf_dec_parse(text, &out->number) == HF_E_OK;
}

static bool match(const struct form *form, struct hf_span text, struct broker_line *out)
{
	struct hf_span pattern = hf_span_text(form->pattern);
	bool more = true, expected = true;

	*out = (struct broker_line){.verb = form->verb, .row = {.role = form->role, .state = form->state}};
	while (expected && more) {
		struct hf_span want = take_until(&pattern, ' ', &expected), word = take_until(&text, ' ', &more);

		if (want.ptr[0] == '{' ? !read_place(want, word, out) : !hf_span_equal(want, word))
			return false;
	}
	return !expected && !more;
}

enum hf_err broker_line_parse(struct hf_span text, struct broker_line *out)
{
	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
		struct broker_line line;

		if (match(&forms[i], text, &line)) {
			*out = line;
			return HF_E_OK;
		}
	}
	return HF_E_TEXT;
}

bool broker_line_next(struct hf_span *rest, struct hf_span *line, bool *ended)
{
	if (rest->len == 0)
		return false;
	*line = take_until(rest, '\n', ended);
	return true;
}

/* --- client ids ---------------------------------------------------------------------------------- */

/* What is left of text after prefix; ptr NULL if it does not begin so. */
static struct hf_span after(struct hf_span text, struct hf_span prefix)
{
	if (text.len < prefix.len || memcmp(text.ptr, prefix.ptr, prefix.len) != 0)
		return hf_span_of(NULL, 0);
	return hf_span_of(text.ptr + prefix.len, text.len - prefix.len);
}

static bool is_word(struct hf_span s)
{
	if (s.len < 1 || s.len > SERVER_WORD_MAX)
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!(s.ptr[i] >= 'a' && s.ptr[i] <= 'z') && !(s.ptr[i] >= '0' && s.ptr[i] <= '9') && s.ptr[i] != '-')
			return false;
	return true;
}

bool broker_client_id_fits(enum hf_wire_role role, uint64_t id, struct hf_span client_id)
{
	char text[HF_ID_TEXT_MAX];
	struct hf_span rest;

	hf_id_text(id, text);
	if (role == HF_WIRE_R_SERVER) {
		rest = after(client_id, hf_span_text(text));
		rest = rest.ptr ? after(rest, hf_span_text("/")) : rest;
		return rest.ptr && is_word(rest);
	}
	rest = after(client_id, hf_span_text("SRUP Client: "));
	return hf_span_equal(rest.ptr ? rest : client_id, hf_span_text(text));
}
