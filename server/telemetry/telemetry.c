/* telemetry - readings. Uses: base os db facts type alert. */
#include "telemetry/telemetry.h"

#include "alert/alert.h"

#include <math.h>
#include <string.h>

/* How many cursors one step looks at. */
enum { STRETCH_MIN = 1024, STRETCH_MAX = 1 << 18 };

/* How many bytes a kind has on the wire, 0 = any; whole = it is an integer. */
struct kind_row {
	unsigned width;
	bool whole;
};
static const struct kind_row kinds[TYPE_KIND_COUNT_] = {
	[TYPE_INT8] = {1, true},  [TYPE_INT16] = {2, true},  [TYPE_INT32] = {4, true},
	[TYPE_INT64] = {8, true}, [TYPE_FLOAT] = {4, false}, [TYPE_DOUBLE] = {8, false},
};

static double whole_number(uint64_t v, unsigned width)
{
	uint64_t sign = UINT64_C(1) << (8 * width - 1);

	return (double)(int64_t)((v ^ sign) - sign);
}

static double real_number(uint64_t v, unsigned width)
{
	uint32_t half = (uint32_t)v;
	float f;
	double d;

	memcpy(&f, &half, sizeof f);
	memcpy(&d, &v, sizeof d);
	return width == sizeof f ? (double)f : d;
}

bool telemetry_number(enum type_kind kind, struct hf_span value, double *out)
{
	const struct kind_row *k = &kinds[kind];
	struct hf_rd r = hf_rd_of(value);

	if (k->width == 0 || value.len != k->width)
		return false;
	uint64_t v = hf_rd_le(&r, k->width);

	*out = k->whole ? whole_number(v, k->width) : real_number(v, k->width);
	return true;
}

enum hf_err telemetry_encode(enum type_kind kind, double number, struct hf_wr *out)
{
	const struct kind_row *k = &kinds[kind];
	float f = (float)number;
	uint32_t half;
	uint64_t bits;

	if (k->width == 0 || !isfinite(number) || (k->width == sizeof f && !k->whole && !isfinite(f)))
		return HF_E_INPUT;
	if (k->whole) {
		double limit = ldexp(1.0, (int)(8 * k->width - 1));

		if (number != floor(number) || number < -limit || number >= limit)
			return HF_E_INPUT;
		bits = (uint64_t)(int64_t)number;
	} else if (k->width == sizeof f) {
		memcpy(&half, &f, sizeof half);
		bits = half;
	} else {
		memcpy(&bits, &number, sizeof bits);
	}
	hf_wr_le(out, bits, k->width);
	return out->err;
}

static bool printable(struct hf_span name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.ptr[i] < 0x20 || name.ptr[i] > 0x7e)
			return false;
	return name.len > 0 && name.len < TELEMETRY_NAME_MAX;
}

static enum hf_err series_of(struct db *db, uint64_t device, struct hf_span name, int64_t *id)
{
	int64_t count = 0;
	enum hf_err err = db_get_int(db, DB_SERIES_GET, DB_ARGS(db_id(device), db_span(name)), 0, id);

	if (err != HF_E_OK || *id != 0)
		return err;
	err = db_get_int(db, DB_SERIES_COUNT, DB_ARGS(db_id(device)), 0, &count);
	if (err == HF_E_OK && count >= TELEMETRY_SERIES_MAX)
		err = HF_E_FULL;
	if (err == HF_E_OK)
		err = db_exec(db, DB_SERIES_ADD, DB_ARGS(db_id(device), db_span(name)), NULL);
	if (err == HF_E_OK)
		*id = db_last_key(db);
	return err;
}

static enum hf_err judge_alarm(struct db *db, struct facts *f, uint64_t device, double number)
{
	if (number != 0)
		return alert_raise(db, f, device, "alarm", "the device reports an alarm");
	return alert_clear_kind(db, f, device, "alarm", "device");
}

