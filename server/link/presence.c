/* link - who is connected, and what the broker refused: event lines of the plugin. Uses: base os db registry leave. */
#include "link/link_internal.h"

#include "leave/leave.h"
#include "registry/registry.h"

#include <stdlib.h>
#include <string.h>

static struct link_presence **slot_of(struct link *l, uint64_t id)
{
	struct link_presence **at = &l->presence[(id * UINT64_C(0x9e3779b97f4a7c15)) >> 52];

	_Static_assert(LINK_PRESENCE_BUCKETS == 1 << 12, "the hash gives 12 bits");
	while (*at && (*at)->id != id)
		at = &(*at)->next;
	return at;
}

static void drop(struct link *l, struct link_presence **at)
{
	struct link_presence *p = *at;

	*at = p->next;
	free(p);
	l->present--;
}

/* Reference servers connect too, but are no devices. */
static bool is_device(const struct link *l, uint64_t id)
{
	struct registry_identity i;

	return registry_get(l->s.db, id, &i) == HF_E_OK && i.kind == REGISTRY_DEVICE;
}

static void on_on(struct link *l, uint64_t id)
{
	struct link_presence **at = slot_of(l, id);

	if (!*at && l->present < LINK_PRESENCE_MAX && is_device(l, id) && (*at = calloc(1, sizeof **at)) != NULL) {
		(*at)->id = id;
		l->present++;
		facts_emit(l->s.facts, FACTS_DEVICE, id);
	}
	if (*at)
		(*at)->count++;
	else
		l->counts.full++;
}

static void on_off(struct link *l, uint64_t id)
{
	struct link_presence **at = slot_of(l, id);

	if (!*at || --(*at)->count > 0)
		return;
	drop(l, at);
	facts_emit(l->s.facts, FACTS_DEVICE, id);
	if (leave_disconnected(l->s.sessions, id, os_now_ms()) != HF_E_OK)
		l->failed = true;
}

static void on_kicked(struct link *l, uint64_t id)
{
	(void)id;
	l->counts.broker_kicked++;
}

struct event_row {
	const char *word;
	void (*handle)(struct link *l, uint64_t id);
};
static const struct event_row rows[] = {{"on ", on_on}, {"off ", on_off}, {"kicked ", on_kicked}};

static void on_line(struct link *l, struct hf_span line)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		size_t n = strlen(rows[i].word), len = 0;
		uint64_t id = 0;

		if (line.len <= n || memcmp(line.ptr, rows[i].word, n) != 0)
			continue;
		while (n + len < line.len && line.ptr[n + len] != ' ')
			len++;
		if (hf_id_parse(hf_span_of(line.ptr + n, len), &id) == HF_E_OK && id != l->s.sessions->self)
			rows[i].handle(l, id);
		return;
	}
	bool lost = line.len > 5 && memcmp(line.ptr, "lost ", 5) == 0;

	l->counts.broker_lost += lost;
	if (lost) { /* a subscription makes the plugin tell again who is there */
		link_presence_clear(l);
		link_subscribe_events(l);
	}
	l->counts.broker_refused += !lost;
	if (lost || l->counts.broker_refused <= 100 || l->counts.broker_refused % 1000 == 0)
		os_log(lost ? OS_LOG_BROKER_LOST : OS_LOG_BROKER_REFUSED, "said=\"%.*s\"", (int)line.len,
		       (const char *)line.ptr);
}

void link_presence_event(struct link *l, struct hf_span lines)
{
	while (lines.len > 0) {
		size_t n = 0;

		while (n < lines.len && lines.ptr[n] != '\n')
			n++;
		if (n > 0)
			on_line(l, hf_span_of(lines.ptr, n));
		n += n < lines.len;
		lines = hf_span_of(lines.ptr + n, lines.len - n);
	}
}

void link_presence_clear(struct link *l)
{
	for (size_t i = 0; i < LINK_PRESENCE_BUCKETS; i++)
		while (l->presence[i])
			drop(l, &l->presence[i]);
}

bool link_online(const struct link *l, uint64_t device)
{
	const struct link_presence *p = l->presence[(device * UINT64_C(0x9e3779b97f4a7c15)) >> 52];

	while (p && p->id != device)
		p = p->next;
	return p != NULL;
}

size_t link_online_count(const struct link *l)
{
	return l->present;
}
