/* fuzz - topics: what parses is written again as the same text; asking for rights never fails. Uses: wire. */
#include "fuzz/fuzz.h"
#include "wire/wire.h"

#include <stdlib.h>

static void check(bool good)
{
	if (!good)
		abort();
}

static bool even(void *ctx, uint64_t id)
{
	(void)ctx;
	return id % 2 == 0;
}

static bool neighbours(void *ctx, uint64_t server, uint64_t device)
{
	(void)ctx;
	return server + 1 == device;
}

/* Nobody has a right on what is no topic of ours, and a device has none on a topic with another id as its device. */
static void check_rights(struct hf_span topic, bool ours, uint64_t device)
{
	static const struct hf_wire_rights rights = {NULL, even, neighbours};
	static const enum hf_wire_verb verbs[] = {HF_WIRE_V_PUBLISH, HF_WIRE_V_SUBSCRIBE, HF_WIRE_V_RECEIVE};

	for (unsigned role = HF_WIRE_R_DEVICE; role <= HF_WIRE_R_CONTROL; role++)
		for (unsigned state = 0; state <= HF_WIRE_S_JOINED; state++)
			for (size_t v = 0; v < sizeof verbs / sizeof verbs[0]; v++) {
				struct hf_wire_client c = {(enum hf_wire_role)role, (enum hf_wire_state)state, 0x2a};
				bool may = hf_wire_topic_allows(&c, &rights, verbs[v], topic);

				check(!may || (ours && state != 0));
				check(!may || role != HF_WIRE_R_DEVICE || device == c.self);
			}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hf_span text = hf_span_of(data, size);
	enum hf_wire_topic topic = HF_WIRE_TOPIC_COUNT_;
	uint64_t server = 0, device = 0;
	enum hf_err err = hf_wire_topic_parse(text, &topic, &server, &device);
	char again[HF_WIRE_TOPIC_MAX];

	check_rights(text, err == HF_E_OK, device);
	check(err == HF_E_OK || err == HF_E_TEXT || err == HF_E_ID);
	if (err != HF_E_OK)
		return 0;
	check(hf_wire_topic_make(topic, server, device, again) == HF_E_OK);
	check(hf_span_equal(hf_span_text(again), text));
	return 0;
}
