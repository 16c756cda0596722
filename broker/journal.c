/* broker - the journal file: append, begin anew, resume. Uses: base, table; Linux files. */
#include "broker/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static enum hf_err read_all(int fd, uint8_t *data, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = read(fd, data + at, len - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return HF_E_IO;
		at += (size_t)n;
	}
	return HF_E_OK;
}

static enum hf_err read_open(int fd, size_t max, uint8_t **data, size_t *len)
{
	struct stat st;
	uint8_t *bytes;
	enum hf_err err;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return HF_E_IO;
	if ((uint64_t)st.st_size > max)
		return HF_E_TOO_BIG;
	bytes = malloc((size_t)st.st_size + 1);
	if (!bytes)
		return HF_E_MEMORY;
	err = read_all(fd, bytes, (size_t)st.st_size);
	if (err != HF_E_OK) {
		free(bytes);
		return err;
	}
	*data = bytes;
	*len = (size_t)st.st_size;
	return HF_E_OK;
}

enum hf_err broker_file_read(const char *path, size_t max, uint8_t **data, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	enum hf_err err;

	if (fd < 0)
		return errno == ENOENT ? HF_E_NOT_FOUND : HF_E_IO;
	err = read_open(fd, max, data, len);
	(void)close(fd);
	return err;
}

void broker_journal_init(struct broker_journal *j, const char *path)
{
	*j = (struct broker_journal){.path = path, .fd = -1};
}

void broker_journal_release(struct broker_journal *j)
{
	if (j->fd >= 0)
		(void)close(j->fd);
	j->fd = -1;
}

enum hf_err broker_journal_resume(struct broker_journal *j, uint64_t len)
{
	int fd = open(j->path, O_WRONLY | O_APPEND | O_CLOEXEC);

	if (fd < 0)
		return HF_E_IO;
	if (ftruncate(fd, (off_t)len) != 0) {
		(void)close(fd);
		return HF_E_IO;
	}
	broker_journal_release(j);
	j->fd = fd;
	j->len = len;
	return HF_E_OK;
}

/* The folder of path, so that its new entry reaches the disk too. */
static bool sync_folder(const char *path)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int n = slash ? snprintf(dir, sizeof dir, "%.*s", (int)(slash - path) + 1, path) : snprintf(dir, sizeof dir, ".");
	int fd = n > 0 && (size_t)n < sizeof dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	bool ok = fd >= 0 && fsync(fd) == 0;

	if (fd >= 0)
		(void)close(fd);
	return ok;
}

/* Writes the first line and the revokes; adds what it wrote to len. */
static bool write_start(int fd, uint64_t generation, const struct broker_table *t, uint64_t *len)
{
	char text[64];
	struct hf_wr w = hf_wr_of(text, sizeof text);

	hf_wr_text(&w, "holdfast-journal 1 ");
	hf_wr_dec(&w, generation);
	hf_wr_text(&w, "\n");
	bool ok = write_all(fd, hf_wr_span(&w));

	*len = w.len;
	for (size_t i = 0; ok && i < t->cap; i++) {
		if (t->row[i].id == 0 || t->row[i].state != BROKER_REVOKED)
			continue;
		w = hf_wr_of(text, sizeof text);
		hf_wr_text(&w, "revoke ");
		hf_wr_id(&w, t->row[i].id);
		hf_wr_text(&w, "\n");
		ok = write_all(fd, hf_wr_span(&w));
		*len += w.len;
	}
	return ok;
}

enum hf_err broker_journal_start(struct broker_journal *j, uint64_t generation, const struct broker_table *t)
{
	char temp[PATH_MAX];
	int n = snprintf(temp, sizeof temp, "%s.new", j->path);
	uint64_t len = 0;

	if (n < 0 || (size_t)n >= sizeof temp)
		return HF_E_NO_SPACE;
	int fd = open(temp, O_WRONLY | O_APPEND | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		return HF_E_IO;
	if (!write_start(fd, generation, t, &len) || fdatasync(fd) != 0 || rename(temp, j->path) != 0) {
		(void)close(fd);
		(void)unlink(temp);
		return HF_E_IO;
	}
	broker_journal_release(j);
	j->fd = fd;
	j->len = len;
	return sync_folder(j->path) ? HF_E_OK : HF_E_IO;
}

enum hf_err broker_journal_append(struct broker_journal *j, struct hf_span lines, uint64_t max, enum broker_sync sync)
{
	if (j->fd < 0)
		return HF_E_MISSING;
	if (j->len + lines.len > max)
		return HF_E_FULL;
	if (!write_all(j->fd, lines)) {
		/* Half a line would spoil the next one. */
		if (ftruncate(j->fd, (off_t)j->len) != 0)
			broker_journal_release(j);
		return HF_E_IO;
	}
	j->len += lines.len;
	return sync == BROKER_LAZY || fdatasync(j->fd) == 0 ? HF_E_OK : HF_E_IO;
}
