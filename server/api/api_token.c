/* api - API tokens. Uses: account audit; jansson. */
#include "api/api_internal.h"

#include "audit/audit.h"

#include <stdio.h>
#include <string.h>

enum { DAYS_DEFAULT = 365 };
#define DAY_MS (INT64_C(24) * 3600 * 1000)
static const char device_scope[] = "device:";

static json_t *scope_json(const struct account_token *t)
{
	char text[HF_ID_TEXT_MAX];

	if (t->scope == ACCOUNT_EVERYTHING)
		return json_string("all");
	hf_id_text(t->scope_id, text);
	return json_sprintf("%s%s", t->scope == ACCOUNT_GROUP ? "group:" : device_scope, text);
}

static bool list_token(void *ctx, const struct account_token *t)
{
	return json_array_append_new(ctx, json_pack("{s:I, s:s, s:s, s:o, s:o, s:o, s:o}", "id", (json_int_t)t->id, "name",
	                                            t->name, "role", t->role, "scope", scope_json(t), "created_ms",
	                                            api_time(t->created_ms), "expires_ms", api_time(t->expires_ms),
	                                            "revoked_ms", api_time(t->revoked_ms))) == 0;
}

enum hf_err api_token_list(struct api_call *c)
{
	json_t *list = json_array();
	enum hf_err err = account_token_list(c->a->db, list_token, list);

	return api_reply_list(c, "tokens", list, err);
}

static enum hf_err read_scope(struct api_call *c, struct account_token *t)
{
	const char *text = json_string_value(json_object_get(c->body, "scope"));

	t->scope = ACCOUNT_EVERYTHING;
	if (!text || strcmp(text, "all") == 0)
		return HF_E_OK;
	t->scope = ACCOUNT_DEVICE;
	if (strncmp(text, device_scope, sizeof device_scope - 1) == 0 &&
	    hf_id_parse(hf_span_text(text + sizeof device_scope - 1), &t->scope_id) == HF_E_OK)
		return HF_E_OK; /* a device that is still to come is allowed */
	return api_refuse(c, HF_E_INPUT, "\"scope\" must be \"all\" or \"device:ID\"");
}

static enum hf_err read_days(struct api_call *c, struct account_token *t, int64_t now_ms)
{
	json_t *days = json_object_get(c->body, "days");
	json_int_t n = days ? json_integer_value(days) : DAYS_DEFAULT;

	if ((days && !json_is_integer(days)) || n < 1 || n > ACCOUNT_DAYS_MAX)
		return api_refuse(c, HF_E_INPUT, "\"days\" must be a whole number from 1 to %d", ACCOUNT_DAYS_MAX);
	t->expires_ms = now_ms + n * DAY_MS;
	return HF_E_OK;
}

static void copy(char *out, size_t cap, struct hf_span text)
{
	snprintf(out, cap, "%.*s", (int)text.len, (const char *)text.ptr);
}

enum hf_err api_token_new(struct api_call *c)
{
	struct account_token t = {0};
	struct hf_span name = {0}, role = {0};
	char text[ACCOUNT_TOKEN_TEXT_MAX], detail[128];
	int64_t id = 0, now = os_now_ms();
	enum hf_err err = api_text(c, "name", sizeof t.name - 1, &name);

	if (err == HF_E_OK)
		err = api_text(c, "role", sizeof t.role - 1, &role);
	if (err == HF_E_OK)
		err = read_scope(c, &t);
	if (err == HF_E_OK)
		err = read_days(c, &t, now);
	if (err != HF_E_OK)
		return err;
	copy(t.name, sizeof t.name, name);
	copy(t.role, sizeof t.role, role);
	if (account_role_rights(t.role) == 0)
		return api_refuse(c, HF_E_INPUT, "\"role\" must be viewer, moderator, operator, maintainer or admin");
	err = account_token_new(c->a->db, &t, now, &id, text);
	snprintf(detail, sizeof detail, "token %lld: %s, %s", (long long)id, t.name, t.role);
	if (err == HF_E_OK)
		err = audit_record(c->a->db, api_who(c), "token.made", 0, detail);
	if (err == HF_E_OK)
		err = api_reply(c, 201,
		                json_pack("{s:I, s:s, s:s, s:s}", "id", (json_int_t)id, "name", t.name, "role", t.role, "token",
		                          text));
	hf_wipe(text, sizeof text);
	return err;
}

enum hf_err api_token_revoke(struct api_call *c)
{
	char detail[32];
	int64_t id = 0, admins = 0, now = os_now_ms();
	enum hf_err err = api_row(c, &id);

	if (err == HF_E_OK)
		err = account_token_revoke(c->a->db, id, now);
	if (err == HF_E_NOT_FOUND)
		return api_refuse(c, err, "there is no such token, or it is revoked already");
	if (err == HF_E_OK)
		err = account_admins(c->a->db, now, &admins);
	if (err == HF_E_OK && admins == 0)
		return api_refuse(c, HF_E_STATE, "that is the last admin token; make another one first");
	snprintf(detail, sizeof detail, "token %lld", (long long)id);
	if (err == HF_E_OK)
		err = audit_record(c->a->db, api_who(c), "token.revoked", 0, detail);
	return err != HF_E_OK ? err : api_reply(c, 200, json_pack("{s:I, s:b}", "id", (json_int_t)id, "revoked", 1));
}
