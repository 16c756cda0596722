/* broker - events on their way to the server: a ring that never grows. Uses: base. */
#ifndef BROKER_RING_H
#define BROKER_RING_H
#include "base/base.h"

enum { BROKER_RING_MAX = 4096, BROKER_DETAIL_MAX = 48, BROKER_EVENT_TEXT_MAX = 160 };

enum broker_event { BROKER_ON, BROKER_OFF, BROKER_REFUSED, BROKER_KICKED };

struct broker_ring_entry {
	uint64_t id; /* 0: not known */
	const char *reason; /* of REFUSED: a word that outlives the ring */
	uint8_t event, len;
	uint8_t detail[BROKER_DETAIL_MAX]; /* client id, topic: cut to fit */
};

struct broker_ring {
	struct broker_ring_entry entry[BROKER_RING_MAX];
	unsigned first, count;
	uint64_t lost; /* since it was last told */
};

void broker_ring_reset(struct broker_ring *r);
/* Adds an event; when the ring is full the new one is lost and counted. reason: for REFUSED, else NULL. */
void broker_ring_put(struct broker_ring *r, enum broker_event event, uint64_t id, const char *reason,
                     struct hf_span detail);
/* Takes out the ON and OFF events, for a listener that is told anew who is here. */
void broker_ring_forget_presence(struct broker_ring *r);
/* Moves as many events as fit into w, oldest first, as text lines; then the count of lost ones, if none is left. */
void broker_ring_take(struct broker_ring *r, struct hf_wr *w);

#endif
