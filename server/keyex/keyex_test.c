/* keyex tests - registration step by step, and each step with what must not pass. Uses: keyex, ca, cmocka. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ca/ca.h"
#include "keyex/keyex.h"
#include "port/openssl/openssl.h"
#include "registry/registry.h"
#include "session/session.h"
#include "tests/server_device.h"
#include "tests/server_stage.h"
#include "type/type.h"

#define ID "d1"
/* RSA of 1024 bits, made with openssl genrsa */
static const char weak_body[] =
	"MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCtCN/CiTQ5cRi7cEx8bH1UzuwKPLs4ZEsCz9IQCqYP7GuGVqaedxAT+9tjBoG2"
	"bGBsmzfG0UEHC1kRMlWEok7dU148eLY8OAwQHGywTGMIdjG9bdSKUhOO1hamcl9ptxkuMLM4tXpRSwfiBRHJF23I4TcPy2gF+tc/"
	"5PVsTIuNXwIDAQAB";

enum { TTL_MS = 600000, BODY_MAX = 1024, PEM_MAX = 4096, BASE64_MAX = 8192 };

static struct stage stage;
static struct keyex keyex;
static struct enrol enrol_rules;
static struct hf_seal_key *keyex_key_pair, *device_key, *other_key, *curve_key;
static char device_body[BODY_MAX], other_body[BODY_MAX], curve_body[BODY_MAX];

static void write_body(const struct hf_seal_key *key, char out[BODY_MAX])
{
	struct hf_wr w = hf_wr_of(out, BODY_MAX);

	assert_int_equal(ca_key_body_write(key, &w), HF_E_OK);
	hf_wr_nul(&w);
}

static int load_keys(void **state)
{
	(void)state;
	keyex_key_pair = vector_key("vis-r");
	device_key = vector_key("vis-a");
	other_key = vector_key("vis-b");
	assert_int_equal(hf_openssl_generate(HF_OPENSSL_P256, &curve_key), HF_E_OK);
	write_body(device_key, device_body);
	write_body(other_key, other_body);
	write_body(curve_key, curve_body);
	return 0;
}

static int free_keys(void **state)
{
	(void)state;
	hf_openssl_key_free(keyex_key_pair);
	hf_openssl_key_free(device_key);
	hf_openssl_key_free(other_key);
	hf_openssl_key_free(curve_key);
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	stage_begin(&stage);
	enrol_rules = (struct enrol){.db = stage.db, .facts = &stage.facts, .policy = ENROL_OPEN, .allowed_max = 10};
	keyex = (struct keyex){.db = stage.db,
	                       .enrol = &enrol_rules,
	                       .identities_max = 100,
	                       .facts = &stage.facts,
	                       .public_key = keyex_key_pair,
	                       .id = 0xce,
	                       .default_c2 = SERVER_ID,
	                       .ttl_ms = TTL_MS,
	                       .half_made_max = 3,
	                       .certificate_days = 90};
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	stage_end(&stage);
	return 0;
}

static enum hf_err enrol_from(const char *id, const char *body, const char *type, const char *token, uint64_t origin)
{
	const struct keyex_request q = {hf_span_text(id), hf_span_text(body), hf_span_text(type), hf_span_text(token),
	                                origin};

	return keyex_register(&keyex, &q, DEVICE_NOW);
}

static enum hf_err enrol(const char *id, const char *body, const char *type)
{
	return enrol_from(id, body, type, "", 1);
}

static struct hf_span signed_by(const struct hf_seal_key *key, struct hf_span text)
{
	static char base64[BASE64_MAX];
	uint8_t sig[HF_SEAL_SIGNATURE_MAX];
	struct hf_wr s = hf_wr_of(sig, sizeof sig), w = hf_wr_of(base64, sizeof base64);

	assert_int_equal(hf_openssl_pss_sign(key, text, &s), HF_E_OK);
	hf_wr_base64(&w, hf_wr_span(&s));
	return hf_wr_span(&w);
}

static enum hf_err validate(const char *id, const struct hf_seal_key *key)
{
	return keyex_validate(&keyex, hf_span_text(id), signed_by(key, hf_span_text(id)), DEVICE_NOW);
}

static size_t request(const struct hf_seal_key *key, const char *name, char pem[PEM_MAX])
{
	struct hf_wr w = hf_wr_of(pem, PEM_MAX);

	assert_int_equal(hf_openssl_csr(key, name, &w), HF_E_OK);
	return w.len;
}

