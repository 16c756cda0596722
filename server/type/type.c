/* type - device type profiles. Uses: base os db; jansson. */
#include "type/type.h"

#include "os/os.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define KIND_NAME(NAME, text) (text),
static const char *const kind_names[] = {TYPE_KINDS(KIND_NAME)};
static const char *const builtin[] = {
#define PROFILE(document) (document),
#include "type/profiles.def"
};

const char *type_kind_name(enum type_kind k)
{
	return kind_names[k];
}

enum type_kind type_kind_named(const char *name)
{
	unsigned i = 0;

	while (i < TYPE_KIND_COUNT_ && strcmp(kind_names[i], name) != 0)
		i++;
	return (enum type_kind)i;
}

__attribute__((format(printf, 2, 3))) static enum hf_err bad(char why[TYPE_WHY_MAX], const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, TYPE_WHY_MAX, fmt, args);
	va_end(args);
	return HF_E_INPUT;
}

/* Names end up in topics, tables and terminals: printable ASCII, no quote or slash. */
static bool good_name(const char *s)
{
	size_t n = s ? strlen(s) : 0;

	return n > 0 && n < TYPE_NAME_MAX &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == n;
}

static enum hf_err get_name(const json_t *from, const char *member, char out[TYPE_NAME_MAX], char *why)
{
	const char *text = json_string_value(json_object_get(from, member));

	if (!good_name(text))
		return bad(why, "\"%s\" must be 1 to %d letters, digits, '_', '.' or '-'", member, TYPE_NAME_MAX - 1);
	snprintf(out, TYPE_NAME_MAX, "%s", text);
	return HF_E_OK;
}

static enum hf_err get_action(const json_t *from, struct type_profile *p, char *why)
{
	struct type_action *a = &p->action[p->actions];
	json_t *id = json_object_get(from, "id");

	if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > 255)
		return bad(why, "actions[%zu].id must be a number from 0 to 255", p->actions);
	a->id = (uint8_t)json_integer_value(id);
	a->dangerous = json_is_true(json_object_get(from, "dangerous"));
	if (get_name(from, "name", a->name, why) != HF_E_OK)
		return HF_E_INPUT;
	if (type_action_of(p, a->id) || type_action_named(p, a->name))
		return bad(why, "action %u (%s) stands twice", a->id, a->name);
	p->actions++;
	return HF_E_OK;
}

/* A limit that is not understood is refused: somebody relies on it. */
static enum hf_err get_limits(const json_t *from, struct type_data *d, char *why)
{
	json_t *min = json_object_get(from, "min"), *max = json_object_get(from, "max");

	d->has_min = json_is_number(min);
	d->has_max = json_is_number(max);
	d->min = json_number_value(min);
	d->max = json_number_value(max);
	if ((min && !d->has_min) || (max && !d->has_max) || (d->has_min && d->has_max && d->min > d->max))
		return bad(why, "data %s: \"min\" and \"max\" must be numbers, the smaller one first", d->id);
	return HF_E_OK;
}

static enum hf_err get_data(const json_t *from, struct type_profile *p, char *why)
{
	struct type_data *d = &p->data[p->datas];
	const char *kind = json_string_value(json_object_get(from, "kind")),
			   *unit = json_string_value(json_object_get(from, "unit"));
	const char *side = json_string_value(json_object_get(from, "from"));

	if (get_name(from, "id", d->id, why) != HF_E_OK)
		return HF_E_INPUT;
	d->kind = type_kind_named(kind ? kind : "");
	if (d->kind == TYPE_KIND_COUNT_)
		return bad(why, "data %s: \"kind\" must be bytes, text, int8, int16, int32, int64, float or double", d->id);
	if (!side || (strcmp(side, "device") != 0 && strcmp(side, "server") != 0))
		return bad(why, "data %s: \"from\" must be \"device\" or \"server\"", d->id);
	if (unit && strlen(unit) >= sizeof d->unit)
		return bad(why, "data %s: \"unit\" is longer than %zu bytes", d->id, sizeof d->unit - 1);
	if (type_data_of(p, hf_span_text(d->id)))
		return bad(why, "data %s stands twice", d->id);
	d->from_server = strcmp(side, "server") == 0;
	snprintf(d->unit, sizeof d->unit, "%s", unit ? unit : "");
	if (get_limits(from, d, why) != HF_E_OK)
		return HF_E_INPUT;
	p->datas++;
	return HF_E_OK;
}

