/* faults - what a cut of power takes away: writes to files that were not synced yet, undone in reverse order. Creating, renaming
 * and removing files is taken as durable at once. Test only; Linux. */
#include "tests/faults/faults.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* What lay in [at, at + len) of a file that was size bytes long. fd is our own copy: the writer may close its. */
struct unsynced {
	struct unsynced *older;
	int fd;
	dev_t dev;
	ino_t ino;
	off_t at, size;
	size_t len;
	unsigned char old[];
};
static struct unsynced *newest;

static off_t position(int fd, off_t size)
{
	return fcntl(fd, F_GETFL) & O_APPEND ? size : lseek(fd, 0, SEEK_CUR);
}

void faults_wrote(int fd, off_t at, size_t len)
{
	struct stat st;

	if (fd <= STDERR_FILENO || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return;
	at = at < 0 ? position(fd, st.st_size) : at;
	size_t kept = at >= st.st_size ? 0 : (size_t)(st.st_size - at) < len ? (size_t)(st.st_size - at) : len;
	struct unsynced *u = malloc(sizeof *u + kept);

	if (!u)
		abort();
	*u = (struct unsynced){newest, fcntl(fd, F_DUPFD_CLOEXEC, 100), st.st_dev, st.st_ino, at, st.st_size, kept};
	if (u->fd < 0 || (kept > 0 && pread(fd, u->old, kept, at) != (ssize_t)kept))
		abort();
	newest = u;
}

static void drop(struct unsynced **at)
{
	struct unsynced *u = *at;

	*at = u->older;
	close(u->fd);
	free(u);
}

void faults_synced(int fd)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return;
	for (struct unsynced **at = &newest; *at;) {
		if ((*at)->dev == st.st_dev && (*at)->ino == st.st_ino)
			drop(at);
		else
			at = &(*at)->older;
	}
}

void faults_undo(void)
{
	for (; newest; drop(&newest)) {
		(void)fcntl(newest->fd, F_SETFL, 0); /* no O_APPEND, for the writer neither: it is about to die */
		if (newest->len > 0 && pwrite(newest->fd, newest->old, newest->len, newest->at) < 0)
			abort();
		if (ftruncate(newest->fd, newest->size) != 0)
			abort();
	}
}
