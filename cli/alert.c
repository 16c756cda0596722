/* cli - holdfast alert list, clear; event list. Uses: cli; jansson. */
#include "cli/cli.h"

#include <stdio.h>

enum { LIMIT_MAX = 1000 };

static const struct cli_column alert_columns[] = {
	{"NUMBER", "alert", CLI_TEXT},  {"RAISED", "raised_ms", CLI_TIME},   {"KIND", "kind", CLI_TEXT},
	{"DEVICE", "device", CLI_TEXT}, {"CLEARED", "cleared_ms", CLI_TIME}, {"WHAT", "text", CLI_TEXT},
};
static const struct cli_column event_columns[] = {
	{"TIME", "at_ms", CLI_TIME},    {"WHO", "who", CLI_TEXT},       {"EVENT", "event", CLI_TEXT},
	{"DEVICE", "device", CLI_TEXT}, {"DETAIL", "detail", CLI_TEXT},
};

enum cli_exit cli_alert_list(const struct cli_args *a)
{
	CLI_JSON_SCOPED *doc = NULL;
	enum cli_exit code = cli_call_once(a, "GET", "/api/v1/alerts", NULL, &doc);

	if (code == CLI_DONE)
		cli_print_list(a, doc, "alerts", alert_columns, sizeof alert_columns / sizeof alert_columns[0],
		               "No alerts. All is quiet.");
	return code;
}

enum cli_exit cli_alert_clear(const struct cli_args *a)
{
	char path[CLI_PATH_MAX];
	uint64_t number;

	if (hf_dec_parse(hf_span_text(a->word[0]), &number) != HF_E_OK)
		return cli_fail(CLI_USAGE, "'%s' is no number; see holdfast alert list", a->word[0]);
	enum cli_exit code =
		cli_call_once(a, "POST", cli_path(path, "/api/v1/alerts/%s/clear", a->word[0]), json_object(), NULL);

	if (code == CLI_DONE && a->option[CLI_O_JSON])
		printf("{\"alert\":%llu,\"cleared\":true}\n", (unsigned long long)number);
	else if (code == CLI_DONE)
		printf("alert %llu is cleared\n", (unsigned long long)number);
	return code;
}

enum cli_exit cli_event_list(const struct cli_args *a)
{
	CLI_JSON_SCOPED *doc = NULL;
	char path[CLI_PATH_MAX] = "/api/v1/events";
	const char *device = a->option[CLI_O_DEVICE];
	uint64_t limit = 0;
	enum cli_exit code = cli_number(a, CLI_O_LIMIT, 1, LIMIT_MAX, &limit);

	if (code == CLI_DONE && device)
		code = cli_check_id(device);
	if (code != CLI_DONE)
		return code;
	cli_query(path, "device", device);
	cli_query(path, "limit", a->option[CLI_O_LIMIT]);
	code = cli_call_once(a, "GET", path, NULL, &doc);
	if (code == CLI_DONE)
		cli_print_list(a, doc, "events", event_columns, sizeof event_columns / sizeof event_columns[0],
		               "Nothing has happened yet.");
	return code;
}
