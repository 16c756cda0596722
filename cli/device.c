/* cli - holdfast device list, show, terminate, deregister, revoke, reset-counter. Uses: cli; jansson. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

enum { CLI_PAGE_MAX = 32 };

static const struct cli_column columns[] = {
	{"ID", "id", CLI_TEXT},
	{"TYPE", "type", CLI_TEXT},
	{"STATE", "state", CLI_TEXT},
	{"ONLINE", "online", CLI_YES},
	{"LAST SEEN", "last_seen_ms", CLI_AGO},
	{"JOINED", "joined_ms", CLI_TIME},
};
static const struct cli_column details[] = {
	{"id", "id", CLI_TEXT},
	{"type", "type", CLI_TEXT},
	{"state", "state", CLI_TEXT},
	{"online", "online", CLI_YES},
	{"registered", "registered_ms", CLI_TIME},
	{"joined", "joined_ms", CLI_TIME},
	{"revoked", "revoked_ms", CLI_TIME},
	{"last seen", "last_seen_ms", CLI_AGO},
	{"certificate ends", "certificate_not_after_ms", CLI_TIME},
	{"left", "left_ms", CLI_TIME},
	{"how", "left_why", CLI_TEXT},
	{"cut off at", "revoked_by_ms", CLI_TIME},
	{"stepped back", "stepped_back_ms", CLI_TIME},
	{"gaps", "gaps.count", CLI_TEXT},
	{"messages missed", "gaps.missed", CLI_TEXT},
	{"of unknown size", "gaps.unsized", CLI_TEXT},
	{"last gap", "gaps.last_ms", CLI_TIME},
};

/* One page; what it holds goes to the end of devices, and after becomes where the next one begins, "" at the end. */
static enum cli_exit get_page(const struct cli_args *a, json_t *devices, char after[CLI_PAGE_MAX])
{
	CLI_JSON_SCOPED *page = NULL;
	char path[CLI_PATH_MAX] = "/api/v1/devices";

	cli_query(path, "state", a->option[CLI_O_STATE]);
	cli_query(path, "type", a->option[CLI_O_TYPE]);
	cli_query(path, "after", after[0] ? after : NULL);
	enum cli_exit code = cli_call_once(a, "GET", path, NULL, &page);
	const char *next = json_string_value(json_object_get(page, "next"));

	(void)snprintf(after, CLI_PAGE_MAX, "%s", code == CLI_DONE && next ? next : "");
	if (code == CLI_DONE)
		(void)json_array_extend(devices, json_object_get(page, "devices"));
	return code;
}

enum cli_exit cli_device_list(const struct cli_args *a)
{
	json_t *devices = json_array();
	CLI_JSON_SCOPED *doc = json_pack("{s:o}", "devices", devices);
	char after[CLI_PAGE_MAX] = "";
	enum cli_exit code;

	do
		code = get_page(a, devices, after);
	while (code == CLI_DONE && after[0]);
	if (code == CLI_DONE)
		cli_print_list(a, doc, "devices", columns, sizeof columns / sizeof columns[0],
		               "No devices. A device appears here once it has registered; for a demo one, run ./start.");
	return code;
}

enum cli_exit cli_device_show(const struct cli_args *a)
{
	CLI_JSON_SCOPED *doc = NULL;
	char path[CLI_PATH_MAX];
	enum cli_exit code = cli_check_id(a->word[0]);

	if (code == CLI_DONE)
		code = cli_call_once(a, "GET", cli_path(path, "/api/v1/devices/%s", a->word[0]), NULL, &doc);
	if (code != CLI_DONE)
		return code;
	if (a->option[CLI_O_JSON])
		cli_print_json(doc);
	else
		cli_print_object(doc, details, sizeof details / sizeof details[0]);
	if (!a->option[CLI_O_JSON] && json_is_integer(json_object_get(doc, "stepped_back_ms")))
		printf("It repeats sequence ids, which are refused: its store went back in time, or there are two of it.\n"
		       "If it was restored or reset: holdfast device reset-counter %s\n"
		       "If it may be a clone:        holdfast device revoke %s\n",
		       a->word[0], a->word[0]);
	return CLI_DONE;
}

