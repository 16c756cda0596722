/* airmonitor - settings that the server sends, how they are kept, and numbers as SRUP writes them. */
#include "devices/airmonitor/airmonitor.h"

#include <math.h>
#include <string.h>

enum { INTERVAL_MIN_MS = 100, INTERVAL_MAX_MS = 86400000, VERSION = 1 };
#define LIMIT_MAX 10000.0

static uint64_t bits_of(double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof bits);
	return bits;
}

static double double_of(uint64_t bits)
{
	double v;

	memcpy(&v, &bits, sizeof v);
	return v;
}

void airmonitor_put_double(struct hf_wr *w, double v)
{
	hf_wr_le(w, bits_of(v), 8);
}

void airmonitor_put_int32(struct hf_wr *w, int32_t v)
{
	hf_wr_le(w, (uint32_t)v, 4);
}

static enum hf_err set_limit(struct airmonitor_settings *s, double limit)
{
	if (!isfinite(limit) || limit <= 0 || limit > LIMIT_MAX)
		return HF_E_INPUT;
	s->pm25_limit = limit;
	return HF_E_OK;
}

static enum hf_err set_interval(struct airmonitor_settings *s, int64_t interval_ms)
{
	if (interval_ms < INTERVAL_MIN_MS || interval_ms > INTERVAL_MAX_MS)
		return HF_E_INPUT;
	s->interval_ms = interval_ms;
	return HF_E_OK;
}

static enum hf_err take_limit(struct airmonitor_settings *s, uint64_t raw)
{
	return set_limit(s, double_of(raw));
}

static enum hf_err take_interval(struct airmonitor_settings *s, uint64_t raw)
{
	return raw > INT32_MAX ? HF_E_INPUT : set_interval(s, (int64_t)raw * 1000);
}

struct setting_row {
	const char *data_id;
	unsigned size;
	enum hf_err (*take)(struct airmonitor_settings *s, uint64_t raw);
};
static const struct setting_row rows[] = {
	{"PM25-LIMIT", 8, take_limit}, /* double, µg/m³ */
	{"INTERVAL", 4, take_interval}, /* int32, s */
};

enum hf_err airmonitor_settings_take(struct airmonitor_settings *s, struct hf_span data_id, struct hf_span data)
{
	struct hf_rd r = hf_rd_of(data);

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		if (!hf_span_equal(hf_span_text(rows[i].data_id), data_id))
			continue;
		uint64_t raw = hf_rd_le(&r, rows[i].size);

		return hf_rd_finish(&r) == HF_E_OK ? rows[i].take(s, raw) : HF_E_INPUT;
	}
	return HF_E_NOT_FOUND;
}

void airmonitor_settings_encode(const struct airmonitor_settings *s, struct hf_wr *out)
{
	hf_wr_be(out, VERSION, 1);
	hf_wr_be(out, bits_of(s->pm25_limit), 8);
	hf_wr_be(out, (uint64_t)s->interval_ms, 8);
}

enum hf_err airmonitor_settings_decode(struct airmonitor_settings *s, struct hf_span in)
{
	struct hf_rd r = hf_rd_of(in);
	struct airmonitor_settings kept = *s;
	uint64_t version = hf_rd_be(&r, 1), limit = hf_rd_be(&r, 8), interval_ms = hf_rd_be(&r, 8);

	if (hf_rd_finish(&r) != HF_E_OK || version != VERSION)
		return HF_E_VERSION;
	enum hf_err err = set_limit(&kept, double_of(limit));

	if (err == HF_E_OK)
		err = interval_ms > INTERVAL_MAX_MS ? HF_E_INPUT : set_interval(&kept, (int64_t)interval_ms);
	if (err == HF_E_OK)
		*s = kept;
	return err;
}
