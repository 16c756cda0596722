/* cli - holdfast join list, approve, refuse. Uses: cli; jansson. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

enum { CODE_LEN = 32 };

static const struct cli_column columns[] = {
	{"DEVICE", "device", CLI_TEXT}, {"TYPE", "type", CLI_TEXT},         {"KIND", "kind", CLI_TEXT},
	{"STATE", "state", CLI_TEXT},   {"ASKED", "requested_ms", CLI_AGO}, {"ENDS", "expires_ms", CLI_AGO},
};

enum cli_exit cli_join_list(const struct cli_args *a)
{
	CLI_JSON_SCOPED *doc = NULL;
	enum cli_exit code = cli_call_once(a, "GET", "/api/v1/joins", NULL, &doc);

	if (code == CLI_DONE)
		cli_print_list(
			a, doc, "joins", columns, sizeof columns / sizeof columns[0],
			"Nobody is waiting. A device that asks to join stays in this list until you approve or refuse it.");
	return code;
}

/* The hex digits of all words, lower case; blanks and dashes are skipped. */
static enum cli_exit read_code(const struct cli_args *a, char out[CODE_LEN + 1])
{
	static const char upper[] = "ABCDEF", lower[] = "abcdef", digits[] = "0123456789abcdef";
	size_t n = 0;

	for (size_t i = 1; i < a->word_count; i++)
		for (const char *p = a->word[i]; *p; p++) {
			const char *big = strchr(upper, *p);
			char c = big ? lower[big - upper] : *p;

			if (strchr(" \t-", c))
				continue;
			if (!strchr(digits, c))
				return cli_fail(CLI_USAGE, "'%c' is no hexadecimal digit; the code has 32 of them, 0 to 9 and a to f",
				                c);
			if (n == CODE_LEN)
				return cli_fail(CLI_USAGE, "the code is too long: it has 32 hexadecimal digits");
			out[n++] = c;
		}
	out[n] = '\0';
	if (n == CODE_LEN)
		return CLI_DONE;
	return cli_fail(CLI_USAGE, "the code is too short: it has 32 hexadecimal digits, this has %zu", n);
}

enum cli_exit cli_join_approve(const struct cli_args *a)
{
	CLI_JSON_SCOPED *doc = NULL;
	char path[CLI_PATH_MAX], digits[CODE_LEN + 1] = "";
	bool compared = a->option[CLI_O_COMPARED] != NULL;
	enum cli_exit code = cli_check_id(a->word[0]);

	if (code != CLI_DONE)
		return code;
	if (compared == (a->word_count > 1))
		return cli_fail(CLI_USAGE, "give either the code that the device shows or --i-compared");
	if (!compared)
		code = read_code(a, digits);
	if (code != CLI_DONE)
		return code;
	json_t *body = compared ? json_pack("{s:b}", "compared", 1) : json_pack("{s:s}", "code", digits);

	code = cli_call_once(a, "POST", cli_path(path, "/api/v1/devices/%s/join/approve", a->word[0]), body, &doc);
	if (code != CLI_DONE)
		return code;
	if (a->option[CLI_O_JSON])
		cli_print_json(doc);
	else
		printf("%s has joined\n", a->word[0]);
	return CLI_DONE;
}

enum cli_exit cli_join_refuse(const struct cli_args *a)
{
	CLI_JSON_SCOPED *doc = NULL;
	char path[CLI_PATH_MAX];
	enum cli_exit code = cli_check_id(a->word[0]);

	if (code == CLI_DONE)
		code =
			cli_call_once(a, "POST", cli_path(path, "/api/v1/devices/%s/join/refuse", a->word[0]), json_object(), &doc);
	if (code != CLI_DONE)
		return code;
	if (a->option[CLI_O_JSON])
		cli_print_json(doc);
	else
		printf("%s was turned away\n", a->word[0]);
	return CLI_DONE;
}
