/* server_device - a device with a real key that talks to the server's modules without a broker. The key: tests/vectors/srup-v5.
 * Uses: server_stage, registry, session, wire, seal, port/openssl; cmocka. */
#ifndef TESTS_SERVER_DEVICE_H
#define TESTS_SERVER_DEVICE_H
#include "port/openssl/openssl.h"
#include "registry/registry.h"
#include "session/session.h"
#include "tests/server_stage.h"
#include "wire/wire.h"

enum { DEVICE_ID = 0xd1, OTHER_ID = 0xd2, SERVER_ID = 0x5e, DEVICE_NOW = 1000000, MESSAGE_MAX = 4096 };

static inline struct hf_seal_key *vector_key(const char *name)
{
	uint8_t pem[8192];
	char path[128];
	struct hf_seal_key *key = NULL;

	(void)snprintf(path, sizeof path, "tests/vectors/srup-v5/%s.key.pem", name);
	FILE *file = fopen(path, "rb");

	assert_non_null(file);
	size_t len = fread(pem, 1, sizeof pem, file);

	(void)fclose(file);
	assert_int_equal(hf_openssl_private_pem(hf_span_of(pem, len), &key), HF_E_OK);
	return key;
}

static inline void device_add(struct db *db, uint64_t id, const struct hf_seal_key *key, enum registry_state state,
                              const char *type)
{
	struct registry_identity i = {.id = id, .kind = REGISTRY_DEVICE, .state = state, .created_ms = 1};
	struct hf_wr der = hf_wr_of(i.key, sizeof i.key);

	if (state == REGISTRY_JOINED)
		i.state = REGISTRY_REGISTERED;
	(void)snprintf(i.type, sizeof i.type, "%s", type);
	assert_int_equal(hf_openssl_write(key, HF_OPENSSL_PUBLIC_DER, &der), HF_E_OK);
	i.key_len = der.len;
	enum hf_err err = registry_add(db, &i, 10);

	if (err == HF_E_EXISTS) { /* one key, one identity: another modulus, for a device that never signs */
		i.key[100] ^= (uint8_t)id;
		err = registry_add(db, &i, 10);
	}
	assert_int_equal(err, HF_E_OK);
	if (state == REGISTRY_JOINED) {
		struct facts unheard = {0};

		assert_int_equal(registry_set_state(db, &unheard, id, REGISTRY_JOINED, SERVER_ID, 2), HF_E_OK);
	}
}

/* A message as it comes from the broker; its bytes live until the next one is made. */
struct arrived {
	struct hf_wire_msg m;
	struct hf_wire_covered covered;
};

static inline struct arrived device_says(struct hf_seal_key *key, uint64_t id, uint64_t sequence, const char *token,
                                         struct hf_wire_msg m)
{
	static uint8_t bytes[MESSAGE_MAX];
	uint8_t covered[MESSAGE_MAX], sig[HF_SEAL_SIGNATURE_MAX];
	struct hf_wr c = hf_wr_of(covered, sizeof covered), s = hf_wr_of(sig, sizeof sig),
				 w = hf_wr_of(bytes, sizeof bytes);
	const struct hf_seal_crypto *crypto = hf_openssl_crypto();
	struct arrived a;

	m.version = HF_WIRE_V5;
	m.sequence_id = sequence;
	m.sender_id = id;
	m.token = hf_span_text(token);
	assert_int_equal(hf_wire_encode(&c, &m, HF_WIRE_COVERED), HF_E_OK);
	struct hf_span piece = hf_wr_span(&c);

	assert_int_equal(crypto->sign(crypto->ctx, key, &piece, 1, &s), HF_E_OK);
	m.signature = hf_wr_span(&s);
	assert_int_equal(hf_wire_encode(&w, &m, HF_WIRE_WHOLE), HF_E_OK);
	assert_int_equal(hf_wire_decode(hf_wr_span(&w), &a.m, &a.covered), HF_E_OK);
	return a;
}

/* The oldest message in the outbox after number *after (0: from the start), unsigned as it lies there; false: none. */
static inline bool outbox_next(struct db *db, int64_t *after, struct hf_wire_msg *m)
{
	static uint8_t copy[HF_WIRE_SEND_MAX];
	DB_ROWS_SCOPED r = db_select(db, DB_OUTBOX_NEXT, DB_ARGS(db_int(*after), db_int(0)));

	if (!db_step(&r))
		return false;
	struct hf_span message = db_col_span(&r, 2);

	*after = db_col_int(&r, 0);
	assert_true(message.len <= sizeof copy);
	memcpy(copy, message.ptr, message.len);
	assert_int_equal(hf_wire_decode(hf_span_of(copy, message.len), m, NULL), HF_E_OK);
	return true;
}

#endif
