/* cli - holdfast type list, show, put. Uses: cli; jansson. */
#include "cli/cli.h"

#include <stdio.h>

static const struct cli_column columns[] = {
	{"NAME", "name", CLI_TEXT},
	{"VENDOR", "vendor", CLI_TEXT},
	{"SIMPLE JOIN", "join.simple", CLI_TEXT},
	{"MODERATED JOIN", "join.moderated", CLI_TEXT},
	{"ACTIONS", "actions", CLI_COUNT},
	{"DATA", "data", CLI_COUNT},
};

enum cli_exit cli_type_list(const struct cli_args *a)
{
	CLI_JSON_SCOPED *doc = NULL;
	enum cli_exit code = cli_call_once(a, "GET", "/api/v1/types", NULL, &doc);

	if (code == CLI_DONE)
		cli_print_list(a, doc, "types", columns, sizeof columns / sizeof columns[0],
		               "No device types. Describe one in a JSON file and run: holdfast type put FILE");
	return code;
}

static void print_type(const json_t *type)
{
	static const struct cli_column head[] = {
		{"Name", "name", CLI_TEXT},
		{"Vendor", "vendor", CLI_TEXT},
		{"Simple join", "join.simple", CLI_TEXT},
		{"Moderated join", "join.moderated", CLI_TEXT},
		{"Enrolment", "enrolment", CLI_TEXT},
		{"Certificate days", "certificate_days", CLI_TEXT},
		{"Heartbeat s", "heartbeat_s", CLI_TEXT},
	};
	static const struct cli_column actions[] = {{"ACTION", "id", CLI_TEXT},
	                                            {"NAME", "name", CLI_TEXT},
	                                            {"LABEL", "label", CLI_TEXT},
	                                            {"DANGEROUS", "dangerous", CLI_YES}};
	static const struct cli_column data[] = {{"DATA", "id", CLI_TEXT},    {"KIND", "kind", CLI_TEXT},
	                                         {"UNIT", "unit", CLI_TEXT},  {"FROM", "from", CLI_TEXT},
	                                         {"MIN", "min", CLI_TEXT},    {"MAX", "max", CLI_TEXT},
	                                         {"LABEL", "label", CLI_TEXT}};

	cli_print_object(type, head, sizeof head / sizeof head[0]);
	(void)putchar('\n');
	cli_print_table(json_object_get(type, "actions"), actions, sizeof actions / sizeof actions[0], "No actions.");
	(void)putchar('\n');
	cli_print_table(json_object_get(type, "data"), data, sizeof data / sizeof data[0], "No data.");
}

enum cli_exit cli_type_show(const struct cli_args *a)
{
	CLI_JSON_SCOPED *doc = NULL;
	char path[CLI_PATH_MAX];
	enum cli_exit code = cli_call_once(a, "GET", cli_path(path, "/api/v1/types/%s", a->word[0]), NULL, &doc);

	if (code == CLI_DONE && a->option[CLI_O_JSON])
		cli_print_json(doc);
	else if (code == CLI_DONE)
		print_type(doc);
	return code;
}

enum cli_exit cli_type_put(const struct cli_args *a)
{
	CLI_JSON_SCOPED *doc = NULL;
	json_error_t error;
	char path[CLI_PATH_MAX];
	json_t *type = json_load_file(a->word[0], JSON_REJECT_DUPLICATES, &error);

	if (!type && error.line <= 0)
		return cli_fail(CLI_MISSING, "the file %s cannot be read", a->word[0]);
	if (!type)
		return cli_fail(CLI_REFUSED, "%s line %d: %s", a->word[0], error.line, error.text);
	const char *name = json_string_value(json_object_get(type, "name"));

	if (!name || !*name) {
		json_decref(type);
		return cli_fail(CLI_REFUSED, "%s has no \"name\"", a->word[0]);
	}
	enum cli_exit code = cli_call_once(a, "PUT", cli_path(path, "/api/v1/types/%s", name), type, &doc);

	if (code == CLI_DONE && a->option[CLI_O_JSON])
		cli_print_json(doc);
	else if (code == CLI_DONE)
		printf("stored\n");
	return code;
}