/* "join": {"simple": "refuse"|"accept", "moderated": "refuse"|"ask"}; what is missing is refused and asked. */
static enum hf_err get_join(const json_t *join, struct type_profile *p, char *why)
{
	const char *simple = json_string_value(json_object_get(join, "simple")),
			   *moderated = json_string_value(json_object_get(join, "moderated"));

	if (simple && strcmp(simple, "accept") != 0 && strcmp(simple, "refuse") != 0)
		return bad(why, "join.simple must be \"accept\" or \"refuse\"");
	if (moderated && strcmp(moderated, "ask") != 0 && strcmp(moderated, "refuse") != 0)
		return bad(why, "join.moderated must be \"ask\" or \"refuse\"");
	p->join_simple = simple && strcmp(simple, "accept") == 0;
	p->join_moderated = !moderated || strcmp(moderated, "ask") == 0;
	return HF_E_OK;
}

static enum hf_err get_list(const json_t *list, const char *name, size_t max,
                            enum hf_err (*get)(const json_t *, struct type_profile *, char *), struct type_profile *p,
                            char *why)
{
	enum hf_err err = HF_E_OK;

	if (list && (!json_is_array(list) || json_array_size(list) > max))
		return bad(why, "\"%s\" must be a list of at most %zu", name, max);
	for (size_t i = 0; i < json_array_size(list) && err == HF_E_OK; i++)
		err = get(json_array_get(list, i), p, why);
	return err;
}

static enum hf_err get_enrolment(const json_t *text, struct type_profile *p, char *why)
{
	p->enrolment = text ? enrol_policy_named(json_is_string(text) ? json_string_value(text) : "") : ENROL_OPEN;
	if (p->enrolment == ENROL_POLICY_COUNT_)
		return bad(why, "\"enrolment\" must be \"open\", \"token\" or \"allowlist\"");
	return HF_E_OK;
}

static enum hf_err fill(const json_t *root, struct type_profile *p, char *why)
{
	json_t *days = json_object_get(root, "certificate_days"), *kept = json_object_get(root, "readings_days");
	enum hf_err err = get_name(root, "name", p->name, why);

	if (err == HF_E_OK && days &&
	    (!json_is_integer(days) || json_integer_value(days) < 1 || json_integer_value(days) > 825))
		err = bad(why, "\"certificate_days\" must be a number from 1 to 825");
	if (err == HF_E_OK && kept &&
	    (!json_is_integer(kept) || json_integer_value(kept) < 0 || json_integer_value(kept) > 36500))
		err = bad(why, "\"readings_days\" must be a number from 0 to 36500");
	if (err == HF_E_OK)
		err = get_join(json_object_get(root, "join"), p, why);
	if (err == HF_E_OK)
		err = get_enrolment(json_object_get(root, "enrolment"), p, why);
	if (err == HF_E_OK)
		err = get_list(json_object_get(root, "actions"), "actions", TYPE_ACTIONS_MAX, get_action, p, why);
	if (err == HF_E_OK)
		err = get_list(json_object_get(root, "data"), "data", TYPE_DATA_MAX, get_data, p, why);
	p->certificate_days = json_integer_value(days);
	p->readings_days = kept ? json_integer_value(kept) : -1;
	return err;
}

enum hf_err type_parse(struct hf_span document, struct type_profile *out, char why[TYPE_WHY_MAX])
{
	json_error_t e;

	memset(out, 0, sizeof *out);
	if (document.len > TYPE_DOCUMENT_MAX) {
		bad(why, "the profile is larger than %d bytes", TYPE_DOCUMENT_MAX);
		return HF_E_TOO_BIG;
	}
	json_t *root = json_loadb((const char *)document.ptr, document.len, JSON_REJECT_DUPLICATES, &e);
	enum hf_err err = json_is_object(root)
	                      ? fill(root, out, why)
	                      : bad(why, "not a JSON object: %s at line %d", e.text[0] ? e.text : "other JSON", e.line);

