/* wire_test - the codec: every type there and back, every way to be wrong, the reference's own bytes. Uses: wire, tests/unit.h. */
#include "tests/unit.h"
#include "wire/wire.h"

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

enum { SEEDS = 40, POOL = 1024, MESSAGE_MAX = 1024 };

/* A message of that shape with a signature, as bytes; how long it is. */
static size_t sample(uint64_t seed, const struct hf_wire_shape *shape, struct hf_wire_msg *m, uint8_t out[MESSAGE_MAX])
{
	static uint8_t pool[POOL];
	static const uint8_t signature[7] = {0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7};
	struct hf_wr w = hf_wr_of(out, MESSAGE_MAX);

	hf_wire_random(seed, shape, pool, sizeof pool, m);
	if (shape->code != HF_WIRE_GENERIC)
		m->signature = hf_span_of(signature, (size_t)(seed % (sizeof signature + 1)));
	CHECK_EQ(hf_wire_encode(&w, m, HF_WIRE_WHOLE), HF_E_OK);
	return w.len;
}

/* Decodes from memory that ends where the message does, so that a sanitizer sees one byte too many. */
static enum hf_err decode_tight(const uint8_t *bytes, size_t len, struct hf_wire_msg *m,
                                struct hf_wire_covered *covered)
{
	static uint8_t tight[MESSAGE_MAX];
	uint8_t *at = tight + sizeof tight - len;

	memcpy(at, bytes, len);
	return hf_wire_decode(hf_span_of(at, len), m, covered);
}

static struct hf_span printed(const struct hf_wire_msg *m, char out[4096])
{
	struct hf_wr w = hf_wr_of(out, 4096);

	CHECK_EQ(hf_wire_print(&w, m), HF_E_OK);
	return hf_wr_span(&w);
}

/* --- the table ---------------------------------------------------------------------------------------------------- */

TEST(every_shape_is_found)
{
	size_t n = 0;

	for (; hf_wire_shape_at(n); n++) {
		const struct hf_wire_shape *s = hf_wire_shape_at(n);

		CHECK(hf_wire_shape(s->code) == s);
		CHECK(hf_wire_shape_named(hf_span_text(s->name)) == s);
		CHECK(s->doc[0] != '\0');
		CHECK(s->count == 0 || s->field);
	}
	CHECK_EQ(n, 31); /* srup-v5 section 2 */
	CHECK(hf_wire_shape_named(hf_span_text("ACTIO")) == NULL);
	CHECK(hf_wire_shape_named(hf_span_text("")) == NULL);
	CHECK(hf_wire_head_at(3) && !hf_wire_head_at(4));
	CHECK_STR(hf_wire_head_at(0)->name, "sequence_id");
}

TEST(statuses_say_something)
{
	CHECK_STR(hf_wire_status_text(HF_WIRE_JOIN_OK), "join accepted");
	CHECK_STR(hf_wire_status_text(HF_WIRE_UPDATE_OK), "update fetched and verified");
	CHECK_STR(hf_wire_status_text(0x01), "unknown status");
	CHECK_STR(hf_wire_status_text(0x150), "unknown status");
}

/* --- there and back ----------------------------------------------------------------------------------------------- */

static void check_round_trip(uint64_t seed, const struct hf_wire_shape *shape)
{
	static uint8_t bytes[MESSAGE_MAX], again[MESSAGE_MAX];
	static char text[2][4096];
	struct hf_wire_msg m, back;
	size_t len = sample(seed, shape, &m, bytes);
	struct hf_wr w = hf_wr_of(again, sizeof again);

	REQUIRE(hf_wire_decode(hf_span_of(bytes, len), &back, NULL) == HF_E_OK);
	CHECK(hf_span_equal(m.signature, back.signature));
	CHECK(hf_span_equal(printed(&m, text[0]), printed(&back, text[1])));
	CHECK_EQ(hf_wire_encode(&w, &back, HF_WIRE_WHOLE), HF_E_OK);
	CHECK(hf_span_equal(hf_span_of(bytes, len), hf_wr_span(&w)));
}

