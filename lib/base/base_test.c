/* base_test - cursors, text forms, ids, constant-time comparison. Uses: base, tests/unit.h. */
#include "base/base.h"
#include "tests/unit.h"

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static bool wrote(const struct hf_wr *w, const char *text)
{
	return w->err == HF_E_OK && hf_span_equal(hf_wr_span(w), hf_span_text(text));
}

TEST(errors_have_rows)
{
	for (unsigned e = 0; e < HF_E_COUNT_; e++) {
		CHECK(hf_err_text((enum hf_err)e)[0] != '\0');
		CHECK(hf_err_name((enum hf_err)e)[0] != '\0');
		CHECK(hf_err_http((enum hf_err)e) >= 200 && hf_err_http((enum hf_err)e) < 600);
	}
	CHECK_STR(hf_err_name(HF_E_SHORT), "SHORT");
	CHECK_STR(hf_err_name(HF_E_COUNT_), "INTERNAL");
}

TEST(spans)
{
	CHECK(hf_span_equal(hf_span_of(NULL, 0), hf_span_text("")));
	CHECK(hf_span_equal(hf_span_text("ab"), hf_span_of("abc", 2)));
	CHECK(!hf_span_equal(hf_span_text("ab"), hf_span_text("ac")));
	CHECK(!hf_span_equal(hf_span_text("ab"), hf_span_text("abc")));
}

TEST(reader_byte_order)
{
	static const uint8_t in[] = {0x01, 0x02, 0x03, 0x04, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88};
	struct hf_rd r = hf_rd_of(hf_span_of(in, sizeof in));

	CHECK_EQ(hf_rd_be(&r, 2), 0x0102);
	CHECK_EQ(hf_rd_le(&r, 2), 0x0403);
	CHECK_EQ(hf_rd_left(&r), 8);
	CHECK(hf_rd_le(&r, 8) == UINT64_C(0x8877665544332211));
	CHECK_EQ(hf_rd_finish(&r), HF_E_OK);
}

TEST(M1_short_input_latches)
{
	static const uint8_t in[] = {0x00, 0x03, 'a', 'b'};
	struct hf_rd r = hf_rd_of(hf_span_of(in, sizeof in));
	struct hf_span s = hf_rd_lp(&r);

	CHECK_EQ(s.len, 0);
	CHECK(s.ptr == NULL);
	CHECK_EQ(r.err, HF_E_SHORT);
	CHECK_EQ(hf_rd_be(&r, 1), 0); /* though bytes are left */
	CHECK_EQ(hf_rd_finish(&r), HF_E_SHORT);
}

/* Every cut of a length-prefixed field is SHORT, the whole is OK. */
TEST(M1_every_cut_is_short)
{
	static const uint8_t in[] = {0x00, 0x04, 1, 2, 3, 4};

	for (size_t len = 0; len <= sizeof in; len++) {
		struct hf_rd r = hf_rd_of(hf_span_of(in, len));

		(void)hf_rd_lp(&r);
		CHECK_EQ(hf_rd_finish(&r), len == sizeof in ? HF_E_OK : HF_E_SHORT);
	}
}

TEST(M1_length_of_all_ones)
{
	static const uint8_t in[] = {0xff, 0xff, 1};
	struct hf_rd r = hf_rd_of(hf_span_of(in, sizeof in));

	CHECK_EQ(hf_rd_lp(&r).len, 0);
	CHECK_EQ(hf_rd_take(&r, SIZE_MAX).len, 0);
	CHECK_EQ(hf_rd_finish(&r), HF_E_SHORT);
}

TEST(trailing_bytes)
{
	struct hf_rd r = hf_rd_of(hf_span_text("abc"));

	CHECK_EQ(hf_rd_take(&r, 2).len, 2);
	CHECK_EQ(hf_rd_finish(&r), HF_E_TRAILING);
}

