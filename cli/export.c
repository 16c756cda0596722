/* cli - holdfast data export. Uses: cli, os; libc. */
#include "cli/cli.h"
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SHOW_EVERY_MS = 500, MEGA = 1000 * 1000 };

/* Where the readings go, and what went. */
struct sink {
	const char *file; /* NULL: standard output */
	char temporary[CLI_PATH_MAX];
	int fd, error;
	bool csv, in_quotes, shows;
	unsigned long long bytes, lines;
	int64_t next_show_ms;
};

/* A line of CSV may hold quoted line ends. */
static void count_lines(struct sink *s, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		s->in_quotes ^= s->csv && text[i] == '"';
		s->lines += text[i] == '\n' && !s->in_quotes;
	}
}

static void show(struct sink *s, int64_t now_ms)
{
	if (!s->shows || now_ms < s->next_show_ms)
		return;
	s->next_show_ms = now_ms + SHOW_EVERY_MS;
	(void)fprintf(stderr, "\r%llu readings, %.1f MB ", s->lines, (double)s->bytes / MEGA);
}

static void show_no_more(const struct sink *s)
{
	if (s->shows && s->next_show_ms > 0)
		(void)fputs("\r\033[K", stderr);
}

static bool take(void *ctx, const char *text, size_t len)
{
	struct sink *s = ctx;

	for (size_t done = 0; done < len;) {
		ssize_t n = write(s->fd, text + done, len - done);

		if (n < 0 && errno == EINTR && !cli_stopped())
			continue;
		if (n < 0) {
			s->error = errno;
			return false;
		}
		done += (size_t)n;
	}
	count_lines(s, text, len);
	s->bytes += len;
	show(s, os_monotonic_ms());
	return true;
}

/* Beside the file, so that it can take its place at once. */
static enum cli_exit sink_open(struct sink *s, const struct cli_args *a, bool csv)
{
	*s = (struct sink){.file = a->option[CLI_O_OUTPUT], .fd = STDOUT_FILENO, .csv = csv};
	s->shows = isatty(STDERR_FILENO) && (s->file || !isatty(STDOUT_FILENO));
	if (!s->file)
		return CLI_DONE;
	int n = snprintf(s->temporary, sizeof s->temporary, "%s.XXXXXX", s->file);

	if (n < 0 || (size_t)n >= sizeof s->temporary)
		return cli_fail(CLI_USAGE, "the name of the file is too long");
	s->fd = mkostemp(s->temporary, O_CLOEXEC);
	return s->fd >= 0 ? CLI_DONE : cli_fail(CLI_MISSING, "%s cannot be written: %s", s->file, strerror(errno));
}

/* Whole or not at all. */
static enum cli_exit sink_close(struct sink *s, enum cli_exit code)
{
	show_no_more(s);
	if (s->error == EPIPE)
		return CLI_DONE; /* whoever read it has enough */
	if (s->error)
		code = cli_fail(CLI_REFUSED, "%s cannot be written: %s", s->file ? s->file : "the output", strerror(s->error));
	if (!s->file)
		return code;
	bool good = code == CLI_DONE && fsync(s->fd) == 0 && rename(s->temporary, s->file) == 0;

	if (code == CLI_DONE && !good)
		code = cli_fail(CLI_REFUSED, "%s cannot be written: %s", s->file, strerror(errno));
	if (!good)
		(void)unlink(s->temporary);
	close(s->fd);
	return code;
}

static enum cli_exit say_done(const struct cli_args *a, const struct sink *s)
{
	unsigned long long readings = s->lines - (s->csv && s->lines > 0);

	if (a->option[CLI_O_JSON]) {
		CLI_JSON_SCOPED *doc = json_pack("{s:s, s:I, s:I}", "file", s->file, "readings", (json_int_t)readings, "bytes",
		                                 (json_int_t)s->bytes);

		cli_print_json(doc);
	} else if (s->file) {
		printf("%s: %llu readings, %llu bytes\n", s->file, readings, s->bytes);
	}
	if (readings == 0)
		(void)cli_fail(CLI_DONE, "there are no such readings; see holdfast data get and holdfast device list");
	return CLI_DONE;
}

/* One device, those of a type, or all. */
static enum cli_exit make_path(const struct cli_args *a, char path[CLI_PATH_MAX])
{
	const char *device = a->word_count ? a->word[0] : NULL, *type = a->option[CLI_O_TYPE];
	int chosen = (device != NULL) + (type != NULL) + (a->option[CLI_O_ALL] != NULL);
	int64_t now = os_now_ms();
	enum cli_exit code = device ? cli_check_id(device) : CLI_DONE;

	if (chosen != 1)
		return cli_fail(CLI_USAGE, "of which devices? give one ID, or --type NAME, or --all");
	if (device)
		(void)cli_path(path, "/api/v1/devices/%s/export", device);
	else
		(void)cli_path(path, "/api/v1/export");
	cli_query(path, "type", type);
	cli_query(path, "series", a->option[CLI_O_SERIES]);
	cli_query(path, "format", a->option[CLI_O_FORMAT]);
	if (code == CLI_DONE)
		code = cli_time_query(a, CLI_O_SINCE, now, path);
	return code == CLI_DONE ? cli_time_query(a, CLI_O_UNTIL, now, path) : code;
}

static enum cli_exit check_options(const struct cli_args *a, bool *csv)
{
	const char *format = a->option[CLI_O_FORMAT];

	*csv = !format || strcmp(format, "csv") == 0;
	if (!*csv && strcmp(format, "jsonl") != 0)
		return cli_fail(CLI_USAGE, "--format '%s' is neither csv nor jsonl", format);
	if (a->option[CLI_O_JSON] && !a->option[CLI_O_OUTPUT])
		return cli_fail(CLI_USAGE, "--json tells about the file of --output; for readings as JSON use --format jsonl");
	return CLI_DONE;
}

enum cli_exit cli_data_export(const struct cli_args *a)
{
	CLI_API_SCOPED api = {0};
	struct sink sink;
	char path[CLI_PATH_MAX];
	bool csv = true;
	enum cli_exit code = check_options(a, &csv);

	if (code == CLI_DONE)
		code = make_path(a, path);
	if (code == CLI_DONE)
		code = cli_api_open(a, &api);
	if (code == CLI_DONE)
		code = sink_open(&sink, a, csv);
	if (code != CLI_DONE)
		return code;
	cli_stop_on_signals();
	code = cli_stream(&api, path, take, &sink);
	code = sink_close(&sink, code);
	return code == CLI_DONE && !sink.error ? say_done(a, &sink) : code;
}
