/* port/fake - store, keys, requests and messages of a test's world. Uses: base seal node. */
#include "port/fake/fake_internal.h"

#include <string.h>

enum { PSS = 4, POOL = 256 };

static const char private_start[] = "-----BEGIN TOY PRIVATE-----\n", public_start[] = "-----BEGIN TOY PUBLIC-----\n",
				  end[] = "\n-----END TOY-----\n";

/* --- keys --------------------------------------------------------------------------------------------------------- */

struct hf_seal_key *hf_fake_key(uint64_t number, size_t modulus)
{
	static struct hf_seal_key pool[POOL]; /* one for each number and strength that a test ever names */

	for (size_t i = 0; i < POOL; i++) {
		if (pool[i].number == 0)
			pool[i] = (struct hf_seal_key){number, modulus};
		if (pool[i].number == number && pool[i].modulus == modulus)
			return &pool[i];
	}
	return NULL;
}

static void put_key(struct hf_wr *out, const char *start, uint64_t number)
{
	hf_wr_text(out, start);
	hf_wr_hex64(out, number);
	hf_wr_text(out, end);
}

void hf_fake_public_pem(uint64_t number, struct hf_wr *out)
{
	put_key(out, public_start, number);
}

static uint64_t number_after(struct hf_span pem, const char *start)
{
	size_t skip = strlen(start);
	uint8_t bytes[8];
	struct hf_wr w = hf_wr_of(bytes, sizeof bytes);
	struct hf_rd r = hf_rd_of(hf_span_of(bytes, sizeof bytes));

	if (pem.len != skip + 16 + sizeof end - 1 || memcmp(pem.ptr, start, skip) != 0 ||
	    hf_hex_decode(hf_span_of(pem.ptr + skip, 16), &w) != HF_E_OK)
		return 0;
	return hf_rd_be(&r, 8);
}

uint64_t hf_fake_number(struct hf_span pem)
{
	uint64_t number = number_after(pem, private_start);

	return number != 0 ? number : number_after(pem, public_start);
}

static enum hf_err make_identity(void *ctx, struct hf_wr *private_pem, struct hf_wr *public_pem)
{
	struct hf_fake *f = ctx;

	if (f->dead)
		return HF_E_CRYPTO;
	f->next_key++;
	put_key(private_pem, private_start, f->next_key);
	put_key(public_pem, public_start, f->next_key);
	return private_pem->err != HF_E_OK ? private_pem->err : public_pem->err;
}

static enum hf_err make_access(void *ctx, const char *common_name, struct hf_wr *private_pem, struct hf_wr *csr_pem)
{
	struct hf_fake *f = ctx;

	if (f->dead)
		return HF_E_CRYPTO;
	put_key(private_pem, private_start, ++f->next_key);
	hf_wr_hex64(csr_pem, f->next_key);
	hf_wr_text(csr_pem, " toy request of ");
	hf_wr_text(csr_pem, common_name);
	return private_pem->err != HF_E_OK ? private_pem->err : csr_pem->err;
}

static enum hf_err load_key(void *ctx, bool private_half, struct hf_span pem, struct hf_seal_key **out)
{
	struct hf_fake *f = ctx;
	uint64_t number = number_after(pem, private_half ? private_start : public_start);

	if (f->dead || number == 0)
		return HF_E_KEY;
	f->keys_held++;
	*out = hf_fake_key(number, 256);
	return *out ? HF_E_OK : HF_E_MEMORY;
}

static void free_key(void *ctx, struct hf_seal_key *key)
{
	struct hf_fake *f = ctx;

	f->keys_held -= key != NULL;
}

static enum hf_err sign_pss(void *ctx, struct hf_seal_key *key, struct hf_span text, struct hf_wr *sig)
{
	uint8_t mark[256];

	(void)ctx;
	hf_fake_mark(key->number, PSS, &text, 1, mark);
	hf_wr_put(sig, hf_span_of(mark, sizeof mark));
	return sig->err;
}

static enum hf_err verify_pss(void *ctx, struct hf_seal_key *key, struct hf_span text, struct hf_span sig)
{
	uint8_t mark[256];

	(void)ctx;
	hf_fake_mark(key->number, PSS, &text, 1, mark);
	return hf_span_equal(sig, hf_span_of(mark, sizeof mark)) ? HF_E_OK : HF_E_SIGNATURE;
}

/* --- store -------------------------------------------------------------------------------------------------------- */

static enum hf_err get(void *ctx, enum hf_node_item item, struct hf_wr *out)
{
	struct hf_fake *f = ctx;
	const struct hf_fake_value *v = &f->store[item];

	if (f->dead)
		return HF_E_IO;
	if (!v->there)
		return HF_E_NOT_FOUND;
	hf_wr_put(out, hf_span_of(v->bytes, v->len));
	return out->err;
}

/* Counts a write; true when it has the fault. */
static bool fails(struct hf_fake *f)
{
	bool fault = ++f->puts == f->fail_at || (f->fault == HF_FAKE_FULL && f->fail_at != 0 && f->puts > f->fail_at);

	f->dead = fault && (f->fault == HF_FAKE_CUT_BEFORE || f->fault == HF_FAKE_CUT_AFTER);
	return fault;
}

static enum hf_err put(void *ctx, enum hf_node_item item, struct hf_span value)
{
	struct hf_fake *f = ctx;

