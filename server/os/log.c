/* os - log lines as text or as JSON, made from one format string. Uses: base; Linux.
 * Each conversion of the format is printed on its own, so that what came from outside can never end its field, nor its line. */
#include "os/os.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct event_row {
	const char *id;
	enum os_level level;
};
static const struct event_row events[] = {
#define LOG(NAME, level, event, doc) {(event), OS_##level},
#include "os/events.def"
};
static const char *const level_names[] = {"debug", "info", "warn", "error"};
static enum os_level threshold = OS_INFO;
static bool as_json;

/* A line is written with one call and is atomic in a pipe: at most PIPE_BUF bytes. */
enum { LINE_MAX_LEN = 4000, VALUE_MAX = 1200, KEY_MAX = 32 };

void os_log_level(enum os_level level)
{
	threshold = level;
}

void os_log_json(bool json)
{
	as_json = json;
}

bool os_log_has(enum os_event event)
{
	return events[event].level >= threshold;
}

/* --- a field of the format: key=value, where either may hold conversions --------------------------------------------------- */

struct field {
	char key[KEY_MAX], value[VALUE_MAX];
	size_t key_len, value_len;
	bool in_value, quoted, is_text; /* quoted: in the format; is_text: a text stands in the value */
};

static void field_put(struct field *f, const char *text, size_t len)
{
	char *to = f->in_value ? f->value : f->key;
	size_t *at = f->in_value ? &f->value_len : &f->key_len, cap = f->in_value ? sizeof f->value : sizeof f->key;

	for (size_t i = 0; i < len && *at < cap; i++)
		to[(*at)++] = text[i] >= 0x20 && text[i] <= 0x7e ? text[i] : '?';
}

enum argument { ARG_TEXT, ARG_SPAN, ARG_INT, ARG_UNSIGNED, ARG_SIZE, ARG_LONG_LONG, ARG_UNSIGNED_LONG_LONG, ARG_ID };
struct conversion {
	const char *text;
	enum argument argument;
};
static const struct conversion conversions[] = {
	{"%s", ARG_TEXT},
	{"%.*s", ARG_SPAN},
	{"%d", ARG_INT},
	{"%u", ARG_UNSIGNED},
	{"%zu", ARG_SIZE},
	{"%lld", ARG_LONG_LONG},
	{"%llu", ARG_UNSIGNED_LONG_LONG},
	{"%016llx", ARG_ID},
};

/* A va_list that functions may share. */
struct arguments {
	va_list list;
};

static void field_argument(struct field *f, enum argument kind, struct arguments *a)
{
	char number[32] = "";
	int width = kind == ARG_SPAN ? va_arg(a->list, int) : VALUE_MAX;

	if (kind == ARG_TEXT || kind == ARG_SPAN) {
		const char *text = va_arg(a->list, const char *);

		f->is_text |= f->in_value;
		field_put(f, text, strnlen(text, width > 0 ? (size_t)width : 0));
		return;
	}
	if (kind == ARG_INT)
		snprintf(number, sizeof number, "%d", va_arg(a->list, int));
	else if (kind == ARG_UNSIGNED)
		snprintf(number, sizeof number, "%u", va_arg(a->list, unsigned));
	else if (kind == ARG_SIZE)
		snprintf(number, sizeof number, "%zu", va_arg(a->list, size_t));
	else if (kind == ARG_LONG_LONG)
		snprintf(number, sizeof number, "%lld", va_arg(a->list, long long));
	else
		snprintf(number, sizeof number, kind == ARG_ID ? "%016llx" : "%llu", va_arg(a->list, unsigned long long));
	f->is_text |= f->in_value && kind == ARG_ID;
	field_put(f, number, strlen(number));
}

/* Takes one conversion; NULL for one that is not in the table: its arguments cannot be found. */
static const char *field_convert(struct field *f, const char *fmt, struct arguments *a)
{
	for (size_t i = 0; i < sizeof conversions / sizeof conversions[0]; i++) {
		size_t len = strlen(conversions[i].text);

		if (strncmp(fmt, conversions[i].text, len) == 0) {
			field_argument(f, conversions[i].argument, a);
			return fmt + len;
		}
	}
	return NULL;
}

