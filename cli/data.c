/* cli - holdfast data get, follow. Uses: cli, os; jansson. */
#include "cli/cli.h"
#include "os/os.h"

#include <stdio.h>

enum { LIMIT_MAX = 1000, FOLLOW_FIRST = 10, FOLLOW_WAIT_MS = 25000, PAUSE_MIN_MS = 250, PAUSE_MAX_MS = 5000 };

static const struct cli_column columns[] = {
	{"TIME", "at_ms", CLI_TIME},
	{"NAME", "data", CLI_TEXT},
	{"VALUE", "value", CLI_TEXT},
	{"UNIT", "unit", CLI_TEXT},
};
enum { COLUMN_COUNT = sizeof columns / sizeof columns[0] };

/* The path of a device's readings with what the options say. */
static enum cli_exit make_path(const struct cli_args *a, uint64_t limit, char path[CLI_PATH_MAX])
{
	int64_t now = os_now_ms();
	char number[24];
	enum cli_exit code = cli_check_id(a->word[0]);

	if (code == CLI_DONE)
		code = cli_number(a, CLI_O_LIMIT, 1, LIMIT_MAX, &limit);
	if (code != CLI_DONE)
		return code;
	(void)cli_path(path, "/api/v1/devices/%s/data", a->word[0]);
	cli_query(path, "series", a->option[CLI_O_SERIES]);
	code = cli_time_query(a, CLI_O_SINCE, now, path);
	if (code == CLI_DONE)
		code = cli_time_query(a, CLI_O_UNTIL, now, path);
	(void)snprintf(number, sizeof number, "%llu", (unsigned long long)limit);
	cli_query(path, "limit", limit ? number : NULL);
	return code;
}

static const char *when_empty(const struct cli_args *a)
{
	if (a->option[CLI_O_SERIES])
		return "No readings of that name there. Without --series you see which names there are.";
	if (a->option[CLI_O_SINCE] || a->option[CLI_O_UNTIL])
		return "No readings in that time. Without --since and --until you see the newest.";
	return "No readings. They come once the device has joined: see holdfast device list.";
}

enum cli_exit cli_data_get(const struct cli_args *a)
{
	CLI_JSON_SCOPED *doc = NULL;
	char path[CLI_PATH_MAX];
	enum cli_exit code = make_path(a, 0, path);

	if (code == CLI_DONE)
		code = cli_call_once(a, "GET", path, NULL, &doc);
	if (code == CLI_DONE)
		cli_print_list(a, doc, "readings", columns, COLUMN_COUNT, when_empty(a));
	return code;
}

/* One line for each reading, at once. */
static void print_readings(const struct cli_args *a, const json_t *doc)
{
	const json_t *rows = json_object_get(doc, "readings");
	char cell[COLUMN_COUNT][CLI_CELL_MAX];

	for (size_t i = 0; i < json_array_size(rows); i++) {
		const json_t *row = json_array_get(rows, i);

		if (a->option[CLI_O_JSON]) {
			cli_print_json(row);
			continue;
		}
		for (size_t c = 0; c < COLUMN_COUNT; c++)
			cli_cell(row, &columns[c], cell[c]);
		const char *unit = json_string_value(json_object_get(row, "unit"));

		printf("%s  %s  %s%s%s\n", cell[0], cell[1], cell[2], unit && *unit ? " " : "", unit && *unit ? cell[3] : "");
	}
	(void)fflush(stdout);
}

/* The path that waits for what comes after the cursor. */
static void make_next(const struct cli_args *a, json_int_t cursor, char path[CLI_PATH_MAX])
{
	char number[24];

	(void)cli_path(path, "/api/v1/devices/%s/data", a->word[0]);
	cli_query(path, "series", a->option[CLI_O_SERIES]);
	(void)snprintf(number, sizeof number, "%lld", (long long)cursor);
	cli_query(path, "after", number);
	(void)snprintf(number, sizeof number, "%d", FOLLOW_WAIT_MS);
	cli_query(path, "wait_ms", number);
}

/* Of a server that is away for a while: says so once, and waits longer each time. */
struct patience {
	long pause_ms; /* 0: it is there */
};
static void be_patient(struct patience *p)
{
	if (p->pause_ms == 0)
		(void)cli_fail(CLI_DONE, "the server does not answer; waiting for it");
	p->pause_ms = p->pause_ms == 0 ? PAUSE_MIN_MS : p->pause_ms < PAUSE_MAX_MS / 2 ? 2 * p->pause_ms : PAUSE_MAX_MS;
	cli_pause(p->pause_ms);
}

static void be_glad(struct patience *p)
{
	if (p->pause_ms > 0)
		(void)cli_fail(CLI_DONE, "the server is back");
	p->pause_ms = 0;
}

/* The cursor is that of the last line printed, so that a call which broke off is simply made again. */
static enum cli_exit follow(const struct cli_args *a, struct cli_api *api, char path[CLI_PATH_MAX])
{
	struct patience p = {0};
	json_int_t cursor = 0;

	while (!cli_stopped() && !ferror(stdout)) {
		CLI_JSON_SCOPED *doc = NULL;
		enum cli_exit code = cli_call(api, "GET", path, NULL, FOLLOW_WAIT_MS, &doc);

		if (code == CLI_UNREACHABLE && api->patient && !cli_stopped()) {
			be_patient(&p);
			continue;
		}
		if (code != CLI_DONE)
			return cli_stopped() ? CLI_DONE : code;
		be_glad(&p);
		api->patient = true; /* it was there once: the address is right */
		print_readings(a, doc);
		if (json_is_integer(json_object_get(doc, "cursor")))
			cursor = json_integer_value(json_object_get(doc, "cursor"));
		make_next(a, cursor, path);
	}
	return CLI_DONE;
}

enum cli_exit cli_data_follow(const struct cli_args *a)
{
	CLI_API_SCOPED api = {0};
	char path[CLI_PATH_MAX];
	enum cli_exit code = make_path(a, FOLLOW_FIRST, path);

	if (code == CLI_DONE)
		code = cli_api_open(a, &api);
	if (code != CLI_DONE)
		return code;
	cli_stop_on_signals();
	return follow(a, &api, path);
}