	if (f->dead || value.len > HF_FAKE_VALUE_MAX)
		return HF_E_IO;
	bool fault = fails(f);

	if (!fault || f->fault == HF_FAKE_CUT_AFTER) {
		f->store[item].there = true;
		f->store[item].len = value.len;
		memcpy(f->store[item].bytes, value.ptr, value.len);
	}
	return fault ? HF_E_IO : HF_E_OK;
}

static enum hf_err erase(void *ctx, enum hf_node_item item)
{
	struct hf_fake *f = ctx;

	if (f->dead)
		return HF_E_IO;
	bool fault = fails(f);

	if (!fault || f->fault == HF_FAKE_CUT_AFTER)
		f->store[item] = (struct hf_fake_value){.there = false};
	return fault ? HF_E_IO : HF_E_OK;
}

/* --- certificates ------------------------------------------------------------------------------------------------- */

void hf_fake_certificate(uint64_t number, int64_t from_s, int64_t life_s, struct hf_wr *out)
{
	hf_wr_hex64(out, number);
	hf_wr_hex64(out, (uint64_t)from_s);
	hf_wr_hex64(out, (uint64_t)life_s);
}

bool hf_fake_certificate_read(struct hf_span text, uint64_t *number, int64_t *from_s, int64_t *life_s)
{
	uint8_t bytes[24];
	struct hf_wr w = hf_wr_of(bytes, sizeof bytes);
	struct hf_rd r = hf_rd_of(hf_span_of(bytes, sizeof bytes));

	if (hf_hex_decode(text, &w) != HF_E_OK || w.len != sizeof bytes)
		return false;
	*number = hf_rd_be(&r, 8);
	*from_s = (int64_t)hf_rd_be(&r, 8);
	*life_s = (int64_t)hf_rd_be(&r, 8);
	return true;
}

static enum hf_err check_access(void *ctx, const struct hf_node_access *access, struct hf_node_validity *out)
{
	struct hf_fake *f = ctx;
	uint64_t number = 0;
	int64_t from_s = 0, life_s = 0;

	if (f->dead || access->ca.len == 0 || !hf_fake_certificate_read(access->certificate, &number, &from_s, &life_s) ||
	    number_after(access->key, private_start) != number)
		return HF_E_KEY;
	*out = (struct hf_node_validity){.life_s = life_s, .left_s = from_s + life_s - f->wall_s};
	return HF_E_OK;
}

/* --- outside ------------------------------------------------------------------------------------------------------ */

static enum hf_err put_text(char *out, size_t cap, const char *text)
{
	struct hf_wr w = hf_wr_of(out, cap);

	hf_wr_text(&w, text);
	hf_wr_nul(&w);
	return w.err;
}

static enum hf_err request(void *ctx, const char *method, const char *path, struct hf_span body)
{
	struct hf_fake *f = ctx;

	if (f->dead || body.len > sizeof f->body)
		return HF_E_UNREACHABLE;
	f->asked = true;
	f->body_len = body.len;
	if (body.len > 0)
		memcpy(f->body, body.ptr, body.len);
	enum hf_err err = put_text(f->method, sizeof f->method, method);

	return err == HF_E_OK ? put_text(f->path, sizeof f->path, path) : err;
}

static enum hf_err connect(void *ctx, const struct hf_node_link *link)
{
	struct hf_fake *f = ctx;

	if (f->dead)
		return HF_E_IO;
	f->linked = true;
	f->connects++;
	enum hf_err err = put_text(f->client_id, sizeof f->client_id, link->client_id);

	return err == HF_E_OK ? put_text(f->topic, sizeof f->topic, link->topic) : err;
}

static void disconnect(void *ctx)
{
	struct hf_fake *f = ctx;

	f->linked = false;
}

static enum hf_err publish(void *ctx, const char *topic, struct hf_span payload, uint16_t *ticket)
{
	struct hf_fake *f = ctx;
	struct hf_fake_sent *s = &f->sent[f->sent_count];

	if (f->dead || f->refuse_publish || f->sent_count == HF_FAKE_SENT_MAX || payload.len > sizeof s->bytes)
		return HF_E_UNREACHABLE;
	s->due_ms = 0;
	s->ticket = *ticket = ++f->next_ticket;
	s->len = payload.len;
	memcpy(s->bytes, payload.ptr, payload.len);
	f->sent_count++;
	return put_text(s->topic, sizeof s->topic, topic);
}

bool hf_fake_take(struct hf_fake *f, struct hf_fake_sent *out)
{
	if (f->sent_count == 0)
		return false;
	*out = f->sent[0];
	memmove(f->sent, f->sent + 1, --f->sent_count * sizeof f->sent[0]);
	return true;
}

void hf_fake_init(struct hf_fake *f, uint64_t seed)
{
	*f = (struct hf_fake){.entropy = seed, .next_key = 0x100};
	hf_fake_crypto_init(f);
	f->env = (struct hf_node_env){
		.ctx = f,
		.crypto = &f->crypto,
		.get = get,
		.put = put,
		.erase = erase,
		.make_identity = make_identity,
		.make_access = make_access,
		.load_key = load_key,
		.free_key = free_key,
		.check_access = check_access,
		.sign_pss = sign_pss,
		.verify_pss = verify_pss,
		.request = request,
		.connect = connect,
		.disconnect = disconnect,
		.publish = publish,
	};
}
