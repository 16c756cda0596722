/* api - readings as JSON objects and lines of CSV. Uses: telemetry type os; jansson. */
#include "api/api_reading.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Digits after which every number of that size reads back as itself; fewer are tried first. */
enum { FLOAT_DIGITS = 6, DOUBLE_DIGITS = 15, DIGITS_MORE = 3 };

void api_reading_view_release(struct api_reading_view *v)
{
	for (size_t i = 0; i < API_READING_PROFILES; i++)
		free(v->profile[i]);
}

/* Kept, as every line asks; of more types than fit the oldest has to go. */
static const struct type_profile *profile_of(struct api_reading_view *v, struct db *db, const char *type)
{
	for (size_t i = 0; i < API_READING_PROFILES && v->profile[i]; i++)
		if (strcmp(v->profile[i]->name, type) == 0)
			return v->profile[i];
	struct type_profile **at = &v->profile[v->next++ % API_READING_PROFILES];

	if (!*at)
		*at = calloc(1, sizeof **at);
	return *at && type_get(db, type, *at) == HF_E_OK ? *at : NULL;
}

static const char *unit_of(struct api_reading_view *v, struct db *db, const struct telemetry_reading *r)
{
	const struct type_profile *p = profile_of(v, db, r->type[0] ? r->type : v->type);
	const struct type_data *d = p ? type_data_of(p, hf_span_text(r->name)) : NULL;

	return d ? d->unit : "";
}

/* From its bytes: a double would lose some of 64 bits. */
static int64_t whole_number(struct hf_span bytes)
{
	struct hf_rd r = hf_rd_of(bytes);
	uint64_t sign = UINT64_C(1) << (8 * bytes.len - 1);

	return (int64_t)((hf_rd_le(&r, (unsigned)bytes.len) ^ sign) - sign);
}

static bool is_whole(const struct telemetry_reading *r)
{
	return r->kind >= TYPE_INT8 && r->kind < TYPE_FLOAT && r->bytes.len > 0 && r->bytes.len <= 8;
}

static bool is_real(const struct telemetry_reading *r)
{
	return r->kind >= TYPE_FLOAT && r->kind < TYPE_KIND_COUNT_ && isfinite(r->number);
}

/* NULL when it is none, or not UTF-8. */
static json_t *text_json(const struct telemetry_reading *r)
{
	return r->kind == TYPE_TEXT ? json_stringn((const char *)r->bytes.ptr, r->bytes.len) : NULL;
}

static json_t *hex_json(struct hf_span bytes)
{
	char *text = malloc(2 * bytes.len + 1);
	struct hf_wr w = hf_wr_of(text, text ? 2 * bytes.len + 1 : 0);

	hf_wr_hex(&w, bytes);
	json_t *v = text ? json_stringn(text, w.len) : NULL;

	free(text);
	return v;
}

/* The value and, in *kind, what it is shown as. */
static json_t *value_json(const struct telemetry_reading *r, const char **kind)
{
	json_t *v = is_whole(r)  ? json_integer((json_int_t)whole_number(r->bytes))
	            : is_real(r) ? json_real(r->number)
	                         : text_json(r);

	*kind = type_kind_name(v ? r->kind : TYPE_BYTES);
	return v ? v : hex_json(r->bytes);
}

json_t *api_reading_json(struct api_reading_view *v, struct db *db, const struct telemetry_reading *r)
{
	char device[HF_ID_TEXT_MAX];
	const char *kind = NULL;
	json_t *value = value_json(r, &kind);

	hf_id_text(r->device, device);
	return json_pack("{s:I, s:I, s:s, s:s, s:s, s:o, s:s}", "cursor", (json_int_t)r->cursor, "at_ms",
	                 (json_int_t)r->at_ms, "device", device, "data", r->name, "kind", kind, "value", value, "unit",
	                 unit_of(v, db, r));
}

static int on_json(const char *text, size_t len, void *ctx)
{
	os_buf_put(ctx, hf_span_of(text, len));
	return 0;
}

void api_reading_jsonl(struct api_reading_view *v, struct db *db, const struct telemetry_reading *r, struct os_buf *out)
{
	json_t *row = api_reading_json(v, db, r);

	if (row)
		(void)json_dump_callback(row, on_json, out, JSON_COMPACT);
	else
		out->err = HF_E_MEMORY;
	json_decref(row);
	os_buf_text(out, "\n");
}

/* Text comes from devices. One that begins so would be run by the spreadsheet that opens the file. */
static bool is_formula(struct hf_span text)
{
	return text.len > 0 && memchr("=+-@\t\r", text.ptr[0], 6);
}

static void csv_text(struct os_buf *out, struct hf_span text)
{
	bool quoted = false;

	for (size_t i = 0; i < text.len && !quoted; i++)
		quoted = memchr(",\"\r\n", text.ptr[i], 4) != NULL;
	if (quoted)
		os_buf_text(out, "\"");
	if (is_formula(text))
		os_buf_text(out, "'");
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '"')
			os_buf_text(out, "\"");
		os_buf_put(out, hf_span_of(text.ptr + i, 1));
	}
	if (quoted)
		os_buf_text(out, "\"");
}

/* The shortest form that reads back as the same number. */
static void csv_real(struct os_buf *out, const struct telemetry_reading *r)
{
	char text[40];
	bool single = r->kind == TYPE_FLOAT;
	int digits = single ? FLOAT_DIGITS : DOUBLE_DIGITS, most = digits + DIGITS_MORE;

	do
		(void)snprintf(text, sizeof text, "%.*g", digits, r->number);
	while (digits++ < most && (single ? (double)strtof(text, NULL) : strtod(text, NULL)) != r->number);
	os_buf_text(out, text);
}

static void csv_value(struct os_buf *out, const struct telemetry_reading *r)
{
	const char *kind = NULL;

	if (is_whole(r) || is_real(r)) {
		os_buf_format(out, ",%s,", type_kind_name(r->kind));
		if (is_whole(r))
			os_buf_format(out, "%lld", (long long)whole_number(r->bytes));
		else
			csv_real(out, r);
		return;
	}
	json_t *v = value_json(r, &kind);

	os_buf_format(out, ",%s,", kind);
	csv_text(out, hf_span_of(json_string_value(v), json_string_length(v)));
	json_decref(v);
}

void api_reading_csv_head(struct os_buf *out)
{
	os_buf_text(out, "time,at_ms,device,data,kind,value,unit,cursor\r\n");
}

void api_reading_csv(struct api_reading_view *v, struct db *db, const struct telemetry_reading *r, struct os_buf *out)
{
	char time[OS_TIME_TEXT_MAX], device[HF_ID_TEXT_MAX];

	os_time_ms_text(r->at_ms, time);
	hf_id_text(r->device, device);
	os_buf_format(out, "%s,%lld,%s,", time, (long long)r->at_ms, device);
	csv_text(out, hf_span_text(r->name));
	csv_value(out, r);
	os_buf_text(out, ",");
	csv_text(out, hf_span_text(unit_of(v, db, r)));
	os_buf_format(out, ",%lld\r\n", (long long)r->cursor);
}
