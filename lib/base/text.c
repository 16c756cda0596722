/* base - text forms: hex, base64, decimal, ids, JSON strings. Uses: nothing. */
#include "base/base.h"

static const char hex_digits[] = "0123456789abcdef";
static const char b64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void put_char(struct hf_wr *w, char c)
{
	hf_wr_be(w, (uint8_t)c, 1);
}

static void put_hex_byte(struct hf_wr *w, uint8_t b)
{
	put_char(w, hex_digits[b >> 4]);
	put_char(w, hex_digits[b & 15]);
}

void hf_wr_hex(struct hf_wr *w, struct hf_span s)
{
	for (size_t i = 0; i < s.len; i++)
		put_hex_byte(w, s.ptr[i]);
}

void hf_wr_hex64(struct hf_wr *w, uint64_t v)
{
	for (unsigned shift = 64; shift > 0; shift -= 8)
		put_hex_byte(w, (uint8_t)(v >> (shift - 8)));
}

void hf_wr_dec(struct hf_wr *w, uint64_t v)
{
	char digits[20];
	size_t n = 0;

	do {
		digits[n++] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	while (n > 0)
		put_char(w, digits[--n]);
}

void hf_wr_id(struct hf_wr *w, uint64_t id)
{
	unsigned shift = 60;

	while (shift > 0 && id >> shift == 0)
		shift -= 4;
	for (;; shift -= 4) {
		put_char(w, hex_digits[id >> shift & 15]);
		if (shift == 0)
			return;
	}
}

void hf_wr_base64(struct hf_wr *w, struct hf_span s)
{
	for (size_t i = 0; i < s.len; i += 3) {
		size_t n = s.len - i < 3 ? s.len - i : 3;
		uint32_t v = (uint32_t)s.ptr[i] << 16;

		v |= n > 1 ? (uint32_t)s.ptr[i + 1] << 8 : 0;
		v |= n > 2 ? s.ptr[i + 2] : 0;
		put_char(w, b64_digits[v >> 18 & 63]);
		put_char(w, b64_digits[v >> 12 & 63]);
		put_char(w, n > 1 ? b64_digits[v >> 6 & 63] : '=');
		put_char(w, n > 2 ? b64_digits[v & 63] : '=');
	}
}

void hf_wr_json(struct hf_wr *w, struct hf_span s)
{
	put_char(w, '"');
	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = s.ptr[i];

		if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
			put_char(w, (char)c);
		} else {
			hf_wr_text(w, "\\u00");
			put_hex_byte(w, c);
		}
	}
	put_char(w, '"');
}

static int hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

enum hf_err hf_hex_decode(struct hf_span text, struct hf_wr *out)
{
	if (text.len % 2 != 0)
		return HF_E_TEXT;
	for (size_t i = 0; i < text.len; i += 2) {
		int hi = hex_value(text.ptr[i]), lo = hex_value(text.ptr[i + 1]);

		if (hi < 0 || lo < 0)
			return HF_E_TEXT;
		hf_wr_be(out, (unsigned)hi << 4 | (unsigned)lo, 1);
	}
	return out->err;
}

static int b64_value(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static bool is_blank(uint8_t c)
{
	return c == '\n' || c == '\r' || c == ' ' || c == '\t';
}

enum hf_err hf_base64_decode(struct hf_span text, struct hf_wr *out)
{
	uint32_t group = 0;
	unsigned have = 0, pad = 0;

	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.ptr[i];
		int v = b64_value(c);

		if (is_blank(c))
			continue;
		if (c == '=' ? have < 2 : v < 0 || pad > 0) /* nothing but blanks after the padding */
			return HF_E_TEXT;
		pad += c == '=';
		group = group << 6 | (c == '=' ? 0 : (uint32_t)v);
		if (++have < 4)
			continue;
		if ((pad == 1 && (group & 0xff) != 0) || (pad == 2 && (group & 0xffff) != 0))
			return HF_E_TEXT;
		hf_wr_be(out, group >> (8 * pad), 3 - pad);
		have = 0;
		group = 0;
	}
	return have != 0 ? HF_E_TEXT : out->err;
}

enum hf_err hf_id_parse(struct hf_span text, uint64_t *out)
{
	uint64_t v = 0;

	if (text.len < 1 || text.len > 16 || text.ptr[0] == '0')
		return HF_E_ID;
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.ptr[i];

		if (hex_value(c) < 0 || (c >= 'A' && c <= 'F'))
			return HF_E_ID;
		v = v << 4 | (unsigned)hex_value(c);
	}
	*out = v;
	return HF_E_OK;
}

void hf_id_text(uint64_t id, char out[HF_ID_TEXT_MAX])
{
	struct hf_wr w = hf_wr_of(out, HF_ID_TEXT_MAX);

	hf_wr_id(&w, id);
	hf_wr_nul(&w);
}

enum hf_err hf_dec_parse(struct hf_span text, uint64_t *out)
{
	uint64_t v = 0;

	if (text.len == 0)
		return HF_E_TEXT;
	for (size_t i = 0; i < text.len; i++) {
		unsigned d = (unsigned)text.ptr[i] - '0';

		if (d > 9 || v > (UINT64_MAX - d) / 10)
			return HF_E_TEXT;
		v = v * 10 + d;
	}
	*out = v;
	return HF_E_OK;
}