TEST(every_type_there_and_back)
{
	for (size_t i = 0; hf_wire_shape_at(i); i++)
		for (uint64_t seed = 0; seed < SEEDS; seed++)
			check_round_trip(seed, hf_wire_shape_at(i));
}

/* What a signature covers is the same whether it is cut out of what arrived or built from the fields. */
TEST(covered_pieces_are_the_covered_encoding)
{
	static uint8_t bytes[MESSAGE_MAX], covered_bytes[MESSAGE_MAX], joined[MESSAGE_MAX];

	for (size_t i = 0; hf_wire_shape_at(i); i++)
		for (uint64_t seed = 0; seed < SEEDS; seed++) {
			struct hf_wire_msg m, back;
			struct hf_wire_covered c;
			size_t len = sample(seed, hf_wire_shape_at(i), &m, bytes);
			struct hf_wr w = hf_wr_of(covered_bytes, MESSAGE_MAX), j = hf_wr_of(joined, MESSAGE_MAX);

			REQUIRE(hf_wire_decode(hf_span_of(bytes, len), &back, &c) == HF_E_OK);
			hf_wr_put(&j, c.piece[0]);
			hf_wr_put(&j, c.piece[1]);
			CHECK_EQ(hf_wire_encode(&w, &back, HF_WIRE_COVERED), HF_E_OK);
			CHECK(hf_span_equal(hf_wr_span(&w), hf_wr_span(&j)));
			CHECK_EQ(w.len, len - (m.type == HF_WIRE_GENERIC ? 0 : 2 + m.signature.len));
		}
}

/* --- bytes of the reference: tests/vectors/srup-v5/visible.jsonl ---------------------------------------------------- */

/* vis-0002, GENERIC */
static const char generic_hex[] = "05000100000000000000bcca0c0000000000000114";
/* vis-0117, SYND_DEV_LIST */
static const char dev_list_hex[] =
	"05280100000000000000bc6a0c0000000000000117010042ce31a213e6552dcb7af73d4018ab512363354ac809840f3c34557602b139"
	"539f6ddd67d3e03b7d08071a9f20864d4c0b350a1de00cca020a8bde6360678cd100ecfb3f33eba5cc2a9b894056c8d33b44fd5bee30"
	"830372f4b0c41433492235748d7298e00f65d95dae37b5ead18ea1f7613bb2e9bd273380d366be400c180693cae4aaf7f5d9b90fd92d"
	"84f1a35dac5f212e5da95868245a1f188fc3d7f96d34fbe0a7f1dede8753d6f5f91ca2a918198f296876e1a342ee07af5561d4d9f4d8"
	"0c63ec1c9c4f9be17676b81b1c03b3e088fcb224eb7be7d822d3d8e99cbbcc03d6a5f06d58314b8ea0b0f11e0329ec5df58502b88ef1"
	"6bc936b3cb6b02055fc4cd00000fa2000000000000";
/* vis-0127, SYND_C2_REQ without data */
static const char c2_req_hex[] =
	"052c0100000000000000bc8a0c000000000000016a01005b9b3afd739be53605d0abc476f6d429ff141d097371b5c962c165b0b472a6"
	"e91f7b40cad1088c4e168e9a5a2b2757a5a8466df5d49babc47535a2655995a16d952d6d7f2c7939b1df4cefbebfdb80321b996f6436"
	"eb76dd7661af32adafd9e24dcf90395a19e0d318217ed6dd3ccc4c2e2e582cb4788b669a2bb1a2c680479a5daa5bb1a850879da2f419"
	"57b59771f37a459c101218d8c1e0c12f9800149d70aa5732d32467171b55867b2767e848450d268aea393e6bb9c2a3a419c7c79d88f6"
	"e5e545f8dc4c5792e3e8b812a35d02e328f69aeef7215871753870dc315545f8a0517baf090ad31da2599b5419da360e7441707656fd"
	"9fe07aec8575f011c50000980000";

