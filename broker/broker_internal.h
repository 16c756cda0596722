/* broker - what plugin.c and guard.c share: the one instance. Uses: base, store, live, ring, mosquitto. */
#ifndef BROKER_INTERNAL_H
#define BROKER_INTERNAL_H
#include "broker/live.h"
#include "broker/ring.h"
#include "broker/store.h"

#include <mosquitto.h>
/* mosquitto.h first: these two need it. */
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>

enum broker_count {
#define REASON(NAME, word, doc) BROKER_N_##NAME,
#define COUNT(NAME, word, doc) BROKER_N_##NAME,
#include "broker/counts.def"
	BROKER_N_COUNT_
};

struct broker {
	mosquitto_plugin_id_t *plugin;
	char *snapshot, *journal, *control; /* options */
	struct broker_store store;
	struct broker_live live;
	struct broker_ring ring;
	uint64_t count[BROKER_N_COUNT_];
	int64_t window_s; /* of refusals told */
	unsigned told;
	unsigned listeners; /* connections subscribed to the events */
	uint32_t presence_at; /* where the walk that tells a new listener who is here goes on; UINT32_MAX: none */
	bool reloading; /* until the next tick, see broker_on_auth */
	bool ticking; /* there was a tick */
};

/* Callbacks of guard.c: who may connect, and who may do what with which topic. */
int broker_on_auth(int event, void *event_data, void *userdata);
int broker_on_acl(int event, void *event_data, void *userdata);
int broker_on_disconnect(int event, void *event_data, void *userdata);

/* presence.c: one "on" when an identity has its first connection, one "off" when it has none any more; a new listener
 * is told of everybody who is here. Nothing is told twice, unless a listener begins anew. */
void broker_presence_on(struct broker *b, struct broker_live_entry *entry);
/* Removes the connection; none of that id and client is no error. */
void broker_presence_off(struct broker *b, const struct mosquitto *client, uint64_t id);
void broker_presence_begin(struct broker *b, const struct mosquitto *listener);
/* Goes on telling a new listener, a part at a time. */
void broker_presence_tell(struct broker *b);

/* Counts a refusal, and within limits tells the server and the log. id 0: not known. */
void broker_refuse(struct broker *b, enum broker_count why, const struct mosquitto *client, uint64_t id,
                   struct hf_span detail);

#endif
