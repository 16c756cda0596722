/* session, inside - what its files share. */
#ifndef SESSION_INTERNAL_H
#define SESSION_INTERNAL_H
#include "session/session.h"

enum {
	SESSION_MISSED_MAX = 1000000, /* messages: a longer gap is none that a broker lost */
	SESSION_PROOFS = 4, /* signatures judged for session_stepped_back, in each */
	SESSION_PROOFS_MS = 60000,
};

/* gap.c: A message with this id was taken; s->heard is the highest id before it. Counts the gap that it leaves, or takes back
 * one that it fills, in s alone. Returns whether s->identity.gaps has changed.
 *
 * A device's next id is at most max(last one that we heard, last one that we sent) + HF_SEAL_GAP. One further ahead is an
 * occasion; the least number of messages that explains it is the distance beyond that, in steps of HF_SEAL_GAP. The size is
 * not known when the id is just what our device takes after a restart (the end of the block that it had reserved, plus
 * HF_SEAL_GAP), when it is the first one after a restored database, and beyond SESSION_MISSED_MAX. A late message inside
 * the newest gap of known size takes itself back, and with the last one the occasion. */
bool session_gap_heard(struct session *s, uint64_t id, int64_t now_ms);

#endif