TEST(reader_of_nothing)
{
	struct hf_rd r = hf_rd_of(hf_span_of(NULL, 0));

	CHECK_EQ(hf_rd_left(&r), 0);
	CHECK_EQ(hf_rd_take(&r, 0).len, 0);
	CHECK_EQ(hf_rd_finish(&r), HF_E_OK);
	CHECK_EQ(hf_rd_le(&r, 1), 0);
	CHECK_EQ(hf_rd_finish(&r), HF_E_SHORT);
}

TEST(writer_byte_order)
{
	static const uint8_t want[] = {1, 2, 4, 3, 0, 2, 'h', 'i', 0, 0, 0, 0, 0, 0, 0, 9};
	uint8_t out[sizeof want];
	struct hf_wr w = hf_wr_of(out, sizeof out);

	hf_wr_be(&w, 0x0102, 2);
	hf_wr_le(&w, 0x0304, 2);
	hf_wr_lp(&w, hf_span_text("hi"));
	hf_wr_be(&w, 9, 8);
	CHECK_EQ(w.err, HF_E_OK);
	CHECK_EQ(w.len, sizeof want);
	CHECK_MEM(out, want, sizeof want);
}

TEST(writer_stops_at_its_capacity)
{
	char out[4] = {0};
	struct hf_wr w = hf_wr_of(out, 3);

	hf_wr_text(&w, "ab");
	hf_wr_text(&w, "cd");
	hf_wr_text(&w, "e"); /* would fit, but the error is latched */
	CHECK_EQ(w.err, HF_E_NO_SPACE);
	CHECK_EQ(w.len, 2);
	CHECK_EQ(out[2], 0);
	CHECK_EQ(out[3], 0);
}

TEST(writer_nul_does_not_count)
{
	char out[3];
	struct hf_wr w = hf_wr_of(out, sizeof out);

	hf_wr_text(&w, "ab");
	hf_wr_nul(&w);
	CHECK_EQ(w.len, 2);
	CHECK_STR(out, "ab");
	hf_wr_text(&w, "c");
	hf_wr_nul(&w);
	CHECK_EQ(w.err, HF_E_NO_SPACE);
}

TEST(writer_refuses_a_field_over_65535)
{
	static uint8_t big[65536], out[65540];
	struct hf_wr w = hf_wr_of(out, sizeof out);

	hf_wr_lp(&w, hf_span_of(big, 65535));
	CHECK_EQ(w.err, HF_E_OK);
	w = hf_wr_of(out, sizeof out);
	hf_wr_lp(&w, hf_span_of(big, 65536));
	CHECK_EQ(w.err, HF_E_TOO_BIG);
	CHECK_EQ(w.len, 0);
}

/* Text forms: what goes in, what comes out or which error. */
struct text_case {
	const char *in, *out;
	enum hf_err err;
};

static void check_decoder(enum hf_err (*decode)(struct hf_span, struct hf_wr *), const struct text_case *c,
                          size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint8_t out[32];
		struct hf_wr w = hf_wr_of(out, sizeof out);
		enum hf_err err = decode(hf_span_text(c[i].in), &w);

		if (!(unit_equal(err, c[i].err, __FILE__, __LINE__, c[i].in) && (err != HF_E_OK || wrote(&w, c[i].out))))
			(void)unit_check(false, __FILE__, __LINE__, c[i].in);
	}
}

TEST(hex)
{
	static const struct text_case cases[] = {{"", "", HF_E_OK},          {"6869", "hi", HF_E_OK},
	                                         {"4a4B4c", "JKL", HF_E_OK}, {"686", NULL, HF_E_TEXT},
	                                         {"6g", NULL, HF_E_TEXT},    {"0x", NULL, HF_E_TEXT},
	                                         {" 68", NULL, HF_E_TEXT},   {"/0", NULL, HF_E_TEXT},
	                                         {":0", NULL, HF_E_TEXT},    {"@0", NULL, HF_E_TEXT},
	                                         {"`0", NULL, HF_E_TEXT},    {"G0", NULL, HF_E_TEXT},
	                                         {"68\n6", NULL, HF_E_TEXT}};
	uint8_t out[8];
	struct hf_wr w = hf_wr_of(out, sizeof out);

	check_decoder(hf_hex_decode, cases, COUNT(cases));
	hf_wr_hex(&w, hf_span_of("\x00\x9f\xff", 3));
	CHECK(wrote(&w, "009fff"));
	w = hf_wr_of(out, 1);
	CHECK_EQ(hf_hex_decode(hf_span_text("0102"), &w), HF_E_NO_SPACE);
}

