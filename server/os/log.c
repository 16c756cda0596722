/* os - log lines, clocks, randomness. Uses: base; Linux. */
#include "os/os.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
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

enum { LINE_MAX_LEN = 2048 };

void os_log_level(enum os_level level)
{
	threshold = level;
}

void os_log(enum os_event event, const char *fmt, ...)
{
	char line[LINE_MAX_LEN], when[OS_TIME_TEXT_MAX];
	const struct event_row *row = &events[event];
	va_list args;

	if (row->level < threshold)
		return;
	os_time_text(os_now_ms(), when);
	int n = snprintf(line, sizeof line, "%s %s %s ", when, level_names[row->level], row->id);
	size_t len = n > 0 ? (size_t)n : 0;

	va_start(args, fmt);
	n = vsnprintf(line + len, sizeof line - len, fmt, args);
	va_end(args);
	if (n > 0)
		len = len + (size_t)n < sizeof line - 1 ? len + (size_t)n : sizeof line - 2;
	for (size_t i = 0; i < len; i++)
		if (line[i] < 0x20 || line[i] > 0x7e) /* lines and terminals are not for the sender of a path to command */
			line[i] = '?';
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, len) < 0)
		return; /* a log that nobody takes must not stop the service */
}

static int64_t clock_ms(clockid_t id)
{
	struct timespec t = {0};

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t os_now_ms(void)
{
	return clock_ms(CLOCK_REALTIME);
}

int64_t os_monotonic_ms(void)
{
	return clock_ms(CLOCK_BOOTTIME);
}

void os_random(void *out, size_t len)
{
	uint8_t *at = out;

	while (len > 0) {
		ssize_t n = getrandom(at, len, 0);

		if (n <= 0)
			abort();
		at += n;
		len -= (size_t)n;
	}
}

/* Rounded down, also before 1970. */
static int64_t seconds_of(int64_t ms)
{
	return ms / 1000 - (ms % 1000 < 0);
}

/* To the second; false outside the years that have four digits. */
static bool time_text(int64_t ms, char out[OS_TIME_TEXT_MAX])
{
	time_t s = (time_t)seconds_of(ms);
	struct tm tm;

	return gmtime_r(&s, &tm) && tm.tm_year >= 1000 - 1900 && tm.tm_year < 10000 - 1900 &&
	       strftime(out, OS_TIME_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &tm) > 0;
}

void os_time_text(int64_t ms, char out[OS_TIME_TEXT_MAX])
{
	if (time_text(ms, out))
		memcpy(out + strlen(out), "Z", sizeof "Z");
	else
		snprintf(out, OS_TIME_TEXT_MAX, "@%lld", (long long)seconds_of(ms));
}

void os_time_ms_text(int64_t ms, char out[OS_TIME_TEXT_MAX])
{
	if (!time_text(ms, out)) {
		out[0] = '\0';
		return;
	}
	size_t len = strlen(out);

	snprintf(out + len, OS_TIME_TEXT_MAX - len, ".%03dZ", (int)(ms - seconds_of(ms) * 1000));
}
