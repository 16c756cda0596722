/* port/fake - a port for tests: toy crypto, a store that fails when told, requests and messages that only pile up.
 * Uses: base seal node. */
#ifndef HF_FAKE_H
#define HF_FAKE_H
#include "base/base.h"
#include "node/node.h"
#include "seal/seal.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What goes wrong at the store operation that fail_at names. */
enum hf_fake_fault {
	HF_FAKE_REFUSE, /* put says IO, the old value stays, all goes on */
	HF_FAKE_FULL, /* it and every one after it says IO */
	HF_FAKE_CUT_BEFORE, /* power goes before the new value is there */
	HF_FAKE_CUT_AFTER, /* power goes after it is there, before put returns */
};

enum { HF_FAKE_VALUE_MAX = 1024, HF_FAKE_SENT_MAX = 16, HF_FAKE_MESSAGE_MAX = 1024, HF_FAKE_BODY_MAX = 4096 };

struct hf_fake_value {
	bool there;
	size_t len;
	uint8_t bytes[HF_FAKE_VALUE_MAX];
};

struct hf_fake_sent {
	char topic[HF_WIRE_TOPIC_MAX];
	size_t len;
	int64_t due_ms; /* when it comes to the other side; 0: not said yet */
	uint16_t ticket;
	uint8_t bytes[HF_FAKE_MESSAGE_MAX];
};

/* One device's world. Zero it, then hf_fake_init. Tests read and write all of it. */
struct hf_fake {
	struct hf_seal_crypto crypto;
	struct hf_node_env env;
	uint64_t entropy;
	unsigned random_calls, random_fail_at; /* 0: never */

	struct hf_fake_value store[HF_NODE_ITEM_COUNT_];
	unsigned puts, fail_at; /* the fail_at-th put or erase has the fault; 0: never */
	enum hf_fake_fault fault;
	bool dead; /* the power is off: nothing works until the test clears it */

	uint64_t next_key;
	unsigned keys_held;

	bool asked; /* a request waits for its answer */
	char method[8], path[64];
	size_t body_len;
	uint8_t body[HF_FAKE_BODY_MAX];

	int64_t wall_s; /* what the port believes that the time is, for certificates */
	bool linked; /* connect was called */
	unsigned connects; /* how often */
	bool refuse_publish;
	char client_id[HF_ID_TEXT_MAX], topic[HF_WIRE_TOPIC_MAX];
	struct hf_fake_sent sent[HF_FAKE_SENT_MAX]; /* what was published, oldest first; the test takes it away */
	size_t sent_count;
	uint16_t next_ticket;
};

void hf_fake_init(struct hf_fake *f, uint64_t seed);
/* Takes the oldest message out; false when there is none. */
bool hf_fake_take(struct hf_fake *f, struct hf_fake_sent *out);
/* Toy keys by number; private and public texts look like PEM. Never free what this returns. modulus: 256 is strong,
 * less is weak. */
struct hf_seal_key *hf_fake_key(uint64_t number, size_t modulus);
void hf_fake_public_pem(uint64_t number, struct hf_wr *out);
/* A toy certificate for that key, and back. */
void hf_fake_certificate(uint64_t number, int64_t from_s, int64_t life_s, struct hf_wr *out);
bool hf_fake_certificate_read(struct hf_span text, uint64_t *number, int64_t *from_s, int64_t *life_s);
/* The number of the key in a text that a device made. 0: none. */
uint64_t hf_fake_number(struct hf_span pem);

#ifdef __cplusplus
}
#endif
#endif