static struct hf_span from_hex(const char *hex, uint8_t out[MESSAGE_MAX])
{
	struct hf_wr w = hf_wr_of(out, MESSAGE_MAX);

	CHECK_EQ(hf_hex_decode(hf_span_text(hex), &w), HF_E_OK);
	return hf_wr_span(&w);
}

static void check_reference(const char *hex, struct hf_wire_msg *m)
{
	static uint8_t want[MESSAGE_MAX], got[MESSAGE_MAX], signature[256];
	struct hf_span in = from_hex(hex, want);
	struct hf_wire_msg back;
	struct hf_wr w = hf_wr_of(got, sizeof got);

	REQUIRE(in.len > 24 || m->type == HF_WIRE_GENERIC);
	if (m->type != HF_WIRE_GENERIC) { /* one byte of token: the signature lies at 23 */
		memcpy(signature, in.ptr + 23, sizeof signature);
		m->signature = hf_span_of(signature, sizeof signature);
	}
	CHECK_EQ(hf_wire_encode(&w, m, HF_WIRE_WHOLE), HF_E_OK);
	CHECK(hf_span_equal(hf_wr_span(&w), in));
	CHECK_EQ(hf_wire_decode(in, &back, NULL), HF_E_OK);
	CHECK_EQ(back.type, m->type);
	CHECK(back.sender_id == m->sender_id);
}

TEST(bytes_of_the_reference)
{
	static const uint8_t token[] = {0x14, 0x17, 0x6a};
	struct hf_wire_msg m = {
		.version = 5, .type = HF_WIRE_GENERIC, .sequence_id = 1, .sender_id = 0xccabc, .token = {token, 1}};

	check_reference(generic_hex, &m);
	m = (struct hf_wire_msg){.version = 5,
	                         .type = HF_WIRE_SYND_DEV_LIST,
	                         .sequence_id = 1,
	                         .sender_id = 0xc6abc,
	                         .token = {token + 1, 1},
	                         .synd_dev_list = {52676, 0xa20f}};
	check_reference(dev_list_hex, &m);
	m = (struct hf_wire_msg){.version = 5,
	                         .type = HF_WIRE_SYND_C2_REQ,
	                         .sequence_id = 1,
	                         .sender_id = 0xc8abc,
	                         .token = {token + 2, 1},
	                         .synd_c2_req = {.req_id = 152}};
	check_reference(c2_req_hex, &m);
}

/* --- wrong input -------------------------------------------------------------------------------------------------- */

TEST(M1_short_packet)
{
	static uint8_t bytes[MESSAGE_MAX];

	for (size_t i = 0; hf_wire_shape_at(i); i++)
		for (uint64_t seed = 0; seed < 8; seed++) {
			struct hf_wire_msg m, out;
			size_t len = sample(seed, hf_wire_shape_at(i), &m, bytes);

			memset(&out, 0x55, sizeof out);
			for (size_t cut = 0; cut < len; cut++)
				CHECK_EQ(decode_tight(bytes, cut, &out, NULL), HF_E_SHORT);
			CHECK_EQ(out.version, 0x55); /* untouched */
			CHECK_EQ(decode_tight(bytes, len, &out, NULL), HF_E_OK);
		}
}

/* Every two-byte length set to all ones runs past the end; nothing of it is read. */
TEST(M1_length_of_all_ones)
{
	static uint8_t bytes[MESSAGE_MAX], bad[MESSAGE_MAX];

	for (size_t i = 0; hf_wire_shape_at(i); i++) {
		struct hf_wire_msg m, out;
		size_t len = sample(7, hf_wire_shape_at(i), &m, bytes);

		for (size_t at = 18; at + 2 <= len; at++) {
			memcpy(bad, bytes, len);
			bad[at] = bad[at + 1] = 0xff;
			(void)decode_tight(bad, len, &out, NULL); /* any answer will do; the sanitizer is the judge */
		}
		memcpy(bad, bytes, len);
		bad[18] = bad[19] = 0xff;
		CHECK_EQ(decode_tight(bad, len, &out, NULL), HF_E_SHORT);
	}
}