/* Asks for a certificate with this request, signed by key. */
static enum hf_err ask(const char *id, struct hf_span pem, const struct hf_seal_key *key, struct keyex_access *out)
{
	static char csr[BASE64_MAX];
	struct hf_wr w = hf_wr_of(csr, sizeof csr);

	hf_wr_base64(&w, pem);
	return keyex_access(&keyex, hf_span_text(id), hf_wr_span(&w), signed_by(key, pem), out);
}

static enum hf_err ask_for(const char *id, const struct hf_seal_key *key)
{
	struct keyex_access access = {0};
	char pem[PEM_MAX];
	enum hf_err err = ask(id, hf_span_of(pem, request(curve_key, ID, pem)), key, &access);

	hf_openssl_key_free(access.key);
	return err;
}

static enum hf_err served(const char *id)
{
	char out[BASE64_MAX];
	struct hf_wr key = hf_wr_of(out, sizeof out), type = hf_wr_of(out, sizeof out);
	enum hf_err err = keyex_key(&keyex, hf_span_text(id), &key);

	assert_int_equal(keyex_type(&keyex, hf_span_text(id), &type), err);
	return err;
}

/* first: whether the answer says that it was not registered before. */
static enum hf_err certified(const char *digest, bool *first)
{
	const struct keyex_certificate cert = {DEVICE_ID, hf_span_text(digest), DEVICE_NOW + 9};

	return keyex_certified(&keyex, &cert, DEVICE_NOW, first);
}

static struct registry_identity identity(void)
{
	struct registry_identity i;

	assert_int_equal(registry_get(stage.db, DEVICE_ID, &i), HF_E_OK);
	return i;
}

/* --- the whole way ------------------------------------------------------------------------------------------------- */

static void registered_step_by_step(void **state)
{
	char pem[PEM_MAX];
	struct keyex_access access = {0};
	bool first = false;

	(void)state;
	assert_int_equal(enrol(ID, device_body, "box"), HF_E_OK);
	assert_true(identity().state == REGISTRY_NEW && identity().expires_ms == DEVICE_NOW + TTL_MS);
	assert_int_equal(validate(ID, device_key), HF_E_OK);
	assert_int_equal(identity().state, REGISTRY_PROVEN);
	assert_int_equal(ask(ID, hf_span_of(pem, request(curve_key, ID, pem)), device_key, &access), HF_E_OK);
	assert_true(access.id == DEVICE_ID && access.days == 90);
	hf_openssl_key_free(access.key);
	assert_int_equal(certified("digest 1", &first), HF_E_OK);
	assert_true(first);
	assert_true(identity().state == REGISTRY_REGISTERED && identity().certificate_ms == DEVICE_NOW + 9);
	assert_true(stage_told(&stage, FACTS_RIGHTS, DEVICE_ID));
	assert_int_equal(served(ID), HF_E_OK);
	assert_int_equal(certified("digest 2", &first), HF_E_OK); /* the next certificate, months later */
	assert_false(first);
}

/* --- what must not pass ---------------------------------------------------------------------------------------------- */

static void K4_ids(void **state)
{
	static const char *const ids[] = {"",   "#",    "+/x", "+",   "0",   "01", "12345678901234567",
	                                  "D1", "0xd1", "d1 ", " d1", "d1/", "-1"};

	(void)state;
	for (size_t i = 0; i < COUNT(ids); i++) {
		assert_int_equal(enrol(ids[i], device_body, "box"), HF_E_ID);
		assert_int_equal(validate(ids[i], device_key), HF_E_ID);
		assert_int_equal(ask_for(ids[i], device_key), HF_E_ID);
		assert_int_equal(served(ids[i]), HF_E_ID);
		assert_int_equal(keyex_server_check(&keyex, hf_span_text(ids[i])), HF_E_ID);
	}
	const struct keyex_request nul = {hf_span_of("d1\0", 3), hf_span_text(device_body), hf_span_text("box"), {0}, 0};

	assert_int_equal(keyex_register(&keyex, &nul, DEVICE_NOW), HF_E_ID);
}

