/* seal_test - signatures and envelopes with real RSA and with vectors of the reference; envelope_test has the rest.
 * Uses: seal, wire, port/openssl, tests/unit.h, tests/vectors. */
#include "seal/seal.h"
#include "port/openssl/openssl.h"
#include "tests/unit.h"
#include "wire/wire.h"

#define COUNT(table) (sizeof(table) / sizeof(table)[0])
#define VECTORS "tests/vectors/srup-v5/"

enum { LINE_MAX_LEN = 200000, K = 256, IV_AT = 4 + K, C_AT = IV_AT + 16, CIPHER_AT = C_AT + 8 };

static struct hf_seal_key *load(const char *name, bool private_half)
{
	static uint8_t pem[8192];
	char path[128];
	struct hf_wr w = hf_wr_of(path, sizeof path);
	struct hf_seal_key *key = NULL;

	hf_wr_text(&w, VECTORS);
	hf_wr_text(&w, name);
	hf_wr_text(&w, private_half ? ".key.pem" : ".pub.pem");
	hf_wr_nul(&w);
	FILE *file = fopen(path, "rb");
	size_t len = file ? fread(pem, 1, sizeof pem, file) : 0;

	if (file)
		(void)fclose(file);
	enum hf_err err = private_half ? hf_openssl_private_pem(hf_span_of(pem, len), &key)
	                               : hf_openssl_public_pem(hf_span_of(pem, len), &key);
	CHECK_EQ(err, HF_E_OK);
	return key;
}

/* --- signatures --------------------------------------------------------------------------------------------------- */

TEST(signature_over_pieces)
{
	const struct hf_seal_crypto *c = hf_openssl_crypto();
	struct hf_seal_key *mine = load("vis-a", true), *public = load("vis-a", false), *other = load("vis-b", false);
	struct hf_span whole = hf_span_text("header token body");
	struct hf_span pieces[] = {hf_span_text("header token"), hf_span_of(NULL, 0), hf_span_text(" body")};
	uint8_t bytes[HF_SEAL_SIGNATURE_MAX];
	struct hf_wr sig = hf_wr_of(bytes, sizeof bytes);

	REQUIRE(mine && public && other);
	CHECK_EQ(c->sign(c->ctx, mine, &whole, 1, &sig), HF_E_OK);
	CHECK_EQ(sig.len, 256);
	CHECK_EQ(hf_seal_verify(c, public, pieces, 3, hf_wr_span(&sig)), HF_E_OK);
	CHECK_EQ(hf_seal_verify(c, public, &whole, 1, hf_wr_span(&sig)), HF_E_OK);
	CHECK_EQ(hf_seal_verify(c, public, pieces, 2, hf_wr_span(&sig)), HF_E_SIGNATURE);
	CHECK_EQ(hf_seal_verify(c, other, &whole, 1, hf_wr_span(&sig)), HF_E_SIGNATURE);
	CHECK_EQ(hf_seal_verify(c, NULL, &whole, 1, hf_wr_span(&sig)), HF_E_KEY);
	hf_openssl_key_free(mine);
	hf_openssl_key_free(public);
	hf_openssl_key_free(other);
}

TEST(M9_signature_of_another_length_or_all_zero)
{
	const struct hf_seal_crypto *c = hf_openssl_crypto();
	struct hf_seal_key *public = load("vis-a", false), *large = load("vis-c3072", false);
	static const uint8_t zero[HF_SEAL_SIGNATURE_MAX + 1];
	struct hf_span text = hf_span_text("text");

	REQUIRE(public && large);
	for (size_t len = 0; len <= sizeof zero; len++) {
		CHECK_EQ(hf_seal_verify(c, public, &text, 1, hf_span_of(zero, len)), HF_E_SIGNATURE);
		CHECK_EQ(hf_seal_verify(c, large, &text, 1, hf_span_of(zero, len)), HF_E_SIGNATURE);
	}
	hf_openssl_key_free(public);
	hf_openssl_key_free(large);
}

