/* seal - signatures over what arrived, sealed envelopes, sequence ids in both directions. Uses: base; a crypto library by table. */
#ifndef HF_SEAL_H
#define HF_SEAL_H
#include "base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A key of the crypto library behind the port; made and freed there. */
struct hf_seal_key;

/* What an authenticated encryption depends on besides its text: a key, a nonce that is used once, data that is not hidden. */
struct hf_seal_aead {
	const uint8_t *key, *nonce; /* 32 and 12 bytes */
	struct hf_span ad;
};

/* What a crypto library must give. Every function returns CRYPTO when the library itself fails. */
struct hf_seal_crypto {
	void *ctx;
	/* len random bytes. RANDOM. */
	enum hf_err (*random)(void *ctx, void *out, size_t len);
	/* RSASSA-PKCS1-v1_5/SHA-256 over the pieces in order. SIGNATURE when it does not hold, KEY. */
	enum hf_err (*verify)(void *ctx, struct hf_seal_key *key, const struct hf_span *piece, size_t count,
	                      struct hf_span sig);
	enum hf_err (*sign)(void *ctx, struct hf_seal_key *key, const struct hf_span *piece, size_t count,
	                    struct hf_wr *sig);
	/* Bytes of the RSA modulus, 0 if it is no RSA key. */
	size_t (*modulus_len)(void *ctx, struct hf_seal_key *key);
	/* RSAES-PKCS1-v1_5 of 32 bytes; unwrap gives ENVELOPE for whatever is not such a block. */
	enum hf_err (*wrap)(void *ctx, struct hf_seal_key *key, const uint8_t secret[32], struct hf_wr *out);
	enum hf_err (*unwrap)(void *ctx, struct hf_seal_key *key, struct hf_span wrapped, uint8_t secret[32]);
	/* AES-256-CBC without padding; in.len is a multiple of 16. */
	enum hf_err (*cbc)(void *ctx, bool encrypt, const uint8_t key[32], const uint8_t iv[16], struct hf_span in,
	                   struct hf_wr *out);
	/* AES-256-GCM with a 12-byte nonce; out gets ciphertext and 16-byte tag, or the plaintext. ENVELOPE when the tag is wrong. */
	enum hf_err (*gcm)(void *ctx, bool encrypt, const struct hf_seal_aead *with, struct hf_span in, struct hf_wr *out);
};

enum { HF_SEAL_SIGNATURE_MAX = 512, HF_SEAL_MODULUS_MIN = 256 };

/* Verifies sig over the pieces, of which any may be empty. Errors: KEY (missing, under 2048 bits), SIGNATURE (also any other
 * length than the modulus), CRYPTO. Source: srup-v5 section 1.2. */
HF_NODISCARD enum hf_err hf_seal_verify(const struct hf_seal_crypto *c, struct hf_seal_key *key,
                                        const struct hf_span *piece, size_t count, struct hf_span sig);

/* --- envelope: Source: srup-v5 section 4 -------------------------------------------------------------------------------- */

enum { HF_SEAL_PLAINTEXT_MAX = 4096, HF_SEAL_VALUE_LEN = 32, HF_SEAL_ENVELOPE_OVERHEAD = 4 + 512 + 16 + 8 + 16 };

/* Seals plain (1..HF_SEAL_PLAINTEXT_MAX bytes) to the holder of key. Errors: TOO_BIG, KEY, RANDOM, CRYPTO, NO_SPACE. */
HF_NODISCARD enum hf_err hf_seal_envelope_seal(const struct hf_seal_crypto *c, struct hf_seal_key *key,
                                               struct hf_span plain, struct hf_wr *out);
/* Opens an envelope; out holds the plaintext only on success and needs room for the ciphertext. Whatever is wrong, the error is
 * ENVELOPE, except KEY (no usable key) and NO_SPACE, which the sender cannot cause within HF_SEAL_PLAINTEXT_MAX + 16. */
HF_NODISCARD enum hf_err hf_seal_envelope_open(const struct hf_seal_crypto *c, struct hf_seal_key *key,
                                               struct hf_span envelope, struct hf_wr *out);

/* --- sequence ids: Source: srup-v5 section 6 ------------------------------------------------------------------------------ */

/* Ids above this are refused, so that a counter can always go on. */
#define HF_SEAL_SEQUENCE_MAX (UINT64_MAX - UINT32_MAX)
enum { HF_SEAL_WINDOW = 64, HF_SEAL_GAP = 16, HF_SEAL_BLOCK = 4096 };

/* What was received from one sender: the highest id, and bit i of seen for id high - i. All zero: nothing yet. */
struct hf_seal_window {
	uint64_t high, seen;
};
/* May this id be taken? OK, SEQUENCE (0 or above the maximum), REPLAY (seen, or below the window). Changes nothing. */
HF_NODISCARD enum hf_err hf_seal_window_judge(const struct hf_seal_window *w, uint64_t id);
/* Marks an id that was judged OK; call it once the signature holds. */
void hf_seal_window_mark(struct hf_seal_window *w, uint64_t id);

/* What was sent to one peer. reserved is durable: after a restart last starts there, so no id is used twice. */
struct hf_seal_counter {
	uint64_t last, reserved;
};
/* Continues after a restart from the stored reservation. */
void hf_seal_counter_resume(struct hf_seal_counter *c, uint64_t stored);
/* The next id: max(last sent, last received) + HF_SEAL_GAP. When *must_store comes back true, c->reserved must be stored before
 * the id is used. Errors: SEQUENCE (exhausted). */
HF_NODISCARD enum hf_err hf_seal_counter_take(struct hf_seal_counter *c, uint64_t received, uint64_t *id,
                                              bool *must_store);

#ifdef __cplusplus
}
#endif
#endif
