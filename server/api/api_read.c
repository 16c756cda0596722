/* api - readings out: lists, long polls and exports, read by the worker, so that a long search holds nobody else up.
 * Uses: telemetry type registry worker http; jansson. */
#include "api/api_internal.h"
#include "api/api_reading.h"

#include "registry/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	EXPORTS_MAX = 16, /* at a time */
	PIECE_LEN = 65536, /* an export hands on its text when it has so much */
	PIECE_MAX = 1024 * 1024, /* the longest reading fits behind that */
	STEP_ROWS = 256
};

/* One request for readings; the worker's while it runs. */
struct reader {
	struct worker_job job; /* first */
	struct api *a;
	struct http_call *call;
	struct account_caller caller;
	struct telemetry_scan scan;
	struct api_reading_view view;
	enum hf_err err;
	/* A list: */
	enum { READER_ASKED, READER_ANSWERED, READER_PARKED } state;
	json_t *list;
	int64_t cursor, limit, deadline_ms;
	bool again; /* something new came while it was read */
	/* An export: */
	const struct format *format;
	struct os_buf piece;
	bool begun;
};

struct format {
	const char *name, *content_type;
	void (*head)(struct os_buf *out);
	void (*row)(struct api_reading_view *v, struct db *db, const struct telemetry_reading *r, struct os_buf *out);
};
static const struct format formats[] = {
	{"csv", "text/csv; charset=utf-8; header=present", api_reading_csv_head, api_reading_csv},
	{"jsonl", "application/jsonl", NULL, api_reading_jsonl},
};

/* --- in the worker's thread ------------------------------------------------------------------------------------------------- */

struct row_ctx {
	struct reader *r;
	struct db *db;
};

/* What there is when it begins is what it ends with. A long poll asks anew each time. */
static enum hf_err find_end(struct reader *r, struct db *db)
{
	if (r->begun)
		return HF_E_OK;
	r->begun = true;
	return telemetry_last(db, &r->scan.upto);
}

static void list_row(void *ctx, const struct telemetry_reading *row)
{
	struct row_ctx *x = ctx;
	struct reader *r = x->r;

	if (row->cursor > r->cursor)
		r->cursor = row->cursor;
	if (json_array_append_new(r->list, api_reading_json(&r->view, x->db, row)) != 0)
		r->err = HF_E_MEMORY;
}

static int64_t rows_left(const struct reader *r)
{
	return r->limit - (int64_t)json_array_size(r->list);
}

static bool list_done(const struct reader *r)
{
	return r->err != HF_E_OK || rows_left(r) <= 0 || telemetry_done(&r->scan);
}

static void run_list(struct worker_job *j, struct db *db)
{
	struct reader *r = (struct reader *)j;
	struct row_ctx x = {r, db};
	int64_t end = os_monotonic_ms() + WORKER_SLICE_MS;

	if (r->err == HF_E_OK)
		r->err = find_end(r, db);
	while (!list_done(r) && os_monotonic_ms() < end) {
		enum hf_err err = telemetry_step(db, &r->scan, rows_left(r), list_row, &x);

		if (err != HF_E_OK)
			r->err = err;
	}
}

static void export_row(void *ctx, const struct telemetry_reading *row)
{
	struct row_ctx *x = ctx;

	if (x->r->scan.device == 0 && !account_may(&x->r->caller, ACCOUNT_VIEW, row->device))
		return;
	x->r->format->row(&x->r->view, x->db, row, &x->r->piece);
	x->r->cursor = row->cursor;
}

static void run_export(struct worker_job *j, struct db *db)
{
	struct reader *r = (struct reader *)j;
	struct row_ctx x = {r, db};
	int64_t end = os_monotonic_ms() + WORKER_SLICE_MS;

	r->piece.len = 0;
	if (!r->begun && r->format->head)
		r->format->head(&r->piece);
	r->err = find_end(r, db);
	while (r->err == HF_E_OK && !telemetry_done(&r->scan) && r->piece.len < PIECE_LEN && os_monotonic_ms() < end) {
		r->err = telemetry_step(db, &r->scan, STEP_ROWS, export_row, &x);
		if (r->err == HF_E_OK)
			r->err = r->piece.err;
	}
}

