/* cli - what the commands share: exit codes, arguments, sentences, tables, the server. Uses: base; jansson. */
#ifndef CLI_H
#define CLI_H
#include "base/base.h"

#include <jansson.h>
#include <stdint.h>

/* Source: architecture section 5. */
enum cli_exit {
	CLI_DONE = 0,
	CLI_REFUSED = 1,
	CLI_USAGE = 2,
	CLI_MISSING = 3,
	CLI_UNCONFIRMED = 4,
	CLI_UNREACHABLE = 5
};

/* --- arguments ---------------------------------------------------------------------------------------------------- */

enum { CLI_WORDS_MAX = 48, CLI_NAMES_MAX = 24, CLI_PATH_MAX = 4096 };

enum cli_option {
#define OPTION(NAME, name, value, doc) CLI_O_##NAME,
#include "cli/options.def"
	CLI_O_COUNT_
};
struct cli_option_row {
	const char *name, *value, *doc; /* value NULL: a flag */
};
/* The row of an option. */
const struct cli_option_row *cli_option_row(enum cli_option o);

struct cli_args {
	const struct cli_command *command;
	const char *word[CLI_WORDS_MAX]; /* those after the command's path */
	size_t word_count;
	const char *option[CLI_O_COUNT_]; /* NULL: not given; "" for a flag */
	const char *name[CLI_NAMES_MAX]; /* all of --name */
	size_t name_count;
};
struct cli_command {
	const char *path, *usage, *help;
	size_t words_min, words_max;
	uint64_t options; /* bit 1 << enum cli_option */
	enum cli_exit (*run)(const struct cli_args *a);
};
#define COMMAND(handler, path, usage, min, max, options, help) enum cli_exit cli_##handler(const struct cli_args *a);
#include "cli/subcommands.def"

/* Commands in table order: i from 0 until NULL. */
const struct cli_command *cli_command_at(size_t i);
/* How many words of the path the given words match: all of it, or 0. */
size_t cli_command_matches(const struct cli_command *c, const char *const *word, size_t count);
/* Runs what the arguments ask for. */
enum cli_exit cli_run(int argc, const char *const *argv);
/* An option that is a number from min to max, or otherwise if it is not given. Prints a sentence and returns
 * CLI_USAGE. */
enum cli_exit cli_number(const struct cli_args *a, enum cli_option o, uint64_t min, uint64_t max, uint64_t *out);
/* Is this a device id? Prints a sentence and returns CLI_USAGE. */
enum cli_exit cli_check_id(const char *text);

/* --- sentences, tables, JSON -------------------------------------------------------------------------------------- */