TEST(M9_key_of_another_kind)
{
	struct hf_seal_key *curve = NULL;
	struct hf_span text = hf_span_text("text");
	static const uint8_t zero[256];

	REQUIRE(hf_openssl_generate(HF_OPENSSL_P256, &curve) == HF_E_OK);
	CHECK_EQ(hf_seal_verify(hf_openssl_crypto(), curve, &text, 1, hf_span_of(zero, sizeof zero)), HF_E_KEY);
	hf_openssl_key_free(curve);
}

/* --- envelopes ---------------------------------------------------------------------------------------------------- */

TEST(envelope_of_every_length)
{
	const struct hf_seal_crypto *c = hf_openssl_crypto();
	struct hf_seal_key *recipient = load("vis-r", true);
	static uint8_t plain[HF_SEAL_PLAINTEXT_MAX + 1], sealed[HF_SEAL_PLAINTEXT_MAX + HF_SEAL_ENVELOPE_OVERHEAD],
		opened[HF_SEAL_PLAINTEXT_MAX + 16];

	REQUIRE(recipient);
	for (size_t i = 0; i < sizeof plain; i++)
		plain[i] = (uint8_t)(i * 7);
	for (size_t len = 1; len <= HF_SEAL_PLAINTEXT_MAX; len += len < 50 ? 1 : 337) {
		struct hf_wr w = hf_wr_of(sealed, sizeof sealed), out = hf_wr_of(opened, sizeof opened);

		CHECK_EQ(hf_seal_envelope_seal(c, recipient, hf_span_of(plain, len), &w), HF_E_OK);
		CHECK_EQ(w.len, 4 + 256 + 16 + 8 + len - len % 16 + 16);
		CHECK_EQ(hf_seal_envelope_open(c, recipient, hf_wr_span(&w), &out), HF_E_OK);
		CHECK(hf_span_equal(hf_wr_span(&out), hf_span_of(plain, len)));
	}
	struct hf_wr w = hf_wr_of(sealed, sizeof sealed);

	CHECK_EQ(hf_seal_envelope_seal(c, recipient, hf_span_of(plain, 0), &w), HF_E_TOO_BIG);
	CHECK_EQ(hf_seal_envelope_seal(c, recipient, hf_span_of(plain, sizeof plain), &w), HF_E_TOO_BIG);
	hf_openssl_key_free(recipient);
}

TEST(envelope_does_not_fit)
{
	const struct hf_seal_crypto *c = hf_openssl_crypto();
	struct hf_seal_key *recipient = load("vis-r", true);
	uint8_t sealed[400], opened[48];
	struct hf_wr w = hf_wr_of(sealed, sizeof sealed);

	REQUIRE(recipient);
	CHECK_EQ(hf_seal_envelope_seal(c, recipient, hf_span_text("0123456789abcdef0123456789abcdef"), &w), HF_E_OK);
	CHECK_EQ(w.len, 332); /* srup-v5 section 4 */
	for (size_t cap = 0; cap < w.len; cap += 5) {
		uint8_t small[332];
		struct hf_wr less = hf_wr_of(small, cap);

		CHECK_EQ(hf_seal_envelope_seal(c, recipient, hf_span_text("0123456789abcdef0123456789abcdef"), &less),
		         HF_E_NO_SPACE);
	}
	struct hf_wr out = hf_wr_of(opened, 47);

	CHECK_EQ(hf_seal_envelope_open(c, recipient, hf_wr_span(&w), &out), HF_E_NO_SPACE);
	out = hf_wr_of(opened, 48);
	CHECK_EQ(hf_seal_envelope_open(c, recipient, hf_wr_span(&w), &out), HF_E_OK);
	hf_openssl_key_free(recipient);
}

TEST(M10_envelope_flipped_bytes)
{
	const struct hf_seal_crypto *c = hf_openssl_crypto();
	struct hf_seal_key *recipient = load("vis-r", true);
	uint8_t bytes[332], opened[64];
	struct hf_wr w = hf_wr_of(bytes, sizeof bytes);

	REQUIRE(recipient);
	CHECK_EQ(hf_seal_envelope_seal(c, recipient, hf_span_text("0123456789abcdef0123456789abcdef"), &w), HF_E_OK);
	for (size_t at = 0; at < sizeof bytes; at += at < IV_AT ? 13 : 1) {
		bool in_plain =
			at >= IV_AT && at < C_AT; /* the IV flips plaintext and nothing else: the outer signature's matter */
		bool before_padding = at >= CIPHER_AT && at < CIPHER_AT + 16;

		if (in_plain || before_padding)
			continue;
		struct hf_wr out = hf_wr_of(opened, sizeof opened);

		bytes[at] ^= 0x41;
		CHECK_EQ(hf_seal_envelope_open(c, recipient, hf_span_of(bytes, sizeof bytes), &out), HF_E_ENVELOPE);
		CHECK_EQ(out.len, 0);
		bytes[at] ^= 0x41;
	}
	hf_openssl_key_free(recipient);
}