/* --- in the loop ------------------------------------------------------------------------------------------------------------ */

static void release(struct worker_job *j)
{
	struct reader *r = (struct reader *)j;

	json_decref(r->list);
	os_buf_release(&r->piece);
	api_reading_view_release(&r->view);
	free(r);
}

/* The call ends, answered or not. */
static void free_reader(void *state)
{
	struct reader *r = state;

	r->a->exports -= r->format != NULL;
	worker_drop(r->a->worker, &r->job);
}

/* ?name= in ms since 1970; before that it is negative. */
static enum hf_err read_time(struct api_call *c, const char *name, int64_t *out)
{
	const char *text = http_query(c->http, name);
	bool before = text && text[0] == '-';
	uint64_t v = 0;

	if (!text)
		return HF_E_OK;
	if (hf_dec_parse(hf_span_text(text + before), &v) != HF_E_OK || v > INT64_MAX)
		return api_refuse(c, HF_E_INPUT, "?%s= must be a whole number of milliseconds since 1970", name);
	*out = before ? -(int64_t)v : (int64_t)v;
	return HF_E_OK;
}

static enum hf_err read_name(struct api_call *c, const char *name, char *out, size_t cap)
{
	const char *text = http_query(c->http, name);

	if (text && strlen(text) >= cap)
		return api_refuse(c, HF_E_INPUT, "?%s= is longer than %zu characters", name, cap - 1);
	snprintf(out, cap, "%s", text ? text : "");
	return HF_E_OK;
}

/* What lists and exports have in common. */
static enum hf_err read_which(struct api_call *c, struct telemetry_scan *s)
{
	s->device = c->device;
	s->since_ms = INT64_MIN;
	s->until_ms = INT64_MAX;
	enum hf_err err = read_name(c, "series", s->series, sizeof s->series);

	if (err == HF_E_OK)
		err = read_time(c, "since_ms", &s->since_ms);
	return err == HF_E_OK ? read_time(c, "until_ms", &s->until_ms) : err;
}

/* The call owns the reader from here on. */
static enum hf_err reader_new(struct api_call *c, struct reader **out)
{
	struct reader *r = calloc(1, sizeof *r);
	struct registry_identity i = {0};

	if (!r)
		return HF_E_MEMORY;
	*r = (struct reader){.a = c->a, .call = c->http, .caller = *c->caller, .piece = os_buf_of(PIECE_MAX)};
	r->job.release = release;
	c->http->state = r;
	c->http->free_state = free_reader;
	*out = r;
	enum hf_err err = c->device ? registry_get(c->a->db, c->device, &i) : HF_E_OK;

	snprintf(r->view.type, sizeof r->view.type, "%s", i.type);
	return err == HF_E_OK ? read_which(c, &r->scan) : err;
}

/* --- lists and long polls */

static void list_read(struct worker_job *j)
{
	struct reader *r = (struct reader *)j;

	if (!list_done(r)) {
		worker_again(r->a->worker, j);
		return;
	}
	r->state = READER_ANSWERED;
	http_wake(r->call);
}

static enum hf_err list_start(struct api_call *c, struct reader **out)
{
	int64_t wait_ms = 0;
	struct reader *r;
	enum hf_err err = reader_new(c, &r);

	if (err == HF_E_OK)
		err = api_number(c, "after", 0, INT64_MAX, &r->scan.after);
	if (err == HF_E_OK)
		err = api_number(c, "limit", API_LIST_DEFAULT, TELEMETRY_LIMIT_MAX, &r->limit);
	if (err == HF_E_OK)
		err = api_number(c, "wait_ms", 0, API_WAIT_MAX_MS, &wait_ms);
	if (err != HF_E_OK)
		return err;
	r->job.run = run_list;
	r->job.done = list_read;
	r->scan.newest_first = http_query(c->http, "after") == NULL;
	r->cursor = r->scan.after;
	r->deadline_ms = os_monotonic_ms() + wait_ms;
	r->list = json_array();
	c->http->wake_mask = api_wake_bit(FACTS_READING, c->device);
	*out = r;
	return r->list ? HF_E_OK : HF_E_MEMORY;
}

