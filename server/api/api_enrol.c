/* api - who may register: enrolment tokens, the allow-list. Uses: enrol audit; jansson. */
#include "api/api_internal.h"

#include "audit/audit.h"
#include "enrol/enrol.h"

#include <stdio.h>
#include <string.h>

enum { DAYS_DEFAULT = 7, USES_DEFAULT = 1, ENTRY_MAX = ENROL_WHO_MAX + ENROL_TYPE_MAX };
#define DAY_MS (INT64_C(24) * 3600 * 1000)

enum hf_err api_enrolment(struct api_call *c)
{
	const struct enrol *e = c->a->enrol;
	json_t *refused = json_object();

	for (unsigned r = ENROL_FINE + 1; r < ENROL_REFUSAL_COUNT_; r++)
		if (json_object_set_new(refused, enrol_refusal_word((enum enrol_refusal)r),
		                        json_integer((json_int_t)e->refused[r])) != 0) {
			json_decref(refused);
			return HF_E_MEMORY;
		}
	return api_reply(c, 200, json_pack("{s:s, s:o}", "policy", enrol_policy_name(e->policy), "refused", refused));
}

/* --- tokens ------------------------------------------------------------------------------------------------------------ */

static json_t *text_or_null(const char *text)
{
	return text[0] ? json_string(text) : json_null();
}

static bool list_token(void *ctx, const struct enrol_token *t)
{
	return json_array_append_new(ctx,
	                             json_pack("{s:I, s:s, s:o, s:I, s:I, s:o, s:o, s:o, s:s}", "id", (json_int_t)t->id,
	                                       "name", t->name, "type", text_or_null(t->type), "uses", (json_int_t)t->uses,
	                                       "uses_max", (json_int_t)t->uses_max, "created_ms", api_time(t->created_ms),
	                                       "expires_ms", api_time(t->expires_ms), "revoked_ms", api_time(t->revoked_ms),
	                                       "who", t->who)) == 0;
}

enum hf_err api_enrol_token_list(struct api_call *c)
{
	json_t *list = json_array();
	enum hf_err err = enrol_token_list(c->a->enrol, list_token, list);

	return api_reply_list(c, "tokens", list, err);
}

static enum hf_err read_number(struct api_call *c, const char *member, int64_t fallback, int64_t max, int64_t *out)
{
	json_t *v = json_object_get(c->body, member);
	json_int_t n = v ? json_integer_value(v) : fallback;

	if ((v && !json_is_integer(v)) || n < 1 || n > max)
		return api_refuse(c, HF_E_INPUT, "\"%s\" must be a whole number from 1 to %lld", member, (long long)max);
	*out = n;
	return HF_E_OK;
}

/* An optional type; the same letters as in a profile. */
static enum hf_err check_type(struct api_call *c, struct hf_span type, char out[ENROL_TYPE_MAX])
{
	if (type.len >= ENROL_TYPE_MAX)
		return api_refuse(c, HF_E_INPUT, "a type has at most %d characters", ENROL_TYPE_MAX - 1);
	for (size_t i = 0; i < type.len; i++)
		if (!memchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-", type.ptr[i], 65))
			return api_refuse(c, HF_E_INPUT, "a type is made of letters, digits, '_', '.' and '-'");
	struct hf_wr w = hf_wr_of(out, ENROL_TYPE_MAX);

	hf_wr_put(&w, type);
	hf_wr_nul(&w);
	return w.err;
}

static enum hf_err read_token(struct api_call *c, struct enrol_token *t, int64_t now_ms)
{
	const char *type = json_string_value(json_object_get(c->body, "type"));
	struct hf_span name = {0};
	int64_t days = 0;
	enum hf_err err = api_text(c, "name", sizeof t->name - 1, &name);

	if (err == HF_E_OK)
		err = check_type(c, hf_span_text(type ? type : ""), t->type);
	if (err == HF_E_OK)
		err = read_number(c, "uses", USES_DEFAULT, ENROL_USES_MAX, &t->uses_max);
	if (err == HF_E_OK)
		err = read_number(c, "days", DAYS_DEFAULT, ENROL_DAYS_MAX, &days);
	if (err != HF_E_OK)
		return err;
	t->expires_ms = now_ms + days * DAY_MS;
	(void)snprintf(t->name, sizeof t->name, "%.*s", (int)name.len, (const char *)name.ptr);
	(void)snprintf(t->who, sizeof t->who, "%s", api_who(c));
	return HF_E_OK;
}

enum hf_err api_enrol_token_new(struct api_call *c)
{
	struct enrol_token t = {0};
	char text[ENROL_TOKEN_TEXT_MAX] = "", detail[256];
	int64_t id = 0, now = os_now_ms();
	enum hf_err err = read_token(c, &t, now);

