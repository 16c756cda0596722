/* conf - reads and prints holdfast.conf by the rows of config.def. Uses: base, os. */
#include "conf/conf_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct conf_row conf_rows[CONF_ROWS] = {
#define CONF(key, KIND, fallback, min, max, doc) \
	{#key,                                       \
	 (fallback),                                 \
	 (doc),                                      \
	 CONF_KIND_##KIND,                           \
	 (min),                                      \
	 (max),                                      \
	 offsetof(struct conf, key),                 \
	 sizeof((struct conf *)0)->key},
#include "conf/config.def"
};

struct parser {
	struct conf_source at;
	size_t seen[CONF_ROWS]; /* line of each key; 0: not yet */
	struct conf result;
};

static void report_va(struct conf_report *r, const char *where, const char *fmt, va_list args)
	__attribute__((format(printf, 3, 0)));

/* All of the sentence or nothing of it. */
static void report_va(struct conf_report *r, const char *where, const char *fmt, va_list args)
{
	size_t room = sizeof r->text - r->len;
	int head = snprintf(r->text + r->len, room, "%s", where);

	r->count++;
	if (head >= 0 && (size_t)head < room) {
		int body = vsnprintf(r->text + r->len + head, room - (size_t)head, fmt, args);
		size_t len = (size_t)head + (size_t)(body > 0 ? body : 0);

		if (body >= 0 && len + 1 < room) {
			r->len += len;
			r->text[r->len++] = '\n';
		}
	}
	r->text[r->len] = '\0';
}

void conf_report_add(struct conf_report *r, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	report_va(r, "", fmt, args);
	va_end(args);
}

void conf_problem(const struct conf_source *s, const char *fmt, ...)
{
	char where[CONF_PATH_MAX + 32];
	va_list args;

	if (s->line > 0)
		snprintf(where, sizeof where, "%s:%zu: ", s->file, s->line);
	else
		snprintf(where, sizeof where, "%s: ", s->file);
	va_start(args, fmt);
	report_va(s->report, where, fmt, args);
	va_end(args);
}

enum { FOLDER_MAX = CONF_PATH_MAX - 100 }; /* leaves room for the places of places.def */

static bool is_blank(uint8_t byte)
{
	return byte == ' ' || byte == '\t' || byte == '\r';
}

static struct hf_span trim(struct hf_span s)
{
	while (s.len > 0 && is_blank(s.ptr[0]))
		s = hf_span_of(s.ptr + 1, s.len - 1);
	while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
		s.len--;
	return s;
}

static const struct conf_row *row_find(struct hf_span key)
{
	for (size_t i = 0; i < CONF_ROWS; i++)
		if (hf_span_equal(key, hf_span_text(conf_rows[i].key)))
			return &conf_rows[i];
	return NULL;
}

static void pair_read(struct parser *p, struct hf_span key, struct hf_span value)
{
	const struct conf_row *row = row_find(key);

	if (!row) {
		conf_problem(&p->at, "unknown key \"%.*s\"; the closest known key is \"%s\"", conf_quote_len(key),
		             (const char *)key.ptr, conf_closest_key(key));
		return;
	}
	size_t *seen = &p->seen[row - conf_rows];

	if (*seen > 0) {
		conf_problem(&p->at, "%s stands in line %zu already", row->key, *seen);
		return;
	}
	*seen = p->at.line;
	(void)conf_value_parse(row, value, &p->result, &p->at); /* a problem is in the report */
}

static void line_read(struct parser *p, struct hf_span line)
{
	if (line.len > CONF_LINE_MAX) {
		conf_problem(&p->at, "the line is %zu bytes long; at most %d are read", line.len, CONF_LINE_MAX);
		return;
	}
	line = trim(line);
	size_t good = conf_text_good(line);

	if (good < line.len) {
		uint8_t byte = line.ptr[good];

		conf_problem(&p->at,
		             byte < 0x80 ? "a control character (byte 0x%02x) stands in the line"
		                         : "the line is not UTF-8 text (byte 0x%02x)",
		             byte);
		return;
	}
	if (line.len == 0 || line.ptr[0] == '#')
		return;
	const uint8_t *equals = memchr(line.ptr, '=', line.len);

	if (!equals) {
		conf_problem(&p->at, "\"%.*s\" has no \"=\"; a line is `key = value`", conf_quote_len(line),
		             (const char *)line.ptr);
		return;
	}
	size_t key_len = (size_t)(equals - line.ptr);

	pair_read(p, trim(hf_span_of(line.ptr, key_len)), trim(hf_span_of(equals + 1, line.len - key_len - 1)));
}

static void defaults_set(struct conf *c, const struct conf_source *s)
{
	*c = (struct conf){0};
	for (size_t i = 0; i < CONF_ROWS; i++)
		if (conf_rows[i].fallback[0])
			(void)conf_value_parse(&conf_rows[i], hf_span_text(conf_rows[i].fallback), c, s);
}

enum hf_err conf_parse(struct hf_span text, const char *file, struct conf *out, struct conf_report *r)
{
	struct parser p = {.at = {file, 0, r}};
	size_t problems = r->count;

	defaults_set(&p.result, &p.at);
	if (text.len > CONF_FILE_MAX)
		conf_problem(&p.at, "the file is over %d bytes long", CONF_FILE_MAX);
	else
		while (text.len > 0) {
			const uint8_t *newline = memchr(text.ptr, '\n', text.len);
			size_t len = newline ? (size_t)(newline - text.ptr) : text.len;
			size_t step = newline ? len + 1 : len;

			p.at.line++;
			line_read(&p, hf_span_of(text.ptr, len));
			text = hf_span_of(text.ptr + step, text.len - step);
		}
	if (r->count > problems)
		return HF_E_INPUT;
	*out = p.result;
	return HF_E_OK;
}

