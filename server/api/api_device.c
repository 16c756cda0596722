/* api - devices and joins. Uses: registry join leave link alert; jansson. */
#include "api/api_internal.h"

#include "alert/alert.h"
#include "join/join.h"
#include "leave/leave.h"
#include "registry/registry.h"

#include <stdlib.h>
#include <string.h>

enum { CODE_MAX = 64, REVOKE_MS = 5000, TELL_MS = 3000 };

static json_t *gaps_json(const struct registry_gaps *g)
{
	return json_pack("{s:I, s:I, s:I, s:o}", "count", (json_int_t)g->count, "missed", (json_int_t)g->missed, "unsized",
	                 (json_int_t)g->unsized, "last_ms", api_time(g->last_ms));
}

static json_t *device_json(const struct api_call *c, const struct registry_identity *i)
{
	return json_pack("{s:o, s:s, s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:o}", "id", api_id(i->id),
	                 "type", i->type, "state", registry_state_name(i->state), "online", link_online(c->a->link, i->id),
	                 "registered_ms", api_time(i->created_ms), "joined_ms", api_time(i->joined_ms), "last_seen_ms",
	                 api_time(i->seen_ms), "certificate_not_after_ms", api_time(i->certificate_ms), "revoked_ms",
	                 api_time(i->revoked_ms), "left_ms", api_time(i->left_ms), "left_why",
	                 i->left_why[0] ? json_string(i->left_why) : json_null(), "revoked_by_ms", api_time(i->ending_ms),
	                 "generation", (json_int_t)i->generation, "gaps", gaps_json(&i->gaps));
}

struct listing {
	struct api_call *c;
	json_t *list;
	int64_t limit;
	uint64_t last; /* that is in the list */
	bool more;
};

static bool list_device(void *ctx, const struct registry_identity *i)
{
	struct listing *l = ctx;

	if (!account_may(l->c->caller, ACCOUNT_VIEW, i->id))
		return true;
	l->more = json_array_size(l->list) == (size_t)l->limit;
	if (l->more)
		return false;
	l->last = i->id;
	return json_array_append_new(l->list, device_json(l->c, i)) == 0;
}

/* The id after which a page begins; 0 for the first. */
static enum hf_err read_after(struct api_call *c, uint64_t *out)
{
	const char *text = http_query(c->http, "after");

	if (text && (hf_id_parse(hf_span_text(text), out) != HF_E_OK || *out == 0))
		return api_refuse(c, HF_E_INPUT, "\"after\" must be the id of a device, as \"next\" tells it");
	return HF_E_OK;
}

static const char *query_or_any(const struct api_call *c, const char *name)
{
	const char *text = http_query(c->http, name);

	return text ? text : "";
}

enum hf_err api_device_list(struct api_call *c)
{
	struct listing l = {.c = c};
	struct registry_filter f = {.state = query_or_any(c, "state"), .type = query_or_any(c, "type")};
	enum hf_err err = api_number(c, "limit", API_LIST_MAX, API_LIST_MAX, &l.limit);

	if (err == HF_E_OK)
		err = read_after(c, &f.after);
	if (err != HF_E_OK)
		return err;
	l.limit = l.limit ? l.limit : API_LIST_MAX;
	l.list = json_array();
	err = registry_page(c->a->db, &f, list_device, &l);
	if (err == HF_E_OK)
		return api_reply(c, 200,
		                 json_pack("{s:o, s:o}", "devices", l.list, "next", l.more ? api_id(l.last) : json_null()));
	json_decref(l.list);
	return err;
}

static enum hf_err find_device(struct api_call *c, struct registry_identity *i)
{
	enum hf_err err = registry_get(c->a->db, c->device, i);

	if (err == HF_E_OK && i->kind != REGISTRY_DEVICE)
		err = HF_E_NOT_FOUND;
	return err == HF_E_NOT_FOUND ? api_refuse(c, err, "there is no such device") : err;
}

enum hf_err api_device_get(struct api_call *c)
{
	struct registry_identity i;
	int64_t since_ms = 0;
	enum hf_err err = find_device(c, &i);

	if (err == HF_E_OK)
		err = alert_since(c->a->db, c->device, SESSION_STEPPED_BACK, &since_ms);
	if (err != HF_E_OK)
		return err;
	json_t *doc = device_json(c, &i);

