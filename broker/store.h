/* broker - the table as it outlives the broker: snapshot, journal, changes from the server. Uses: base, wire. */
#ifndef BROKER_STORE_H
#define BROKER_STORE_H
#include "base/base.h"
#include "broker/journal.h"
#include "broker/table.h"

enum { BROKER_PAYLOAD_MAX = 65536 };

struct broker_store {
	struct broker_table table; /* in force */
	struct broker_table fill; /* between reset and commit */
	bool ready; /* there is a table: from a snapshot or a commit */
	bool filling;
	uint64_t generation;
	struct broker_journal journal;
	uint8_t *lines; /* BROKER_PAYLOAD_MAX + 1 bytes: what goes to the journal */
};

/* Called when an identity lost its place or rights; the table has changed already. */
typedef void broker_kick(void *ctx, uint64_t id);

/* Reads snapshot and journal; both paths are borrowed. A journal of another generation takes rights away (del, revoke)
 * and gives none. Errors: what is wrong with one of the files (NOT_FOUND, TEXT, IO, TOO_BIG, FULL, MEMORY). ready tells
 * whether there is a table; the store can be used in either case, except after MEMORY with lines NULL. */
HF_NODISCARD enum hf_err broker_store_open(struct broker_store *s, const char *snapshot, const char *journal);
void broker_store_release(struct broker_store *s);

/* Applies one control payload: all of it or nothing. Only when there is no room or the journal fails, del and revoke
 * are applied all the same, with kick, and the error is returned. A payload that fails ends a fill.
 * reset must be the first line of its payload, commit the last.
 * Errors: INPUT (empty), TOO_BIG, TEXT, STATE (no table, or not filling), FULL, MEMORY, MISSING, IO. */
HF_NODISCARD enum hf_err broker_store_apply(struct broker_store *s, struct hf_span payload, broker_kick *kick,
                                            void *ctx);

#endif
