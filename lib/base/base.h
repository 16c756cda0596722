/* base - errors, spans, cursors, text forms, constant-time helpers. Uses: nothing. */
#ifndef HF_BASE_H
#define HF_BASE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HF_NODISCARD __attribute__((warn_unused_result))

enum hf_err {
#define ERR(name, http, text) HF_E_##name,
#include "base/errors.def"
#undef ERR
	HF_E_COUNT_
};

/* The sentence for e, lower case, no full stop; never NULL. */
const char *hf_err_text(enum hf_err e);
/* The short name of e ("SHORT"); never NULL. */
const char *hf_err_name(enum hf_err e);
/* The HTTP status that an API answers with for e. */
unsigned hf_err_http(enum hf_err e);

/* Borrowed bytes: never freed through a span, valid while the source buffer is. ptr may be NULL when len is 0. */
struct hf_span {
	const uint8_t *ptr;
	size_t len;
};

struct hf_span hf_span_of(const void *ptr, size_t len);
/* The bytes of a NUL-terminated text, without the NUL. */
struct hf_span hf_span_text(const char *text);
/* Same length and bytes; not constant time. */
bool hf_span_equal(struct hf_span a, struct hf_span b);

/* Reader: latches its first error; later calls return empty values. Check err once, at the end. */
struct hf_rd {
	const uint8_t *at, *end;
	enum hf_err err;
};

struct hf_rd hf_rd_of(struct hf_span in);
struct hf_span hf_rd_take(struct hf_rd *r, size_t len);
/* Unsigned integer of width 1..8 bytes, most (be) or least (le) significant byte first. */
uint64_t hf_rd_be(struct hf_rd *r, unsigned width);
uint64_t hf_rd_le(struct hf_rd *r, unsigned width);
/* u16 big-endian length, then that many bytes. */
struct hf_span hf_rd_lp(struct hf_rd *r);
size_t hf_rd_left(const struct hf_rd *r);
/* Latches TRAILING when bytes are left; returns err. */
HF_NODISCARD enum hf_err hf_rd_finish(struct hf_rd *r);

/* Writer into a caller's buffer of cap bytes: latches its first error (NO_SPACE). */
struct hf_wr {
	uint8_t *base;
	size_t cap, len;
	enum hf_err err;
};

struct hf_wr hf_wr_of(void *base, size_t cap);
void hf_wr_put(struct hf_wr *w, struct hf_span s);
void hf_wr_text(struct hf_wr *w, const char *text);
void hf_wr_be(struct hf_wr *w, uint64_t v, unsigned width);
void hf_wr_le(struct hf_wr *w, uint64_t v, unsigned width);
void hf_wr_lp(struct hf_wr *w, struct hf_span s);
void hf_wr_hex(struct hf_wr *w, struct hf_span s);
/* Base64 (RFC 4648 section 4) with padding, without newlines. */
void hf_wr_base64(struct hf_wr *w, struct hf_span s);
/* Unsigned decimal; device id as lower-case hex without leading zeros; 16 hex digits. */
void hf_wr_dec(struct hf_wr *w, uint64_t v);
void hf_wr_id(struct hf_wr *w, uint64_t id);
void hf_wr_hex64(struct hf_wr *w, uint64_t v);
/* JSON string with quotes; control characters, quote, backslash and bytes over 0x7e are escaped byte by byte as \u00xx. */
void hf_wr_json(struct hf_wr *w, struct hf_span s);
/* Appends a NUL that does not count in len. */
void hf_wr_nul(struct hf_wr *w);
struct hf_span hf_wr_span(const struct hf_wr *w);

/* Hex digits (either case) to bytes. Errors: TEXT (odd length, other characters), NO_SPACE. */
HF_NODISCARD enum hf_err hf_hex_decode(struct hf_span text, struct hf_wr *out);
/* Base64 with or without newlines (CR, LF, space, tab are skipped), padding required. Errors: TEXT, NO_SPACE. */
HF_NODISCARD enum hf_err hf_base64_decode(struct hf_span text, struct hf_wr *out);

/* Device or server id as text: [1-9a-f][0-9a-f]{0,15}. Errors: ID. Source: srup-v5 section 6. */
HF_NODISCARD enum hf_err hf_id_parse(struct hf_span text, uint64_t *out);
enum { HF_ID_TEXT_MAX = 17 }; /* with the NUL */
/* Writes the NUL-terminated text of id into out (HF_ID_TEXT_MAX bytes). */
void hf_id_text(uint64_t id, char out[HF_ID_TEXT_MAX]);
/* Unsigned decimal text. Errors: TEXT (empty, other characters, over 2^64-1). */
HF_NODISCARD enum hf_err hf_dec_parse(struct hf_span text, uint64_t *out);

/* Equal, in a time that depends on the length only. */
bool hf_ct_equal(const void *a, const void *b, size_t len);
/* Overwrites memory in a way that the compiler may not drop. */
void hf_wipe(void *ptr, size_t len);

#ifdef __cplusplus
}
#endif
#endif