static void K4_keys(void **state)
{
	static char large[70000];
	const char *bodies[] = {"", "AAAA", "????", weak_body, curve_body, large, "MAMCAQU="};
	char cut[BODY_MAX];

	(void)state;
	memset(large, 'A', sizeof large - 4);
	for (size_t i = 0; i < COUNT(bodies); i++)
		assert_int_equal(enrol(ID, bodies[i], "box"), HF_E_KEY);
	for (size_t len = 0; len < strlen(device_body); len += 7) {
		(void)snprintf(cut, sizeof cut, "%.*s", (int)len, device_body);
		assert_int_equal(enrol(ID, cut, "box"), HF_E_KEY);
	}
	assert_int_equal(registry_get(stage.db, DEVICE_ID, &(struct registry_identity){0}), HF_E_NOT_FOUND);
}

static void K4_types(void **state)
{
	static const char *const types[] = {"",
	                                    "a b",
	                                    "a/b",
	                                    "<b>",
	                                    "a\n",
	                                    "gr\xc3\xbcn",
	                                    "0123456789012345678901234567890123456789012345678901234567890123"};

	(void)state;
	for (size_t i = 0; i < COUNT(types); i++)
		assert_int_equal(enrol(ID, device_body, types[i]), HF_E_INPUT);
	const struct keyex_request nul = {hf_span_text(ID), hf_span_text(device_body), hf_span_of("a\0", 2), {0}, 0};

	assert_int_equal(keyex_register(&keyex, &nul, DEVICE_NOW), HF_E_INPUT);
	assert_int_equal(enrol(ID, device_body, types[6] + 1), HF_E_OK);
}

static void K4_id_of_somebody_else(void **state)
{
	(void)state;
	assert_int_equal(enrol(ID, device_body, "box"), HF_E_OK);
	assert_int_equal(enrol(ID, other_body, "box"), HF_E_EXISTS);
	assert_int_equal(enrol(ID, device_body, "box"), HF_E_EXISTS);
	assert_int_equal(validate(ID, other_key), HF_E_SIGNATURE);
	assert_int_equal(validate("d2", device_key), HF_E_NOT_FOUND);
	assert_int_equal(validate(ID, device_key), HF_E_OK);
}

static void K5_key_never_proven(void **state)
{
	(void)state;
	assert_int_equal(enrol(ID, device_body, "box"), HF_E_OK);
	assert_int_equal(served(ID), HF_E_NOT_FOUND);
	assert_int_equal(ask_for(ID, device_key), HF_E_STATE);
	assert_int_equal(validate(ID, device_key), HF_E_OK);
	assert_int_equal(served(ID), HF_E_OK);
	assert_int_equal(keyex_server_check(&keyex, hf_span_text(ID)), HF_E_NOT_FOUND); /* a device is no server */
}

static void K3_replayed_validate(void **state)
{
	struct hf_span again;
	char copy[BASE64_MAX];
	bool first;

	(void)state;
	assert_int_equal(enrol(ID, device_body, "box"), HF_E_OK);
	again = signed_by(device_key, hf_span_text(ID));
	memcpy(copy, again.ptr, again.len);
	again.ptr = (const uint8_t *)copy;
	assert_int_equal(keyex_validate(&keyex, hf_span_text(ID), again, DEVICE_NOW), HF_E_OK);
	assert_int_equal(ask_for(ID, device_key), HF_E_OK);
	assert_int_equal(certified("digest 1", &first), HF_E_OK);
	assert_int_equal(keyex_validate(&keyex, hf_span_text(ID), again, DEVICE_NOW), HF_E_OK);
	assert_int_equal(identity().state, REGISTRY_REGISTERED); /* it changes nothing */
	assert_int_equal(keyex_validate(&keyex, hf_span_text(ID), hf_span_of(copy, again.len - 4), DEVICE_NOW),
	                 HF_E_SIGNATURE);
	assert_int_equal(keyex_validate(&keyex, hf_span_text(ID), hf_span_text("?"), DEVICE_NOW), HF_E_TEXT);
	assert_int_equal(keyex_validate(&keyex, hf_span_text(ID), hf_span_text(""), DEVICE_NOW), HF_E_SIGNATURE);
}

/* The subject of the request counts for nothing: what comes back is the proven id and the bare key. */
static void K1_request_with_another_name(void **state)
{
	char pem[PEM_MAX];
	struct keyex_access access = {0};

	(void)state;
	assert_int_equal(enrol(ID, device_body, "box"), HF_E_OK);
	assert_int_equal(validate(ID, device_key), HF_E_OK);
	assert_int_equal(ask(ID, hf_span_of(pem, request(curve_key, "holdfast-control", pem)), device_key, &access),
	                 HF_E_OK);
	assert_true(access.id == DEVICE_ID);
	hf_openssl_key_free(access.key);
}

