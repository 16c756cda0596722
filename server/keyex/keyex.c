/* keyex - the key-exchange service. Uses: base seal port/openssl os db facts audit registry type ca. */
#include "keyex/keyex.h"

#include "audit/audit.h"
#include "ca/ca.h"
#include "port/openssl/openssl.h"
#include "registry/registry.h"
#include "type/type.h"

#include <stdio.h>
#include <string.h>

enum { RECOUNT_MS = 1000 };

#define KEY_SCOPED __attribute__((cleanup(free_key))) struct hf_seal_key
static void free_key(struct hf_seal_key **key)
{
	hf_openssl_key_free(*key);
}

/* Types end up in tables and terminals: letters, digits, '_', '.', '-'. */
static enum hf_err copy_type(struct hf_span type, char out[REGISTRY_TYPE_MAX])
{
	if (type.len == 0 || type.len >= REGISTRY_TYPE_MAX)
		return HF_E_INPUT;
	for (size_t i = 0; i < type.len; i++)
		if (!memchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-", type.ptr[i], 65))
			return HF_E_INPUT;
	memcpy(out, type.ptr, type.len);
	out[type.len] = 0;
	return HF_E_OK;
}

/* The identity's key as DER, and that it can do what version 5 needs of it: sign and unwrap by RSA. */
static enum hf_err read_identity_key(struct hf_span body, struct registry_identity *i, struct hf_seal_key **key)
{
	struct hf_wr der = hf_wr_of(i->key, sizeof i->key);
	enum hf_err err = ca_key_body_read(body, key);

	if (err == HF_E_OK && hf_openssl_crypto()->modulus_len(NULL, *key) == 0)
		err = HF_E_KEY;
	if (err == HF_E_OK)
		err = hf_openssl_write(*key, HF_OPENSSL_PUBLIC_DER, &der);
	i->key_len = der.len;
	return err;
}

/* What the server asks for or what the type does, whichever is stricter. */
static enum hf_err policy_of(struct keyex *k, const char *type, enum enrol_policy *out)
{
	static struct type_profile p;
	enum hf_err err = type_get(k->db, type, &p);

	*out = p.enrolment > k->enrol->policy ? p.enrolment : k->enrol->policy;
	return err;
}

/* Turns a "no" into an error, and notes it. */
static enum hf_err settle(struct keyex *k, enum hf_err err, enum enrol_refusal why, uint64_t id, int64_t now_ms)
{
	if (err != HF_E_OK || why == ENROL_FINE)
		return err;
	k->why = why;
	err = enrol_note_refusal(k->enrol, why, id, now_ms);
	return err != HF_E_OK ? err : HF_E_DENIED;
}

static enum hf_err judge(struct keyex *k, struct registry_identity *i, struct hf_span token, int64_t now_ms)
{
	const struct enrol_applicant a = {i->id, hf_span_of(i->key, i->key_len), i->type, token};
	enum enrol_policy policy;
	enum enrol_refusal why = ENROL_FINE;
	enum hf_err err = policy_of(k, i->type, &policy);

	if (err == HF_E_OK)
		err = enrol_judge(k->enrol, policy, &a, now_ms, &why, &i->ticket);
	return settle(k, err, why, i->id, now_ms);
}

/* Counting all rows takes long where there are many: only when the estimate says that the maximum is reached. */
static enum hf_err one_more(struct keyex *k, int64_t now_ms)
{
	enum hf_err err = HF_E_OK;

	if (k->identities >= k->identities_max || k->counted_ms == 0) {
		if (k->counted_ms == 0 || now_ms - k->counted_ms >= RECOUNT_MS || now_ms < k->counted_ms) {
			k->counted_ms = now_ms;
			err = registry_total(k->db, &k->identities);
		}
	}
	if (err == HF_E_OK && k->identities >= k->identities_max) {
		k->too_many++;
		err = HF_E_BUSY;
	}
	k->identities++;
	return err;
}

static enum hf_err add(struct keyex *k, const struct registry_identity *i, int64_t now_ms)
{
	bool pushed_out = false;
	enum hf_err err = one_more(k, now_ms);

	if (err == HF_E_OK)
		err = registry_make_room(k->db, i->origin, k->half_made_max, &pushed_out);
	if (err == HF_E_OK)
		err = registry_add(k->db, i, k->half_made_max);
	k->pushed_out += err == HF_E_OK && pushed_out;
	return err;
}

enum hf_err keyex_register(struct keyex *k, const struct keyex_request *q, int64_t now_ms)
{
	struct registry_identity i = {.kind = REGISTRY_DEVICE,
	                              .state = REGISTRY_NEW,
	                              .created_ms = now_ms,
	                              .expires_ms = now_ms + k->ttl_ms,
	                              .origin = q->origin};
	KEY_SCOPED *key = NULL;
	enum hf_err err = hf_id_parse(q->id, &i.id);

