/* cli - holdfast status. Uses: cli; jansson. */
#include "cli/cli.h"

#include <stdio.h>

static const char *const parts[] = {"server", "signer", "broker", "database"};
enum { PART_COUNT = sizeof parts / sizeof parts[0] };

static bool is_up(const json_t *doc, const char *part)
{
	return json_is_true(json_object_get(json_object_get(doc, part), "up"));
}

static long long count_of(const json_t *doc, const char *name)
{
	return (long long)json_integer_value(json_object_get(doc, name));
}

/* What there is to say about a part besides up and down. */
static void print_detail(const json_t *doc, const char *part)
{
	static const struct cli_column name = {"", "name", CLI_TEXT}, id = {"", "id", CLI_TEXT},
								   size = {"", "size_bytes", CLI_TEXT}, restored = {"", "restored_ms", CLI_TIME},
								   oldest = {"", "oldest_reading_ms", CLI_TIME};
	const json_t *row = json_object_get(doc, part);
	char text[CLI_CELL_MAX], id_text[CLI_CELL_MAX];

	cli_cell(row, &name, text);
	cli_cell(row, &id, id_text);
	if (json_object_get(row, "id"))
		printf("  %s (%s)", text, id_text);
	cli_cell(row, &size, text);
	if (json_object_get(row, "size_bytes"))
		printf("  %s bytes", text);
	cli_cell(row, &oldest, text);
	if (json_is_integer(json_object_get(row, "oldest_reading_ms")))
		printf(", oldest reading %s", text);
	cli_cell(row, &restored, text);
	if (json_is_integer(json_object_get(row, "restored_ms")))
		printf("  RESTORED from an older copy, noticed %s: see holdfast alert list", text);
}

/* What somebody should do something about. */
static void print_troubles(const json_t *database)
{
	const json_t *left = json_object_get(database, "disk_free_bytes");

	if (json_is_true(json_object_get(database, "disk_low")))
		printf("disk      nearly full: %lld MiB left; make room, or set readings_days\n",
		       (long long)(json_integer_value(left) >> 20));
	if (json_is_true(json_object_get(database, "clock_doubted")))
		(void)puts(
			"clock     in doubt: it has moved by more than a day; nothing is removed by age until it is right, or has "
			"stayed so for a week");
}

static void print_people(const json_t *doc)
{
	const json_t *devices = json_object_get(doc, "devices");

	for (size_t i = 0; i < PART_COUNT; i++) {
		printf("%-9s %s", parts[i], is_up(doc, parts[i]) ? "up" : "DOWN");
		print_detail(doc, parts[i]);
		(void)putchar('\n');
	}
	printf("devices   %lld registered, %lld joined, %lld revoked; %lld online\n", count_of(devices, "registered"),
	       count_of(devices, "joined"), count_of(devices, "revoked"), count_of(devices, "online"));
	print_troubles(json_object_get(doc, "database"));
	printf("joins     %lld waiting%s\n", count_of(doc, "joins_pending"),
	       count_of(doc, "joins_pending") ? ": see holdfast join list" : "");
	printf("alerts    %lld open%s\n", count_of(doc, "alerts"),
	       count_of(doc, "alerts") ? ": see holdfast alert list" : "");
}

enum cli_exit cli_status(const struct cli_args *a)
{
	CLI_JSON_SCOPED *doc = NULL;
	enum cli_exit code = cli_call_once(a, "GET", "/api/v1/status", NULL, &doc);

	if (code != CLI_DONE)
		return code;
	if (a->option[CLI_O_JSON])
		cli_print_json(doc);
	else
		print_people(doc);
	for (size_t i = 0; i < PART_COUNT; i++)
		if (!is_up(doc, parts[i]))
			return CLI_REFUSED;
	return CLI_DONE;
}