TEST(M9_trailing_bytes)
{
	static uint8_t bytes[MESSAGE_MAX];

	for (size_t i = 0; hf_wire_shape_at(i); i++) {
		struct hf_wire_msg m, out;
		size_t len = sample(3, hf_wire_shape_at(i), &m, bytes);

		bytes[len] = bytes[len + 1] = 0;
		CHECK_EQ(decode_tight(bytes, len + 1, &out, NULL), HF_E_TRAILING);
		CHECK_EQ(decode_tight(bytes, len + 2, &out, NULL), HF_E_TRAILING);
	}
}

TEST(M9_wrong_version)
{
	static uint8_t bytes[MESSAGE_MAX];
	struct hf_wire_msg m, out;
	size_t len = sample(1, hf_wire_shape(HF_WIRE_ACTION), &m, bytes);
	struct hf_wr w = hf_wr_of(bytes, sizeof bytes);

	for (unsigned version = 0; version < 256; version++) {
		bytes[0] = (uint8_t)version;
		CHECK_EQ(decode_tight(bytes, len, &out, NULL), version == 5 ? HF_E_OK : HF_E_VERSION);
		CHECK_EQ(hf_wire_peek(hf_span_of(bytes, len), &out), version == 5 ? HF_E_OK : HF_E_VERSION);
	}
	m.version = 6;
	CHECK_EQ(hf_wire_encode(&w, &m, HF_WIRE_WHOLE), HF_E_VERSION);
	CHECK_EQ(w.len, 0);
}

TEST(M9_unknown_type)
{
	static uint8_t bytes[MESSAGE_MAX];
	struct hf_wire_msg m, out;
	size_t len = sample(1, hf_wire_shape(HF_WIRE_ACTIVATE), &m, bytes);
	struct hf_wr w = hf_wr_of(bytes + len, sizeof bytes - len);
	unsigned unknown = 0;

	for (unsigned type = 0; type < 256; type++) {
		bytes[1] = (uint8_t)type;
		if (hf_wire_shape(type))
			continue;
		unknown++;
		CHECK_EQ(decode_tight(bytes, len, &out, NULL), HF_E_TYPE);
		CHECK_EQ(hf_wire_peek(hf_span_of(bytes, len), &out), HF_E_OK); /* so that it can be counted with its sender */
		CHECK(out.sender_id == m.sender_id);
	}
	CHECK_EQ(unknown, 256 - 31);
	m.type = 0x22;
	CHECK_EQ(hf_wire_encode(&w, &m, HF_WIRE_WHOLE), HF_E_TYPE);
	CHECK_EQ(hf_wire_print(&w, &m), HF_E_TYPE);
	CHECK_EQ(w.len, 0);
}

TEST(M9_empty_token)
{
	static uint8_t bytes[MESSAGE_MAX];

	for (size_t i = 0; hf_wire_shape_at(i); i++) {
		struct hf_wire_msg m, out;
		size_t len = sample(2, hf_wire_shape_at(i), &m, bytes), token = m.token.len;
		struct hf_wr w = hf_wr_of(bytes, sizeof bytes);

		memmove(bytes + 20, bytes + 20 + token, len - 20 - token);
		bytes[18] = bytes[19] = 0;
		CHECK_EQ(decode_tight(bytes, len - token, &out, NULL), HF_E_TOKEN);
		m.token = hf_span_of(NULL, 0);
		CHECK_EQ(hf_wire_encode(&w, &m, HF_WIRE_WHOLE), HF_E_TOKEN);
	}
}

