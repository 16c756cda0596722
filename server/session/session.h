/* session - what the server knows of a device while it talks: key, window, counter; receiving exactly once, sending by outbox.
 * Uses: base wire seal peer port/openssl os db facts registry. */
#ifndef SESSION_H
#define SESSION_H
#include "base/base.h"
#include "db/db.h"
#include "facts/facts.h"
#include "registry/registry.h"
#include "seal/seal.h"
#include "wire/wire.h"

enum {
	SESSION_BUCKETS = 4096,
	SESSIONS_MAX = 20000,
	SESSION_JOIN_BURST = 10,
	SESSION_JOIN_REFILL_MS = 2000,
	SESSION_SEEN_MS = 1000
};

/* One device in RAM. Everything in it can be read again from the database, and is after a failed turn. */
struct session {
	struct registry_identity identity;
	struct hf_seal_key *key;
	struct hf_seal_window window; /* of this generation */
	struct hf_seal_counter counter;
	bool touched; /* changed in this turn */
	int64_t joins_ms; /* of its bucket of join requests */
	unsigned joins;
	struct session *next, *next_touched;
};
struct session_counts {
	uint64_t received, repeated, refused_replay, refused_signature, refused_unknown, loaded;
};
struct session_cache {
	struct db *db;
	struct facts *facts;
	const struct hf_seal_crypto *crypto;
	uint64_t self; /* our server's id */
	struct session *bucket[SESSION_BUCKETS];
	size_t count;
	struct session *touched; /* in this turn, by next_touched */
	struct session_counts counts;
};

void session_cache_init(struct session_cache *c, struct db *db, struct facts *facts, uint64_t self);
void session_cache_release(struct session_cache *c);
/* After the turn; when it failed, whatever it touched is forgotten and read anew. */
void session_turn_done(struct session_cache *c, bool committed);
/* Forgets what a handler touched whose savepoint was rolled back, and what another module changed in the registry. */
void session_forget(struct session_cache *c, uint64_t id);

/* The session of a device that is registered or joined. Valid until the turn ends. Errors: NOT_FOUND (unknown, half-made, no device),
 * DENIED (revoked), KEY, DATABASE, MEMORY. */
HF_NODISCARD enum hf_err session_get(struct session_cache *c, uint64_t id, struct session **out);

/* Takes a message that was decoded from what arrived: sequence, signature, inbound row, window; in that order. The caller has
 * judged type and topic. Errors: EXISTS (an exact repeat: it was done already), REPLAY, SEQUENCE, SIGNATURE, KEY, DATABASE. */
HF_NODISCARD enum hf_err session_receive(struct session_cache *c, struct session *s, const struct hf_wire_msg *m,
                                         const struct hf_wire_covered *covered, int64_t now_ms);

/* May it ask to join again? SESSION_JOIN_BURST requests at once, then one in SESSION_JOIN_REFILL_MS; counts this one. */
bool session_may_join(struct session *s, int64_t now_ms);

/* Puts a message to the device into the outbox: version, sender and sequence id are filled in, the token and the body are the
 * caller's. It leaves, signed, after the commit, unless deadline_ms (wall clock) has passed. command: its row, or 0.
 * Errors: SEQUENCE (counter exhausted), TOO_BIG, DATABASE. */
HF_NODISCARD enum hf_err session_say(struct session_cache *c, struct session *s, struct hf_wire_msg *m, int64_t command,
                                     int64_t deadline_ms);
/* A new token. */
enum { SESSION_TOKEN_LEN = 36 };
void session_token(uint8_t out[SESSION_TOKEN_LEN]);

#endif
