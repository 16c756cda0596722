/* ca - the token with which a C2 server registers at KeyEx: bound to id, key and expiry. Uses: base, port/openssl. */
#include "ca/ca.h"
#include "port/openssl/openssl.h"

#include <string.h>

/* hf1.<id>.<expiry>.<base64 of the signature> */
enum { PARTS = 4, SIGNED_MAX = 128, DIGEST_LEN = 32 };

static void put_part(struct hf_wr *w, struct hf_span s)
{
	hf_wr_put(w, s);
	hf_wr_be(w, 0, 1);
}

/* What is signed: purpose 00 id 00 expiry 00 SHA-256 of the server's SubjectPublicKeyInfo. */
static enum hf_err put_signed(struct hf_wr *w, struct hf_span id, struct hf_span expiry,
                              const struct hf_seal_key *server)
{
	uint8_t der[CA_KEY_DER_MAX], digest[DIGEST_LEN];
	struct hf_wr spki = hf_wr_of(der, sizeof der);
	enum hf_err err = hf_openssl_write(server, HF_OPENSSL_PUBLIC_DER, &spki);
	struct hf_span piece = hf_wr_span(&spki);

	if (err == HF_E_OK)
		err = hf_openssl_sha256(&piece, 1, digest);
	if (err != HF_E_OK)
		return err;
	put_part(w, hf_span_text("HOLDFAST server token"));
	put_part(w, id);
	put_part(w, expiry);
	hf_wr_put(w, hf_span_of(digest, sizeof digest));
	return w->err;
}

enum hf_err ca_token_make(const struct hf_seal_key *keyex, uint64_t id, const struct hf_seal_key *server,
                          int64_t expiry_s, struct hf_wr *out)
{
	uint8_t text[SIGNED_MAX], sig[HF_SEAL_SIGNATURE_MAX], id_text[HF_ID_TEXT_MAX], expiry_text[24];
	struct hf_wr w = hf_wr_of(text, sizeof text), s = hf_wr_of(sig, sizeof sig);
	struct hf_wr i = hf_wr_of(id_text, sizeof id_text), e = hf_wr_of(expiry_text, sizeof expiry_text);

	if (expiry_s < 0)
		return HF_E_INPUT;
	hf_wr_id(&i, id);
	hf_wr_dec(&e, (uint64_t)expiry_s);
	enum hf_err err = put_signed(&w, hf_wr_span(&i), hf_wr_span(&e), server);

	if (err == HF_E_OK)
		err = hf_openssl_pss_sign(keyex, hf_wr_span(&w), &s);
	if (err != HF_E_OK)
		return err;
	hf_wr_text(out, "hf1.");
	hf_wr_put(out, hf_wr_span(&i));
	hf_wr_text(out, ".");
	hf_wr_put(out, hf_wr_span(&e));
	hf_wr_text(out, ".");
	hf_wr_base64(out, hf_wr_span(&s));
	return out->err;
}

/* Splits at the dots; the last part takes what is left. */
static bool split(struct hf_span token, struct hf_span part[PARTS])
{
	while (token.len > 0 && (token.ptr[token.len - 1] == '\n' || token.ptr[token.len - 1] == '\r'))
		token.len--;
	for (size_t i = 0; i + 1 < PARTS; i++) {
		const uint8_t *dot = token.len > 0 ? memchr(token.ptr, '.', token.len) : NULL;

		if (!dot)
			return false;
		part[i] = hf_span_of(token.ptr, (size_t)(dot - token.ptr));
		token = hf_span_of(dot + 1, token.len - part[i].len - 1);
	}
	part[PARTS - 1] = token;
	return true;
}

enum hf_err ca_token_check(const struct hf_seal_key *keyex, struct hf_span token, uint64_t id,
                           const struct hf_seal_key *server, int64_t now_s)
{
	uint8_t text[SIGNED_MAX], sig[HF_SEAL_SIGNATURE_MAX];
	struct hf_wr w = hf_wr_of(text, sizeof text), s = hf_wr_of(sig, sizeof sig);
	struct hf_span part[PARTS];
	uint64_t named = 0, expiry = 0;

	if (token.len > CA_TOKEN_MAX || !split(token, part) || !hf_span_equal(part[0], hf_span_text("hf1")) ||
	    hf_id_parse(part[1], &named) != HF_E_OK || hf_dec_parse(part[2], &expiry) != HF_E_OK ||
	    hf_base64_decode(part[3], &s) != HF_E_OK)
		return HF_E_TEXT;
	if (named != id)
		return HF_E_SIGNATURE;
	enum hf_err err = put_signed(&w, part[1], part[2], server);

	if (err == HF_E_OK)
		err = hf_openssl_pss_verify(keyex, hf_wr_span(&w), hf_wr_span(&s));
	if (err != HF_E_OK)
		return err;
	return now_s < 0 || expiry <= (uint64_t)now_s ? HF_E_EXPIRED : HF_E_OK;
}