/* --- vectors of the reference ------------------------------------------------------------------------------------- */

/* The text of a string member of one flat line. */
static struct hf_span member(struct hf_span line, const char *name)
{
	size_t skip = strlen(name), at = 0, to;

	for (; at + skip + 4 <= line.len; at++)
		if (line.ptr[at] == '"' && memcmp(line.ptr + at + 1, name, skip) == 0 &&
		    memcmp(line.ptr + at + 1 + skip, "\":\"", 3) == 0)
			break;
	if (at + skip + 4 > line.len)
		return hf_span_of(NULL, 0);
	at += skip + 4;
	for (to = at; to < line.len && line.ptr[to] != '"'; to++)
		;
	return hf_span_of(line.ptr + at, to - at);
}

/* The envelope in a message of any type that has one. */
static struct hf_span envelope_of(struct hf_span bytes)
{
	struct hf_wire_msg m;
	const struct hf_wire_shape *s;

	if (hf_wire_decode(bytes, &m, NULL) != HF_E_OK || !(s = hf_wire_shape(m.type)))
		return hf_span_of(NULL, 0);
	for (size_t i = 0; i < s->count; i++)
		if (strcmp(s->field[i].name, "encrypted") == 0)
			return *(const struct hf_span *)(const void *)((const uint8_t *)&m + s->field[i].at);
	return hf_span_of(NULL, 0);
}

static void check_vector(struct hf_seal_key *recipient, struct hf_span line)
{
	static uint8_t message[LINE_MAX_LEN / 2], want[1024], opened[1040];
	struct hf_wr m = hf_wr_of(message, sizeof message), p = hf_wr_of(want, sizeof want),
				 out = hf_wr_of(opened, sizeof opened);
	bool good = member(line, "plaintext").len > 0;

	CHECK_EQ(hf_hex_decode(member(line, "message"), &m), HF_E_OK);
	CHECK_EQ(hf_hex_decode(member(line, "plaintext"), &p), HF_E_OK);
	enum hf_err err = hf_seal_envelope_open(hf_openssl_crypto(), recipient, envelope_of(hf_wr_span(&m)), &out);

	CHECK_EQ(err, good ? HF_E_OK : HF_E_ENVELOPE);
	if (good)
		CHECK(hf_span_equal(hf_wr_span(&out), hf_wr_span(&p)));
}

TEST(M10_envelopes_of_the_reference)
{
	static char line[LINE_MAX_LEN];
	struct hf_seal_key *recipient = load("vis-r", true);
	FILE *file = fopen(VECTORS "visible.jsonl", "r");
	unsigned good = 0, bad = 0;

	REQUIRE(recipient && file);
	while (fgets(line, sizeof line, file)) {
		struct hf_span s = hf_span_text(line);

		if (!hf_span_equal(member(s, "recipient_key"), hf_span_text("vis-r")))
			continue;
		bool opens = hf_span_equal(member(s, "expect"), hf_span_text("accept"));

		if (!opens && !hf_span_equal(member(s, "stage"), hf_span_text("decrypt")))
			continue;
		good += opens;
		bad += !opens;
		check_vector(recipient, s);
	}
	(void)fclose(file);
	CHECK_EQ(good, 38);
	CHECK_EQ(bad, 90);
	hf_openssl_key_free(recipient);
}

UNIT_TESTS(T(signature_over_pieces), T(M9_signature_of_another_length_or_all_zero), T(M9_key_of_another_kind),
           T(envelope_of_every_length), T(envelope_does_not_fit), T(M10_envelope_flipped_bytes),
           T(M10_envelopes_of_the_reference))