static void K2_request_not_signed_by_its_key(void **state)
{
	char pem[PEM_MAX];
	struct keyex_access access = {0};
	size_t len = request(curve_key, ID, pem);

	(void)state;
	assert_int_equal(enrol(ID, device_body, "box"), HF_E_OK);
	assert_int_equal(validate(ID, device_key), HF_E_OK);
	assert_int_equal(ask(ID, hf_span_of(pem, len), other_key, &access), HF_E_SIGNATURE); /* the proof over it */
	char *end = strstr(pem, "-----END"), *at = end - 12;

	*at = *at == 'A' ? 'B' : 'A'; /* inside its own signature */
	enum hf_err err = ask(ID, hf_span_of(pem, len), device_key, &access);

	assert_true(err == HF_E_SIGNATURE || err == HF_E_INPUT);
	assert_int_equal(ask(ID, hf_span_text("no request"), device_key, &access), HF_E_INPUT);
	assert_int_equal(ask(ID, hf_span_text(""), device_key, &access), HF_E_INPUT);
	assert_null(access.key);
}

/* Another key each time: the n-th differs in its modulus. */
static const char *body_no(char n)
{
	static char body[sizeof device_body];

	memcpy(body, device_body, sizeof body);
	body[100] = n;
	return body;
}

static void K4_anothers_key(void **state)
{
	(void)state;
	assert_int_equal(enrol("a1", device_body, "box"), HF_E_OK);
	assert_int_equal(enrol("a2", device_body, "box"), HF_E_EXISTS);
	assert_int_equal(enrol("ce", other_body, "box"), HF_E_EXISTS); /* KeyEx's own id */
	assert_int_equal(enrol("5e", other_body, "box"), HF_E_EXISTS); /* our server's */
	assert_int_equal(enrol("a2", other_body, "box"), HF_E_OK);
}

static void K6_flood_of_registrations(void **state)
{
	int64_t count = 0;

	(void)state;
	assert_int_equal(enrol("a1", body_no('1'), "box"), HF_E_OK);
	assert_int_equal(enrol("a2", body_no('2'), "box"), HF_E_OK);
	assert_int_equal(enrol("a3", body_no('3'), "box"), HF_E_OK);
	assert_int_equal(enrol("a4", body_no('4'), "box"), HF_E_FULL);
	assert_int_equal(registry_expire(stage.db, DEVICE_NOW + TTL_MS, &count), HF_E_OK);
	assert_int_equal(count, 3);
	assert_int_equal(enrol("a4", body_no('4'), "box"), HF_E_OK);
}

/* --- who may register ------------------------------------------------------------------------------------------------ */

static void make_token(int64_t uses, char text[ENROL_TOKEN_TEXT_MAX])
{
	const struct enrol_token t = {.name = "t", .uses_max = uses, .expires_ms = DEVICE_NOW + 1000, .who = "anna"};
	int64_t number = 0;

	assert_int_equal(enrol_token_new(&enrol_rules, &t, DEVICE_NOW, &number, text), HF_E_OK);
}

/* A use is spent by the proof of the key, once for each identity. */
static void K6_token_is_spent_by_the_proof(void **state)
{
	char text[ENROL_TOKEN_TEXT_MAX];

	(void)state;
	enrol_rules.policy = ENROL_TOKEN;
	make_token(1, text);
	assert_int_equal(enrol_from(ID, device_body, "box", "", 1), HF_E_DENIED);
	assert_int_equal(keyex.why, ENROL_NO_TOKEN);
	assert_int_equal(enrol_from(ID, device_body, "box", text, 1), HF_E_OK);
	assert_int_equal(enrol_from("d2", other_body, "box", text, 1), HF_E_OK);
	assert_int_equal(validate(ID, other_key), HF_E_SIGNATURE);
	assert_int_equal(validate(ID, device_key), HF_E_OK);
	assert_int_equal(validate(ID, device_key), HF_E_OK); /* once more: costs nothing */
	assert_int_equal(validate("d2", other_key), HF_E_DENIED);
	assert_int_equal(keyex.why, ENROL_SPENT);
	assert_int_equal(served("d2"), HF_E_NOT_FOUND);
	assert_int_equal(enrol_from("d3", body_no('3'), "box", text, 1), HF_E_DENIED);
}

