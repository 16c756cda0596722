/* bench wire - version-5 messages: how much of the bare RSA speed is left, and parsing alone.
 * Uses: base wire seal port/openssl; libcrypto. */
#include "base/base.h"
#include "port/openssl/openssl.h"
#include "seal/seal.h"
#include "wire/wire.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	MESSAGES = 64,
	MESSAGE_MAX = 512,
	DIGEST_LEN = 32,
	TOKEN_LEN = 36,
	MODULUS_LEN = 256,
	ROUNDS_MAX = 101,
	BATCH_MAX = 1 << 20
};

/* One ACTION as it travels, and what the bare library gets of it: the digest and the signature. */
struct sample {
	uint8_t bytes[MESSAGE_MAX], digest[DIGEST_LEN], sig[MODULUS_LEN];
	size_t len;
};

struct wire_bench {
	const struct hf_seal_crypto *crypto;
	struct hf_seal_key *key;
	EVP_PKEY_CTX *verify, *sign; /* the peer's own */
	struct sample sample[MESSAGES];
	size_t rounds;
	double round_s;
	bool json;
};

/* One operation on a sample. False: it went wrong, and the figures would mean nothing. */
typedef bool (*operation)(struct wire_bench *b, size_t i);

struct row {
	const char *name, *what;
	operation ours, peer; /* peer may be NULL */
	double target; /* of the ratio if there is a peer, else of ours */
};

/* --- operations ---------------------------------------------------------------------------------------------- */

static bool ours_verify(struct wire_bench *b, size_t i)
{
	struct hf_wire_msg m;
	struct hf_wire_covered covered;

	return hf_wire_decode(hf_span_of(b->sample[i].bytes, b->sample[i].len), &m, &covered) == HF_E_OK &&
	       hf_seal_verify(b->crypto, b->key, covered.piece, 2, m.signature) == HF_E_OK;
}

static bool peer_verify(struct wire_bench *b, size_t i)
{
	return EVP_PKEY_verify(b->verify, b->sample[i].sig, MODULUS_LEN, b->sample[i].digest, DIGEST_LEN) == 1;
}

/* Encodes and signs an ACTION into out. */
static bool make_action(struct wire_bench *b, size_t i, struct hf_wr *out)
{
	uint8_t text[MESSAGE_MAX], sig[HF_SEAL_SIGNATURE_MAX];
	struct hf_wr covered = hf_wr_of(text, sizeof text), w = hf_wr_of(sig, sizeof sig);
	char token[TOKEN_LEN + 1];
	struct hf_wire_msg m = {.version = HF_WIRE_V5,
	                        .type = HF_WIRE_ACTION,
	                        .sequence_id = 16 * (i + 1),
	                        .sender_id = 0x5e4e400000000001};

	snprintf(token, sizeof token, "%08zx-aaaa-4bbb-8ccc-0123456789ab", i);
	m.token = hf_span_of(token, TOKEN_LEN);
	m.action.action_id = (uint8_t)i;
	if (hf_wire_encode(&covered, &m, HF_WIRE_COVERED) != HF_E_OK)
		return false;
	struct hf_span piece = hf_wr_span(&covered);

	const struct hf_seal_crypto *crypto = hf_openssl_crypto();

	if (crypto->sign(crypto->ctx, b->key, &piece, 1, &w) != HF_E_OK)
		return false;
	m.signature = hf_wr_span(&w);
	return hf_wire_encode(out, &m, HF_WIRE_WHOLE) == HF_E_OK;
}

static bool ours_sign(struct wire_bench *b, size_t i)
{
	uint8_t bytes[MESSAGE_MAX];
	struct hf_wr out = hf_wr_of(bytes, sizeof bytes);

	return make_action(b, i, &out);
}

static bool peer_sign(struct wire_bench *b, size_t i)
{
	uint8_t sig[MODULUS_LEN];
	size_t len = sizeof sig;

	return EVP_PKEY_sign(b->sign, sig, &len, b->sample[i].digest, DIGEST_LEN) == 1;
}

static bool ours_parse(struct wire_bench *b, size_t i)
{
	struct hf_wire_msg m;
	struct hf_wire_covered covered;

	return hf_wire_decode(hf_span_of(b->sample[i].bytes, b->sample[i].len), &m, &covered) == HF_E_OK &&
	       m.action.action_id == (uint8_t)i;
}

static const struct row rows[] = {
	{"verify-v5", "parse and verify a whole ACTION; peer: EVP_PKEY_verify alone, of a ready digest", ours_verify,
     peer_verify, 0.95},
	{"sign-v5", "encode and sign an ACTION; peer: EVP_PKEY_sign alone, of a ready digest", ours_sign, peer_sign, 0.95},
	{"parse-v5", "parse an ACTION, no crypto; no peer", ours_parse, NULL, 5e6},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

/* --- preparation --------------------------------------------------------------------------------------------- */

static EVP_PKEY_CTX *peer_context(EVP_PKEY *pkey, int (*init)(EVP_PKEY_CTX *))
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(pkey, NULL);

	if (c && init(c) == 1 && EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PADDING) == 1 &&
	    EVP_PKEY_CTX_set_signature_md(c, EVP_sha256()) == 1)
		return c;
	EVP_PKEY_CTX_free(c);
	return NULL;
}