static enum hf_err list_ask(struct api_call *c, struct reader *r)
{
	r->state = READER_ASKED;
	r->again = r->begun = false;
	c->http->deadline_ms = INT64_MAX; /* it comes back by itself */
	c->wait = true;
	return worker_submit(c->a->worker, &r->job);
}

/* Newest first as it was read, oldest first as it is shown. */
static json_t *reversed(const json_t *list)
{
	json_t *out = json_array();

	for (size_t i = json_array_size(list); i > 0; i--)
		json_array_append(out, json_array_get(list, i - 1));
	return out;
}

static enum hf_err list_answer(struct api_call *c, struct reader *r)
{
	json_t *list = r->scan.newest_first ? reversed(r->list) : json_incref(r->list);

	return api_reply(c, 200, json_pack("{s:o, s:I}", "readings", list, "cursor", (json_int_t)r->cursor));
}

/* Called for the first time, by the worker's answer, by a new reading of the device, and at the deadline. */
enum hf_err api_data_list(struct api_call *c)
{
	struct reader *r = c->http->state;

	if (!r) {
		enum hf_err err = list_start(c, &r);

		return err == HF_E_OK ? list_ask(c, r) : err;
	}
	if (r->state == READER_ASKED) {
		r->again = c->wait = true;
		return HF_E_OK;
	}
	if (r->err != HF_E_OK)
		return r->err;
	if (json_array_size(r->list) > 0 || os_monotonic_ms() >= r->deadline_ms)
		return list_answer(c, r);
	if (r->state == READER_PARKED || r->again)
		return list_ask(c, r);
	r->state = READER_PARKED;
	c->http->deadline_ms = r->deadline_ms;
	c->wait = true;
	return HF_E_OK;
}

/* --- exports */

static void export_read(struct worker_job *j)
{
	struct reader *r = (struct reader *)j;
	bool end = telemetry_done(&r->scan);

	if (r->err == HF_E_OK && !end && r->piece.len == 0)
		worker_again(r->a->worker, j);
	else
		http_piece(r->call, os_buf_span(&r->piece), r->err != HF_E_OK ? HTTP_BROKEN : end ? HTTP_LAST : HTTP_MORE);
}

static void export_more(struct http_call *call)
{
	struct reader *r = call->state;

	worker_again(r->a->worker, &r->job);
}

static const struct format *find_format(const char *name)
{
	for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
		if (strcmp(name ? name : "csv", formats[i].name) == 0)
			return &formats[i];
	return NULL;
}

enum hf_err api_data_export(struct api_call *c)
{
	char device[HF_ID_TEXT_MAX];
	const struct format *format = find_format(http_query(c->http, "format"));
	struct reader *r;
	enum hf_err err = reader_new(c, &r);

	if (!format)
		return api_refuse(c, HF_E_INPUT, "?format= must be csv or jsonl");
	if (err == HF_E_OK)
		err = read_name(c, "type", r->scan.type, sizeof r->scan.type);
	if (err == HF_E_OK && c->a->exports >= EXPORTS_MAX) {
		c->a->exports_refused++;
		err = api_refuse(c, HF_E_FULL, "%d exports are under way; try again when one has ended", EXPORTS_MAX);
	}
	if (err != HF_E_OK)
		return err;
	r->job.run = run_export;
	r->job.done = export_read;
	r->format = format;
	c->a->exports++;
	hf_id_text(c->device, device);
	snprintf(c->http->file_name, sizeof c->http->file_name, "holdfast-%s.%s", c->device ? device : "readings",
	         format->name);
	(void)http_stream(c->http, format->content_type, export_more);
	return HF_E_OK;
}
