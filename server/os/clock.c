/* os - clocks, randomness, times as text. Uses: base; Linux. */
#include "os/os.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

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
