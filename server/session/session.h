/* session - what the server knows of a device while it talks: key, window, counter; receiving exactly once, sending by outbox.
 * Uses: base wire seal peer port/openssl os db facts audit alert registry. */
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

/* The newest gap of known size: ids between after and before, open messages of which did not come yet. */
struct session_gap {
	uint64_t after, before;
	int64_t open;
};
/* One device in RAM. Everything in it can be read again from the database, and is after a failed turn. */
struct session {
	struct registry_identity identity;
	struct hf_seal_key *key;
	struct hf_seal_window window; /* of what it said on its own topic, in this generation */
	struct hf_seal_counter counter;
	uint64_t heard,
		floor; /* highest id from it in this generation, join requests too; what lies below counts as used; 0 = none */
	struct session_gap gap;
	bool stepped; /* far ahead, as it is behind */
	bool touched; /* changed in this turn */
	int64_t proofs_ms; /* of its bucket of judged proofs, see session_receive */
	unsigned proofs;
	int64_t joins_ms; /* of its bucket of join requests */
	unsigned joins;
	struct session *next, *next_touched;
};
#define SESSION_FAR (UINT64_C(1) << 32)

struct session_counts {
	uint64_t received, repeated, refused_replay, refused_signature, refused_unknown, loaded;
	uint64_t stepped_back, unjudged; /* proofs that a store went back; suspicions that were too many to judge */
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
 * judged type and topic. Join requests come by another connection and may overtake, or be overtaken: they do not move the
 * window, their row alone keeps them from being taken twice. What was taken in an earlier generation is a repeat as well.
 * A REPLAY that was never taken and whose signature holds proves that the device's store went back in time, or that there
 * are two of it: an alert is raised, once until it is cleared, after at most SESSION_PROOFS judgements a minute.
 * Errors: EXISTS (an exact repeat: it was done already), REPLAY, SEQUENCE, SIGNATURE, KEY, DATABASE. */
HF_NODISCARD enum hf_err session_receive(struct session_cache *c, struct session *s, const struct hf_wire_msg *m,
                                         const struct hf_wire_covered *covered, int64_t now_ms);

#define SESSION_STEPPED_BACK "stepped-back" /* the kind of that alert */

/* Did a join request come that is younger than whatever else came? */
bool session_asked_last(const struct session *s);

/* A peer that lost its state begins with low ids again: a new generation of its counter, and the alert is cleared. What we
 * send goes on above all that was sent. Errors: STATE (not registered, not joined), DATABASE. */
HF_NODISCARD enum hf_err session_reset_counter(struct session_cache *c, uint64_t id, const char *who);

/* May it ask to join again? SESSION_JOIN_BURST requests at once, then one in SESSION_JOIN_REFILL_MS; counts this one. */
bool session_may_join(struct session *s, int64_t now_ms);

/* Puts a message to the device into the outbox: version, sender and sequence id are filled in, the token and the body are the
 * caller's. It leaves, signed, after the commit, unless deadline_ms (wall clock) has passed. command: its row, or 0. To a device
 * that is behind (see registry.h) the id steps SESSION_FAR ahead once, above all that was sent after the copy was made.
 * Errors: SEQUENCE (counter exhausted), TOO_BIG, DATABASE. */
HF_NODISCARD enum hf_err session_say(struct session_cache *c, struct session *s, struct hf_wire_msg *m, int64_t command,
                                     int64_t deadline_ms);
/* A new token. */
enum { SESSION_TOKEN_LEN = 36 };
void session_token(uint8_t out[SESSION_TOKEN_LEN]);

#endif
