/* port/posix - clock, sentences, and the lamp. */
#include "port/posix/posix_internal.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

int64_t hf_posix_now_ms(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_BOOTTIME, &t) != 0 && clock_gettime(CLOCK_MONOTONIC, &t) != 0)
		return 0;
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void hf_posix_say(struct hf_posix_why *why, const char *format, ...)
{
	va_list args;

	if (!why)
		return;
	va_start(args, format);
	(void)vsnprintf(why->text, sizeof why->text, format, args);
	va_end(args);
}

enum hf_err hf_posix_led_set(const char *dir, bool on)
{
	char path[4096];
	int len = snprintf(path, sizeof path, "%s/brightness", dir);
	int fd = len > 0 && (size_t)len < sizeof path ? open(path, O_WRONLY | O_CLOEXEC) : -1;

	if (fd < 0)
		return HF_E_IO;
	bool written = write(fd, on ? "1\n" : "0\n", 2) == 2;

	return close(fd) == 0 && written ? HF_E_OK : HF_E_IO;
}
