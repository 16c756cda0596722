/* ca - files of keys and certificates: made once, never overwritten. Uses: base; Linux. */
#include "ca/ca.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_MAX_ = 4096 };

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

/* The folder of path, so that its new entry reaches the disk too. */
static bool sync_folder(const char *path)
{
	char dir[PATH_MAX_];
	const char *slash = path;
	int fd;

	for (const char *p = path; *p; p++)
		slash = *p == '/' ? p : slash;
	if (*slash != '/')
		fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	else {
		(void)snprintf(dir, sizeof dir, "%.*s", (int)(slash - path) + 1, path);
		fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	bool ok = fd >= 0 && fsync(fd) == 0;

	if (fd >= 0)
		(void)close(fd);
	return ok;
}

enum hf_err ca_file_new(const char *path, struct hf_span content, enum ca_access access)
{
	char temp[PATH_MAX_];
	int n = snprintf(temp, sizeof temp, "%s.XXXXXX", path);
	int fd = n > 0 && (size_t)n < sizeof temp ? mkostemp(temp, O_CLOEXEC) : -1;

	if (fd < 0)
		return HF_E_IO;
	bool ok = write_all(fd, content) && fchmod(fd, (mode_t)access) == 0 && fsync(fd) == 0;

	ok = close(fd) == 0 && ok;
	/* A link, unlike a rename, fails when the name is taken. */
	ok = ok && link(temp, path) == 0;
	enum hf_err err = ok ? HF_E_OK : errno == EEXIST ? HF_E_EXISTS : HF_E_IO;

	(void)unlink(temp);
	if (err == HF_E_OK && !sync_folder(path))
		return HF_E_IO;
	return err;
}
