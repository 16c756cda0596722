/* port/fake - toy crypto: right shapes, right errors, no secrecy at all. Uses: base seal. */
#include "port/fake/fake_internal.h"

#include <string.h>

enum { BLOCK = 16, TAG = 16, MARK = 256, SIGN = 1, WRAP = 2, SEAL = 3 };

/* splitmix64 */
static uint64_t mix(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static uint64_t absorb(uint64_t state, struct hf_span s)
{
	for (size_t i = 0; i < s.len; i++) {
		state = (state ^ s.ptr[i]) * UINT64_C(0x100000001b3);
		state ^= state >> 29;
	}
	return state;
}

static void stream(uint64_t state, uint8_t *out, size_t len)
{
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)(mix(&state) >> 24);
}

static enum hf_err toy_random(void *ctx, void *out, size_t len)
{
	struct hf_fake *f = ctx;
	uint8_t *bytes = out;

	f->random_calls++;
	if (f->dead || (f->random_fail_at != 0 && f->random_calls == f->random_fail_at))
		return HF_E_RANDOM;
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(mix(&f->entropy) >> 24);
	return HF_E_OK;
}

void hf_fake_mark(uint64_t number, uint64_t domain, const struct hf_span *piece, size_t count, uint8_t out[MARK])
{
	uint64_t state = number * 7 + domain;

	for (size_t i = 0; i < count; i++)
		state = absorb(state, piece[i]);
	stream(state, out, MARK);
}

static enum hf_err toy_verify(void *ctx, struct hf_seal_key *key, const struct hf_span *piece, size_t count,
                              struct hf_span sig)
{
	uint8_t want[MARK];

	(void)ctx;
	hf_fake_mark(key->number, SIGN, piece, count, want);
	return sig.len == MARK && hf_ct_equal(sig.ptr, want, MARK) ? HF_E_OK : HF_E_SIGNATURE;
}

static enum hf_err toy_sign(void *ctx, struct hf_seal_key *key, const struct hf_span *piece, size_t count,
                            struct hf_wr *sig)
{
	uint8_t mark[MARK];

	(void)ctx;
	hf_fake_mark(key->number, SIGN, piece, count, mark);
	hf_wr_put(sig, hf_span_of(mark, MARK));
	return sig->err;
}

static size_t toy_modulus_len(void *ctx, struct hf_seal_key *key)
{
	(void)ctx;
	return key->modulus;
}

/* The block: 32 bytes of the secret under a stream, then a mark that tells whether the key is the right one. */
static enum hf_err toy_wrap(void *ctx, struct hf_seal_key *key, const uint8_t secret[32], struct hf_wr *out)
{
	uint8_t block[MARK];
	struct hf_span s = hf_span_of(secret, 32);

	(void)ctx;
	hf_fake_mark(key->number, WRAP, &s, 1, block);
	stream(key->number, block, 32);
	for (size_t i = 0; i < 32; i++)
		block[i] ^= secret[i];
	hf_wr_put(out, hf_span_of(block, key->modulus));
	return out->err;
}

static enum hf_err toy_unwrap(void *ctx, struct hf_seal_key *key, struct hf_span wrapped, uint8_t secret[32])
{
	uint8_t pad[32], want[MARK], found[32] = {0};
	struct hf_span s = hf_span_of(found, sizeof found);

	(void)ctx;
	stream(key->number, pad, sizeof pad);
	for (size_t i = 0; i < sizeof found; i++)
		found[i] = wrapped.ptr[i] ^ pad[i];
	hf_fake_mark(key->number, WRAP, &s, 1, want);
	if (wrapped.len != MARK || !hf_ct_equal(wrapped.ptr + 32, want + 32, MARK - 32))
		return HF_E_ENVELOPE;
	memcpy(secret, found, sizeof found);
	return HF_E_OK;
}

/* Real chaining over a block "cipher" that adds a stream. */
static enum hf_err toy_cbc(void *ctx, bool encrypt, const uint8_t key[32], const uint8_t iv[16], struct hf_span in,
                           struct hf_wr *out)
{
	uint8_t pad[BLOCK], before[BLOCK], block[BLOCK];

	(void)ctx;
	stream(absorb(SEAL, hf_span_of(key, 32)), pad, sizeof pad);
	memcpy(before, iv, BLOCK);
	for (size_t at = 0; at + BLOCK <= in.len; at += BLOCK) {
		for (size_t i = 0; i < BLOCK; i++)
			block[i] = (uint8_t)(in.ptr[at + i] ^ pad[i] ^ before[i]);
		memcpy(before, encrypt ? block : in.ptr + at, BLOCK);
		hf_wr_put(out, hf_span_of(block, BLOCK));
	}
	return out->err;
}

static enum hf_err toy_gcm(void *ctx, bool encrypt, const struct hf_seal_aead *with, struct hf_span in,
                           struct hf_wr *out)
{
	uint64_t state = absorb(absorb(SEAL, hf_span_of(with->key, 32)), hf_span_of(with->nonce, 12)), pad = state;
	size_t body = encrypt ? in.len : in.len - TAG;
	uint8_t mark[MARK];
	struct hf_span piece[2] = {with->ad, {NULL, 0}};

	(void)ctx;
	if (!encrypt && in.len < TAG)
		return HF_E_ENVELOPE;
	size_t start = out->len;
	for (size_t i = 0; i < body; i++)
		hf_wr_be(out, (uint8_t)(in.ptr[i] ^ (uint8_t)mix(&pad)), 1);
	if (out->err != HF_E_OK)
		return out->err;
	piece[1] = encrypt ? hf_span_of(out->base + start, body) : hf_span_of(in.ptr, body);
	hf_fake_mark(state, SEAL, piece, 2, mark);
	if (encrypt) {
		hf_wr_put(out, hf_span_of(mark, TAG));
		return out->err;
	}
	if (hf_ct_equal(mark, in.ptr + body, TAG))
		return HF_E_OK;
	out->len = start;
	return HF_E_ENVELOPE;
}

void hf_fake_crypto_init(struct hf_fake *f)
{
	f->crypto = (struct hf_seal_crypto){
		.ctx = f,
		.random = toy_random,
		.verify = toy_verify,
		.sign = toy_sign,
		.modulus_len = toy_modulus_len,
		.wrap = toy_wrap,
		.unwrap = toy_unwrap,
		.cbc = toy_cbc,
		.gcm = toy_gcm,
	};
}
