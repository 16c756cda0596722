/* envelope_test - what seal refuses whatever the crypto library: keys, lengths, padding, one error for all. With toy
 * crypto, so it runs on every machine. Uses: seal, port/fake, tests/unit.h. */
#include "seal/seal.h"
#include "port/fake/fake.h"
#include "tests/unit.h"

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

enum { K_AT = 0, K = 256, IV_AT = 4 + K, C_AT = IV_AT + 16, P_AT = C_AT + 4, SEALED = P_AT + 4 + 48 };

static const char value[] = "0123456789abcdef0123456789abcdef";
static struct hf_fake f;

static struct hf_wr sealed(struct hf_seal_key *key, uint8_t out[SEALED])
{
	struct hf_wr w = hf_wr_of(out, SEALED);

	hf_fake_init(&f, 3);
	CHECK_EQ(hf_seal_envelope_seal(&f.crypto, key, hf_span_text(value), &w), HF_E_OK);
	CHECK_EQ(w.len, SEALED);
	return w;
}

TEST(M9_key_too_weak)
{
	struct hf_span text = hf_span_text("text");
	uint8_t bytes[1024] = {0};
	struct hf_wr w = hf_wr_of(bytes, sizeof bytes);

	hf_fake_init(&f, 1);
	CHECK_EQ(hf_seal_verify(&f.crypto, hf_fake_key(5, 128), &text, 1, hf_span_of(bytes, 128)), HF_E_KEY);
	CHECK_EQ(hf_seal_verify(&f.crypto, hf_fake_key(5, 255), &text, 1, hf_span_of(bytes, 255)), HF_E_KEY);
	CHECK_EQ(hf_seal_verify(&f.crypto, hf_fake_key(5, 513), &text, 1, hf_span_of(bytes, 513)), HF_E_KEY);
	CHECK_EQ(hf_seal_envelope_seal(&f.crypto, hf_fake_key(5, 128), text, &w), HF_E_KEY);
	CHECK_EQ(hf_seal_envelope_open(&f.crypto, hf_fake_key(5, 128), hf_span_of(bytes, 300), &w), HF_E_KEY);
}

TEST(signature_of_its_own_text_and_key)
{
	struct hf_span whole = hf_span_text("header body"), pieces[] = {hf_span_text("header"), hf_span_text(" body")};
	struct hf_seal_key *key = hf_fake_key(5, 256);
	uint8_t bytes[HF_SEAL_SIGNATURE_MAX];
	struct hf_wr sig = hf_wr_of(bytes, sizeof bytes);

	hf_fake_init(&f, 1);
	CHECK_EQ(f.crypto.sign(f.crypto.ctx, key, &whole, 1, &sig), HF_E_OK);
	CHECK_EQ(hf_seal_verify(&f.crypto, key, pieces, 2, hf_wr_span(&sig)), HF_E_OK);
	CHECK_EQ(hf_seal_verify(&f.crypto, key, pieces, 1, hf_wr_span(&sig)), HF_E_SIGNATURE);
	CHECK_EQ(hf_seal_verify(&f.crypto, hf_fake_key(6, 256), &whole, 1, hf_wr_span(&sig)), HF_E_SIGNATURE);
	CHECK_EQ(hf_seal_verify(&f.crypto, key, &whole, 1, hf_span_of(bytes, sig.len - 1)), HF_E_SIGNATURE);
}

TEST(envelope_opens_again)
{
	struct hf_seal_key *key = hf_fake_key(9, 256);
	uint8_t plain[100], bytes[SEALED + 100], opened[sizeof plain + 16];

	hf_fake_init(&f, 3);
	memset(plain, 0x5a, sizeof plain);
	for (size_t len = 1; len <= sizeof plain; len++) {
		struct hf_wr w = hf_wr_of(bytes, sizeof bytes), out = hf_wr_of(opened, sizeof opened);

		CHECK_EQ(hf_seal_envelope_seal(&f.crypto, key, hf_span_of(plain, len), &w), HF_E_OK);
		CHECK_EQ(hf_seal_envelope_open(&f.crypto, key, hf_wr_span(&w), &out), HF_E_OK);
		CHECK(hf_span_equal(hf_wr_span(&out), hf_span_of(plain, len)));
	}
}

