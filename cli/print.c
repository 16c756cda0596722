/* cli - sentences, tables, questions. Uses: base, os; jansson. */
#include "cli/cli.h"
#include "os/os.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { FRACTION_DIGITS = 10 };

/* Replaces control characters, C1 ones (0xc2 0x80..0x9f in UTF-8) among them: a device's name must not steer the
 * terminal. */
static void tame(char *text)
{
	for (unsigned char *p = (unsigned char *)text; *p; p++) {
		if (*p < 0x20 || *p == 0x7f)
			*p = '?';
		else if (*p == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f)
			p[0] = p[1] = '?';
	}
}

enum cli_exit cli_fail(enum cli_exit code, const char *fmt, ...)
{
	char text[2048];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	tame(text);
	(void)fflush(stdout);
	(void)fprintf(stderr, "holdfast: %s\n", text);
	return code;
}

void cli_print_json(const json_t *doc)
{
	(void)json_dumpf(doc, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
	(void)putchar('\n');
}

/* Columns that text fills: UTF-8 continuation bytes take none. */
static size_t width(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static const json_t *member_of(const json_t *row, const char *path)
{
	while (row && *path) {
		size_t len = strcspn(path, ".");
		char name[64];

		(void)snprintf(name, sizeof name, "%.*s", (int)len, path);
		row = json_object_get(row, name);
		path += len + (path[len] == '.');
	}
	return row;
}

static void put_time(int64_t ms, char out[CLI_CELL_MAX])
{
	time_t s = (time_t)(ms / 1000);
	struct tm tm;

	if (!localtime_r(&s, &tm) || strftime(out, CLI_CELL_MAX, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		(void)snprintf(out, CLI_CELL_MAX, "-");
}

struct unit {
	int64_t seconds;
	const char *name;
};

static void put_ago(int64_t ms, char out[CLI_CELL_MAX])
{
	static const struct unit units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
	int64_t s = os_now_ms() / 1000 - ms / 1000, size = s < 0 ? -s : s; /* ms may be anything */
	size_t i = 0;

	while (i + 1 < sizeof units / sizeof units[0] && size < 2 * units[i].seconds)
		i++;
	(void)snprintf(out, CLI_CELL_MAX, "%s%lld %s%s", s < 0 ? "in " : "", (long long)(size / units[i].seconds),
	               units[i].name, s < 0 ? "" : " ago");
}

static void put_plain(const json_t *v, char out[CLI_CELL_MAX])
{
	if (json_is_string(v))
		(void)snprintf(out, CLI_CELL_MAX, "%s", json_string_value(v));
	else if (json_is_integer(v))
		(void)snprintf(out, CLI_CELL_MAX, "%lld", (long long)json_integer_value(v));
	else if (json_is_real(v))
		(void)snprintf(out, CLI_CELL_MAX, "%.*g", FRACTION_DIGITS, json_real_value(v));
	else if (json_is_boolean(v))
		(void)snprintf(out, CLI_CELL_MAX, "%s", json_is_true(v) ? "yes" : "no");
}

void cli_cell(const json_t *row, const struct cli_column *c, char out[CLI_CELL_MAX])
{
	const json_t *v = member_of(row, c->member);

	(void)snprintf(out, CLI_CELL_MAX, "-");
	if (c->form == CLI_COUNT)
		(void)snprintf(out, CLI_CELL_MAX, "%zu", json_array_size(v));
	else if (c->form == CLI_TIME && json_is_integer(v))
		put_time(json_integer_value(v), out);
	else if (c->form == CLI_AGO && json_is_integer(v))
		put_ago(json_integer_value(v), out);
	else if (c->form == CLI_TEXT || c->form == CLI_YES)
		put_plain(v, out);
	tame(out);
}

static void print_cell(const char *text, size_t wide, bool last)
{
	(void)fputs(text, stdout);
	for (size_t n = width(text); n < wide && !last; n++)
		(void)putchar(' ');
	(void)fputs(last ? "\n" : "  ", stdout);
}

void cli_print_table(const json_t *rows, const struct cli_column *c, size_t count, const char *empty)
{
	char cell[CLI_CELL_MAX];

	if (json_array_size(rows) == 0) {
		(void)puts(empty);
		return;
	}
	size_t wide[16] = {0}, rows_count = json_array_size(rows);

	for (size_t i = 0; i < count; i++) {
		wide[i] = width(c[i].head);
		for (size_t r = 0; r < rows_count; r++) {
			cli_cell(json_array_get(rows, r), &c[i], cell);
			wide[i] = width(cell) > wide[i] ? width(cell) : wide[i];
		}
	}
	for (size_t i = 0; i < count; i++)
		print_cell(c[i].head, wide[i], i + 1 == count);
	for (size_t r = 0; r < rows_count; r++)
		for (size_t i = 0; i < count; i++) {
			cli_cell(json_array_get(rows, r), &c[i], cell);
			print_cell(cell, wide[i], i + 1 == count);
		}
}

void cli_print_object(const json_t *row, const struct cli_column *c, size_t count)
{
	char cell[CLI_CELL_MAX];
	size_t wide = 0;

	for (size_t i = 0; i < count; i++)
		wide = width(c[i].head) > wide ? width(c[i].head) : wide;
	for (size_t i = 0; i < count; i++) {
		cli_cell(row, &c[i], cell);
		print_cell(c[i].head, wide, false);
		print_cell(cell, 0, true);
	}
}

void cli_print_list(const struct cli_args *a, const json_t *doc, const char *member, const struct cli_column *c,
                    size_t count, const char *empty)
{
	if (a->option[CLI_O_JSON])
		cli_print_json(doc);
	else
		cli_print_table(json_object_get(doc, member), c, count, empty);
}

enum cli_exit cli_confirm(const struct cli_args *a, const char *question)
{
	char answer[16] = "";

	if (a->option[CLI_O_YES])
		return CLI_DONE;
	if (!isatty(STDIN_FILENO))
		return cli_fail(CLI_USAGE, "this cannot be undone: add --yes where nobody can be asked");
	(void)fprintf(stderr, "%s Type yes: ", question);
	if (!fgets(answer, sizeof answer, stdin) || strcmp(answer, "yes\n") != 0)
		return cli_fail(CLI_REFUSED, "nothing was changed");
	return CLI_DONE;
}