static void K6_policy_became_stricter_meanwhile(void **state)
{
	(void)state;
	assert_int_equal(enrol(ID, device_body, "box"), HF_E_OK);
	enrol_rules.policy = ENROL_TOKEN;
	assert_int_equal(validate(ID, device_key), HF_E_DENIED);
	assert_int_equal(keyex.why, ENROL_NO_TOKEN);
	enrol_rules.policy = ENROL_ALLOWLIST;
	assert_int_equal(validate(ID, device_key), HF_E_DENIED);
	assert_int_equal(keyex.why, ENROL_NOT_ALLOWED);
	assert_int_equal(enrol_allow(&enrol_rules, &(struct enrol_allowed){.who = ID, .by = "anna"}), HF_E_OK);
	assert_int_equal(validate(ID, device_key), HF_E_OK);
}

/* The stricter of the server's and the type's policy counts. */
static void K6_type_asks_for_more(void **state)
{
	static const char document[] = "{\"name\":\"safe\",\"enrolment\":\"allowlist\"}";
	static struct type_profile p;
	char why[TYPE_WHY_MAX];

	(void)state;
	assert_int_equal(type_parse(hf_span_text(document), &p, why), HF_E_OK);
	assert_int_equal(type_put(stage.db, &p, hf_span_text(document), "anna", DEVICE_NOW), HF_E_OK);
	assert_int_equal(enrol(ID, device_body, "safe"), HF_E_DENIED);
	assert_int_equal(keyex.why, ENROL_NOT_ALLOWED);
	assert_int_equal(enrol(ID, device_body, "box"), HF_E_OK);
}

static void K6_identities_are_bounded(void **state)
{
	(void)state;
	keyex.identities_max = 2;
	assert_int_equal(enrol("a1", body_no('1'), "box"), HF_E_OK);
	assert_int_equal(enrol("a2", body_no('2'), "box"), HF_E_OK);
	assert_int_equal(enrol("a3", body_no('3'), "box"), HF_E_BUSY);
	assert_int_equal(keyex.too_many, 1);
	keyex.identities_max = 3;
	keyex.counted_ms = 1; /* a second has passed since it was counted */
	assert_int_equal(enrol("a3", body_no('3'), "box"), HF_E_OK);
}

static void K6_idle_devices_are_forgotten(void **state)
{
	uint64_t gone[REGISTRY_IDLE_BATCH];
	size_t count = 9;
	bool first;

	(void)state;
	assert_int_equal(enrol(ID, device_body, "box"), HF_E_OK);
	assert_int_equal(validate(ID, device_key), HF_E_OK);
	assert_int_equal(certified("digest 1", &first), HF_E_OK);
	assert_int_equal(keyex_forget_idle(&keyex, INT64_MAX, gone, &count), HF_E_OK); /* idle_ms 0: never */
	assert_int_equal(count, 0);
	keyex.idle_ms = 5000;
	assert_int_equal(keyex_forget_idle(&keyex, DEVICE_NOW + 4999, gone, &count), HF_E_OK);
	assert_int_equal(count, 0);
	assert_int_equal(keyex_forget_idle(&keyex, DEVICE_NOW + 5000, gone, &count), HF_E_OK);
	assert_true(count == 1 && gone[0] == DEVICE_ID);
	assert_int_equal(served(ID), HF_E_NOT_FOUND);
}

static void B1_revoked_gets_nothing(void **state)
{
	bool first;

	(void)state;
	assert_int_equal(enrol(ID, device_body, "box"), HF_E_OK);
	assert_int_equal(validate(ID, device_key), HF_E_OK);
	assert_int_equal(registry_set_state(stage.db, &stage.facts, DEVICE_ID, REGISTRY_REVOKED, 0, DEVICE_NOW), HF_E_OK);
	assert_int_equal(validate(ID, device_key), HF_E_DENIED);
	assert_int_equal(ask_for(ID, device_key), HF_E_DENIED);
	assert_int_equal(certified("digest 1", &first), HF_E_DENIED);
	assert_int_equal(served(ID), HF_E_NOT_FOUND);
	assert_int_equal(enrol(ID, device_body, "box"), HF_E_EXISTS);
	assert_int_equal(identity().state, REGISTRY_REVOKED);
}

/* --- servers ------------------------------------------------------------------------------------------------------- */