static void check_refused(const struct hf_seal_crypto *c, struct hf_seal_key *key, struct hf_span envelope)
{
	uint8_t opened[600];
	struct hf_wr out = hf_wr_of(opened, sizeof opened);

	memset(opened, 0xaa, sizeof opened);
	hf_wr_text(&out, "before");
	CHECK_EQ(hf_seal_envelope_open(c, key, envelope, &out), HF_E_ENVELOPE);
	CHECK_EQ(out.len, 6);
	for (size_t i = 6; i < sizeof opened; i++) /* nothing of the plaintext stays behind */
		if (opened[i] != 0xaa && opened[i] != 0)
			CHECK_EQ(i, 0);
}

/* One envelope, one number in it replaced. */
struct hostile {
	size_t at;
	uint32_t value;
};
static const struct hostile hostiles[] = {
	{K_AT, 0},          {K_AT, 1},          {K_AT, 255},        {K_AT, 257},        {K_AT, 0x7fffffff},
	{K_AT, 0x80000000}, {K_AT, 0xffffffff}, {C_AT, 0},          {C_AT, 1},          {C_AT, 16},
	{C_AT, 32},         {C_AT, 47},         {C_AT, 49},         {C_AT, 64},         {C_AT, 0x7fffffff},
	{C_AT, 0x7ffffff0}, {C_AT, 0x80000000}, {C_AT, 0xfffffff0}, {C_AT, 0xffffffff}, {P_AT, 0},
	{P_AT, 31},         {P_AT, 33},         {P_AT, 47},         {P_AT, 48},         {P_AT, 0x7fffffff},
	{P_AT, 0x80000000}, {P_AT, 0xffffffff}, {P_AT, 0xffffffe0},
};

TEST(M10_envelope_hostile_lengths)
{
	struct hf_seal_key *key = hf_fake_key(9, 256);
	uint8_t good[SEALED], bad[SEALED + 1];

	(void)sealed(key, good);
	for (size_t i = 0; i < COUNT(hostiles); i++) {
		struct hf_wr at = hf_wr_of(bad + hostiles[i].at, 4);

		memcpy(bad, good, sizeof good);
		hf_wr_le(&at, hostiles[i].value, 4);
		check_refused(&f.crypto, key, hf_span_of(bad, sizeof good));
	}
	for (size_t len = 0; len < sizeof good; len++)
		check_refused(&f.crypto, key, hf_span_of(good, len));
	memcpy(bad, good, sizeof good);
	bad[sizeof good] = 0;
	check_refused(&f.crypto, key, hf_span_of(bad, sizeof bad));
	check_refused(&f.crypto, hf_fake_key(10, 256), hf_span_of(good, sizeof good));
}

static unsigned decryptions;

static enum hf_err counting_cbc(void *ctx, bool encrypt, const uint8_t key[32], const uint8_t iv[16], struct hf_span in,
                                struct hf_wr *out)
{
	decryptions += !encrypt;
	return f.crypto.cbc(ctx, encrypt, key, iv, in, out);
}

/* A wrapped key that does not unwrap is not told from wrong padding: the same work is done and the same error comes. */
TEST(M10_envelope_no_oracle)
{
	struct hf_seal_key *key = hf_fake_key(9, 256);
	struct hf_seal_crypto c;
	uint8_t bytes[SEALED];
	struct hf_wr w = sealed(key, bytes);

	c = f.crypto;
	c.cbc = counting_cbc;
	decryptions = 0;
	bytes[4 + 100] ^= 1;
	check_refused(&c, key, hf_wr_span(&w));
	CHECK_EQ(decryptions, 1);
	bytes[4 + 100] ^= 1;
	bytes[w.len - 1] ^= 1;
	check_refused(&c, key, hf_wr_span(&w));
	CHECK_EQ(decryptions, 2);
}

TEST(envelope_without_random_numbers)
{
	struct hf_seal_key *key = hf_fake_key(9, 256);
	uint8_t bytes[SEALED], opened[64];
	struct hf_wr w = sealed(key, bytes), out = hf_wr_of(opened, sizeof opened);

	f.random_fail_at = f.random_calls + 1;
	CHECK_EQ(hf_seal_envelope_open(&f.crypto, key, hf_wr_span(&w), &out), HF_E_RANDOM);
	CHECK_EQ(out.len, 0);
	w = hf_wr_of(bytes, sizeof bytes);
	f.random_fail_at = f.random_calls + 1;
	CHECK_EQ(hf_seal_envelope_seal(&f.crypto, key, hf_span_text("text"), &w), HF_E_RANDOM);
}

UNIT_TESTS(T(M9_key_too_weak), T(signature_of_its_own_text_and_key), T(envelope_opens_again),
           T(M10_envelope_hostile_lengths), T(M10_envelope_no_oracle), T(envelope_without_random_numbers))