	if (json_object_set_new(doc, "stepped_back_ms", api_time(since_ms)) != 0) {
		json_decref(doc);
		doc = NULL;
	}
	return api_reply(c, 200, doc);
}

/* --- revoke: answered once the broker has cut the session and dropped the queue ------------------------------------------- */

struct cut {
	struct http_call *http;
	struct link *link;
	enum hf_err err;
	bool done;
};

static void free_cut(void *state)
{
	struct cut *cut = state;

	link_forget(cut->link, cut);
	free(cut);
}

static void on_cut(void *ctx, enum hf_err err)
{
	struct cut *cut = ctx;

	cut->err = err;
	cut->done = true;
	http_wake(cut->http);
}

static enum hf_err revoke_now(struct api_call *c, const struct registry_identity *i)
{
	if (!i->revoked_ms)
		return leave_by(c->a->sessions, c->device, LEAVE_REVOKED, api_who(c), os_now_ms());
	facts_emit(c->a->facts, FACTS_RIGHTS,
	           c->device); /* asked for once more: not a new act, but the broker is told again */
	return HF_E_OK;
}

static enum hf_err revoke_start(struct api_call *c)
{
	struct registry_identity i;
	struct cut *cut = calloc(1, sizeof *cut);

	if (!cut)
		return HF_E_MEMORY;
	*cut = (struct cut){c->http, c->a->link, HF_E_UNREACHABLE, false};
	c->http->state = cut;
	c->http->free_state = free_cut;
	c->http->deadline_ms = os_monotonic_ms() + REVOKE_MS;
	enum hf_err err = find_device(c, &i);

	if (err == HF_E_OK && i.purged_ms) {
		cut->err = HF_E_OK; /* done before; it stays so */
		cut->done = true;
		return HF_E_OK;
	}
	if (err == HF_E_OK)
		err = revoke_now(c, &i);
	c->wait = err == HF_E_OK && link_await(c->a->link, c->device, on_cut, cut) == HF_E_OK;
	return err;
}

enum hf_err api_device_revoke(struct api_call *c)
{
	if (!c->http->state) {
		enum hf_err err = revoke_start(c);

		if (err != HF_E_OK || c->wait)
			return err;
	}
	const struct cut *cut = c->http->state;
	bool confirmed = cut->done && cut->err == HF_E_OK;

	return api_reply(c, confirmed ? 200 : 202,
	                 json_pack("{s:o, s:s, s:b}", "id", api_id(c->device), "state", "revoked", "confirmed", confirmed));
}

/* --- terminate, deregister: answered once the message has left --------------------------------------------------------------- */

static enum hf_err explain_leave(struct api_call *c, enum hf_err err)
{
	if (err == HF_E_STATE)
		return api_refuse(c, err, "this device has not joined this server, or is being deregistered already");
	if (err == HF_E_DENIED)
		return api_refuse(c, err, "this device is revoked");
	return err == HF_E_NOT_FOUND ? api_refuse(c, err, "there is no such device") : err;
}

/* 200 when the message is out and the device is connected, or has gone already; else 202. */
static enum hf_err reply_told(struct api_call *c, bool told)
{
	struct registry_identity i;
	enum hf_err err = registry_get(c->a->db, c->device, &i);
	bool online = link_online(c->a->link, c->device);

	if (err != HF_E_OK)
		return err;
	return api_reply(c, told && (online || i.state == REGISTRY_REVOKED) ? 200 : 202,
	                 json_pack("{s:o, s:s, s:b, s:b, s:o}", "id", api_id(i.id), "state", registry_state_name(i.state),
	                           "told", told, "online", online, "revoked_by_ms", api_time(i.ending_ms)));
}

/* The first call acts and sets the deadline; woken ones look whether the message has left. */
static enum hf_err leave_and_wait(struct api_call *c, enum hf_err (*act)(struct api_call *c))
{
	bool told = false;
	enum hf_err err = HF_E_OK;

