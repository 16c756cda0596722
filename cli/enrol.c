/* cli - holdfast enrol: enrolment tokens and the allow-list. Uses: cli, os; jansson. */
#include "cli/cli.h"
#include "os/os.h"

#include <stdio.h>
#include <string.h>

enum {
	DAYS_DEFAULT = 7,
	DAYS_MAX = 3650,
	USES_MAX = 1000000,
	FILE_MAX = 16 << 20,
	LINES_SHOWN = 20,
	PAGE = 1000,
	FINGERPRINT_LEN = 32
};

/* --- tokens ------------------------------------------------------------------------------------------------------------ */

static const struct cli_column token_columns[] = {
	{"NUMBER", "id", CLI_TEXT},   {"NAME", "name", CLI_TEXT},        {"TYPE", "type", CLI_TEXT},
	{"USED", "uses", CLI_TEXT},   {"OF", "uses_max", CLI_TEXT},      {"ENDS", "expires_ms", CLI_TIME},
	{"MADE BY", "who", CLI_TEXT}, {"ENDED", "revoked_ms", CLI_TIME},
};

enum cli_exit cli_enrol_token_list(const struct cli_args *a)
{
	CLI_JSON_SCOPED *doc = NULL;
	enum cli_exit code = cli_call_once(a, "GET", "/api/v1/enrolment/tokens", NULL, &doc);

	if (code == CLI_DONE)
		cli_print_list(a, doc, "tokens", token_columns, sizeof token_columns / sizeof token_columns[0],
		               "No enrolment tokens. Make one: holdfast enrol token new");
	return code;
}

enum cli_exit cli_enrol_token_new(const struct cli_args *a)
{
	CLI_JSON_SCOPED *doc = NULL;
	const char *type = a->option[CLI_O_TYPE];
	uint64_t days = DAYS_DEFAULT, uses = 1;
	enum cli_exit code = cli_number(a, CLI_O_DAYS, 1, DAYS_MAX, &days);

	if (code == CLI_DONE)
		code = cli_number(a, CLI_O_USES, 1, USES_MAX, &uses);
	if (code == CLI_DONE && a->name_count > 1)
		code = cli_fail(CLI_USAGE, "a token has one --name");
	if (code != CLI_DONE)
		return code;
	json_t *body = json_pack("{s:s, s:s, s:I, s:I}", "name", a->name_count ? a->name[0] : "enrolment", "type",
	                         type ? type : "", "uses", (json_int_t)uses, "days", (json_int_t)days);

	if (!body)
		return cli_fail(CLI_USAGE, "name and type must be UTF-8");
	code = cli_call_once(a, "POST", "/api/v1/enrolment/tokens", body, &doc);
	if (code != CLI_DONE)
		return code;
	const char *token = json_string_value(json_object_get(doc, "token"));

	if (a->option[CLI_O_JSON])
		cli_print_json(doc);
	else if (token) /* alone on stdout, so that it can go into a file */
		printf("%s\n", token);
	(void)fprintf(stderr, "holdfast: it is not shown again; devices carry it behind the server's address: "
	                      "https://HOST:PORT/e/TOKEN\n");
	return CLI_DONE;
}

enum cli_exit cli_enrol_token_revoke(const struct cli_args *a)
{
	return cli_end_numbered(a, "enrolment token", "/api/v1/enrolment/tokens/", "enrol token list");
}

/* --- the allow-list ---------------------------------------------------------------------------------------------------- */

static const struct cli_column allowed_columns[] = {
	{"ID OR KEY", "who", CLI_TEXT},
	{"TYPE", "type", CLI_TEXT},
	{"ADDED", "added_ms", CLI_TIME},
	{"BY", "by", CLI_TEXT},
};

/* An id, or the SHA-256 of a public key. */
static bool good_who(struct hf_span text)
{
	uint8_t digest[FINGERPRINT_LEN];
	struct hf_wr w = hf_wr_of(digest, sizeof digest);
	uint64_t id;

	return hf_id_parse(text, &id) == HF_E_OK || (hf_hex_decode(text, &w) == HF_E_OK && w.len == sizeof digest);
}

/* "WHO" or "WHO TYPE", blanks around them skipped; with a comment or nothing, entry gets no text. */
static bool read_line(const char *line, size_t len, char *entry, size_t cap)
{
	char who[128] = "", type[128] = "", more[2] = "", text[512];
	int words;

	entry[0] = '\0';
	if (len >= sizeof text)
		return false;
	(void)snprintf(text, sizeof text, "%.*s", (int)len, line);
	words = sscanf(text, "%127s %127s %1s", who, type, more);
	if (words <= 0 || who[0] == '#')
		return true;
	(void)snprintf(entry, cap, "%s%s%s", who, type[0] ? " " : "", type);
	return words <= 2 && strlen(text) == len && good_who(hf_span_text(who));
}

/* All lines, or none: each bad one is named. */
static enum cli_exit read_entries(const char *name, const char *text, json_t *entries)
{
	char entry[260];
	size_t bad = 0, line = 1;