	json_decref(root);
	return err;
}

/* Parsing the same document again costs more than comparing it: each thread keeps the last one with what it says. */
static enum hf_err parse_again(struct hf_span document, struct type_profile *out)
{
	static _Thread_local uint8_t last[TYPE_DOCUMENT_MAX];
	static _Thread_local size_t last_len;
	static _Thread_local struct type_profile last_profile;
	char why[TYPE_WHY_MAX];

	if (last_len == 0 || !hf_span_equal(document, hf_span_of(last, last_len))) {
		last_len = 0;
		enum hf_err err = type_parse(document, &last_profile, why);

		if (err != HF_E_OK)
			return err;
		memcpy(last, document.ptr, document.len);
		last_len = document.len;
	}
	*out = last_profile;
	return HF_E_OK;
}

enum hf_err type_get(struct db *db, const char *name, struct type_profile *out)
{
	DB_ROWS_SCOPED r = db_select(db, DB_PROFILE_GET, DB_ARGS(db_text(name)));

	if (db_step(&r) && parse_again(db_col_span(&r, 0), out) == HF_E_OK)
		return HF_E_OK;
	memset(out, 0, sizeof *out);
	snprintf(out->name, sizeof out->name, "%s", name);
	out->join_moderated = true;
	out->readings_days = -1;
	return r.err;
}

enum hf_err type_put(struct db *db, const struct type_profile *p, struct hf_span document, const char *who,
                     int64_t now_ms)
{
	return db_exec(db, DB_PROFILE_PUT, DB_ARGS(db_text(p->name), db_span(document), db_int(now_ms), db_text(who)),
	               NULL);
}

enum hf_err type_document(struct db *db, const char *name, void (*take)(void *ctx, struct hf_span document), void *ctx)
{
	DB_ROWS_SCOPED r = db_select(db, DB_PROFILE_GET, DB_ARGS(db_text(name)));

	if (!db_step(&r))
		return r.err != HF_E_OK ? r.err : HF_E_NOT_FOUND;
	take(ctx, db_col_span(&r, 0));
	return HF_E_OK;
}

enum hf_err type_list(struct db *db, bool (*each)(void *ctx, struct hf_span document), void *ctx)
{
	DB_ROWS_SCOPED r = db_select(db, DB_PROFILE_LIST, NULL, 0);
	bool more = true;

	while (more && db_step(&r))
		more = each(ctx, db_col_span(&r, 0));
	return r.err;
}

static enum hf_err install(struct db *db, struct hf_span document, int64_t now_ms)
{
	struct type_profile p;
	char why[TYPE_WHY_MAX];
	enum hf_err err = type_parse(document, &p, why);

	if (err != HF_E_OK)
		return err;
	DB_ROWS_SCOPED r = db_select(db, DB_PROFILE_GET, DB_ARGS(db_text(p.name)));

	if (db_step(&r) || r.err != HF_E_OK)
		return r.err;
	return type_put(db, &p, document, "server", now_ms);
}

enum hf_err type_install(struct db *db, int64_t now_ms)
{
	enum hf_err err = HF_E_OK;

	for (size_t i = 0; i < sizeof builtin / sizeof builtin[0] && err == HF_E_OK; i++)
		err = install(db, hf_span_text(builtin[i]), now_ms);
	return err;
}

const struct type_action *type_action_named(const struct type_profile *p, const char *name)
{
	for (size_t i = 0; i < p->actions; i++)
		if (strcmp(p->action[i].name, name) == 0)
			return &p->action[i];
	return NULL;
}

const struct type_action *type_action_of(const struct type_profile *p, unsigned id)
{
	for (size_t i = 0; i < p->actions; i++)
		if (p->action[i].id == id)
			return &p->action[i];
	return NULL;
}

const struct type_data *type_data_of(const struct type_profile *p, struct hf_span id)
{
	for (size_t i = 0; i < p->datas; i++)
		if (hf_span_equal(hf_span_text(p->data[i].id), id))
			return &p->data[i];
	return NULL;
}