	if (c->http->deadline_ms == 0) {
		c->http->deadline_ms = os_monotonic_ms() + TELL_MS;
		err = explain_leave(c, act(c));
	}
	if (err == HF_E_OK)
		err = leave_told(c->a->db, c->device, &told);
	if (err != HF_E_OK)
		return err;
	if (told || os_monotonic_ms() >= c->http->deadline_ms)
		return reply_told(c, told);
	c->http->wake_mask = api_wake_bit(FACTS_DEVICE, c->device);
	c->wait = true;
	return HF_E_OK;
}

static enum hf_err terminate_now(struct api_call *c)
{
	return leave_terminate(c->a->sessions, c->device, api_who(c), os_now_ms());
}

enum hf_err api_device_terminate(struct api_call *c)
{
	return leave_and_wait(c, terminate_now);
}

static enum hf_err deregister_now(struct api_call *c)
{
	int64_t now = os_now_ms();

	return leave_deregister(c->a->sessions, c->device, api_who(c), now + c->a->conf->deregister_s * 1000, now);
}

enum hf_err api_device_deregister(struct api_call *c)
{
	return leave_and_wait(c, deregister_now);
}

enum hf_err api_device_reset_counter(struct api_call *c)
{
	struct registry_identity i;
	enum hf_err err = find_device(c, &i);

	if (err == HF_E_OK)
		err = session_reset_counter(c->a->sessions, c->device, api_who(c));
	if (err == HF_E_STATE)
		return api_refuse(c, err, "only a device that is registered or joined has a counter");
	return err != HF_E_OK ? err
	                      : api_reply(c, 200,
	                                  json_pack("{s:o, s:I}", "id", api_id(c->device), "generation",
	                                            (json_int_t)i.generation + 1));
}

/* --- joins -------------------------------------------------------------------------------------------------------------------- */

static bool list_join(void *ctx, const struct join_row *j)
{
	struct listing *l = ctx;

	if (!account_may(l->c->caller, ACCOUNT_VIEW, j->device))
		return true;
	return json_array_append_new(l->list,
	                             json_pack("{s:o, s:s, s:s, s:s, s:I, s:I}", "device", api_id(j->device), "type",
	                                       j->type, "kind", j->kind, "state", "waiting", "requested_ms",
	                                       (json_int_t)j->requested_ms, "expires_ms", (json_int_t)j->expires_ms)) == 0;
}

enum hf_err api_join_list(struct api_call *c)
{
	struct listing l = {.c = c, .list = json_array()};
	enum hf_err err = join_list(c->a->db, os_now_ms(), list_join, &l);

	return api_reply_list(c, "joins", l.list, err);
}

static enum hf_err explain(struct api_call *c, enum hf_err err)
{
	if (err == HF_E_MISMATCH) {
		c->keep = true; /* the try counts */
		return api_refuse(
			c, err, "that is not the code which was sent to this device; look at the device again, or refuse the join");
	}
	return err == HF_E_NOT_FOUND
	           ? api_refuse(c, err, "no join of this device waits; it may have expired, the device will ask again")
	           : err;
}

enum hf_err api_join_approve(struct api_call *c)
{
	struct hf_span code = {0};
	char text[CODE_MAX + 1] = "";
	bool compared = json_is_true(json_object_get(c->body, "compared"));
	enum hf_err err = HF_E_OK;

	if (!compared)
		err = api_text(c, "code", CODE_MAX, &code);
	if (err == HF_E_INPUT)
		return api_refuse(c, err,
		                  "give the \"code\" that the device shows, or \"compared\": true if you compared it yourself");
	if (err != HF_E_OK)
		return err;
	if (!compared) {
		memcpy(text, code.ptr, code.len);
		text[code.len] = 0;
	}
	err = join_approve(c->a->sessions, c->device, compared ? NULL : text, api_who(c), os_now_ms());
	hf_wipe(text, sizeof text);
	if (err != HF_E_OK)
		return explain(c, err);
	return api_reply(c, 200, json_pack("{s:o, s:s}", "device", api_id(c->device), "state", "joined"));
}

enum hf_err api_join_refuse(struct api_call *c)
{
	enum hf_err err =
		join_refuse(c->a->sessions, c->device, c->a->conf->join_refused_s * 1000, api_who(c), os_now_ms());

	return err != HF_E_OK ? explain(c, err)
	                      : api_reply(c, 200, json_pack("{s:o, s:s}", "device", api_id(c->device), "state", "refused"));
}