	k->why = ENROL_FINE;
	if (err == HF_E_OK && (i.id == k->id || i.id == k->default_c2))
		err = HF_E_EXISTS;
	if (err == HF_E_OK)
		err = copy_type(q->type, i.type);
	if (err == HF_E_OK)
		err = read_identity_key(q->key_body, &i, &key);
	if (err == HF_E_OK)
		err = judge(k, &i, q->token, now_ms);
	if (err == HF_E_OK)
		err = add(k, &i, now_ms);
	return err != HF_E_OK ? err : audit_record(k->db, "device", "keyex.registering", i.id, i.type);
}

/* Finds a device and checks its PSS signature over text. */
static enum hf_err prove(struct keyex *k, struct hf_span id, struct hf_span text, struct hf_span signature_b64,
                         struct registry_identity *i)
{
	uint8_t sig[HF_SEAL_SIGNATURE_MAX];
	struct hf_wr w = hf_wr_of(sig, sizeof sig);
	KEY_SCOPED *key = NULL;
	uint64_t n = 0;
	enum hf_err err = hf_id_parse(id, &n);

	if (err == HF_E_OK)
		err = hf_base64_decode(signature_b64, &w);
	if (err == HF_E_NO_SPACE)
		err = HF_E_SIGNATURE;
	if (err == HF_E_OK)
		err = registry_get(k->db, n, i);
	if (err == HF_E_OK && i->kind != REGISTRY_DEVICE)
		err = HF_E_NOT_FOUND;
	if (err == HF_E_OK)
		err = hf_openssl_public_der(hf_span_of(i->key, i->key_len), &key);
	if (err == HF_E_OK)
		err = hf_openssl_pss_verify(key, text, hf_wr_span(&w));
	if (err == HF_E_OK && i->state == REGISTRY_REVOKED)
		err = HF_E_DENIED;
	return err;
}

/* The policy is asked again: it may have become stricter, its token may be spent or revoked by now. */
static enum hf_err admit(struct keyex *k, const struct registry_identity *i, int64_t now_ms)
{
	const struct enrol_applicant a = {.id = i->id, .key = hf_span_of(i->key, i->key_len), .type = i->type};
	enum enrol_policy policy;
	enum enrol_refusal why = ENROL_FINE;
	int64_t ticket = 0;
	enum hf_err err = policy_of(k, i->type, &policy);

	if (err == HF_E_OK)
		err = registry_ticket(k->db, i->id, &ticket);
	if (err == HF_E_OK)
		err = enrol_admit(k->enrol, policy, &a, ticket, now_ms, &why);
	return settle(k, err, why, i->id, now_ms);
}

enum hf_err keyex_validate(struct keyex *k, struct hf_span id, struct hf_span signature, int64_t now_ms)
{
	struct registry_identity i;
	enum hf_err err = prove(k, id, id, signature, &i);

	k->why = ENROL_FINE;
	if (err != HF_E_OK || i.state != REGISTRY_NEW)
		return err;
	err = admit(k, &i, now_ms);
	return err != HF_E_OK ? err : registry_set_state(k->db, k->facts, i.id, REGISTRY_PROVEN, 0, now_ms);
}

enum hf_err keyex_access(struct keyex *k, struct hf_span id, struct hf_span csr, struct hf_span signature,
                         struct keyex_access *out)
{
	static uint8_t pem[KEYEX_CSR_MAX];
	static struct type_profile p;
	struct hf_wr w = hf_wr_of(pem, sizeof pem);
	struct registry_identity i;
	enum hf_err err = hf_base64_decode(csr, &w);

	if (err == HF_E_OK)
		err = prove(k, id, hf_wr_span(&w), signature, &i);
	if (err == HF_E_OK && i.state == REGISTRY_NEW)
		err = HF_E_STATE;
	if (err == HF_E_OK)
		err = type_get(k->db, i.type, &p);
	if (err != HF_E_OK)
		return err == HF_E_NO_SPACE ? HF_E_TOO_BIG : err;
	out->id = i.id;
	out->days = p.certificate_days ? p.certificate_days : k->certificate_days;
	return ca_csr_check(hf_wr_span(&w), &out->key);
}

enum hf_err keyex_certified(struct keyex *k, const struct keyex_certificate *cert, int64_t now_ms, bool *first)
{
	struct registry_identity i;
	enum hf_err err = registry_get(k->db, cert->id, &i);

