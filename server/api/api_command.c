/* api - actions, settings, identification, and what became of them. Uses: command type telemetry; jansson. */
#include "api/api_internal.h"

#include "registry/registry.h"
#include "telemetry/telemetry.h"
#include "type/type.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUE_MAX = 4096 };

static json_t *text_or_null(const char *text)
{
	json_t *v = text[0] ? json_string(text) : NULL; /* NULL also when it is not UTF-8 */

	return v ? v : json_null();
}

static json_t *command_json(const struct api_call *c, const struct command *m)
{
	return json_pack("{s:I, s:o, s:s, s:s, s:o, s:s, s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:b}", "command",
	                 (json_int_t)m->id, "device", api_id(m->device), "kind", m->kind, "what", m->what, "value",
	                 text_or_null(m->value), "state", m->state, "status",
	                 m->status >= 0 ? json_integer(m->status) : json_null(), "status_text",
	                 m->status >= 0 ? json_string(hf_wire_status_text((unsigned)m->status)) : json_null(), "answer",
	                 text_or_null(m->answer), "who", m->who, "created_ms", api_time(m->created_ms), "sent_ms",
	                 api_time(m->sent_ms), "answered_ms", api_time(m->answered_ms), "online",
	                 link_online(c->a->link, m->device));
}

static enum hf_err issued(struct api_call *c, enum hf_err err, int64_t id)
{
	struct command m;

	if (err == HF_E_STATE)
		return api_refuse(c, err, "this device has not joined this server");
	if (err == HF_E_DENIED)
		return api_refuse(c, err, "this device is revoked");
	if (err == HF_E_NOT_FOUND)
		return api_refuse(c, err, "there is no such device");
	if (err == HF_E_FULL)
		return api_refuse(c, err,
		                  "too many commands of this device are unanswered; wait until they are, or until they expire");
	if (err == HF_E_OK)
		err = command_get(c->a->db, id, &m);
	return err != HF_E_OK ? err : api_reply(c, 202, command_json(c, &m));
}

static enum hf_err profile_of(struct api_call *c, struct type_profile *p)
{
	struct registry_identity i;
	enum hf_err err = registry_get(c->a->db, c->device, &i);

	return err == HF_E_OK          ? type_get(c->a->db, i.type, p)
	       : err == HF_E_NOT_FOUND ? api_refuse(c, err, "there is no such device")
	                               : err;
}

enum hf_err api_action(struct api_call *c)
{
	static struct type_profile p;
	json_t *v = json_object_get(c->body, "action");
	const struct type_action *a = NULL;
	char what[COMMAND_WHAT_MAX];
	int64_t id = 0, number = json_is_integer(v) ? json_integer_value(v) : -1;
	enum hf_err err = profile_of(c, &p);

	if (err != HF_E_OK)
		return err;
	if (json_is_string(v)) {
		a = type_action_named(&p, json_string_value(v));
		if (!a)
			return api_refuse(c, HF_E_INPUT,
			                  "type %s has no action of that name; `holdfast type list --json` shows what it has",
			                  p.name);
		number = a->id;
	}
	if (number < 0 || number > 255)
		return api_refuse(c, HF_E_INPUT,
		                  "\"action\" must be a number from 0 to 255 or the name of an action of type %s", p.name);
	a = type_action_of(&p, (unsigned)number);
	if (a && a->dangerous && !json_is_true(json_object_get(c->body, "confirmed")))
		return api_refuse(c, HF_E_CONFIRM, "%s of type %s is dangerous: say \"confirmed\": true, or --yes", a->name,
		                  p.name);
	snprintf(what, sizeof what, "%d%s%s", (int)number, a ? " " : "", a ? a->name : "");
	struct command_order order = {c->device, what, api_who(c)};

	err = command_action(c->a->sessions, &c->a->commands, &order, (uint8_t)number, &id);
	return issued(c, err, id);
}

/* The kind of a setting: what the body says, else the profile, else what the JSON value looks like. */
static enum hf_err kind_of(struct api_call *c, const struct type_data *d, const json_t *value, enum type_kind *out)
{
	const char *text = json_string_value(json_object_get(c->body, "kind"));

	if (text) {
		*out = type_kind_named(strcmp(text, "hex") == 0 ? "bytes" : text);
		if (*out == TYPE_KIND_COUNT_)
			return api_refuse(c, HF_E_INPUT, "\"kind\" must be int8, int16, int32, int64, float, double, text or hex");
		return HF_E_OK;
	}
	*out = d ? d->kind : json_is_string(value) ? TYPE_TEXT : json_is_real(value) ? TYPE_DOUBLE : TYPE_INT32;
	return HF_E_OK;
}