/* Asks, then posts to what the device's path ends with. */
static enum cli_exit ask_and_post(const struct cli_args *a, const char *end, const char *question, json_t **doc)
{
	char path[CLI_PATH_MAX], text[192];
	enum cli_exit code = cli_check_id(a->word[0]);

	if (code != CLI_DONE)
		return code;
	(void)snprintf(text, sizeof text, "%s: %s", a->word[0], question);
	code = cli_confirm(a, text);
	if (code != CLI_DONE)
		return code;
	return cli_call_once(a, "POST", cli_path(path, "/api/v1/devices/%s/%s", a->word[0], end), json_object(), doc);
}

/* What became of the message that tells a device to go. */
static enum cli_exit tell_gone(const struct cli_args *a, const json_t *doc, const char *done, const char *else_)
{
	bool told = json_is_true(json_object_get(doc, "told")), online = json_is_true(json_object_get(doc, "online"));
	const char *state = json_string_value(json_object_get(doc, "state"));

	if (a->option[CLI_O_JSON])
		cli_print_json(doc);
	if (told && (online || (state && strcmp(state, "revoked") == 0))) {
		if (!a->option[CLI_O_JSON])
			printf("%s %s\n", a->word[0], done);
		return CLI_DONE;
	}
	return cli_fail(CLI_UNCONFIRMED, "%s %s; %s", a->word[0], else_,
	                told ? "it is not connected, so it is not known to have heard"
	                     : "the broker is out of reach, so it has not been told yet");
}

enum cli_exit cli_device_terminate(const struct cli_args *a)
{
	CLI_JSON_SCOPED *doc = NULL;
	enum cli_exit code =
		ask_and_post(a, "terminate", "end its membership? It keeps its identity and may ask to join again.", &doc);

	return code != CLI_DONE
	           ? code
	           : tell_gone(a, doc, "is let go and was told; its state is now registered", "is let go on this side");
}

enum cli_exit cli_device_deregister(const struct cli_args *a)
{
	CLI_JSON_SCOPED *doc = NULL;
	enum cli_exit code =
		ask_and_post(a, "deregister", "end its identity? It is told to wipe its keys and cannot come back.", &doc);

	return code != CLI_DONE ? code
	                        : tell_gone(a, doc, "was told to go; it is revoked once it has, or when its time is up",
	                                    "is revoked when its time is up");
}

enum cli_exit cli_device_reset_counter(const struct cli_args *a)
{
	CLI_JSON_SCOPED *doc = NULL;
	enum cli_exit code =
		ask_and_post(a, "reset-counter",
	                 "take low sequence ids from it again? Do so only if you know why it lost its state.", &doc);

	if (code == CLI_DONE && a->option[CLI_O_JSON])
		cli_print_json(doc);
	else if (code == CLI_DONE)
		printf("%s may begin with low sequence ids again; what was taken before stays refused\n", a->word[0]);
	return code;
}

enum cli_exit cli_device_revoke(const struct cli_args *a)
{
	CLI_JSON_SCOPED *doc = NULL;
	enum cli_exit code = ask_and_post(a, "revoke", "revoke it? It is cut off at once and cannot come back.", &doc);

	if (code != CLI_DONE)
		return code;
	bool confirmed = json_is_true(json_object_get(doc, "confirmed"));

	if (a->option[CLI_O_JSON])
		cli_print_json(doc);
	else if (confirmed)
		printf("%s is revoked: its session is cut and its queue is gone\n", a->word[0]);
	if (confirmed)
		return CLI_DONE;
	return cli_fail(CLI_UNCONFIRMED,
	                "%s is revoked, but the broker has not confirmed it yet; run the command again to ask", a->word[0]);
}
