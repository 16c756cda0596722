/* fuzz - device type profiles: what is refused says why, what is taken keeps to its limits. Uses: type. */
#include "fuzz/fuzz.h"
#include "type/type.h"

#include <stdlib.h>
#include <string.h>

static void check(bool good)
{
	if (!good)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct type_profile p;
	char why[TYPE_WHY_MAX] = "";
	enum hf_err err = type_parse(hf_span_of(data, size), &p, why);

	check(err == HF_E_OK || err == HF_E_INPUT || err == HF_E_TOO_BIG);
	check((err != HF_E_OK) == (why[0] != 0) && strlen(why) < sizeof why);
	if (err != HF_E_OK)
		return 0;
	check(p.name[0] && p.actions <= TYPE_ACTIONS_MAX && p.datas <= TYPE_DATA_MAX);
	for (size_t i = 0; i < p.actions; i++)
		check(type_action_of(&p, p.action[i].id) == &p.action[i] &&
		      type_action_named(&p, p.action[i].name) == &p.action[i]);
	for (size_t i = 0; i < p.datas; i++)
		check(type_data_of(&p, hf_span_text(p.data[i].id)) == &p.data[i] && p.data[i].kind < TYPE_KIND_COUNT_);
	return 0;
}
