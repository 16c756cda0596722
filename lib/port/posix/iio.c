/* port/posix - sensors that the kernel shows as files (industrial I/O). */
#include "port/posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static enum hf_err read_number(const char *dir, const char *channel, const char *suffix, double *out)
{
	char path[4096], text[64], *end = NULL;
	int len = snprintf(path, sizeof path, "%s/in_%s_%s", dir, channel, suffix);
	int fd = len > 0 && (size_t)len < sizeof path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (fd < 0)
		return errno == ENOENT ? HF_E_NOT_FOUND : HF_E_IO;
	ssize_t n = read(fd, text, sizeof text - 1);

	(void)close(fd);
	if (n <= 0)
		return HF_E_IO;
	text[n] = '\0';
	double value = strtod(text, &end);

	if (end == text || (*end != '\n' && *end != '\0') || !isfinite(value))
		return HF_E_TEXT;
	*out = value;
	return HF_E_OK;
}

enum hf_err hf_posix_iio_read(const char *dir, const char *channel, double *out)
{
	double raw = 0, scale = 1, offset = 0;
	enum hf_err err = read_number(dir, channel, "input", out);

	if (err != HF_E_NOT_FOUND)
		return err;
	err = read_number(dir, channel, "raw", &raw);
	if (err != HF_E_OK)
		return err;
	err = read_number(dir, channel, "scale", &scale);
	if (err != HF_E_OK && err != HF_E_NOT_FOUND)
		return err;
	err = read_number(dir, channel, "offset", &offset);
	if (err != HF_E_OK && err != HF_E_NOT_FOUND)
		return err;
	*out = (raw + offset) * scale;
	return HF_E_OK;
}
