/* broker - what the listener knows of who is connected. Uses: live, ring, mosquitto. */
#include "broker/broker_internal.h"

enum { TOLD_A_TICK = 256 };

static struct broker_live_entry *told_of(struct broker *b, uint64_t id)
{
	struct broker_live_entry *e = NULL;

	while ((e = broker_live_of(&b->live, id, e)) != NULL && !e->told)
		;
	return e;
}

void broker_presence_on(struct broker *b, struct broker_live_entry *entry)
{
	if (b->listeners == 0 || entry->id == 0 || told_of(b, entry->id))
		return;
	entry->told = true;
	broker_ring_put(&b->ring, BROKER_ON, entry->id, NULL, hf_span_text(mosquitto_client_id(entry->client)));
}

void broker_presence_off(struct broker *b, const struct mosquitto *client, uint64_t id)
{
	const struct broker_live_entry *gone = broker_live_get(&b->live, client, id);
	struct broker_live_entry *other;
	bool told = gone && gone->told;

	b->listeners -= gone && gone->listens;
	broker_live_remove(&b->live, client, id);
	other = told ? broker_live_of(&b->live, id, NULL) : NULL;
	if (other)
		other->told = true;
	else if (told && b->listeners > 0)
		broker_ring_put(&b->ring, BROKER_OFF, id, NULL, hf_span_of(NULL, 0));
}

void broker_presence_begin(struct broker *b, const struct mosquitto *listener)
{
	struct broker_live_entry *entry = broker_live_get(&b->live, listener, 0), *e;
	uint32_t at = 0;

	if (!entry)
		return;
	b->listeners += !entry->listens;
	entry->listens = true;
	while ((e = broker_live_walk(&b->live, &at)) != NULL)
		e->told = false;
	broker_ring_forget_presence(&b->ring);
	b->presence_at = 0;
}

/* Leaves half of the ring to what happens meanwhile. */
void broker_presence_tell(struct broker *b)
{
	if (b->presence_at == UINT32_MAX)
		return;
	for (unsigned n = 0; n < TOLD_A_TICK && b->ring.count < BROKER_RING_MAX / 2; n++) {
		struct broker_live_entry *e = broker_live_walk(&b->live, &b->presence_at);

		if (!e) {
			b->presence_at = UINT32_MAX;
			return;
		}
		broker_presence_on(b, e);
	}
}