	if (err == HF_E_OK)
		err = enrol_token_new(c->a->enrol, &t, now, &id, text);
	if (err != HF_E_OK)
		return err;
	(void)snprintf(detail, sizeof detail, "enrolment token %lld: %s, %lld uses, type %s", (long long)id, t.name,
	               (long long)t.uses_max, t.type[0] ? t.type : "any");
	err = audit_record(c->a->db, api_who(c), "enrol.token-made", 0, detail);
	if (err == HF_E_OK)
		err = api_reply(c, 201,
		                json_pack("{s:I, s:s, s:o, s:I, s:I, s:s}", "id", (json_int_t)id, "name", t.name, "type",
		                          text_or_null(t.type), "uses_max", (json_int_t)t.uses_max, "expires_ms",
		                          (json_int_t)t.expires_ms, "token", text));
	hf_wipe(text, sizeof text);
	return err;
}

enum hf_err api_enrol_token_revoke(struct api_call *c)
{
	char detail[48];
	int64_t id = 0;
	enum hf_err err = api_row(c, &id);

	if (err == HF_E_OK)
		err = enrol_token_revoke(c->a->enrol, id, os_now_ms());
	if (err == HF_E_NOT_FOUND)
		return api_refuse(c, err, "there is no such enrolment token, or it is revoked already");
	(void)snprintf(detail, sizeof detail, "enrolment token %lld", (long long)id);
	if (err == HF_E_OK)
		err = audit_record(c->a->db, api_who(c), "enrol.token-revoked", 0, detail);
	return err != HF_E_OK ? err : api_reply(c, 200, json_pack("{s:I, s:b}", "id", (json_int_t)id, "revoked", 1));
}

/* --- the allow-list ---------------------------------------------------------------------------------------------------- */

static bool list_allowed(void *ctx, const struct enrol_allowed *a)
{
	return json_array_append_new(ctx, json_pack("{s:s, s:o, s:o, s:s}", "who", a->who, "type", text_or_null(a->type),
	                                            "added_ms", api_time(a->at_ms), "by", a->by)) == 0;
}

enum hf_err api_enrol_allowed_list(struct api_call *c)
{
	const char *after = http_query(c->http, "after");
	int64_t limit = 0;
	json_t *list = json_array();
	enum hf_err err = api_number(c, "limit", API_LIST_DEFAULT, API_LIST_MAX, &limit);

	if (err == HF_E_OK)
		err = enrol_allowed_list(c->a->enrol, after ? after : "", limit, list_allowed, list);
	return api_reply_list(c, "allowed", list, err);
}

/* "WHO" or "WHO TYPE". */
static enum hf_err allow_one(struct api_call *c, size_t line, json_t *value, int64_t now_ms)
{
	struct enrol_allowed a = {.at_ms = now_ms};
	const char *text = json_string_value(value);
	size_t len = text ? json_string_length(value) : 0, who = text ? strcspn(text, " ") : 0;

	if (!text || len > ENTRY_MAX || enrol_who_parse(hf_span_of(text, who), a.who) != HF_E_OK)
		return api_refuse(c, HF_E_INPUT, "entry %zu is neither a device id nor the 64 hex digits of a key's SHA-256",
		                  line);
	enum hf_err err =
		check_type(c, who < len ? hf_span_of(text + who + 1, len - who - 1) : hf_span_of(NULL, 0), a.type);

	if (err != HF_E_OK)
		return api_refuse(c, err, "entry %zu: a type is made of at most %d letters, digits, '_', '.' and '-'", line,
		                  ENROL_TYPE_MAX - 1);
	(void)snprintf(a.by, sizeof a.by, "%s", api_who(c));
	return enrol_allow(c->a->enrol, &a);
}

enum hf_err api_enrol_allow(struct api_call *c)
{
	json_t *entries = json_object_get(c->body, "entries"), *one;
	size_t count = json_array_size(entries), i;
	char detail[64];
	int64_t now = os_now_ms();
	enum hf_err err = HF_E_OK;

	if (count == 0)
		return api_refuse(c, HF_E_INPUT,
		                  "\"entries\" must be a list of texts: an id or a key's fingerprint, then perhaps a type");
	json_array_foreach(entries, i, one)
	{
		err = allow_one(c, i + 1, one, now);
		if (err != HF_E_OK)
			return err;
	}
	err = enrol_allowed_fit(c->a->enrol);
	if (err == HF_E_FULL)
		return api_refuse(c, HF_E_INPUT, "the allow-list holds at most %lld entries (allowlist_max)",
		                  (long long)c->a->enrol->allowed_max);
	(void)snprintf(detail, sizeof detail, "%zu entries", count);
	if (err == HF_E_OK)
		err = audit_record(c->a->db, api_who(c), "enrol.allowed", 0, detail);
	return err != HF_E_OK ? err : api_reply(c, 200, json_pack("{s:I}", "allowed", (json_int_t)count));
}

enum hf_err api_enrol_disallow(struct api_call *c)
{
	char who[ENROL_WHO_MAX];
	enum hf_err err = enrol_who_parse(c->http->place[0], who);

	if (err != HF_E_OK)
		return api_refuse(c, HF_E_INPUT, "give a device id or the 64 hex digits of a key's SHA-256");
	err = enrol_disallow(c->a->enrol, who);
	if (err == HF_E_NOT_FOUND)
		return api_refuse(c, err, "it is not on the allow-list");
	if (err == HF_E_OK)
		err = audit_record(c->a->db, api_who(c), "enrol.disallowed", 0, who);
	return err != HF_E_OK ? err : api_reply(c, 200, json_pack("{s:s, s:b}", "who", who, "allowed", 0));
}