static void environment_read(struct conf *c, struct conf_report *r)
{
	const char *base = getenv("HOLDFAST_PORT_BASE");
	struct conf_source s = {"HOLDFAST_PORT_BASE in the environment", 0, r};

	if (base && base[0])
		(void)conf_value_parse(&conf_rows[CONF_INDEX_port_base], hf_span_text(base), c, &s);
}

/* Makes a path absolute: it is taken from folder. An empty one becomes folder/fallback. */
static bool path_settle(char path[CONF_PATH_MAX], const char *folder, const char *fallback)
{
	char given[CONF_PATH_MAX];

	if (path[0] == '/')
		return true;
	snprintf(given, sizeof given, "%s", path[0] ? path : fallback);
	int n =
		given[0] ? snprintf(path, CONF_PATH_MAX, "%s/%s", folder, given) : snprintf(path, CONF_PATH_MAX, "%s", folder);

	return n > 0 && n < CONF_PATH_MAX;
}

/* Where the build or the package puts the plugin: ../lib/ beside the program's folder, else that folder. */
static void plugin_find(char out[CONF_PATH_MAX])
{
	static const char *const tries[] = {"/../lib/holdfast_broker.so", "/holdfast_broker.so"};
	char program[PATH_MAX], path[PATH_MAX + 64], real[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);

	program[n > 0 ? n : 0] = '\0';
	char *slash = strrchr(program, '/');

	if (slash)
		*slash = '\0';
	for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
		snprintf(path, sizeof path, "%s%s", program, tries[i]);
		if (realpath(path, real) && strlen(real) < CONF_PATH_MAX) {
			snprintf(out, CONF_PATH_MAX, "%.*s", CONF_PATH_MAX - 1, real);
			return;
		}
	}
	snprintf(out, CONF_PATH_MAX, "%.*s", CONF_PATH_MAX - 1, path);
}

static bool paths_settle(struct conf *c, const char *folder)
{
	const char *keys = c->broker_ca[0] ? folder : c->keys_dir;

	if (!c->broker_plugin[0])
		plugin_find(c->broker_plugin);
	if (!c->broker_host[0])
		snprintf(c->broker_host, sizeof c->broker_host, "%.*s", (int)strcspn(c->name, " "), c->name);
	return path_settle(c->data_dir, folder, "") && strlen(c->data_dir) <= FOLDER_MAX &&
	       path_settle(c->keys_dir, c->data_dir, "keys") && strlen(c->keys_dir) <= FOLDER_MAX &&
	       path_settle(c->broker_program, folder, "") && path_settle(c->broker_plugin, folder, "") &&
	       path_settle(c->broker_ca, keys, "broker_ca.crt");
}

/* The absolute folder and path of the configuration file. */
static bool file_settle(const char *file, char folder[PATH_MAX], char full[CONF_PATH_MAX])
{
	char dir[PATH_MAX];
	const char *slash = strrchr(file, '/');
	int n = slash == file ? snprintf(dir, sizeof dir, "/")
	                      : snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - file) : 1, slash ? file : ".");

	if (n < 0 || (size_t)n >= sizeof dir || !realpath(dir, folder))
		return false;
	n = snprintf(full, CONF_PATH_MAX, "%s/%s", folder[1] ? folder : "", slash ? slash + 1 : file);
	return n > 0 && n < CONF_PATH_MAX && conf_text_good(hf_span_text(full)) == (size_t)n;
}

enum hf_err conf_load(const char *file, struct conf *out, struct conf_report *r)
{
	char folder[PATH_MAX];
	struct conf c;
	struct conf_source s = {file, 0, r};
	OS_BUF_SCOPED text = os_buf_of(CONF_FILE_MAX);
	enum hf_err err = os_read_file(file, &text);
	size_t problems = r->count;

	if (err != HF_E_OK) {
		conf_problem(&s, "cannot read this configuration file: %s",
		             err == HF_E_IO ? strerror(errno) : hf_err_text(err));
		return err;
	}
	err = conf_parse(os_buf_span(&text), file, &c, r);
	if (err != HF_E_OK)
		return err;
	environment_read(&c, r);
	if (!file_settle(file, folder, c.file) || !paths_settle(&c, folder))
		conf_problem(&s, "a path that follows from this file's place is too long or holds control characters");
	if (r->count > problems)
		return HF_E_INPUT;
	*out = c;
	return HF_E_OK;
}

static void row_print(const struct conf_row *row, const struct conf *c, struct os_buf *out)
{
	char words[CONF_TEXT_MAX] = "";

	conf_words(row->key, words);
	os_buf_format(out, "\n# %s\n# ", row->doc);
	if (row->kind == CONF_KIND_INT)
		os_buf_format(out, "%lld to %lld; ", (long long)row->min, (long long)row->max);
	if (words[0])
		os_buf_format(out, "%s; ", words);
	os_buf_format(out, "default: %s\n%s = ", row->fallback[0] ? row->fallback : "derived", row->key);
	conf_value_print(row, c, out);
	os_buf_text(out, "\n");
}

void conf_print(const struct conf *c, struct os_buf *out)
{
	os_buf_text(out,
	            "# The configuration of holdfastd: `key = value`, one a line. Comments have lines of their own.\n");
	for (size_t i = 0; i < CONF_ROWS; i++)
		row_print(&conf_rows[i], c, out);
}
