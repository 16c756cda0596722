/* cli - holdfast token new, list, revoke. Uses: cli; jansson. */
#include "cli/cli.h"

#include <stdio.h>

enum { DAYS_DEFAULT = 365, DAYS_MAX = 3650 };

static const struct cli_column columns[] = {
	{"NUMBER", "id", CLI_TEXT},   {"NAME", "name", CLI_TEXT},       {"ROLE", "role", CLI_TEXT},
	{"SCOPE", "scope", CLI_TEXT}, {"ENDS", "expires_ms", CLI_TIME}, {"ENDED", "revoked_ms", CLI_TIME},
};

enum cli_exit cli_token_list(const struct cli_args *a)
{
	CLI_JSON_SCOPED *doc = NULL;
	enum cli_exit code = cli_call_once(a, "GET", "/api/v1/tokens", NULL, &doc);

	if (code == CLI_DONE)
		cli_print_list(a, doc, "tokens", columns, sizeof columns / sizeof columns[0],
		               "No tokens. Make one: holdfast token new NAME --role viewer");
	return code;
}

enum cli_exit cli_token_new(const struct cli_args *a)
{
	CLI_JSON_SCOPED *doc = NULL;
	const char *role = a->option[CLI_O_ROLE], *scope = a->option[CLI_O_SCOPE];
	uint64_t days = DAYS_DEFAULT;
	enum cli_exit code = cli_number(a, CLI_O_DAYS, 1, DAYS_MAX, &days);

	if (code != CLI_DONE)
		return code;
	if (!role)
		return cli_fail(CLI_USAGE, "give --role: viewer, moderator, operator, maintainer or admin");
	json_t *body = json_pack("{s:s, s:s, s:s, s:I}", "name", a->word[0], "role", role, "scope", scope ? scope : "all",
	                         "days", (json_int_t)days);

	if (!body)
		return cli_fail(CLI_USAGE, "the name is not UTF-8");
	code = cli_call_once(a, "POST", "/api/v1/tokens", body, &doc);
	if (code != CLI_DONE)
		return code;
	const char *token = json_string_value(json_object_get(doc, "token"));

	if (a->option[CLI_O_JSON])
		cli_print_json(doc);
	else if (token) /* alone on stdout, so that it can go into a file */
		printf("%s\n", token);
	(void)fprintf(stderr, "holdfast: keep it safe; it is not shown again\n");
	return CLI_DONE;
}

enum cli_exit cli_end_numbered(const struct cli_args *a, const char *what, const char *route, const char *list)
{
	char path[CLI_PATH_MAX], question[128];
	uint64_t number;

	if (hf_dec_parse(hf_span_text(a->word[0]), &number) != HF_E_OK)
		return cli_fail(CLI_USAGE, "'%s' is no number; see holdfast %s", a->word[0], list);
	(void)snprintf(path, sizeof path, "%s%llu", route, (unsigned long long)number);
	(void)snprintf(question, sizeof question, "End %s %llu at once?", what, (unsigned long long)number);
	enum cli_exit code = cli_confirm(a, question);

	if (code == CLI_DONE)
		code = cli_call_once(a, "DELETE", path, NULL, NULL);
	if (code == CLI_DONE && a->option[CLI_O_JSON])
		printf("{\"id\":%llu,\"revoked\":true}\n", (unsigned long long)number);
	else if (code == CLI_DONE)
		printf("%s %llu is no longer valid\n", what, (unsigned long long)number);
	return code;
}

enum cli_exit cli_token_revoke(const struct cli_args *a)
{
	return cli_end_numbered(a, "token", "/api/v1/tokens/", "token list");
}
