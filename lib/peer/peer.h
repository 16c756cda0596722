/* peer - both ends of a conversation without I/O: who may say what when, and which answers are awaited. Uses: base wire. */
#ifndef HF_PEER_H
#define HF_PEER_H
#include "base/base.h"
#include "wire/wire.h"

#ifdef __cplusplus
extern "C" {
#endif

enum hf_peer_side { HF_PEER_DEVICE = 1, HF_PEER_SERVER = 2 };
/* How a device stands with the server that it talks to. */
enum hf_peer_state { HF_PEER_REGISTERED = 1, HF_PEER_JOINED = 2 };

/* May a message of this type come from that side while the device is in that state? Types that no row names: never. */
bool hf_peer_may_send(unsigned type, enum hf_peer_side from, enum hf_peer_state state);
/* Does it travel on the join topic? */
bool hf_peer_on_join_topic(unsigned type);

/* What is asked for. A kind tells apart requests whose tokens must not answer each other. */
enum hf_peer_kind {
#define KIND(NAME, timeout_ms, doc) HF_PEER_K_##NAME,
#include "peer/rules.def"
	HF_PEER_K_COUNT_
};
/* How long an answer of this kind is awaited, ms. */
int64_t hf_peer_timeout_ms(enum hf_peer_kind kind);
const char *hf_peer_kind_name(enum hf_peer_kind kind);
/* May a RESPONSE with this status answer a request of this kind? */
bool hf_peer_answers(enum hf_peer_kind kind, unsigned status);

enum { HF_PEER_TOKEN_MAX = 64, HF_PEER_TOKEN_LEN = 36 };

/* An open request. tag is the caller's. */
struct hf_peer_request {
	uint64_t peer, tag;
	int64_t deadline_ms;
	uint8_t kind, token_len;
	uint8_t token[HF_PEER_TOKEN_MAX];
};
/* Open requests in the caller's memory. refused counts what found the table full. */
struct hf_peer_table {
	struct hf_peer_request *slot;
	size_t cap, count;
	uint64_t refused;
};

/* Adds a request. Errors: FULL (counted), EXISTS (same token, peer and kind), TOO_BIG or TOKEN (token too long, empty). */
HF_NODISCARD enum hf_err hf_peer_open(struct hf_peer_table *t, enum hf_peer_kind kind, uint64_t peer,
                                      struct hf_span token, int64_t deadline_ms, uint64_t tag);
/* Settles the request that this token answers and removes it: it counts once. Errors: NOT_FOUND (never asked, already answered,
 * another peer's or kind's), EXPIRED (removed all the same). */
HF_NODISCARD enum hf_err hf_peer_settle(struct hf_peer_table *t, enum hf_peer_kind kind, uint64_t peer,
                                        struct hf_span token, int64_t now_ms, uint64_t *tag);
/* Removes one request whose time has passed into *out; false when there is none. */
bool hf_peer_expire(struct hf_peer_table *t, int64_t now_ms, struct hf_peer_request *out);
/* Removes whatever was asked of peer. */
void hf_peer_forget(struct hf_peer_table *t, uint64_t peer);
/* The earliest deadline, INT64_MAX when nothing is open. */
int64_t hf_peer_deadline_ms(const struct hf_peer_table *t);

/* The text of a random UUIDv4 from 16 random bytes, and a device id from 8 of them (the top half of one). Source: srup-v5 section 6. */
void hf_peer_token_text(const uint8_t random[16], uint8_t out[HF_PEER_TOKEN_LEN]);
uint64_t hf_peer_id_from(const uint8_t random[8]);

#ifdef __cplusplus
}
#endif
#endif