/* Source: RFC 4648 section 10. */
static const struct text_case base64_pairs[] = {
	{"", "", HF_E_OK},
	{"Zg==", "f", HF_E_OK},
	{"Zm8=", "fo", HF_E_OK},
	{"Zm9v", "foo", HF_E_OK},
	{"Zm9vYg==", "foob", HF_E_OK},
	{"Zm9vYmE=", "fooba", HF_E_OK},
	{"Zm9vYmFy", "foobar", HF_E_OK},
};

TEST(base64)
{
	static const struct text_case blanks[] = {{"Zm9v\nYmFy\n", "foobar", HF_E_OK}, {" Z\tm\r\n8=\n", "fo", HF_E_OK}};

	check_decoder(hf_base64_decode, base64_pairs, COUNT(base64_pairs));
	check_decoder(hf_base64_decode, blanks, COUNT(blanks));
	for (size_t i = 0; i < COUNT(base64_pairs); i++) {
		uint8_t out[16];
		struct hf_wr w = hf_wr_of(out, sizeof out);

		hf_wr_base64(&w, hf_span_text(base64_pairs[i].out));
		CHECK(wrote(&w, base64_pairs[i].in));
	}
}

TEST(base64_malformed)
{
	static const struct text_case cases[] = {
		{"Zg", NULL, HF_E_TEXT},    {"Zg=", NULL, HF_E_TEXT},      {"Z", NULL, HF_E_TEXT},
		{"=", NULL, HF_E_TEXT},     {"Z===", NULL, HF_E_TEXT},     {"====", NULL, HF_E_TEXT},
		{"Zg=v", NULL, HF_E_TEXT},  {"Zg==Zg==", NULL, HF_E_TEXT}, {"Zg==A", NULL, HF_E_TEXT},
		{"Zm9v=", NULL, HF_E_TEXT}, {"Zm-_", NULL, HF_E_TEXT},     {"Zm9v!mFy", NULL, HF_E_TEXT},
		{"Zh==", NULL, HF_E_TEXT},  {"Zm9=", NULL, HF_E_TEXT},     {"Zg==\n=", NULL, HF_E_TEXT},
	};
	uint8_t out[2];
	struct hf_wr w = hf_wr_of(out, sizeof out);

	check_decoder(hf_base64_decode, cases, COUNT(cases));
	CHECK_EQ(hf_base64_decode(hf_span_text("Zm9v"), &w), HF_E_NO_SPACE);
}

TEST(base64_bytes_over_0x7f)
{
	char text[8];
	uint8_t out[3];
	struct hf_wr w = hf_wr_of(text, sizeof text), back = hf_wr_of(out, sizeof out);

	hf_wr_base64(&w, hf_span_of("\xff\xfe\xfb", 3));
	CHECK(wrote(&w, "//77"));
	CHECK_EQ(hf_base64_decode(hf_wr_span(&w), &back), HF_E_OK);
	CHECK_MEM(out, "\xff\xfe\xfb", 3);
}

TEST(ids)
{
	static const struct {
		const char *text;
		uint64_t id;
	} good[] = {{"1", 1},
	            {"abc", 0xabc},
	            {"f000000000000000", UINT64_C(0xf000000000000000)},
	            {"ffffffffffffffff", UINT64_MAX}};

	for (size_t i = 0; i < COUNT(good); i++) {
		uint64_t id = 0;
		char text[HF_ID_TEXT_MAX];

		CHECK_EQ(hf_id_parse(hf_span_text(good[i].text), &id), HF_E_OK);
		CHECK(id == good[i].id);
		hf_id_text(id, text);
		CHECK_STR(text, good[i].text);
	}
}