/* Prints "holdfast: ..." on stderr, control characters as '?', and returns code. */
enum cli_exit cli_fail(enum cli_exit code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* One JSON document on one line of stdout. */
void cli_print_json(const json_t *doc);

enum cli_form { CLI_TEXT, CLI_TIME, CLI_AGO, CLI_YES, CLI_COUNT };
/* A column: which member of a row, as "a" or "a.b", and how it is shown. */
struct cli_column {
	const char *head, *member;
	enum cli_form form;
};
enum { CLI_CELL_MAX = 512 };
/* The member as text: "-" when absent or null, control characters as '?'. */
void cli_cell(const json_t *row, const struct cli_column *c, char out[CLI_CELL_MAX]);
/* An aligned table of an array of objects; when there are none, the sentence empty. */
void cli_print_table(const json_t *rows, const struct cli_column *c, size_t count, const char *empty);
/* One object, a line a member: head, then value. */
void cli_print_object(const json_t *row, const struct cli_column *c, size_t count);
/* A list reply: the array member of doc as a table, or all of doc as JSON with --json. */
void cli_print_list(const struct cli_args *a, const json_t *doc, const char *member, const struct cli_column *c,
                    size_t count, const char *empty);
/* Asks for the word yes on the terminal. CLI_DONE: go on (also with --yes); CLI_REFUSED: no; CLI_USAGE: no terminal
 * and no --yes. */
enum cli_exit cli_confirm(const struct cli_args *a, const char *question);
/* Ends what has the number of the first word, after asking: DELETE route + number. list: the command that tells numbers. */
enum cli_exit cli_end_numbered(const struct cli_args *a, const char *what, const char *route, const char *list);
/* "10m" or "-10m" ago, a date or time of RFC 3339 (UTC unless it names a zone), or a number of ms since 1970. Errors: TEXT. */
HF_NODISCARD enum hf_err cli_time_parse(const char *text, int64_t now_ms, int64_t *out_ms);
/* Appends ?NAME_ms= for a time option that is given. Prints a sentence and returns CLI_USAGE. */
enum cli_exit cli_time_query(const struct cli_args *a, enum cli_option o, int64_t now_ms, char path[CLI_PATH_MAX]);
/* From now on SIGINT, SIGTERM, SIGHUP and a reader that is gone only make cli_stopped true; calls under way then end. */
void cli_stop_on_signals(void);
bool cli_stopped(void);
/* Sleeps, or less when a signal comes. */
void cli_pause(long ms);
/* dir/name into out. Errors: TOO_BIG. */
HF_NODISCARD enum hf_err cli_file(char out[CLI_PATH_MAX], const char *dir, const char *name);

/* --- holdfastd's own files ---------------------------------------------------------------------------------------- */

struct conf;
/* The configuration of --config, or of the place where ./start or the package has it. Prints what is wrong with it. */
enum cli_exit cli_load_conf(const struct cli_args *a, struct conf *out);

/* --- the server --------------------------------------------------------------------------------------------------- */

/* Where the server is and how to speak to it; empty ca: the system's; empty token_file: none. Source: architecture
 * section 5. */
struct cli_target {
	char url[512], ca[CLI_PATH_MAX], token_file[CLI_PATH_MAX];
};
/* Prints a sentence and returns CLI_MISSING when no server is known. */
enum cli_exit cli_find_server(const struct cli_args *a, struct cli_target *out);

/* One conversation with the server. */
struct cli_api {
	struct cli_target target;
	void *curl;
	char *authorization; /* "Authorization: Bearer ...", or NULL */
	long status; /* HTTP status of the last answer */
	bool patient; /* a server that is away, or cannot just now, is CLI_UNREACHABLE without a sentence */
};
enum cli_exit cli_api_open(const struct cli_args *a, struct cli_api *out);
void cli_api_close(struct cli_api *api);
#define CLI_API_SCOPED __attribute__((cleanup(cli_api_close))) struct cli_api
void cli_json_drop(json_t **doc);
#define CLI_JSON_SCOPED __attribute__((cleanup(cli_json_drop))) json_t

/* A call; body (may be NULL) is given up. path begins with / and is complete. wait_ms: what the server is asked to
 * wait at most. *out gets the answer for every 2xx; for all others a sentence is printed and the exit code returned.
 * */
enum cli_exit cli_call(struct cli_api *api, const char *method, const char *path, json_t *body, long wait_ms,
                       json_t **out);
/* Open, one call, close. */
enum cli_exit cli_call_once(const struct cli_args *a, const char *method, const char *path, json_t *body, json_t **out);
/* GET whose answer may be of any length: take gets it as it comes, and returns false to break off. Nothing is taken of an answer that
 * is no 200; for that, and when it breaks off, a sentence is printed (none if take broke it off). */
enum cli_exit cli_stream(struct cli_api *api, const char *path, bool (*take)(void *ctx, const char *text, size_t len),
                         void *ctx);
/* A path from fmt, where every %s is percent-encoded; NULL when it is too long. */
char *cli_path(char out[CLI_PATH_MAX], const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Appends ?name=value or &name=value, encoded; does nothing for value NULL. */
void cli_query(char path[CLI_PATH_MAX], const char *name, const char *value);

#endif