enum hf_err telemetry_store(struct db *db, struct facts *f, uint64_t device, const struct type_profile *p,
                            const struct telemetry_sample *s)
{
	const struct type_data *d = type_data_of(p, s->name);
	enum type_kind kind = d && !d->from_server ? d->kind : TYPE_BYTES;
	double number = 0;
	bool numeric = telemetry_number(kind, s->value, &number);
	int64_t series = 0;

	if (!printable(s->name))
		return HF_E_INPUT;
	if (!numeric && kind != TYPE_TEXT)
		kind = TYPE_BYTES;
	enum hf_err err = series_of(db, device, s->name, &series);

	if (err == HF_E_OK)
		err = db_exec(db, DB_READING_ADD,
		              DB_ARGS(db_int(series), db_int(s->at_ms), db_text(type_kind_name(kind)),
		                      numeric && isfinite(number) ? db_real(number) : db_null(), db_bytes(s->value)),
		              NULL);
	if (err == HF_E_OK && numeric && hf_span_equal(s->name, hf_span_text("ALARM")))
		err = judge_alarm(db, f, device, number);
	if (err == HF_E_OK)
		facts_emit(f, FACTS_READING, device);
	return err;
}

bool telemetry_done(const struct telemetry_scan *s)
{
	return s->after >= s->upto;
}

/* The stretch that comes next: (low, high]. */
struct stretch {
	int64_t low, high;
};
static struct stretch next_stretch(struct telemetry_scan *s)
{
	struct stretch t = {s->after, s->upto};

	if (s->width == 0)
		s->width = STRETCH_MIN;
	if (s->upto - s->after > s->width && s->newest_first)
		t.low = s->upto - s->width;
	else if (s->upto - s->after > s->width)
		t.high = s->after + s->width;
	return t;
}

/* What was looked at is done with; the next stretch is wider where little was found, and narrower where too much was. */
static void move_on(struct telemetry_scan *s, struct stretch t, int64_t found, int64_t max, int64_t last)
{
	bool full = found >= max;

	if (s->newest_first)
		s->upto = full ? last - 1 : t.low;
	else
		s->after = full ? last : t.high;
	if (full && s->width > STRETCH_MIN)
		s->width /= 2;
	else if (found < max / 4 && s->width < STRETCH_MAX)
		s->width *= 2;
}

enum hf_err telemetry_step(struct db *db, struct telemetry_scan *s, int64_t max,
                           void (*each)(void *ctx, const struct telemetry_reading *r), void *ctx)
{
	if (telemetry_done(s))
		return HF_E_OK;
	struct stretch t = next_stretch(s);
	enum db_query q = s->device == 0 ? DB_READING_OF_TYPE : s->newest_first ? DB_READING_DOWN : DB_READING_UP;
	DB_ROWS_SCOPED rows =
		db_select(db, q,
	              DB_ARGS(s->device ? db_id(s->device) : db_text(s->type), db_text(s->series), db_int(t.low),
	                      db_int(t.high), db_int(s->since_ms), db_int(s->until_ms), db_int(max)));
	int64_t found = 0, last = 0;

	for (; db_step(&rows); found++) {
		char kind[16];
		struct telemetry_reading r = {.cursor = db_col_int(&rows, 0),
		                              .at_ms = db_col_int(&rows, 1),
		                              .number = db_col_null(&rows, 4) ? NAN : db_col_real(&rows, 4),
		                              .bytes = db_col_span(&rows, 5),
		                              .device = db_col_id(&rows, 6)};

		db_col_text(&rows, 2, r.name, sizeof r.name);
		db_col_text(&rows, 3, kind, sizeof kind);
		db_col_text(&rows, 7, r.type, sizeof r.type);
		r.kind = type_kind_named(kind);
		last = r.cursor;
		each(ctx, &r);
	}
	if (rows.err == HF_E_OK)
		move_on(s, t, found, max, last);
	return rows.err;
}

enum hf_err telemetry_last(struct db *db, int64_t *cursor)
{
	return db_get_int(db, DB_READING_LAST, NULL, 0, 0, cursor);
}

enum hf_err telemetry_oldest(struct db *db, int64_t *at_ms)
{
	return db_get_int(db, DB_READING_FIRST, NULL, 0, 0, at_ms);
}
