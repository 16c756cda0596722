/* cli - holdfast action, identify, data send, and the wait for the answer. Uses: cli, os; jansson. */
#include "cli/cli.h"
#include "os/os.h"

#include <stdio.h>
#include <string.h>

enum { WAIT_DEFAULT_S = 30, WAIT_MAX_S = 3600, POLL_MAX_MS = 30000, ACTION_MAX = 255, STATUS_CONFIRM = 428 };

/* What a command's state means once no more waiting helps. A status that is not among the good ones is a failure. */
struct outcome {
	const char *state;
	enum cli_exit code;
	const char *sentence;
};
static const struct outcome outcomes[] = {
	{"answered", CLI_DONE, "the device answered"},
	{"expired", CLI_REFUSED, "no answer came before its time was up"},
	{"unknown", CLI_UNCONFIRMED, "the device may have done it: it was sent, but no answer is known"},
	{"queued", CLI_UNCONFIRMED, "it waits to be sent"},
	{"sent", CLI_UNCONFIRMED, "it was sent; the device has not answered yet"},
};
enum { OUTCOME_COUNT = sizeof outcomes / sizeof outcomes[0] };

static const struct outcome *outcome_of(const json_t *doc)
{
	const char *state = json_string_value(json_object_get(doc, "state"));

	for (size_t i = 0; i < OUTCOME_COUNT; i++)
		if (state && strcmp(state, outcomes[i].state) == 0)
			return &outcomes[i];
	return NULL;
}

static bool is_open(const json_t *doc)
{
	const struct outcome *o = outcome_of(doc);

	return o && (strcmp(o->state, "queued") == 0 || strcmp(o->state, "sent") == 0);
}

/* Status codes 0x.0 say that it worked (srup-v5 section 3); an answer without status, such as an identity, worked too.
 * */
static bool worked(const json_t *doc)
{
	const json_t *status = json_object_get(doc, "status");

	return !json_is_integer(status) || (json_integer_value(status) & 15) == 0;
}

static enum cli_exit tell(const struct cli_args *a, const json_t *doc)
{
	static const struct cli_column number = {"", "command", CLI_TEXT}, answer = {"", "answer", CLI_TEXT},
								   status = {"", "status_text", CLI_TEXT};
	const struct outcome *o = outcome_of(doc);
	char id[CLI_CELL_MAX], text[CLI_CELL_MAX];

	if (a->option[CLI_O_JSON])
		cli_print_json(doc);
	if (!o)
		return cli_fail(CLI_REFUSED, "the server does not say what became of it");
	cli_cell(doc, &number, id);
	cli_cell(doc, json_is_string(json_object_get(doc, "answer")) ? &answer : &status, text);
	if (o->code == CLI_DONE && !worked(doc))
		return cli_fail(CLI_REFUSED, "command %s: %s", id, text);
	if (o->code != CLI_DONE && json_is_string(json_object_get(doc, "answer"))) /* why it ended */
		return cli_fail(o->code, "command %s: %s: %s", id, o->state, text);
	if (o->code != CLI_DONE)
		return cli_fail(o->code, "command %s: %s%s", id, o->sentence,
		                json_is_false(json_object_get(doc, "online")) ? "; it is not connected" : "");
	if (!a->option[CLI_O_JSON])
		printf("command %s: %s\n", id, strcmp(text, "-") == 0 ? o->sentence : text);
	return CLI_DONE;
}

/* Asks until the command is closed or the time is up. *doc is replaced by each answer. */
static enum cli_exit wait_for(struct cli_api *api, json_int_t command, uint64_t wait_s, json_t **doc)
{
	int64_t end = os_monotonic_ms() + (int64_t)wait_s * 1000;

	while (is_open(*doc)) {
		int64_t left = end - os_monotonic_ms();
		long wait_ms = left > POLL_MAX_MS ? POLL_MAX_MS : (long)left;
		char path[CLI_PATH_MAX];
		json_t *next = NULL;

		if (left <= 0)
			break;
		(void)snprintf(path, sizeof path, "/api/v1/commands/%lld?wait_ms=%ld", (long long)command, wait_ms);
		enum cli_exit code = cli_call(api, "GET", path, NULL, wait_ms, &next);

		if (code != CLI_DONE)
			return code;
		cli_json_drop(doc);
		*doc = next;
	}
	return CLI_DONE;
}

/* What the type's profile calls dangerous is refused at first, with a sentence; then the person is asked. */
static enum cli_exit post(const struct cli_args *a, struct cli_api *api, const char *path, json_t *body, json_t **doc)
{
	enum cli_exit code = cli_call(api, "POST", path, json_incref(body), 0, doc);

	if (code != CLI_REFUSED || api->status != STATUS_CONFIRM)
		return code;
	code = cli_confirm(a, "Do it all the same?");
	if (code != CLI_DONE)
		return code;
	(void)json_object_set_new(body, "confirmed", json_true());
	return cli_call(api, "POST", path, json_incref(body), 0, doc);
}

/* Sends body and waits for the answer; body is given up. */
static enum cli_exit send_and_wait(const struct cli_args *a, const char *path, json_t *body)
{
	CLI_JSON_SCOPED *doc = NULL;
	CLI_API_SCOPED api = {0};
	uint64_t wait_s = WAIT_DEFAULT_S;
	enum cli_exit code = cli_number(a, CLI_O_WAIT, 0, WAIT_MAX_S, &wait_s);

