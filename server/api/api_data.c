/* api - readings, profiles, alerts, events. Uses: telemetry type alert audit; jansson. */
#include "api/api_internal.h"

#include "alert/alert.h"
#include "audit/audit.h"
#include "registry/registry.h"
#include "telemetry/telemetry.h"
#include "type/type.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct listing {
	struct api_call *c;
	json_t *list;
	const struct type_profile *profile;
	int64_t cursor;
};

/* From its bytes: a double would lose some of 64 bits. */
static json_t *whole_json(struct hf_span bytes)
{
	struct hf_rd r = hf_rd_of(bytes);
	uint64_t sign = UINT64_C(1) << (8 * bytes.len - 1);

	return json_integer((json_int_t)((hf_rd_le(&r, (unsigned)bytes.len) ^ sign) - sign));
}

static json_t *value_json(const struct telemetry_reading *r)
{
	json_t *v = NULL;

	if (r->kind == TYPE_TEXT)
		v = json_stringn((const char *)r->bytes.ptr, r->bytes.len); /* NULL when it is not UTF-8 */
	else if (r->kind >= TYPE_FLOAT && r->kind < TYPE_KIND_COUNT_)
		v = isfinite(r->number) ? json_real(r->number) : NULL;
	else if (r->kind >= TYPE_INT8 && r->kind < TYPE_FLOAT)
		v = r->bytes.len > 0 && r->bytes.len <= 8 ? whole_json(r->bytes) : NULL;
	if (v)
		return v;
	char *text = malloc(2 * r->bytes.len + 1);
	struct hf_wr w = hf_wr_of(text, text ? 2 * r->bytes.len + 1 : 0);

	hf_wr_hex(&w, r->bytes);
	v = text ? json_stringn(text, w.len) : NULL;
	free(text);
	return v;
}

static bool list_reading(void *ctx, const struct telemetry_reading *r)
{
	struct listing *l = ctx;
	const struct type_data *d = type_data_of(l->profile, hf_span_text(r->name));

	if (r->cursor > l->cursor)
		l->cursor = r->cursor;
	return json_array_append_new(l->list,
	                             json_pack("{s:I, s:I, s:s, s:s, s:o, s:s}", "cursor", (json_int_t)r->cursor, "at_ms",
	                                       (json_int_t)r->at_ms, "data", r->name, "kind", type_kind_name(r->kind),
	                                       "value", value_json(r), "unit", d ? d->unit : "")) == 0;
}

static enum hf_err read_query(struct api_call *c, struct telemetry_query *q, int64_t *wait_ms)
{
	enum hf_err err = api_number(c, "since_ms", 0, INT64_MAX, &q->since_ms);

	q->device = c->device;
	q->series = http_query(c->http, "series");
	if (!q->series)
		q->series = "";
	q->has_after = http_query(c->http, "after") != NULL;
	if (err == HF_E_OK)
		err = api_number(c, "until_ms", INT64_MAX, INT64_MAX, &q->until_ms);
	if (err == HF_E_OK)
		err = api_number(c, "after", 0, INT64_MAX, &q->after);
	if (err == HF_E_OK)
		err = api_number(c, "limit", API_LIST_DEFAULT, TELEMETRY_LIMIT_MAX, &q->limit);
	return err == HF_E_OK ? api_number(c, "wait_ms", 0, API_WAIT_MAX_MS, wait_ms) : err;
}

/* Newest first as it was read, oldest first as it is shown. */
static json_t *reversed(json_t *list)
{
	json_t *out = json_array();

	for (size_t i = json_array_size(list); i > 0; i--)
		json_array_append(out, json_array_get(list, i - 1));
	json_decref(list);
	return out;
}

enum hf_err api_data_list(struct api_call *c)
{
	static struct type_profile profile;
	struct registry_identity i;
	struct telemetry_query q = {0};
	int64_t wait_ms = 0, now = os_monotonic_ms();
	struct listing l = {c, json_array(), &profile, 0};
	enum hf_err err = registry_get(c->a->db, c->device, &i);

	if (err == HF_E_OK)
		err = type_get(c->a->db, i.type, &profile);
	if (err == HF_E_OK)
		err = read_query(c, &q, &wait_ms);
	l.cursor = q.after;
	if (err == HF_E_OK)
		err = telemetry_list(c->a->db, &q, list_reading, &l);
	if (c->http->deadline_ms == 0)
		c->http->deadline_ms = now + wait_ms;
	if (err == HF_E_OK && json_array_size(l.list) == 0 && now < c->http->deadline_ms) {
		c->http->wake_mask = api_wake_bit(FACTS_READING, c->device);
		c->wait = true;
	}
	if (err != HF_E_OK || c->wait) {
		json_decref(l.list);
		return err;
	}
	if (!q.has_after)
		l.list = reversed(l.list);
	return api_reply(c, 200, json_pack("{s:o, s:I}", "readings", l.list, "cursor", (json_int_t)l.cursor));
}

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
	                                                "device", api_id(a->device), "kind", a->kind, "text", a->text,
	                                                "raised_ms", (json_int_t)a->raised_ms, "cleared_ms",
	                                                api_time(a->cleared_ms), "cleared_by",
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
