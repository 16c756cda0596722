/* wire - the SRUP message table, its one codec, and the topic grammar. Uses: base. */
#ifndef HF_WIRE_H
#define HF_WIRE_H
#include "base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Version 5 names no limit; two-byte lengths give about 4 x 65535. Peers send at most HF_WIRE_SEND_MAX. Source: srup-v5 section 1. */
enum { HF_WIRE_V5 = 5, HF_WIRE_MAX = 262144, HF_WIRE_SEND_MAX = 65535 };

enum hf_wire_type {
#define MSG0(NAME, name, code, doc) HF_WIRE_##NAME = (code),
#define MSG(NAME, name, code, doc) HF_WIRE_##NAME = (code),
#include "wire/messages.def"
};

enum hf_wire_status {
#define STATUS(NAME, code, text) HF_WIRE_##NAME = (code),
#include "wire/status.def"
};

enum hf_wire_kind {
	HF_WIRE_K_u8,
	HF_WIRE_K_u32,
	HF_WIRE_K_u64,
	HF_WIRE_K_id,
	HF_WIRE_K_bytes,
	HF_WIRE_K_sig,
	HF_WIRE_K_pad
};

/* One message. Spans borrow from what was decoded, or from the caller who encodes. Which body counts follows from type. */
#define HF_WIRE_C_u8 uint8_t
#define HF_WIRE_C_u32 uint32_t
#define HF_WIRE_C_u64 uint64_t
#define HF_WIRE_C_id uint64_t
#define HF_WIRE_C_bytes struct hf_span
#define HF_WIRE_C_sig struct hf_span
#define HF_WIRE_C_pad uint16_t
#define MSG(NAME, name, code, doc) struct hf_wire_##name {
#define F(name, kind, field, doc) HF_WIRE_C_##kind field;
#define END \
	}       \
	;
#include "wire/messages.def"

struct hf_wire_msg {
#define HEAD(kind, field, doc) HF_WIRE_C_##kind field;
#include "wire/messages.def"
	union {
#define MSG(NAME, name, code, doc) struct hf_wire_##name name;
#include "wire/messages.def"
	};
};

/* What a type looks like. Source: messages.def. */
struct hf_wire_field {
	const char *name;
	uint16_t at; /* offset in struct hf_wire_msg */
	uint8_t kind; /* enum hf_wire_kind */
};
struct hf_wire_shape {
	const char *name, *doc;
	const struct hf_wire_field *field; /* body only */
	uint8_t code, count;
};

/* The shape of a type code, or of a name ("ACTION"); NULL if there is none. */
const struct hf_wire_shape *hf_wire_shape(unsigned code);
const struct hf_wire_shape *hf_wire_shape_named(struct hf_span name);
/* Shapes in table order: i from 0 until NULL. */
const struct hf_wire_shape *hf_wire_shape_at(size_t i);
/* Header fields after version and type (sequence_id, sender_id, token, signature): i from 0 until NULL. */
const struct hf_wire_field *hf_wire_head_at(size_t i);
/* What a RESPONSE status says; "unknown status" if it is none. */
const char *hf_wire_status_text(unsigned status);

/* The bytes that a signature covers: the message without its signature and that one's length. They lie in what was decoded. */
struct hf_wire_covered {
	struct hf_span piece[2];
};

/* Parses all of in. out borrows from in; covered may be NULL. Checked in this order, outputs untouched on error:
 * SHORT (header), VERSION, TYPE, TOKEN (empty), then the body: SHORT, PAD, TRAILING. The sequence id is the receiver's to judge.
 * Source: srup-v5 sections 1 and 2. */
HF_NODISCARD enum hf_err hf_wire_decode(struct hf_span in, struct hf_wire_msg *out, struct hf_wire_covered *covered);
/* Version, type, sequence id, sender and token alone; for a type that is not known too. Errors: SHORT, VERSION. */
HF_NODISCARD enum hf_err hf_wire_peek(struct hf_span in, struct hf_wire_msg *out);

enum hf_wire_part { HF_WIRE_WHOLE, HF_WIRE_COVERED };
/* Appends m, or only the bytes that its signature covers, to w. m->version must be 5.
 * Errors: VERSION, TYPE, TOKEN (empty), TOO_BIG (a field over 65535 bytes), NO_SPACE. */
HF_NODISCARD enum hf_err hf_wire_encode(struct hf_wr *w, const struct hf_wire_msg *m, enum hf_wire_part part);
/* Appends the fields of m as a JSON object: u64 as decimal text, ids as 16 hex digits, bytes as hex, small numbers as numbers.
 * Signature, version, type and padding are left out. Errors: TYPE, NO_SPACE. */
HF_NODISCARD enum hf_err hf_wire_print(struct hf_wr *w, const struct hf_wire_msg *m);

/* Fills m with a message of that shape; lengths and contents follow from seed, bytes are placed in buf (cap >= 1024).
 * The signature stays empty. For tests, fuzzing and benchmarks: not a source of randomness. */
void hf_wire_random(uint64_t seed, const struct hf_wire_shape *shape, uint8_t *buf, size_t cap, struct hf_wire_msg *m);

/* --- topics: one grammar for device, server and broker ------------------------------------------------------------------ */

enum hf_wire_topic {
#define TOPIC(NAME, pattern, doc) HF_WIRE_TOPIC_##NAME,
#include "wire/topics.def"
	HF_WIRE_TOPIC_COUNT_
};
enum { HF_WIRE_TOPIC_MAX = 64 }; /* bytes of the longest topic with its NUL */

/* Who a client is at the broker, and what it stands for. */
enum hf_wire_role { HF_WIRE_R_DEVICE, HF_WIRE_R_SERVER, HF_WIRE_R_REFERENCE, HF_WIRE_R_CONTROL };
enum hf_wire_state { HF_WIRE_S_REGISTERED = 1, HF_WIRE_S_JOINED = 2 };
enum hf_wire_verb { HF_WIRE_V_PUBLISH = 1, HF_WIRE_V_SUBSCRIBE = 2, HF_WIRE_V_RECEIVE = 4 };

struct hf_wire_client {
	enum hf_wire_role role;
	enum hf_wire_state state;
	uint64_t self;
};
/* What the rules ask about other identities. known: a device or server of that id is in the table and not revoked.
 * controls: the device is joined to that server. */
struct hf_wire_rights {
	void *ctx;
	bool (*known)(void *ctx, uint64_t id);
	bool (*controls)(void *ctx, uint64_t server, uint64_t device);
};

/* May this client do verb with this topic or filter? Denies whatever no RULE names. */
bool hf_wire_topic_allows(const struct hf_wire_client *c, const struct hf_wire_rights *rights, enum hf_wire_verb verb,
                          struct hf_span topic);
/* Writes the topic with NUL; server and device fill its places, where it has them. Errors: NO_SPACE. */
HF_NODISCARD enum hf_err hf_wire_topic_make(enum hf_wire_topic topic, uint64_t server, uint64_t device,
                                            char out[HF_WIRE_TOPIC_MAX]);
/* Which topic this is and the ids in it (0 where it has none). Errors: TEXT (no topic of ours), ID. */
HF_NODISCARD enum hf_err hf_wire_topic_parse(struct hf_span text, enum hf_wire_topic *topic, uint64_t *server,
                                             uint64_t *device);

#ifdef __cplusplus
}
#endif
#endif