	for (; *text; line++) {
		size_t len = strcspn(text, "\n");

		if (!read_line(text, len, entry, sizeof entry) ||
		    (entry[0] && json_array_append_new(entries, json_string(entry)) != 0)) {
			if (bad++ < LINES_SHOWN)
				(void)cli_fail(CLI_REFUSED, "%s line %zu is not 'ID [TYPE]' or 'FINGERPRINT [TYPE]'", name, line);
		}
		text += len + (text[len] == '\n');
	}
	if (bad > 0)
		return cli_fail(CLI_REFUSED, "%zu lines are wrong; nothing was added", bad);
	return json_array_size(entries) > 0 ? CLI_DONE : cli_fail(CLI_REFUSED, "%s holds no entry", name);
}

static enum cli_exit read_entry_file(const char *name, json_t *entries)
{
	OS_BUF_SCOPED text = os_buf_of(FILE_MAX);
	bool standard_input = strcmp(name, "-") == 0;
	enum hf_err err = standard_input ? os_read_fd(fileno(stdin), &text) : os_read_file(name, &text);

	if (err != HF_E_OK)
		return cli_fail(CLI_MISSING, "%s cannot be read: %s", name, hf_err_text(err));
	return read_entries(standard_input ? "the input's" : name, os_buf_cstr(&text), entries);
}

static enum cli_exit read_one(const struct cli_args *a, json_t *entries)
{
	const char *type = a->option[CLI_O_TYPE];
	char entry[260];

	if (!good_who(hf_span_text(a->word[0])))
		return cli_fail(CLI_USAGE, "'%s' is neither a device id nor the 64 hexadecimal digits of a key's SHA-256",
		                a->word[0]);
	(void)snprintf(entry, sizeof entry, "%s%s%s", a->word[0], type ? " " : "", type ? type : "");
	return json_array_append_new(entries, json_string(entry)) == 0 ? CLI_DONE
	                                                               : cli_fail(CLI_USAGE, "the type is not UTF-8");
}

enum cli_exit cli_enrol_allow(const struct cli_args *a)
{
	CLI_JSON_SCOPED *doc = NULL;
	const char *file = a->option[CLI_O_FILE];

	if ((a->word_count == 1) == (file != NULL) || (file && a->option[CLI_O_TYPE]))
		return cli_fail(CLI_USAGE,
		                "give either one id or fingerprint, or --file; in a file the type stands behind each entry");
	json_t *body = json_pack("{s:[]}", "entries"), *entries = json_object_get(body, "entries");
	enum cli_exit code = file ? read_entry_file(file, entries) : read_one(a, entries);

	if (code != CLI_DONE) {
		json_decref(body);
		return code;
	}
	code = cli_call_once(a, "POST", "/api/v1/enrolment/allowed", body, &doc);
	if (code == CLI_DONE && a->option[CLI_O_JSON])
		cli_print_json(doc);
	else if (code == CLI_DONE)
		printf("%lld on the allow-list\n", (long long)json_integer_value(json_object_get(doc, "allowed")));
	return code;
}

/* The whole list, page by page. */
static enum cli_exit get_allowed(const struct cli_args *a, json_t *all)
{
	struct cli_api api;
	char path[CLI_PATH_MAX];
	size_t got = PAGE;
	enum cli_exit code = cli_api_open(a, &api);

	while (code == CLI_DONE && got == PAGE) {
		CLI_JSON_SCOPED *doc = NULL;
		size_t have = json_array_size(all);

		(void)snprintf(path, sizeof path, "/api/v1/enrolment/allowed?limit=%d", PAGE);
		if (have > 0)
			cli_query(path, "after", json_string_value(json_object_get(json_array_get(all, have - 1), "who")));
		code = cli_call(&api, "GET", path, NULL, 0, &doc);
		got = json_array_size(json_object_get(doc, "allowed"));
		if (json_array_extend(all, json_object_get(doc, "allowed")) != 0)
			got = 0;
	}
	cli_api_close(&api);
	return code;
}

enum cli_exit cli_enrol_list(const struct cli_args *a)
{
	CLI_JSON_SCOPED *doc = json_pack("{s:[]}", "allowed");
	enum cli_exit code = get_allowed(a, json_object_get(doc, "allowed"));

	if (code == CLI_DONE)
		cli_print_list(a, doc, "allowed", allowed_columns, sizeof allowed_columns / sizeof allowed_columns[0],
		               "The allow-list is empty. Add a device: holdfast enrol allow ID");
	return code;
}

enum cli_exit cli_enrol_remove(const struct cli_args *a)
{
	CLI_JSON_SCOPED *doc = NULL;
	char path[CLI_PATH_MAX];
	enum cli_exit code =
		cli_call_once(a, "DELETE", cli_path(path, "/api/v1/enrolment/allowed/%s", a->word[0]), NULL, &doc);

	if (code == CLI_DONE && a->option[CLI_O_JSON])
		cli_print_json(doc);
	else if (code == CLI_DONE)
		printf("%s is no longer on the allow-list; a device that registered already keeps its identity\n", a->word[0]);
	return code;
}
