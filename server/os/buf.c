/* os - owned buffers and whole files. Uses: base; Linux. */
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_LEN = 4096, CAP_FIRST = 256, READ_CHUNK = 16384, ID_FILE_MAX = 64 };

struct os_buf os_buf_of(size_t max)
{
	return (struct os_buf){.max = max};
}

/* Room for len more bytes and a NUL. */
static bool reserve(struct os_buf *b, size_t len)
{
	if (b->err != HF_E_OK)
		return false;
	if (len > b->max - b->len) {
		b->err = HF_E_TOO_BIG;
		return false;
	}
	if (b->len + len < b->cap)
		return true;
	size_t cap = b->cap ? b->cap : CAP_FIRST;

	while (cap <= b->len + len)
		cap *= 2;
	uint8_t *ptr = malloc(cap);

	if (!ptr) {
		b->err = HF_E_MEMORY;
		return false;
	}
	if (b->len)
		memcpy(ptr, b->ptr, b->len);
	if (b->ptr)
		hf_wipe(b->ptr, b->len);
	free(b->ptr);
	b->ptr = ptr;
	b->cap = cap;
	return true;
}

void os_buf_put(struct os_buf *b, struct hf_span s)
{
	if (!reserve(b, s.len) || s.len == 0)
		return;
	memcpy(b->ptr + b->len, s.ptr, s.len);
	b->len += s.len;
}

void os_buf_text(struct os_buf *b, const char *text)
{
	os_buf_put(b, hf_span_text(text));
}

void os_buf_format(struct os_buf *b, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	int n = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (n < 0 || !reserve(b, (size_t)n))
		return;
	va_start(args, fmt);
	vsnprintf((char *)b->ptr + b->len, (size_t)n + 1, fmt, args);
	va_end(args);
	b->len += (size_t)n;
}

struct hf_span os_buf_span(const struct os_buf *b)
{
	return hf_span_of(b->ptr, b->len);
}

const char *os_buf_cstr(struct os_buf *b)
{
	if (!b->ptr)
		return "";
	b->ptr[b->len] = 0;
	return (const char *)b->ptr;
}

void os_buf_release(struct os_buf *b)
{
	if (b->ptr)
		hf_wipe(b->ptr, b->len);
	free(b->ptr);
	*b = (struct os_buf){.max = b->max};
}

enum hf_err os_read_fd(int fd, struct os_buf *out)
{
	uint8_t chunk[READ_CHUNK];
	ssize_t n;

	while ((n = read(fd, chunk, sizeof chunk)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return HF_E_IO;
		os_buf_put(out, hf_span_of(chunk, (size_t)n));
		if (out->err != HF_E_OK)
			break;
	}
	hf_wipe(chunk, sizeof chunk);
	return out->err;
}

enum hf_err os_read_file(const char *path, struct os_buf *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? HF_E_NOT_FOUND : HF_E_IO;
	enum hf_err err = os_read_fd(fd, out);

	close(fd);
	return err;
}

static bool write_all(int fd, struct hf_span s)
{
	while (s.len > 0) {
		ssize_t n = write(fd, s.ptr, s.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		s = hf_span_of(s.ptr + n, s.len - (size_t)n);
	}
	return true;
}

static bool sync_folder(const char *path)
{
	char copy[PATH_LEN];

	snprintf(copy, sizeof copy, "%s", path);
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 && fsync(fd) == 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

enum hf_err os_replace_file(const char *path, struct hf_span content, unsigned mode)
{
	char tmp[PATH_LEN];
	int n = snprintf(tmp, sizeof tmp, "%s.tmp", path);

	if (n < 0 || (size_t)n >= sizeof tmp)
		return HF_E_IO;
	int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	if (fd < 0)
		return HF_E_IO;
	bool ok = fchmod(fd, mode) == 0 && write_all(fd, content) && fsync(fd) == 0;

	ok = close(fd) == 0 && ok;
	ok = ok && rename(tmp, path) == 0 && sync_folder(path);
	if (!ok)
		unlink(tmp);
	return ok ? HF_E_OK : HF_E_IO;
}

enum hf_err os_read_id(const char *path, uint64_t *out)
{
	char text[ID_FILE_MAX];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? HF_E_NOT_FOUND : HF_E_IO;
	ssize_t n = read(fd, text, sizeof text);

	close(fd);
	if (n <= 0)
		return n < 0 ? HF_E_IO : HF_E_ID;
	if (text[n - 1] == '\n')
		n--;
	return hf_id_parse(hf_span_of(text, (size_t)n), out);
}