static bool make_sample(struct wire_bench *b, size_t i)
{
	struct sample *s = &b->sample[i];
	struct hf_wr out = hf_wr_of(s->bytes, sizeof s->bytes);
	struct hf_wire_msg m;
	struct hf_wire_covered covered;

	if (!make_action(b, i, &out))
		return false;
	s->len = out.len;
	if (hf_wire_decode(hf_wr_span(&out), &m, &covered) != HF_E_OK || m.signature.len != MODULUS_LEN)
		return false;
	memcpy(s->sig, m.signature.ptr, MODULUS_LEN);
	return hf_openssl_sha256(covered.piece, 2, s->digest) == HF_E_OK;
}

static bool prepare(struct wire_bench *b)
{
	b->crypto = hf_openssl_crypto();
	if (hf_openssl_generate(HF_OPENSSL_RSA2048, &b->key) != HF_E_OK)
		return false;
	b->verify = peer_context(hf_openssl_pkey(b->key), EVP_PKEY_verify_init);
	b->sign = peer_context(hf_openssl_pkey(b->key), EVP_PKEY_sign_init);
	for (size_t i = 0; i < MESSAGES; i++)
		if (!make_sample(b, i))
			return false;
	return b->verify && b->sign;
}

static void release(struct wire_bench *b)
{
	EVP_PKEY_CTX_free(b->verify);
	EVP_PKEY_CTX_free(b->sign);
	hf_openssl_key_free(b->key);
}

/* --- measuring ----------------------------------------------------------------------------------------------- */

/* CPU time of this process, so that others on the machine disturb less. */
static double cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Seconds that count operations took; below 0: one failed. */
static double run(struct wire_bench *b, operation op, size_t count)
{
	double start = cpu_s();

	for (size_t i = 0; i < count; i++)
		if (!op(b, i % MESSAGES))
			return -1;
	return cpu_s() - start;
}

/* How many operations fill a round; 0: one failed. */
static size_t batch_of(struct wire_bench *b, operation op)
{
	double took = 0;

	for (size_t count = MESSAGES; count < BATCH_MAX; count *= 2) {
		took = run(b, op, count);
		if (took < 0)
			return 0;
		if (took >= b->round_s)
			return count;
	}
	return BATCH_MAX;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *value, size_t count)
{
	qsort(value, count, sizeof *value, by_size);
	return count % 2 ? value[count / 2] : (value[count / 2 - 1] + value[count / 2]) / 2;
}

/* Rounds of ours and the peer's in turns; medians in operations/s. */
static bool measure(struct wire_bench *b, const struct row *row, double *ours, double *peer)
{
	double a[ROUNDS_MAX], p[ROUNDS_MAX];
	size_t count = batch_of(b, row->ours);

	for (size_t i = 0; i < b->rounds && count > 0; i++) {
		double took = run(b, row->ours, count), bare = row->peer ? run(b, row->peer, count) : 1;

		if (took <= 0 || bare <= 0)
			return false;
		a[i] = (double)count / took;
		p[i] = (double)count / bare;
	}
	if (count == 0)
		return false;
	*ours = median(a, b->rounds);
	*peer = median(p, b->rounds);
	return true;
}

/* --- telling ------------------------------------------------------------------------------------------------- */

static void print_json(const struct row *row, double ours, double peer)
{
	bool met = (row->peer ? ours / peer : ours) >= row->target;

	printf("{\"bench\": \"wire\", \"case\": \"%s\", \"unit\": \"operations/s\", \"ours\": %.0f, ", row->name, ours);
	if (row->peer)
		printf("\"peer\": %.0f, \"ratio\": %.4f, ", peer, ours / peer);
	else
		printf("\"peer\": null, \"ratio\": null, ");
	printf("\"target\": %g, \"met\": %s}\n", row->target, met ? "true" : "false");
}

static void print_human(const struct row *row, double ours, double peer)
{
	if (row->peer)
		printf("%-10s %10.0f %10.0f %7.3f  ratio >= %-9g %-6s %s\n", row->name, ours, peer, ours / peer, row->target,
		       ours / peer >= row->target ? "met" : "MISSED", row->what);
	else
		printf("%-10s %10.0f %10s %7s  ours >= %-10g %-6s %s\n", row->name, ours, "-", "-", row->target,
		       ours >= row->target ? "met" : "MISSED", row->what);
}

static int usage(int code)
{
	fprintf(code ? stderr : stdout, "Usage: bench_wire [--json] [--smoke]\n");
	return code;
}

int main(int argc, char **argv)
{
	static struct wire_bench b = {.rounds = ROUNDS_MAX, .round_s = 0.05};
	bool ok = true;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			b.json = true;
		else if (strcmp(argv[i], "--smoke") == 0)
			b.rounds = 5, b.round_s = 0.01;
		else
			return usage(strcmp(argv[i], "--help") == 0 ? 0 : 2);
	}
	ok = prepare(&b);
	if (ok && !b.json)
		printf("operations/s of CPU time on one core, RSA-2048, medians of %zu rounds, ours and the peer's in turns\n"
		       "%-10s %10s %10s %7s  %-18s %-6s\n",
		       b.rounds, "case", "ours", "peer", "ratio", "target", "");
	for (size_t i = 0; i < ROWS && ok; i++) {
		double ours = 0, peer = 0;

		ok = measure(&b, &rows[i], &ours, &peer);
		if (ok)
			(b.json ? print_json : print_human)(&rows[i], ours, peer);
		fflush(stdout);
	}
	release(&b);
	if (!ok)
		fprintf(stderr, "bench_wire: an operation failed\n");
	return ok ? 0 : 1;
}
