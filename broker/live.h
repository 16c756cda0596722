/* broker - who is connected now: connections by identity. Uses: base. */
#ifndef BROKER_LIVE_H
#define BROKER_LIVE_H
#include "base/base.h"

enum { BROKER_LIVE_MAX = 262144 }; /* connections */

struct broker_live_entry {
	const void *client; /* the broker's connection; NULL: free entry */
	uint64_t id; /* 0: the control identity */
	uint32_t next;
	bool replaced; /* another connection takes its client id over: it ends now */
	bool listens; /* subscribed to the events */
	bool told; /* this one stands for its identity in what the listener knows */
};

/* Entries in chains by id. Pointers to entries hold until the next add. */
struct broker_live {
	struct broker_live_entry *entry;
	uint32_t *bucket; /* cap of them */
	uint32_t cap, used, free;
	uint64_t seed;
};

void broker_live_init(struct broker_live *l, uint64_t seed);
void broker_live_release(struct broker_live *l);
/* Errors: FULL, MEMORY. */
HF_NODISCARD enum hf_err broker_live_add(struct broker_live *l, const void *client, uint64_t id);
/* The entry of that connection; NULL if there is none. */
struct broker_live_entry *broker_live_get(struct broker_live *l, const void *client, uint64_t id);
void broker_live_remove(struct broker_live *l, const void *client, uint64_t id);
/* Walks the connections of one id: after NULL the first; NULL at the end. */
struct broker_live_entry *broker_live_of(struct broker_live *l, uint64_t id, const struct broker_live_entry *after);
/* Walks all connections: at from 0; NULL at the end. */
struct broker_live_entry *broker_live_walk(struct broker_live *l, uint32_t *at);

#endif