TEST(ids_malformed)
{
	static const char *const bad[] = {
		"", "0", "0abc", "ABC", "g", " 1", "1 ", "1\n", "0x1", "-1", "11112222333344445", "a/b", "+"};
	uint64_t id = 77;

	for (size_t i = 0; i < COUNT(bad); i++)
		CHECK_EQ(hf_id_parse(hf_span_text(bad[i]), &id), HF_E_ID);
	CHECK_EQ(hf_id_parse(hf_span_of("1\0", 2), &id), HF_E_ID);
	CHECK_EQ(id, 77);
}

TEST(decimal)
{
	static const char *const bad[] = {
		"", "-1", "+1", " 1", "1 ", "1.0", "0x10", "18446744073709551616", "99999999999999999999"};
	char text[21];
	struct hf_wr w = hf_wr_of(text, sizeof text);
	uint64_t v = 5;

	for (size_t i = 0; i < COUNT(bad); i++)
		CHECK_EQ(hf_dec_parse(hf_span_text(bad[i]), &v), HF_E_TEXT);
	CHECK_EQ(v, 5);
	CHECK_EQ(hf_dec_parse(hf_span_text("007"), &v), HF_E_OK);
	CHECK_EQ(v, 7);
	CHECK_EQ(hf_dec_parse(hf_span_text("18446744073709551615"), &v), HF_E_OK);
	CHECK(v == UINT64_MAX);
	hf_wr_dec(&w, v);
	CHECK(wrote(&w, "18446744073709551615"));
	w = hf_wr_of(text, sizeof text);
	hf_wr_dec(&w, 0);
	CHECK(wrote(&w, "0"));
}

TEST(hex64)
{
	char text[16];
	struct hf_wr w = hf_wr_of(text, sizeof text);

	hf_wr_hex64(&w, UINT64_C(0x0123456789abcdef));
	CHECK(wrote(&w, "0123456789abcdef"));
}

TEST(json_escapes)
{
	char text[64];
	struct hf_wr w = hf_wr_of(text, sizeof text);

	hf_wr_json(&w, hf_span_of("a\"\\\n\0\x1f\x7f\xc3~", 9));
	CHECK(wrote(&w, "\"a\\u0022\\u005c\\u000a\\u0000\\u001f\\u007f\\u00c3~\""));
	w = hf_wr_of(text, 3);
	hf_wr_json(&w, hf_span_text("ab"));
	CHECK_EQ(w.err, HF_E_NO_SPACE);
}

TEST(constant_time_equal)
{
	static const uint8_t a[] = {1, 2, 3, 0x80}, b[] = {1, 2, 3, 0x00};

	CHECK(hf_ct_equal(a, a, sizeof a));
	CHECK(!hf_ct_equal(a, b, sizeof a));
	CHECK(hf_ct_equal(a, b, 3));
	CHECK(hf_ct_equal(a, b, 0));
}

TEST(wipe)
{
	uint8_t a[5] = {1, 2, 3, 4, 5};

	hf_wipe(a + 1, 3);
	CHECK_MEM(a, "\1\0\0\0\5", 5);
}

UNIT_TESTS(T(errors_have_rows), T(spans), T(reader_byte_order), T(M1_short_input_latches), T(M1_every_cut_is_short),
           T(M1_length_of_all_ones), T(trailing_bytes), T(reader_of_nothing), T(writer_byte_order),
           T(writer_stops_at_its_capacity), T(writer_nul_does_not_count), T(writer_refuses_a_field_over_65535), T(hex),
           T(base64), T(base64_malformed), T(base64_bytes_over_0x7f), T(ids), T(ids_malformed), T(decimal), T(hex64),
           T(json_escapes), T(constant_time_equal), T(wipe))