/* The reference adds two zero bytes to SYND_C2_REQ and signs them; whatever else stands there is refused. */
TEST(M9_c2_req_tail_is_zero)
{
	static uint8_t bytes[MESSAGE_MAX];
	struct hf_span in = from_hex(c2_req_hex, bytes);
	struct hf_wire_covered c;
	struct hf_wire_msg out;

	CHECK_EQ(decode_tight(bytes, in.len, &out, NULL), HF_E_OK);
	CHECK_EQ(hf_wire_decode(in, &out, &c), HF_E_OK);
	CHECK_EQ(c.piece[1].len, 5); /* data length, request id, tail */
	CHECK_EQ(decode_tight(bytes, in.len - 2, &out, NULL), HF_E_SHORT);
	CHECK_EQ(decode_tight(bytes, in.len - 1, &out, NULL), HF_E_SHORT);
	bytes[in.len - 1] = 1;
	CHECK_EQ(decode_tight(bytes, in.len, &out, NULL), HF_E_PAD);
	bytes[in.len - 1] = 0;
	bytes[in.len - 2] = 0x80;
	CHECK_EQ(decode_tight(bytes, in.len, &out, NULL), HF_E_PAD);
}

/* GENERIC has no signature: what looks like one is trailing, and a signature given to the encoder does not travel. */
TEST(generic_is_unsigned)
{
	static uint8_t bytes[MESSAGE_MAX];
	struct hf_wire_msg m, out;
	struct hf_wire_covered c;
	size_t len = sample(5, hf_wire_shape(HF_WIRE_GENERIC), &m, bytes);
	struct hf_wr w = hf_wr_of(bytes, sizeof bytes);

	m.signature = hf_span_text("signature");
	CHECK_EQ(hf_wire_encode(&w, &m, HF_WIRE_WHOLE), HF_E_OK);
	CHECK_EQ(w.len, len);
	CHECK_EQ(hf_wire_decode(hf_wr_span(&w), &out, &c), HF_E_OK);
	CHECK_EQ(out.signature.len, 0);
	CHECK_EQ(c.piece[0].len, len);
	CHECK_EQ(c.piece[1].len, 0);
	hf_wr_lp(&w, m.signature);
	CHECK_EQ(hf_wire_decode(hf_wr_span(&w), &out, NULL), HF_E_TRAILING);
}

/* --- no room ------------------------------------------------------------------------------------------------------- */

TEST(no_space_at_every_capacity)
{
	static uint8_t bytes[MESSAGE_MAX];
	static char text[4096];

	for (size_t i = 0; hf_wire_shape_at(i); i++) {
		struct hf_wire_msg m;
		size_t len = sample(7, hf_wire_shape_at(i), &m, bytes), chars = printed(&m, text).len;

		for (size_t cap = 0; cap <= len; cap++) {
			struct hf_wr w = hf_wr_of(bytes + sizeof bytes - cap, cap);

			CHECK_EQ(hf_wire_encode(&w, &m, HF_WIRE_WHOLE), cap == len ? HF_E_OK : HF_E_NO_SPACE);
			CHECK(w.len <= cap);
		}
		for (size_t cap = 0; cap <= chars; cap++) {
			struct hf_wr w = hf_wr_of(text + sizeof text - cap, cap);

			CHECK_EQ(hf_wire_print(&w, &m), cap == chars ? HF_E_OK : HF_E_NO_SPACE);
		}
	}
}

