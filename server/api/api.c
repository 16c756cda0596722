/* api - from a request to its handler and back: token, scope, body, savepoint, errors. Uses: account db http; jansson. */
#include "api/api_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum scope { SCOPE_ANYWHERE, SCOPE_DEVICE, SCOPE_EVERYTHING };
enum { NUMBER_TEXT_MAX = 20 };

struct row {
	api_run run;
	enum account_right right;
	enum scope scope;
	enum limit_class rate;
};
static const struct row rows[] = {
#define ROUTE(method, pattern, handler, right, scope, rate, doc) \
	{api_##handler, ACCOUNT_##right, SCOPE_##scope, LIMIT_##rate},
#include "api/routes.def"
};
enum { ROUTES = sizeof rows / sizeof rows[0] };
static enum http_verdict dispatch(struct http_call *h);
static const struct http_route routes[] = {
#define ROUTE(method, pattern, handler, right, scope, rate, doc) \
	{(method), (pattern), dispatch, ACCOUNT_##right, (doc)},
#include "api/routes.def"
};

static const struct row *row_of(const struct http_call *h)
{
	return &rows[h->route - routes];
}

enum hf_err api_refuse(struct api_call *c, enum hf_err err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(c->why, sizeof c->why, fmt, args);
	va_end(args);
	return err;
}

enum hf_err api_reply(struct api_call *c, unsigned status, json_t *value)
{
	char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;

	json_decref(value);
	if (!text)
		return HF_E_MEMORY;
	http_reply(c->http, status, "application/json", hf_span_text(text));
	free(text);
	return c->http->reply.err;
}

enum hf_err api_reply_list(struct api_call *c, const char *name, json_t *list, enum hf_err err)
{
	if (err == HF_E_OK)
		return api_reply(c, 200, json_pack("{s:o}", name, list));
	json_decref(list);
	return err;
}

enum hf_err api_text(struct api_call *c, const char *member, size_t max, struct hf_span *out)
{
	json_t *v = json_object_get(c->body, member);

	if (!json_is_string(v))
		return api_refuse(c, HF_E_INPUT, "the body needs a text \"%s\"", member);
	if (json_string_length(v) == 0 || json_string_length(v) > max)
		return api_refuse(c, HF_E_INPUT, "\"%s\" must have 1 to %zu characters", member, max);
	*out = hf_span_of(json_string_value(v), json_string_length(v));
	return HF_E_OK;
}

enum hf_err api_number(struct api_call *c, const char *name, int64_t fallback, int64_t max, int64_t *out)
{
	const char *text = http_query(c->http, name);
	uint64_t v = 0;

	if (text &&
	    (strlen(text) > NUMBER_TEXT_MAX || hf_dec_parse(hf_span_text(text), &v) != HF_E_OK || v > (uint64_t)max))
		return api_refuse(c, HF_E_INPUT, "?%s= must be a whole number from 0 to %lld", name, (long long)max);
	*out = text ? (int64_t)v : fallback;
	return HF_E_OK;
}

enum hf_err api_row(struct api_call *c, int64_t *out)
{
	uint64_t v = 0;

	if (hf_dec_parse(c->http->place[0], &v) != HF_E_OK || v > INT64_MAX)
		return HF_E_NOT_FOUND;
	*out = (int64_t)v;
	return HF_E_OK;
}

const char *api_who(const struct api_call *c)
{
	return c->caller ? c->caller->name : "device";
}

json_t *api_id(uint64_t id)
{
	char text[HF_ID_TEXT_MAX];

	hf_id_text(id, text);
	return json_string(text);
}

json_t *api_time(int64_t ms)
{
	return ms ? json_integer(ms) : json_null();
}

/* POST and PUT bring a JSON object; an empty body counts as an empty one. */
static enum hf_err read_body(struct api_call *c)
{
	json_error_t e;
	const struct os_buf *b = &c->http->body;

	if (b->len == 0) {
		c->body = json_object();
		return c->body ? HF_E_OK : HF_E_MEMORY;
	}
	c->body = json_loadb((const char *)b->ptr, b->len, JSON_REJECT_DUPLICATES, &e);
	if (!c->body)
		return api_refuse(c, HF_E_INPUT, "the body is no JSON: %s at line %d, column %d", e.text, e.line, e.column);
	return json_is_object(c->body) ? HF_E_OK : api_refuse(c, HF_E_INPUT, "the body must be a JSON object, as {...}");
}

static enum hf_err run(struct api_call *c)
{
	const struct row *row = row_of(c->http);
	bool reads_only = strcmp(c->http->route->method, "GET") == 0 || strcmp(c->http->route->method, "DELETE") == 0;
	enum hf_err err = HF_E_OK;

	if (row->scope == SCOPE_DEVICE)
		err = hf_id_parse(c->http->place[0], &c->device);
	if (err == HF_E_OK && !reads_only)
		err = read_body(c);
	return err == HF_E_OK ? row->run(c) : err;
}

/* A handler's writes are kept or undone as one; what RAM knows of the device is then read again. */
static enum http_verdict dispatch(struct http_call *h)
{
	struct api_call c = {.a = h->ctx, .http = h, .caller = h->caller};
	enum hf_err err = db_mark(c.a->db);

	if (err == HF_E_OK) {
		err = run(&c);
		bool keep = err == HF_E_OK || c.keep;
		enum hf_err settled = db_settle(c.a->db, keep);

		if (settled != HF_E_OK)
			err = settled;
		if (!keep && c.device)
			session_forget(c.a->sessions, c.device);
	}
	json_decref(c.body);
	if (err != HF_E_OK)
		return http_fail(h, err, c.why[0] ? c.why : NULL);
	return c.wait ? HTTP_WAIT : HTTP_DONE;
}

static void free_caller(void *caller)
{
	free(caller);
}

static bool in_scope(const struct http_call *h, const struct row *row, const struct account_caller *caller)
{
	uint64_t device = 0;

	switch (row->scope) {
	case SCOPE_ANYWHERE: return account_may_somewhere(caller, row->right);
	case SCOPE_EVERYTHING: return account_may(caller, row->right, 0);
	case SCOPE_DEVICE:
		return hf_id_parse(h->place[0], &device) == HF_E_OK ? account_may(caller, row->right, device)
		                                                    : account_may_somewhere(caller, row->right);
	}
	return false;
}

static enum hf_err take(struct http_call *h, enum limit_class class)
{
	struct api *a = h->ctx;
	int64_t wait_ms = limit_take(&a->limits, class, http_address(h), os_monotonic_ms());

	h->retry_after_s = (unsigned)((wait_ms + 999) / 1000);
	return wait_ms > 0 ? HF_E_RATE : HF_E_OK;
}

static enum hf_err limit(struct http_call *h)
{
	return take(h, h->route ? row_of(h)->rate : LIMIT_API);
}

/* A valid token is let in however many wrong ones came from that address: who shares it must not be able to lock it out. */
static enum hf_err find_caller(struct http_call *h, struct account_caller *caller)
{
	struct api *a = h->ctx;
	enum hf_err err = account_find(a->db, http_header(h, "Authorization"), os_now_ms(), caller);

	if (err == HF_E_LOGIN && take(h, LIMIT_LOGIN) != HF_E_OK)
		return HF_E_RATE;
	return err;
}

static enum hf_err allow(struct http_call *h)
{
	const struct row *row = row_of(h);
	struct account_caller *caller;
	enum hf_err err;

	if (h->body.err != HF_E_OK || row->right == ACCOUNT_PUBLIC)
		return h->body.err;
	caller = calloc(1, sizeof *caller);
	if (!caller)
		return HF_E_MEMORY;
	h->caller = caller;
	h->free_caller = free_caller;
	err = find_caller(h, caller);
	if (err != HF_E_OK)
		return err;
	return in_scope(h, row, caller) ? HF_E_OK : HF_E_DENIED;
}

uint64_t api_wake_bit(enum facts_kind kind, uint64_t device)
{
	return UINT64_C(1) << (((device ^ (uint64_t)kind) * UINT64_C(0x9e3779b97f4a7c15)) >> 58);
}

/* Waiting calls are woken in a turn of their own: their answers need a commit too. */
static void on_wake(struct os_timer *t)
{
	struct api *a = t->ctx;
	uint64_t mask = a->wake_mask;

	a->wake_mask = 0;
	http_wake_all(a->http, mask);
}

static void on_facts(void *ctx, const struct facts_fact *fact, size_t count)
{
	struct api *a = ctx;

	if (!fact) /* more than fits: everybody looks */
		a->wake_mask = UINT64_MAX;
	for (size_t i = 0; fact && i < count; i++)
		a->wake_mask |= api_wake_bit(fact[i].kind, fact[i].device);
	if (a->wake_mask)
		os_timer_set(a->loop, &a->wake, 0);
}

void api_settings(struct api *a)
{
	const struct limit_rule rule[LIMIT_CLASS_COUNT_] = {
#define RATE(NAME, key, doc) [LIMIT_##NAME] = {a->conf->rate_##key, a->conf->rate_##key##_all},
#include "limit/rates.def"
	};

	limit_rules(&a->limits, rule);
}

static void init_limits(struct api *a)
{
	uint64_t seed;

	os_random(&seed, sizeof seed);
	limit_init(&a->limits, seed);
	api_settings(a);
}

void api_init(struct api *a, struct http_setup *setup)
{
	init_limits(a);
	setup->limit = limit;
	setup->routes = routes;
	setup->route_count = ROUTES;
	setup->ctx = a;
	setup->allow = allow;
	a->wake = (struct os_timer){.on_due = on_wake, .ctx = a};
	facts_subscribe(a->facts, on_facts, a);
}
