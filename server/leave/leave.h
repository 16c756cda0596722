/* leave - who goes: a device resigns, is let go, is deregistered or revoked. Uses: base wire os db facts audit registry session command. */
#ifndef LEAVE_H
#define LEAVE_H
#include "base/base.h"
#include "session/session.h"

/* How a device left: a row of ways.def. */
enum leave_way {
#define WAY(NAME, state, event, why) LEAVE_##NAME,
#include "leave/ways.def"
	LEAVE_WAY_COUNT_
};
enum { LEAVE_TOLD_MS = 7 * 24 * 3600 * 1000 }; /* how long a TERMINATE_CMD waits for the broker */

/* Ends a membership or an identity: state, rights, open commands, waiting join, session in RAM, audit event. The session must
 * not be used afterwards. Errors: NOT_FOUND, DATABASE. */
HF_NODISCARD enum hf_err leave_by(struct session_cache *c, uint64_t device, enum leave_way way, const char *who,
                                  int64_t now_ms);

/* RESIGN_REQ came, signed and new. Errors: STATE (the device has asked to join again since), DATABASE. */
HF_NODISCARD enum hf_err leave_resigned(struct session_cache *c, const struct session *s, int64_t now_ms);
/* An operator ends the membership: TERMINATE_CMD goes into the outbox. Errors: STATE (it has not joined us), NOT_FOUND,
 * DENIED (revoked), SEQUENCE, DATABASE. */
HF_NODISCARD enum hf_err leave_terminate(struct session_cache *c, uint64_t device, const char *who, int64_t now_ms);
/* An operator ends the identity: DEREGISTER_CMD goes into the outbox, the membership ends, and the identity is revoked once
 * the device has gone from the broker, or at until_ms. Errors: STATE (that is under way), NOT_FOUND, DENIED (revoked),
 * SEQUENCE, DATABASE. */
HF_NODISCARD enum hf_err leave_deregister(struct session_cache *c, uint64_t device, const char *who, int64_t until_ms,
                                          int64_t now_ms);
/* The broker says that a device is not connected any more: one that is being deregistered is revoked. Errors: DATABASE. */
HF_NODISCARD enum hf_err leave_disconnected(struct session_cache *c, uint64_t device, int64_t now_ms);
/* Revokes those whose time to go has passed. Errors: DATABASE. */
HF_NODISCARD enum hf_err leave_expire(struct session_cache *c, int64_t now_ms);

/* Has what we said to this device left the outbox? Errors: DATABASE. */
HF_NODISCARD enum hf_err leave_told(struct db *db, uint64_t device, bool *told);

#endif
