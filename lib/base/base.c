/* base - errors, spans and cursors. Uses: nothing. */
#include "base/base.h"

#include <string.h>

struct err_row {
	const char *name, *text;
	unsigned http;
};

static const struct err_row errs[] = {
#define ERR(name, http, text) [HF_E_##name] = {#name, (text), (http)},
#include "base/errors.def"
#undef ERR
};
_Static_assert(sizeof errs / sizeof errs[0] == HF_E_COUNT_, "every error has a row");

static const struct err_row *row_of(enum hf_err e)
{
	return &errs[(unsigned)e < HF_E_COUNT_ ? e : HF_E_INTERNAL];
}

const char *hf_err_text(enum hf_err e)
{
	return row_of(e)->text;
}

const char *hf_err_name(enum hf_err e)
{
	return row_of(e)->name;
}

unsigned hf_err_http(enum hf_err e)
{
	return row_of(e)->http;
}

struct hf_span hf_span_of(const void *ptr, size_t len)
{
	return (struct hf_span){ptr, len};
}

struct hf_span hf_span_text(const char *text)
{
	return (struct hf_span){(const uint8_t *)text, strlen(text)};
}

bool hf_span_equal(struct hf_span a, struct hf_span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

struct hf_rd hf_rd_of(struct hf_span in)
{
	return (struct hf_rd){in.ptr, in.len ? in.ptr + in.len : in.ptr, HF_E_OK};
}

size_t hf_rd_left(const struct hf_rd *r)
{
	return (size_t)(r->end - r->at);
}

struct hf_span hf_rd_take(struct hf_rd *r, size_t len)
{
	struct hf_span s = {0};

	if (r->err == HF_E_OK && len > hf_rd_left(r))
		r->err = HF_E_SHORT;
	if (r->err != HF_E_OK || len == 0)
		return s;
	s = (struct hf_span){r->at, len};
	r->at += len;
	return s;
}

uint64_t hf_rd_be(struct hf_rd *r, unsigned width)
{
	struct hf_span s = hf_rd_take(r, width);
	uint64_t v = 0;

	for (size_t i = 0; i < s.len; i++)
		v = v << 8 | s.ptr[i];
	return v;
}

uint64_t hf_rd_le(struct hf_rd *r, unsigned width)
{
	struct hf_span s = hf_rd_take(r, width);
	uint64_t v = 0;

	for (size_t i = s.len; i > 0; i--)
		v = v << 8 | s.ptr[i - 1];
	return v;
}

struct hf_span hf_rd_lp(struct hf_rd *r)
{
	return hf_rd_take(r, (size_t)hf_rd_be(r, 2));
}

enum hf_err hf_rd_finish(struct hf_rd *r)
{
	if (r->err == HF_E_OK && r->at != r->end)
		r->err = HF_E_TRAILING;
	return r->err;
}

struct hf_wr hf_wr_of(void *base, size_t cap)
{
	return (struct hf_wr){base, cap, 0, HF_E_OK};
}

void hf_wr_put(struct hf_wr *w, struct hf_span s)
{
	if (w->err == HF_E_OK && s.len > w->cap - w->len)
		w->err = HF_E_NO_SPACE;
	if (w->err != HF_E_OK || s.len == 0)
		return;
	memcpy(w->base + w->len, s.ptr, s.len);
	w->len += s.len;
}

void hf_wr_text(struct hf_wr *w, const char *text)
{
	hf_wr_put(w, hf_span_text(text));
}

void hf_wr_be(struct hf_wr *w, uint64_t v, unsigned width)
{
	uint8_t b[8];

	for (unsigned i = 0; i < width; i++)
		b[i] = (uint8_t)(v >> (8 * (width - 1 - i)));
	hf_wr_put(w, hf_span_of(b, width));
}

void hf_wr_le(struct hf_wr *w, uint64_t v, unsigned width)
{
	uint8_t b[8];

	for (unsigned i = 0; i < width; i++)
		b[i] = (uint8_t)(v >> (8 * i));
	hf_wr_put(w, hf_span_of(b, width));
}

void hf_wr_lp(struct hf_wr *w, struct hf_span s)
{
	if (s.len > UINT16_MAX && w->err == HF_E_OK)
		w->err = HF_E_TOO_BIG;
	hf_wr_be(w, s.len, 2);
	hf_wr_put(w, s);
}

void hf_wr_nul(struct hf_wr *w)
{
	hf_wr_be(w, 0, 1);
	if (w->err == HF_E_OK)
		w->len--;
}

struct hf_span hf_wr_span(const struct hf_wr *w)
{
	return (struct hf_span){w->base, w->len};
}

bool hf_ct_equal(const void *a, const void *b, size_t len)
{
	const volatile uint8_t *x = a, *y = b;
	uint8_t d = 0;

	for (size_t i = 0; i < len; i++)
		d |= (uint8_t)(x[i] ^ y[i]);
	return d == 0;
}

void hf_wipe(void *ptr, size_t len)
{
	volatile uint8_t *p = ptr;

	while (len-- > 0)
		*p++ = 0;
}
