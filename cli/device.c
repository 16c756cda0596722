/* cli - holdfast device list, show, revoke. Uses: cli; jansson. */
#include "cli/cli.h"

#include <stdio.h>

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
};

enum cli_exit cli_device_list(const struct cli_args *a)
{
	CLI_JSON_SCOPED *doc = NULL;
	char path[CLI_PATH_MAX] = "/api/v1/devices";

	cli_query(path, "state", a->option[CLI_O_STATE]);
	cli_query(path, "type", a->option[CLI_O_TYPE]);
	enum cli_exit code = cli_call_once(a, "GET", path, NULL, &doc);

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
	return CLI_DONE;
}

enum cli_exit cli_device_revoke(const struct cli_args *a)
{
	CLI_JSON_SCOPED *doc = NULL;
	char path[CLI_PATH_MAX], question[128];
	enum cli_exit code = cli_check_id(a->word[0]);

	if (code != CLI_DONE)
		return code;
	(void)snprintf(question, sizeof question, "Revoke %s? It is cut off at once and cannot come back.", a->word[0]);
	code = cli_confirm(a, question);
	if (code == CLI_DONE)
		code = cli_call_once(a, "POST", cli_path(path, "/api/v1/devices/%s/revoke", a->word[0]), json_object(), &doc);
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
