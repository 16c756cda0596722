/* registry - identities: devices and servers, their keys, states and counters. Uses: base os db facts. */
#ifndef REGISTRY_H
#define REGISTRY_H
#include "base/base.h"
#include "db/db.h"
#include "facts/facts.h"

/* A registration goes NEW -> PROVEN (its key was proven) -> REGISTERED (it has a certificate) -> JOINED; REVOKED is final. */
#define REGISTRY_STATES(S) \
	S(NEW, "new") S(PROVEN, "proven") S(REGISTERED, "registered") S(JOINED, "joined") S(REVOKED, "revoked")
#define REGISTRY_KINDS(S) S(DEVICE, "device") S(SERVER, "server") S(REFERENCE, "reference")
#define REGISTRY_ENUM(NAME, text) REGISTRY_##NAME,
enum registry_state { REGISTRY_STATES(REGISTRY_ENUM) REGISTRY_STATE_COUNT_ };
enum registry_kind { REGISTRY_KINDS(REGISTRY_ENUM) REGISTRY_KIND_COUNT_ };

enum { REGISTRY_TYPE_MAX = 64, REGISTRY_KEY_MAX = 640, REGISTRY_WHY_MAX = 64 };

/* What a device said and we never heard; see session/gap.h for the rule. */
struct registry_gaps {
	int64_t count, unsized; /* occasions; of these, how many look like a restart: their size is not known */
	int64_t missed; /* the least number of messages that explains the others */
	int64_t last_ms; /* 0 = never */
	uint64_t block; /* the id up to which the device has reserved, as far as we can tell; 0 = not known */
};

struct registry_identity {
	uint64_t id, controller; /* controller: the server that it joined, or 0 */
	enum registry_kind kind;
	enum registry_state state;
	char type[REGISTRY_TYPE_MAX];
	uint8_t key[REGISTRY_KEY_MAX]; /* DER SubjectPublicKeyInfo */
	size_t key_len;
	int64_t created_ms, expires_ms, joined_ms, revoked_ms, purged_ms, seen_ms,
		certificate_ms; /* 0 = never; certificate_ms: its end */
	int64_t left_ms; /* when it left us last; 0 = never, or it has joined again */
	char left_why[REGISTRY_WHY_MAX];
	int64_t ending_ms; /* it is being deregistered: revoked at this time at the latest; 0 = it is not */
	int64_t generation; /* of its counter, see registry_reset_counter */
	uint64_t sent; /* the last sequence id that was used towards it */
	bool behind; /* our database was restored from an older copy, and we have not heard of it since */
	struct registry_gaps gaps;
	uint64_t origin; /* only written: the address that registered it, as http_address tells it; 0 = none */
	int64_t ticket; /* only written: the enrolment token that it came with, 0 = none; see registry_ticket */
};

const char *registry_state_name(enum registry_state s);
const char *registry_kind_name(enum registry_kind k);

/* Errors: EXISTS, FULL (limit of half-made registrations reached), DATABASE. */
HF_NODISCARD enum hf_err registry_add(struct db *db, const struct registry_identity *i, int64_t half_made_max);
/* When half_made_max is reached: the oldest half-made registration of the address that holds most of them goes, unless the
 * newcomer's holds as many. *pushed_out tells whether one went. Errors: FULL, DATABASE. */
HF_NODISCARD enum hf_err registry_make_room(struct db *db, uint64_t origin, int64_t half_made_max, bool *pushed_out);
/* All identities, whatever their kind and state. Errors: DATABASE. */
HF_NODISCARD enum hf_err registry_total(struct db *db, int64_t *count);
/* The enrolment token that a registration came with, 0 for none. Errors: DATABASE. */
HF_NODISCARD enum hf_err registry_ticket(struct db *db, uint64_t id, int64_t *ticket);
/* Forgets devices that registered, never joined, and were not heard of since before_ms; at most REGISTRY_IDLE_BATCH, whose ids
 * go to gone. Tells RIGHTS and DEVICE. Errors: DATABASE. */
enum { REGISTRY_IDLE_BATCH = 64 };
HF_NODISCARD enum hf_err registry_forget_idle(struct db *db, struct facts *f, int64_t before_ms,
                                              uint64_t gone[REGISTRY_IDLE_BATCH], size_t *count);
/* Errors: NOT_FOUND, DATABASE. */
HF_NODISCARD enum hf_err registry_get(struct db *db, uint64_t id, struct registry_identity *out);
/* Changes the state (and with JOINED the controller), tells RIGHTS and DEVICE. Errors: NOT_FOUND, DATABASE. */
HF_NODISCARD enum hf_err registry_set_state(struct db *db, struct facts *f, uint64_t id, enum registry_state state,
                                            uint64_t controller, int64_t now_ms);
/* Notes how it left; ending_ms: as in the struct, 0 = not. */
HF_NODISCARD enum hf_err registry_set_left(struct db *db, uint64_t id, const char *why, int64_t ending_ms,
                                           int64_t now_ms);
/* Begins a new generation of the counter with which the device numbers what it says. Errors: STATE (not registered, not
 * joined), DATABASE. */
HF_NODISCARD enum hf_err registry_reset_counter(struct db *db, struct facts *f, uint64_t id);
HF_NODISCARD enum hf_err registry_set_gaps(struct db *db, uint64_t id, const struct registry_gaps *g);
/* Over all devices: occasions, and messages. */
HF_NODISCARD enum hf_err registry_gaps_sum(struct db *db, int64_t *count, int64_t *missed);
HF_NODISCARD enum hf_err registry_set_sent(struct db *db, uint64_t id, uint64_t sent);
/* It was heard: it is not behind any more. */
HF_NODISCARD enum hf_err registry_seen(struct db *db, uint64_t id, int64_t now_ms);
HF_NODISCARD enum hf_err registry_certificate(struct db *db, uint64_t id, struct hf_span serial, int64_t now_ms,
                                              int64_t not_after_ms);
/* Removes half-made registrations whose time has passed; *count gets how many. */
HF_NODISCARD enum hf_err registry_expire(struct db *db, int64_t now_ms, int64_t *count);
typedef bool (*registry_each)(void *ctx, const struct registry_identity *i);
/* Everything of a kind, or of all kinds (REGISTRY_KIND_COUNT_), by id; without keys. Errors: DATABASE. */
HF_NODISCARD enum hf_err registry_list(struct db *db, enum registry_kind kind, registry_each each, void *ctx);
/* Devices after an id (0: from the first), in the order of registry_list, until each returns false. state and type "" or what they
 * must be. Without keys. Errors: DATABASE. */
struct registry_filter {
	uint64_t after;
	const char *state, *type;
};
HF_NODISCARD enum hf_err registry_page(struct db *db, const struct registry_filter *f, registry_each each, void *ctx);
HF_NODISCARD enum hf_err registry_count(struct db *db, enum registry_state state, int64_t *count);

#endif
