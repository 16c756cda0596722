/* telemetry - readings. Uses: base os db facts type alert. */
#include "telemetry/telemetry.h"

#include "alert/alert.h"

#include <math.h>
#include <string.h>

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

enum hf_err telemetry_list(struct db *db, const struct telemetry_query *q,
                           bool (*each)(void *ctx, const struct telemetry_reading *r), void *ctx)
{
	struct db_rows rows = q->has_after ? db_select(db, DB_READING_AFTER,
	                                               DB_ARGS(db_id(q->device), db_text(q->series), db_int(q->after),
	                                                       db_int(q->since_ms), db_int(q->until_ms), db_int(q->limit)))
	                                   : db_select(db, DB_READING_NEWEST,
	                                               DB_ARGS(db_id(q->device), db_text(q->series), db_int(q->since_ms),
	                                                       db_int(q->until_ms), db_int(q->limit)));
	bool more = true;

	while (more && db_step(&rows)) {
		char kind[16];
		struct telemetry_reading r = {.cursor = db_col_int(&rows, 0),
		                              .at_ms = db_col_int(&rows, 1),
		                              .number = db_col_null(&rows, 4) ? NAN : db_col_real(&rows, 4),
		                              .bytes = db_col_span(&rows, 5)};

		db_col_text(&rows, 2, r.name, sizeof r.name);
		db_col_text(&rows, 3, kind, sizeof kind);
		r.kind = type_kind_named(kind);
		more = each(ctx, &r);
	}
	return db_finish(&rows);
}