	if (code == CLI_DONE)
		code = cli_api_open(a, &api);
	if (code == CLI_DONE)
		code = post(a, &api, path, body, &doc);
	json_decref(body);
	if (code == CLI_DONE)
		code = wait_for(&api, json_integer_value(json_object_get(doc, "command")), wait_s, &doc);
	return code == CLI_DONE ? tell(a, doc) : code;
}

enum cli_exit cli_action(const struct cli_args *a)
{
	char path[CLI_PATH_MAX];
	uint64_t number = 0;
	bool is_number = hf_dec_parse(hf_span_text(a->word[1]), &number) == HF_E_OK;
	enum cli_exit code = cli_check_id(a->word[0]);

	if (code != CLI_DONE)
		return code;
	if (is_number && number > ACTION_MAX)
		return cli_fail(CLI_USAGE, "an action is a number from 0 to %d or a name", ACTION_MAX);
	json_t *body =
		is_number ? json_pack("{s:I}", "action", (json_int_t)number) : json_pack("{s:s}", "action", a->word[1]);

	if (!body)
		return cli_fail(CLI_USAGE, "the name is not UTF-8");
	if (a->option[CLI_O_YES])
		(void)json_object_set_new(body, "confirmed", json_true());
	return send_and_wait(a, cli_path(path, "/api/v1/devices/%s/actions", a->word[0]), body);
}

enum cli_exit cli_identify(const struct cli_args *a)
{
	char path[CLI_PATH_MAX];
	enum cli_exit code = cli_check_id(a->word[0]);

	if (code != CLI_DONE)
		return code;
	return send_and_wait(a, cli_path(path, "/api/v1/devices/%s/identify", a->word[0]), json_object());
}

/* A number or true and false when it looks like one, unless the kind says that it is text. */
static json_t *value_of(const char *text, const char *kind)
{
	bool literal = kind && (strcmp(kind, "text") == 0 || strcmp(kind, "hex") == 0);
	json_t *v = literal ? NULL : json_loads(text, JSON_DECODE_ANY, NULL);

	if (json_is_number(v) || json_is_boolean(v))
		return v;
	json_decref(v);
	return json_string(text);
}

enum cli_exit cli_data_send(const struct cli_args *a)
{
	static const char *const kinds[] = {"int32", "float", "double", "text", "hex"};
	const char *kind = a->option[CLI_O_KIND];
	char path[CLI_PATH_MAX];
	size_t k = 0, count = sizeof kinds / sizeof kinds[0];
	enum cli_exit code = cli_check_id(a->word[0]);

	while (kind && k < count && strcmp(kind, kinds[k]) != 0)
		k++;
	if (code != CLI_DONE)
		return code;
	if (k == count)
		return cli_fail(CLI_USAGE, "there is no kind '%s': int32, float, double, text or hex", kind);
	json_t *body = json_pack("{s:s, s:o, s:s*}", "data", a->word[1], "value", value_of(a->word[2], kind), "kind", kind);

	if (!body)
		return cli_fail(CLI_USAGE, "the name or value is not UTF-8");
	return send_and_wait(a, cli_path(path, "/api/v1/devices/%s/data", a->word[0]), body);
}

static const struct cli_column command_columns[] = {
	{"NUMBER", "command", CLI_TEXT}, {"ASKED", "created_ms", CLI_TIME}, {"KIND", "kind", CLI_TEXT},
	{"WHAT", "what", CLI_TEXT},      {"VALUE", "value", CLI_TEXT},      {"STATE", "state", CLI_TEXT},
	{"ANSWER", "answer", CLI_TEXT},  {"WHO", "who", CLI_TEXT},
};
enum { COMMAND_COLUMNS = sizeof command_columns / sizeof command_columns[0] };

enum cli_exit cli_command_list(const struct cli_args *a)
{
	CLI_JSON_SCOPED *doc = NULL;
	char path[CLI_PATH_MAX];
	enum cli_exit code = cli_check_id(a->word[0]);

	if (code == CLI_DONE)
		code = cli_call_once(a, "GET", cli_path(path, "/api/v1/devices/%s/commands", a->word[0]), NULL, &doc);
	if (code == CLI_DONE)
		cli_print_list(a, doc, "commands", command_columns, COMMAND_COLUMNS,
		               "No commands. holdfast action, data send and identify make them.");
	return code;
}

enum cli_exit cli_command_show(const struct cli_args *a)
{
	CLI_JSON_SCOPED *doc = NULL;
	CLI_JSON_SCOPED *list = NULL;
	char path[CLI_PATH_MAX];
	uint64_t number;

	if (hf_dec_parse(hf_span_text(a->word[0]), &number) != HF_E_OK)
		return cli_fail(CLI_USAGE, "'%s' is no number; see holdfast command list", a->word[0]);
	enum cli_exit code = cli_call_once(a, "GET", cli_path(path, "/api/v1/commands/%s", a->word[0]), NULL, &doc);

	if (code == CLI_DONE && a->option[CLI_O_JSON]) {
		cli_print_json(doc);
	} else if (code == CLI_DONE) {
		list = json_pack("{s:[O]}", "commands", doc);
		cli_print_list(a, list, "commands", command_columns, COMMAND_COLUMNS, "");
	}
	return code;
}