/* Reads the next field of the format. Returns what follows; NULL at the end. */
static const char *field_next(struct field *f, const char *fmt, struct arguments *a)
{
	bool inside = false;

	*f = (struct field){0};
	while (fmt && *fmt && (inside || *fmt != ' ')) {
		if (*fmt == '%') {
			fmt = field_convert(f, fmt, a);
			continue;
		}
		if (*fmt == '"') {
			inside = !inside;
			f->quoted = true;
		} else if (*fmt == '=' && !f->in_value) {
			f->in_value = true;
		} else {
			f->is_text |= f->in_value && !isdigit((unsigned char)*fmt);
			field_put(f, fmt, 1);
		}
		fmt++;
	}
	return fmt && *fmt == ' ' ? fmt + 1 : NULL;
}

/* --- a line ----------------------------------------------------------------------------------------------------------------- */

struct line {
	char text[LINE_MAX_LEN];
	size_t len;
};

static void line_put(struct line *l, const char *text, size_t len)
{
	memcpy(l->text + l->len, text, len);
	l->len += len;
}

static void line_text(struct line *l, const char *text)
{
	line_put(l, text, strlen(text));
}

static void line_quoted(struct line *l, const char *text, size_t len)
{
	line_put(l, "\"", 1);
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '"' || text[i] == '\\')
			line_put(l, "\\", 1);
		line_put(l, &text[i], 1);
	}
	line_put(l, "\"", 1);
}

/* ` key=value` or `,"key":"value"`. A field for which there is no room is left out whole. */
static void line_field(struct line *l, const struct field *f)
{
	enum { AROUND = 16 };
	bool needs = f->quoted || memchr(f->value, ' ', f->value_len) || memchr(f->value, '"', f->value_len);

	if (f->key_len == 0 || l->len + f->key_len + 2 * f->value_len + AROUND > sizeof l->text)
		return;
	line_text(l, as_json ? ",\"" : " ");
	line_put(l, f->key, f->key_len);
	line_text(l, as_json ? "\":" : "=");
	if (as_json ? f->quoted || f->is_text || f->value_len == 0 : needs)
		line_quoted(l, f->value, f->value_len);
	else
		line_put(l, f->value, f->value_len);
}

static void line_begin(struct line *l, const struct event_row *row)
{
	char when[OS_TIME_TEXT_MAX];

	os_time_text(os_now_ms(), when);
	line_text(l, as_json ? "{\"time\":\"" : "");
	line_text(l, when);
	line_text(l, as_json ? "\",\"level\":\"" : " ");
	line_text(l, level_names[row->level]);
	line_text(l, as_json ? "\",\"event\":\"" : " ");
	line_text(l, row->id);
	line_text(l, as_json ? "\"" : "");
}

static void line_write(int fd, enum os_event event, const char *fmt, struct arguments *a)
{
	struct line l = {.len = 0};
	struct field f;

	line_begin(&l, &events[event]);
	while (fmt) {
		fmt = field_next(&f, fmt, a);
		line_field(&l, &f);
	}
	line_text(&l, as_json ? "}\n" : "\n");
	if (write(fd, l.text, l.len) < 0)
		return; /* a log that nobody takes must not stop the service */
}

void os_log(enum os_event event, const char *fmt, ...)
{
	struct arguments a;

	if (!os_log_has(event))
		return;
	va_start(a.list, fmt);
	line_write(STDERR_FILENO, event, fmt, &a);
	va_end(a.list);
}

void os_log_to(int fd, enum os_event event, const char *fmt, ...)
{
	struct arguments a;

	if (!os_log_has(event))
		return;
	va_start(a.list, fmt);
	line_write(fd, event, fmt, &a);
	va_end(a.list);
}
