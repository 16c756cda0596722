/* api - profiles, alerts, events. Uses: type alert audit; jansson. */
#include "api/api_internal.h"

#include "alert/alert.h"
#include "audit/audit.h"
#include "type/type.h"

struct listing {
	struct api_call *c;
	json_t *list;
};

static bool list_profile(void *ctx, struct hf_span document)
{
	json_t *v = json_loadb((const char *)document.ptr, document.len, 0, NULL);

	return v && json_array_append_new(ctx, v) == 0;
}

enum hf_err api_type_list(struct api_call *c)
{
	json_t *list = json_array();
	enum hf_err err = type_list(c->a->db, list_profile, list);

	return api_reply_list(c, "types", list, err);
}

static void take_profile(void *ctx, struct hf_span document)
{
	json_t **out = ctx;

	*out = json_loadb((const char *)document.ptr, document.len, 0, NULL);
}

enum hf_err api_type_get(struct api_call *c)
{
	char name[TYPE_NAME_MAX];
	json_t *profile = NULL;

	(void)snprintf(name, sizeof name, "%.*s", (int)c->http->place[0].len, (const char *)c->http->place[0].ptr);
	enum hf_err err = type_document(c->a->db, name, take_profile, &profile);

	if (err == HF_E_NOT_FOUND)
		return api_refuse(c, err, "there is no profile of that type; see holdfast type list");
	return err != HF_E_OK ? err : api_reply(c, 200, profile);
}

enum hf_err api_type_put(struct api_call *c)
{
	static struct type_profile p;
	struct hf_span document = os_buf_span(&c->http->body);
	enum hf_err err = type_parse(document, &p, c->why);

	_Static_assert(sizeof c->why >= TYPE_WHY_MAX, "the sentence fits");
	if (err == HF_E_OK && !hf_span_equal(hf_span_text(p.name), c->http->place[0]))
		return api_refuse(c, HF_E_INPUT, "the profile's name is %s, not that of the path", p.name);
	if (err == HF_E_OK && p.join_simple && !account_may(c->caller, ACCOUNT_JOIN, 0))
		return api_refuse(
			c, HF_E_DENIED,
			"a type whose devices join unseen needs the right to approve joins, too: any stranger may call "
			"itself that type");
	if (err == HF_E_OK)
		err = type_put(c->a->db, &p, document, api_who(c), os_now_ms());
	if (err == HF_E_OK)
		err = audit_record(c->a->db, api_who(c), "type.stored", 0, p.name);
	if (err == HF_E_OK)
		facts_emit(c->a->facts, FACTS_TYPE, 0);
	return err != HF_E_OK ? err
	                      : api_reply(c, 200,
	                                  json_pack("{s:s, s:i, s:i}", "name", p.name, "actions", (int)p.actions, "data",
	                                            (int)p.datas));
}

static bool list_alert(void *ctx, const struct alert_row *a)
{
	struct listing *l = ctx;

	if (!account_may(l->c->caller, ACCOUNT_VIEW, a->device))
		return true;
	return json_array_append_new(l->list, json_pack("{s:I, s:o, s:s, s:s, s:I, s:o, s:o}", "alert", (json_int_t)a->id,
	                                                "device", a->device ? api_id(a->device) : json_null(), "kind",
	                                                a->kind, "text", a->text, "raised_ms", (json_int_t)a->raised_ms,
	                                                "cleared_ms", api_time(a->cleared_ms), "cleared_by",
	                                                a->cleared_by[0] ? json_string(a->cleared_by) : json_null())) == 0;
}

enum hf_err api_alert_list(struct api_call *c)
{
	struct listing l = {.c = c, .list = json_array()};
	int64_t limit = 0;
	enum hf_err err = api_number(c, "limit", API_LIST_DEFAULT, API_LIST_MAX, &limit);

	if (err == HF_E_OK)
		err = alert_list(c->a->db, limit, list_alert, &l);
	return api_reply_list(c, "alerts", l.list, err);
}

enum hf_err api_alert_clear(struct api_call *c)
{
	uint64_t device = 0;
	int64_t id = 0;
	enum hf_err err = api_row(c, &id);

	if (err == HF_E_OK)
		err = alert_device(c->a->db, id, &device);
	if (err == HF_E_OK && !account_may(c->caller, ACCOUNT_COMMAND, device))
		err = HF_E_NOT_FOUND;
	if (err == HF_E_OK)
		err = alert_clear(c->a->db, c->a->facts, id, api_who(c));
	if (err == HF_E_NOT_FOUND)
		return api_refuse(c, err, "there is no such alert");
	if (err == HF_E_STATE)
		return api_refuse(c, err, "that alert is cleared already");
	return err != HF_E_OK ? err : api_reply(c, 200, json_pack("{s:I, s:b}", "alert", (json_int_t)id, "cleared", 1));
}

static bool list_event(void *ctx, const struct audit_entry *e)
{
	return json_array_append_new(ctx, json_pack("{s:I, s:s, s:s, s:o, s:s}", "at_ms", (json_int_t)e->at_ms, "who",
	                                            e->who, "event", e->event, "device",
	                                            e->device ? api_id(e->device) : json_null(), "detail", e->detail)) == 0;
}

enum hf_err api_event_list(struct api_call *c)
{
	json_t *list = json_array();
	const char *device = http_query(c->http, "device");
	uint64_t id = 0;
	int64_t limit = 0;
	enum hf_err err = device ? hf_id_parse(hf_span_text(device), &id) : HF_E_OK;

	if (err == HF_E_OK)
		err = api_number(c, "limit", API_LIST_DEFAULT, API_LIST_MAX, &limit);
	if (err == HF_E_OK)
		err = audit_list(c->a->db, id, limit, list_event, list);
	return api_reply_list(c, "events", list, err);
}