static enum hf_err server(const char *id, const char *body, uint64_t token_id, const struct hf_seal_key *issuer)
{
	char token[CA_TOKEN_MAX];
	struct hf_wr w = hf_wr_of(token, sizeof token);

	assert_int_equal(ca_token_make(issuer, token_id, device_key, DEVICE_NOW / 1000 + 10, &w), HF_E_OK);
	return keyex_server_register(&keyex, hf_span_text(id), hf_span_text(body), hf_wr_span(&w), DEVICE_NOW);
}

static void K7_server_token(void **state)
{
	(void)state;
	assert_int_equal(server("77", other_body, 0x77, keyex_key_pair), HF_E_SIGNATURE); /* another key */
	assert_int_equal(server("78", device_body, 0x77, keyex_key_pair), HF_E_SIGNATURE); /* another id */
	assert_int_equal(server("77", device_body, 0x77, other_key), HF_E_SIGNATURE); /* another KeyEx */
	assert_int_equal(keyex_server_register(&keyex, hf_span_text("77"), hf_span_text(device_body), hf_span_text("hf1."),
	                                       DEVICE_NOW),
	                 HF_E_TEXT);
	assert_int_equal(keyex_server_check(&keyex, hf_span_text("77")), HF_E_NOT_FOUND);
	assert_int_equal(server("77", device_body, 0x77, keyex_key_pair), HF_E_OK);
	assert_int_equal(server("77", device_body, 0x77, keyex_key_pair), HF_E_OK); /* once more is the same */
	assert_int_equal(keyex_server_check(&keyex, hf_span_text("77")), HF_E_OK);
	assert_true(stage_told(&stage, FACTS_RIGHTS, 0x77));
}

static void K7_server_token_expired(void **state)
{
	char token[CA_TOKEN_MAX];
	struct hf_wr w = hf_wr_of(token, sizeof token);

	(void)state;
	assert_int_equal(ca_token_make(keyex_key_pair, 0x77, device_key, DEVICE_NOW / 1000 - 10, &w), HF_E_OK);
	assert_int_equal(keyex_server_register(&keyex, hf_span_text("77"), hf_span_text(device_body), hf_wr_span(&w),
	                                       DEVICE_NOW),
	                 HF_E_EXPIRED);
}

static void K7_server_with_the_id_of_a_device(void **state)
{
	(void)state;
	assert_int_equal(enrol("77", device_body, "box"), HF_E_OK);
	assert_int_equal(server("77", device_body, 0x77, keyex_key_pair), HF_E_EXISTS);
}

static void keys_served_as_pem(void **state)
{
	char base64[BASE64_MAX];
	uint8_t pem[PEM_MAX];
	struct hf_wr w = hf_wr_of(base64, sizeof base64), p = hf_wr_of(pem, sizeof pem), small = hf_wr_of(base64, 100);
	struct hf_seal_key *key = NULL;

	(void)state;
	assert_int_equal(keyex_key(&keyex, hf_span_text("ce"), &w), HF_E_OK); /* its own */
	assert_int_equal(hf_base64_decode(hf_wr_span(&w), &p), HF_E_OK);
	assert_int_equal(hf_openssl_public_pem(hf_wr_span(&p), &key), HF_E_OK);
	hf_openssl_key_free(key);
	assert_int_equal(keyex_key(&keyex, hf_span_text("ce"), &small), HF_E_NO_SPACE);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(registered_step_by_step),
		CASE(K4_ids),
		CASE(K4_keys),
		CASE(K4_types),
		CASE(K4_id_of_somebody_else),
		CASE(K5_key_never_proven),
		CASE(K3_replayed_validate),
		CASE(K1_request_with_another_name),
		CASE(K2_request_not_signed_by_its_key),
		CASE(K4_anothers_key),
		CASE(K6_flood_of_registrations),
		CASE(K6_token_is_spent_by_the_proof),
		CASE(K6_policy_became_stricter_meanwhile),
		CASE(K6_type_asks_for_more),
		CASE(K6_identities_are_bounded),
		CASE(K6_idle_devices_are_forgotten),
		CASE(B1_revoked_gets_nothing),
		CASE(K7_server_token),
		CASE(K7_server_token_expired),
		CASE(K7_server_with_the_id_of_a_device),
		CASE(keys_served_as_pem),
	};

	return cmocka_run_group_tests_name("keyex", tests, load_keys, free_keys);
}
