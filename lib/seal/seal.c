/* seal - signature check and envelope. Uses: base; a crypto library by table. */
#include "seal/seal.h"

#include <string.h>

enum { KEY_LEN = 32, IV_LEN = 16, BLOCK_LEN = 16 };

enum hf_err hf_seal_verify(const struct hf_seal_crypto *c, struct hf_seal_key *key, const struct hf_span *piece,
                           size_t count, struct hf_span sig)
{
	size_t len = key ? c->modulus_len(c->ctx, key) : 0;

	if (len < HF_SEAL_MODULUS_MIN || len > HF_SEAL_SIGNATURE_MAX)
		return HF_E_KEY;
	if (sig.len != len)
		return HF_E_SIGNATURE;
	return c->verify(c->ctx, key, piece, count, sig);
}

/* Encrypts plain with PKCS#7 padding: whole blocks from where they lie, the last one from a copy. */
static enum hf_err encrypt_padded(const struct hf_seal_crypto *c, const uint8_t key[KEY_LEN], const uint8_t iv[IV_LEN],
                                  struct hf_span plain, struct hf_wr *out)
{
	size_t whole = plain.len - plain.len % BLOCK_LEN, rest = plain.len - whole, start = out->len;
	uint8_t last[BLOCK_LEN];
	enum hf_err err = HF_E_OK;

	memset(last, (int)(BLOCK_LEN - rest), sizeof last);
	memcpy(last, plain.ptr + whole, rest);
	if (whole > 0)
		err = c->cbc(c->ctx, true, key, iv, hf_span_of(plain.ptr, whole), out);
	if (err == HF_E_OK) /* CBC goes on from the last block that it made */
		err = c->cbc(c->ctx, true, key, whole > 0 ? out->base + start + whole - BLOCK_LEN : iv,
		             hf_span_of(last, sizeof last), out);
	hf_wipe(last, sizeof last);
	return err;
}

enum hf_err hf_seal_envelope_seal(const struct hf_seal_crypto *c, struct hf_seal_key *key, struct hf_span plain,
                                  struct hf_wr *out)
{
	uint8_t secret[KEY_LEN + IV_LEN];
	size_t len = key ? c->modulus_len(c->ctx, key) : 0;
	enum hf_err err;

	if (len < HF_SEAL_MODULUS_MIN)
		return HF_E_KEY;
	if (plain.len == 0 || plain.len > HF_SEAL_PLAINTEXT_MAX)
		return HF_E_TOO_BIG;
	err = c->random(c->ctx, secret, sizeof secret);
	if (err != HF_E_OK)
		goto out;
	hf_wr_le(out, len, 4);
	err = c->wrap(c->ctx, key, secret, out);
	if (err != HF_E_OK)
		goto out;
	hf_wr_put(out, hf_span_of(secret + KEY_LEN, IV_LEN));
	hf_wr_le(out, plain.len - plain.len % BLOCK_LEN + BLOCK_LEN, 4);
	hf_wr_le(out, plain.len, 4);
	err = out->err != HF_E_OK ? out->err : encrypt_padded(c, secret, secret + KEY_LEN, plain, out);
out:
	hf_wipe(secret, sizeof secret);
	return err;
}

/* The parts of an envelope. */
struct envelope {
	struct hf_span wrapped, iv, cipher;
	uint64_t plain_len;
};

static enum hf_err split(struct hf_span in, size_t modulus_len, struct envelope *e)
{
	struct hf_rd r = hf_rd_of(in);
	size_t wrapped = (size_t)hf_rd_le(&r, 4);

	if (wrapped != modulus_len)
		return HF_E_ENVELOPE;
	e->wrapped = hf_rd_take(&r, wrapped);
	e->iv = hf_rd_take(&r, IV_LEN);
	size_t cipher = (size_t)hf_rd_le(&r, 4);
	e->plain_len = hf_rd_le(&r, 4);
	e->cipher = hf_rd_take(&r, cipher);
	if (hf_rd_finish(&r) != HF_E_OK || cipher == 0 || cipher % BLOCK_LEN != 0)
		return HF_E_ENVELOPE;
	return HF_E_OK;
}

/* Is plain_len what PKCS#7 padding at the end of text says? Looks at the whole last block whatever it holds. */
static bool padding_holds(struct hf_span text, uint64_t plain_len)
{
	unsigned pad = text.ptr[text.len - 1], bad = pad == 0 || pad > BLOCK_LEN;

	for (unsigned i = 1; i <= BLOCK_LEN; i++)
		bad |= (unsigned)(i <= pad) & (unsigned)(text.ptr[text.len - i] != pad);
	bad |= plain_len != (uint64_t)text.len - pad;
	return bad == 0;
}

enum hf_err hf_seal_envelope_open(const struct hf_seal_crypto *c, struct hf_seal_key *key, struct hf_span envelope,
                                  struct hf_wr *out)
{
	struct envelope e = {0};
	uint8_t secret[KEY_LEN];
	size_t len = key ? c->modulus_len(c->ctx, key) : 0, start = out->len;
	enum hf_err err, wrapped;

	if (len < HF_SEAL_MODULUS_MIN)
		return HF_E_KEY;
	if (split(envelope, len, &e) != HF_E_OK)
		return HF_E_ENVELOPE;
	if (e.cipher.len > out->cap - out->len)
		return HF_E_NO_SPACE;
	/* A block that does not unwrap goes on with a random key: nothing, not even time, tells it from wrong padding. */
	err = c->random(c->ctx, secret, sizeof secret);
	if (err != HF_E_OK)
		goto out;
	wrapped = c->unwrap(c->ctx, key, e.wrapped, secret);
	err = c->cbc(c->ctx, false, secret, e.iv.ptr, e.cipher, out);
	if (err == HF_E_OK &&
	    ((unsigned)!padding_holds(e.cipher.len ? hf_span_of(out->base + start, e.cipher.len) : e.cipher, e.plain_len) |
	     (unsigned)(wrapped != HF_E_OK)))
		err = HF_E_ENVELOPE;
	if (err != HF_E_OK) {
		hf_wipe(out->base + start, e.cipher.len);
		out->len = start;
		goto out;
	}
	hf_wipe(out->base + start + e.plain_len, e.cipher.len - (size_t)e.plain_len);
	out->len = start + (size_t)e.plain_len;
out:
	hf_wipe(secret, sizeof secret);
	return err;
}
