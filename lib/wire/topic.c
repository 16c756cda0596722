/* wire - the topic grammar and who may use which topic: one interpreter over topics.def. Uses: base. */
#include "wire/wire.h"

#include <string.h>

struct rule {
	uint8_t role, states, verbs, topic;
};

static const char *const patterns[] = {
#define TOPIC(NAME, pattern, doc) [HF_WIRE_TOPIC_##NAME] = (pattern),
#include "wire/topics.def"
};

enum {
	REGISTERED = HF_WIRE_S_REGISTERED,
	JOINED = HF_WIRE_S_JOINED,
	PUBLISH = HF_WIRE_V_PUBLISH,
	SUBSCRIBE = HF_WIRE_V_SUBSCRIBE,
	RECEIVE = HF_WIRE_V_RECEIVE,
};

static const struct rule rules[] = {
#define RULE(role, states, verbs, topic, doc) {HF_WIRE_R_##role, (states), (verbs), HF_WIRE_TOPIC_##topic},
#include "wire/topics.def"
};

enum place { PLACE_NONE, PLACE_SERVER, PLACE_DEVICE };

/* Is there a place at the start of this part of a pattern, and how long is its name? */
static enum place place_at(const char *pattern, size_t *len)
{
	static const char server[] = "{server}", device[] = "{device}";

	*len = sizeof server - 1;
	if (*pattern != '{')
		return PLACE_NONE;
	if (memcmp(pattern, server, sizeof server - 1) == 0)
		return PLACE_SERVER;
	*len = sizeof device - 1;
	return PLACE_DEVICE;
}

enum hf_err hf_wire_topic_make(enum hf_wire_topic topic, uint64_t server, uint64_t device, char out[HF_WIRE_TOPIC_MAX])
{
	struct hf_wr w = hf_wr_of(out, HF_WIRE_TOPIC_MAX);

	for (const char *p = patterns[topic]; *p;) {
		size_t len = 0;
		enum place place = place_at(p, &len);

		if (place == PLACE_NONE)
			hf_wr_put(&w, hf_span_of(p++, 1));
		else
			hf_wr_id(&w, place == PLACE_SERVER ? server : device), p += len;
	}
	hf_wr_nul(&w);
	return w.err;
}

static size_t level_len(struct hf_span s)
{
	size_t n = 0;

	while (n < s.len && s.ptr[n] != '/')
		n++;
	return n;
}

/* Matches text against one pattern. TEXT: another shape; ID: the shape fits but a place holds no id. */
static enum hf_err match(const char *p, struct hf_span text, uint64_t *server, uint64_t *device)
{
	while (*p) {
		size_t len = 0;
		enum place place = place_at(p, &len);

		if (place != PLACE_NONE) {
			size_t n = level_len(text);

			if (hf_id_parse(hf_span_of(text.ptr, n), place == PLACE_SERVER ? server : device) != HF_E_OK)
				return HF_E_ID;
			text = hf_span_of(text.ptr + n, text.len - n);
			p += len;
			continue;
		}
		if (text.len == 0 || text.ptr[0] != (uint8_t)*p)
			return HF_E_TEXT;
		text = hf_span_of(text.ptr + 1, text.len - 1);
		p++;
	}
	return text.len == 0 ? HF_E_OK : HF_E_TEXT;
}

enum hf_err hf_wire_topic_parse(struct hf_span text, enum hf_wire_topic *topic, uint64_t *server, uint64_t *device)
{
	enum hf_err best = HF_E_TEXT;

	for (unsigned i = 0; i < HF_WIRE_TOPIC_COUNT_; i++) {
		uint64_t s = 0, d = 0;
		enum hf_err err = match(patterns[i], text, &s, &d);

		if (err == HF_E_OK) {
			*topic = (enum hf_wire_topic)i;
			*server = s;
			*device = d;
			return HF_E_OK;
		}
		if (err == HF_E_ID)
			best = err;
	}
	return best;
}

/* Do the ids in the topic stand for what the rule's role may name there? See topics.def. */
static bool places_fit(const struct hf_wire_client *c, const struct hf_wire_rights *rights, enum hf_wire_verb verb,
                       enum hf_wire_topic topic, uint64_t server, uint64_t device)
{
	switch (c->role) {
	case HF_WIRE_R_DEVICE: return device == c->self && (server == 0 || rights->known(rights->ctx, server));
	case HF_WIRE_R_SERVER:
	case HF_WIRE_R_REFERENCE:
		if (server != 0 && server != c->self)
			return false;
		if (device == 0)
			return true;
		if (topic == HF_WIRE_TOPIC_JOIN || verb == HF_WIRE_V_PUBLISH)
			return rights->known(rights->ctx, device);
		return rights->controls(rights->ctx, c->self, device);
	case HF_WIRE_R_CONTROL: return device == 0 || rights->known(rights->ctx, device);
	}
	return false;
}

bool hf_wire_topic_allows(const struct hf_wire_client *c, const struct hf_wire_rights *rights, enum hf_wire_verb verb,
                          struct hf_span topic)
{
	enum hf_wire_topic t;
	uint64_t server = 0, device = 0;

	if (hf_wire_topic_parse(topic, &t, &server, &device) != HF_E_OK)
		return false;
	for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
		const struct rule *r = &rules[i];

		if (r->role == c->role && r->topic == t && (r->states & (unsigned)c->state) && (r->verbs & (unsigned)verb))
			return places_fit(c, rights, verb, t, server, device);
	}
	return false;
}