static enum hf_err encode_number(struct api_call *c, const struct type_data *d, enum type_kind kind,
                                 const json_t *value, struct hf_wr *out)
{
	double number = json_is_boolean(value) ? (double)json_is_true(value) : json_number_value(value);

	if (!json_is_number(value) && !json_is_boolean(value))
		return api_refuse(c, HF_E_INPUT, "\"value\" must be a number for kind %s", type_kind_name(kind));
	if (d && ((d->has_min && number < d->min) || (d->has_max && number > d->max)))
		return api_refuse(c, HF_E_INPUT, "%s must be from %g to %g%s%s", d->id, d->min, d->max, d->unit[0] ? " " : "",
		                  d->unit);
	if (telemetry_encode(kind, number, out) != HF_E_OK)
		return api_refuse(c, HF_E_INPUT, "%g does not fit kind %s", number, type_kind_name(kind));
	return HF_E_OK;
}

static enum hf_err encode_value(struct api_call *c, const struct type_data *d, struct hf_wr *out)
{
	json_t *value = json_object_get(c->body, "value");
	struct hf_span text = hf_span_of(json_string_value(value), json_string_length(value));
	enum type_kind kind = TYPE_BYTES;
	enum hf_err err = value ? kind_of(c, d, value, &kind) : api_refuse(c, HF_E_INPUT, "the body needs a \"value\"");

	if (err != HF_E_OK)
		return err;
	if (kind != TYPE_TEXT && kind != TYPE_BYTES)
		return encode_number(c, d, kind, value, out);
	if (!json_is_string(value))
		return api_refuse(c, HF_E_INPUT, "\"value\" must be a text for kind %s", type_kind_name(kind));
	if (kind == TYPE_TEXT)
		hf_wr_put(out, text);
	else if (hf_hex_decode(text, out) != HF_E_OK)
		return api_refuse(c, HF_E_INPUT, "\"value\" is not hex");
	return out->err != HF_E_OK ? api_refuse(c, HF_E_TOO_BIG, "\"value\" has more than %d bytes", VALUE_MAX) : HF_E_OK;
}

enum hf_err api_data_send(struct api_call *c)
{
	static struct type_profile p;
	char name[TYPE_NAME_MAX], shown[COMMAND_TEXT_MAX] = "";
	uint8_t value[VALUE_MAX];
	struct hf_wr w = hf_wr_of(value, sizeof value);
	struct hf_span id = {0};
	int64_t command = 0;
	enum hf_err err = profile_of(c, &p);

	if (err == HF_E_OK)
		err = api_text(c, "data", sizeof name - 1, &id);
	if (err == HF_E_OK)
		err = encode_value(c, type_data_of(&p, id), &w);
	if (err != HF_E_OK)
		return err;
	memcpy(name, id.ptr, id.len);
	name[id.len] = 0;
	char *text = json_dumps(json_object_get(c->body, "value"), JSON_ENCODE_ANY | JSON_COMPACT);

	snprintf(shown, sizeof shown, "%s", text ? text : "");
	free(text);
	struct command_order order = {c->device, name, api_who(c)};

	err = command_data(c->a->sessions, &c->a->commands, &order, hf_wr_span(&w), shown, &command);
	return issued(c, err, command);
}

enum hf_err api_identify(struct api_call *c)
{
	int64_t id = 0;
	struct command_order order = {c->device, "identify", api_who(c)};
	enum hf_err err = command_identify(c->a->sessions, &c->a->commands, &order, &id);

	return issued(c, err, id);
}

/* Waits, when asked to, until the command is final. The first call sets the deadline. */
enum hf_err api_command_get(struct api_call *c)
{
	struct command m;
	int64_t id = 0, wait_ms = 0, now = os_monotonic_ms();
	enum hf_err err = api_row(c, &id);

	if (err == HF_E_OK)
		err = command_get(c->a->db, id, &m);
	if (err == HF_E_OK && !account_may(c->caller, ACCOUNT_VIEW, m.device))
		err = HF_E_NOT_FOUND; /* what is out of scope does not exist */
	if (err == HF_E_NOT_FOUND)
		return api_refuse(c, err, "there is no such command");
	if (err == HF_E_OK)
		err = api_number(c, "wait_ms", 0, API_WAIT_MAX_MS, &wait_ms);
	if (err != HF_E_OK)
		return err;
	if (c->http->deadline_ms == 0)
		c->http->deadline_ms = now + wait_ms;
	if (command_final(&m) || now >= c->http->deadline_ms)
		return api_reply(c, 200, command_json(c, &m));
	c->http->wake_mask = api_wake_bit(FACTS_COMMAND, m.device);
	c->wait = true;
	return HF_E_OK;
}

struct listing {
	const struct api_call *c;
	json_t *list;
};

static bool list_command(void *ctx, const struct command *m)
{
	struct listing *l = ctx;

	return json_array_append_new(l->list, command_json(l->c, m)) == 0;
}

enum hf_err api_command_list(struct api_call *c)
{
	struct listing l = {c, json_array()};
	int64_t limit = 0;
	enum hf_err err = api_number(c, "limit", API_LIST_DEFAULT, API_LIST_MAX, &limit);

	if (err == HF_E_OK)
		err = command_list(c->a->db, c->device, limit, list_command, &l);
	return api_reply_list(c, "commands", l.list, err);
}
