/* keyex - the key-exchange service. Uses: base seal port/openssl os db facts audit registry type ca. */
#include "keyex/keyex.h"

#include "audit/audit.h"
#include "ca/ca.h"
#include "port/openssl/openssl.h"
#include "registry/registry.h"
#include "type/type.h"

#include <string.h>

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

enum hf_err keyex_register(struct keyex *k, struct hf_span id, struct hf_span key_body, struct hf_span type,
                           int64_t now_ms)
{
	struct registry_identity i = {.kind = REGISTRY_DEVICE,
	                              .state = REGISTRY_NEW,
	                              .created_ms = now_ms,
	                              .expires_ms = now_ms + k->ttl_ms};
	KEY_SCOPED *key = NULL;
	enum hf_err err = hf_id_parse(id, &i.id);

	if (err == HF_E_OK && (i.id == k->id || i.id == k->default_c2))
		err = HF_E_EXISTS;
	if (err == HF_E_OK)
		err = copy_type(type, i.type);
	if (err == HF_E_OK)
		err = read_identity_key(key_body, &i, &key);
	if (err == HF_E_OK)
		err = registry_add(k->db, &i, k->half_made_max);
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

enum hf_err keyex_validate(struct keyex *k, struct hf_span id, struct hf_span signature, int64_t now_ms)
{
	struct registry_identity i;
	enum hf_err err = prove(k, id, id, signature, &i);

	if (err != HF_E_OK || i.state != REGISTRY_NEW)
		return err;
	return registry_set_state(k->db, k->facts, i.id, REGISTRY_PROVEN, 0, now_ms);
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