TEST(a_field_over_65535_bytes)
{
	static uint8_t big[65536], out[140000];
	struct hf_wire_msg m = {.version = 5,
	                        .type = HF_WIRE_DATA,
	                        .token = hf_span_text("t"),
	                        .data = {hf_span_text("n"), {big, 65535}}};
	struct hf_wire_msg back;
	struct hf_wr w = hf_wr_of(out, sizeof out);

	CHECK_EQ(hf_wire_encode(&w, &m, HF_WIRE_WHOLE), HF_E_OK);
	CHECK_EQ(hf_wire_decode(hf_wr_span(&w), &back, NULL), HF_E_OK);
	CHECK_EQ(back.data.data.len, 65535);
	m.data.data.len = 65536;
	w = hf_wr_of(out, sizeof out);
	CHECK_EQ(hf_wire_encode(&w, &m, HF_WIRE_WHOLE), HF_E_TOO_BIG);
	m.data.data.len = 0;
	m.token = hf_span_of(big, 65536);
	w = hf_wr_of(out, sizeof out);
	CHECK_EQ(hf_wire_encode(&w, &m, HF_WIRE_COVERED), HF_E_TOO_BIG);
	m.token.len = 1;
	m.signature = hf_span_of(big, 65536);
	w = hf_wr_of(out, sizeof out);
	CHECK_EQ(hf_wire_encode(&w, &m, HF_WIRE_WHOLE), HF_E_TOO_BIG);
}

/* --- for people ---------------------------------------------------------------------------------------------------- */

struct print_case {
	struct hf_wire_msg m;
	const char *text;
};

TEST(printed_one_of_each_kind)
{
	const struct hf_span token = hf_span_text("ab"), value = hf_span_of("\0\xff", 2);
	const struct print_case cases[] = {
		{{.type = HF_WIRE_GENERIC, .sequence_id = UINT64_MAX, .sender_id = 0x2a, .token = token},
	     "{\"sequence_id\":\"18446744073709551615\",\"sender_id\":\"000000000000002a\",\"token\":\"6162\"}"},
		{{.type = HF_WIRE_RESPONSE, .token = token, .response = {0x5e}},
	     "{\"sequence_id\":\"0\",\"sender_id\":\"0000000000000000\",\"token\":\"6162\",\"status\":94}"},
		{{.type = HF_WIRE_DATA, .signature = token, .data = {token, value}},
	     "{\"sequence_id\":\"0\",\"sender_id\":\"0000000000000000\",\"token\":\"\",\"data_id\":\"6162\",\"data\":"
	     "\"00ff\"}"},
		{{.type = HF_WIRE_SYND_DEV_LIST, .synd_dev_list = {UINT32_MAX, UINT64_C(0xfedcba9876543210)}},
	     "{\"sequence_id\":\"0\",\"sender_id\":\"0000000000000000\",\"token\":\"\",\"device_sequence\":4294967295,"
	     "\"device_id\":\"fedcba9876543210\"}"},
		{{.type = HF_WIRE_SYND_C2_REQ, .synd_c2_req = {.req_id = 7}},
	     "{\"sequence_id\":\"0\",\"sender_id\":\"0000000000000000\",\"token\":\"\",\"data\":\"\",\"req_id\":7}"},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[4096];

		CHECK(hf_span_equal(printed(&cases[i].m, text), hf_span_text(cases[i].text)));
	}
}

TEST(random_follows_from_its_seed)
{
	static uint8_t a[MESSAGE_MAX], b[MESSAGE_MAX];
	struct hf_wire_msg m;
	const struct hf_wire_shape *data = hf_wire_shape(HF_WIRE_DATA);
	size_t len = sample(9, data, &m, a);

	CHECK_EQ(sample(9, data, &m, b), len);
	CHECK_MEM(a, b, len);
	len = sample(10, data, &m, b);
	CHECK(memcmp(a, b, len) != 0);
}

UNIT_TESTS(T(every_shape_is_found), T(statuses_say_something), T(every_type_there_and_back),
           T(covered_pieces_are_the_covered_encoding), T(bytes_of_the_reference), T(M1_short_packet),
           T(M1_length_of_all_ones), T(M9_trailing_bytes), T(M9_wrong_version), T(M9_unknown_type), T(M9_empty_token),
           T(M9_c2_req_tail_is_zero), T(generic_is_unsigned), T(no_space_at_every_capacity),
           T(a_field_over_65535_bytes), T(printed_one_of_each_kind), T(random_follows_from_its_seed))
