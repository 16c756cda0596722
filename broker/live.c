/* broker - connections in chains by id. Uses: base. */
#include "broker/live.h"

#include <stdlib.h>

enum { CAP_MIN = 64 };
#define NONE UINT32_MAX

void broker_live_init(struct broker_live *l, uint64_t seed)
{
	*l = (struct broker_live){.free = NONE, .seed = seed};
}

void broker_live_release(struct broker_live *l)
{
	free(l->entry);
	free(l->bucket);
	broker_live_init(l, l->seed);
}

static uint32_t *bucket_of(struct broker_live *l, uint64_t id)
{
	uint64_t x = (id ^ l->seed) * 0x9e3779b97f4a7c15;

	x = (x ^ x >> 32) * 0xbf58476d1ce4e5b9;
	return &l->bucket[x >> 32 & (l->cap - 1)];
}

static void chain(struct broker_live *l, uint32_t i)
{
	uint32_t *first = bucket_of(l, l->entry[i].id);

	l->entry[i].next = *first;
	*first = i;
}

/* Doubles the room; every entry is in use when this is called. */
static enum hf_err grow(struct broker_live *l)
{
	uint32_t cap = l->cap ? l->cap * 2 : CAP_MIN;
	struct broker_live_entry *entry;
	uint32_t *bucket;

	if (cap > BROKER_LIVE_MAX)
		return HF_E_FULL;
	bucket = malloc(cap * sizeof *bucket);
	entry = bucket ? realloc(l->entry, cap * sizeof *entry) : NULL;
	if (!entry) {
		free(bucket);
		return HF_E_MEMORY;
	}
	free(l->bucket);
	l->entry = entry;
	l->bucket = bucket;
	l->cap = cap;
	for (uint32_t i = 0; i < cap; i++)
		bucket[i] = NONE;
	for (uint32_t i = 0; i < l->used; i++)
		chain(l, i);
	return HF_E_OK;
}

enum hf_err broker_live_add(struct broker_live *l, const void *client, uint64_t id)
{
	enum hf_err err = l->free == NONE && l->used == l->cap ? grow(l) : HF_E_OK;
	uint32_t i;

	if (err != HF_E_OK)
		return err;
	i = l->free;
	if (i == NONE)
		i = l->used++;
	else
		l->free = l->entry[i].next;
	l->entry[i] = (struct broker_live_entry){.client = client, .id = id};
	chain(l, i);
	return HF_E_OK;
}

struct broker_live_entry *broker_live_of(struct broker_live *l, uint64_t id, const struct broker_live_entry *after)
{
	uint32_t i = after ? after->next : l->cap ? *bucket_of(l, id) : NONE;

	while (i != NONE && l->entry[i].id != id)
		i = l->entry[i].next;
	return i == NONE ? NULL : &l->entry[i];
}

struct broker_live_entry *broker_live_get(struct broker_live *l, const void *client, uint64_t id)
{
	struct broker_live_entry *e = NULL;

	while ((e = broker_live_of(l, id, e)) != NULL)
		if (e->client == client)
			return e;
	return NULL;
}

void broker_live_remove(struct broker_live *l, const void *client, uint64_t id)
{
	if (l->cap == 0)
		return;
	for (uint32_t *at = bucket_of(l, id); *at != NONE; at = &l->entry[*at].next) {
		uint32_t i = *at;

		if (l->entry[i].client != client || l->entry[i].id != id)
			continue;
		*at = l->entry[i].next;
		l->entry[i] = (struct broker_live_entry){.next = l->free};
		l->free = i;
		return;
	}
}

struct broker_live_entry *broker_live_walk(struct broker_live *l, uint32_t *at)
{
	while (*at < l->used && !l->entry[*at].client)
		++*at;
	return *at < l->used ? &l->entry[(*at)++] : NULL;
}