	if (err == HF_E_OK && i.state == REGISTRY_REVOKED)
		err = HF_E_DENIED;
	if (err == HF_E_OK)
		err = registry_certificate(k->db, i.id, cert->digest, now_ms, cert->not_after_ms);
	if (err == HF_E_OK && i.state == REGISTRY_PROVEN)
		err = registry_set_state(k->db, k->facts, i.id, REGISTRY_REGISTERED, 0, now_ms);
	if (err == HF_E_OK)
		err = audit_record(k->db, "device", "keyex.certified", i.id, i.type);
	if (err == HF_E_OK)
		*first = i.state == REGISTRY_PROVEN;
	return err;
}

enum hf_err keyex_forget_idle(struct keyex *k, int64_t now_ms, uint64_t gone[REGISTRY_IDLE_BATCH], size_t *count)
{
	char detail[80];

	*count = 0;
	if (k->idle_ms == 0)
		return HF_E_OK;
	enum hf_err err = registry_forget_idle(k->db, k->facts, now_ms - k->idle_ms, gone, count);

	if (err != HF_E_OK || *count == 0)
		return err;
	(void)snprintf(detail, sizeof detail, "%zu devices registered and did not join in time", *count);
	return audit_record(k->db, "server", "identity.forgotten", 0, detail);
}

static enum hf_err put_key(const struct hf_seal_key *key, struct hf_wr *base64)
{
	uint8_t pem[KEYEX_PEM_MAX];
	struct hf_wr w = hf_wr_of(pem, sizeof pem);
	enum hf_err err = hf_openssl_write(key, HF_OPENSSL_PUBLIC_PEM, &w);

	if (err == HF_E_OK)
		hf_wr_base64(base64, hf_wr_span(&w));
	return err != HF_E_OK ? err : base64->err;
}

/* Any identity whose key was proven. */
static enum hf_err proven(struct keyex *k, struct hf_span id, struct registry_identity *i)
{
	uint64_t n = 0;
	enum hf_err err = hf_id_parse(id, &n);

	if (err == HF_E_OK)
		err = registry_get(k->db, n, i);
	if (err == HF_E_OK && (i->state == REGISTRY_NEW || i->state == REGISTRY_REVOKED))
		err = HF_E_NOT_FOUND;
	return err;
}

/* KeyEx's own key too, so that a device can check the answer to validate and keep the key. */
enum hf_err keyex_key(struct keyex *k, struct hf_span id, struct hf_wr *base64)
{
	struct registry_identity i;
	uint64_t n = 0;
	KEY_SCOPED *key = NULL;

	if (hf_id_parse(id, &n) == HF_E_OK && n == k->id)
		return put_key(k->public_key, base64);
	enum hf_err err = proven(k, id, &i);

	if (err == HF_E_OK)
		err = hf_openssl_public_der(hf_span_of(i.key, i.key_len), &key);
	return err == HF_E_OK ? put_key(key, base64) : err;
}

enum hf_err keyex_type(struct keyex *k, struct hf_span id, struct hf_wr *type)
{
	struct registry_identity i;
	enum hf_err err = proven(k, id, &i);

	if (err == HF_E_OK)
		hf_wr_text(type, i.type);
	return err != HF_E_OK ? err : type->err;
}

enum hf_err keyex_server_check(struct keyex *k, struct hf_span id)
{
	struct registry_identity i;
	enum hf_err err = proven(k, id, &i);

	return err == HF_E_OK && i.kind == REGISTRY_DEVICE ? HF_E_NOT_FOUND : err;
}

enum hf_err keyex_server_register(struct keyex *k, struct hf_span id, struct hf_span key_body, struct hf_span token,
                                  int64_t now_ms)
{
	struct registry_identity i = {.kind = REGISTRY_REFERENCE,
	                              .state = REGISTRY_JOINED,
	                              .type = "c2-server",
	                              .created_ms = now_ms},
							 old;
	KEY_SCOPED *key = NULL;
	enum hf_err err = hf_id_parse(id, &i.id);

	if (err == HF_E_OK)
		err = read_identity_key(key_body, &i, &key);
	if (err == HF_E_OK)
		err = ca_token_check(k->public_key, token, i.id, key, now_ms / 1000);
	if (err != HF_E_OK)
		return err;
	err = registry_get(k->db, i.id, &old);
	if (err == HF_E_OK && old.state == REGISTRY_REVOKED)
		return HF_E_DENIED;
	if (err == HF_E_OK)
		return hf_span_equal(hf_span_of(old.key, old.key_len), hf_span_of(i.key, i.key_len)) &&
		               old.kind != REGISTRY_DEVICE
		           ? HF_E_OK
		           : HF_E_EXISTS;
	if (err != HF_E_NOT_FOUND)
		return err;
	err = registry_add(k->db, &i, 0);
	facts_emit(k->facts, FACTS_RIGHTS, i.id);
	return err != HF_E_OK ? err : audit_record(k->db, "server token", "keyex.server-registered", i.id, "");
}
