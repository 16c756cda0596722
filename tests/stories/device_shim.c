/* device_shim - for LD_PRELOAD: kills the process at its n-th file operation, and makes the wall clock wrong. Used by
 * device_life_story.py.
 * HF_SHIM_KILL: n; the operation does not happen, or does half of it if it is a write. HF_SHIM_CLOCK: a file that holds
 * by how many seconds the clock is wrong; read each time. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define REAL(type, name, ...) ((type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name))

static int is_due(void)
{
	static long left = -1;
	const char *text = getenv("HF_SHIM_KILL");

	if (left < 0)
		left = text ? strtol(text, NULL, 10) : 0;
	return left > 0 && --left == 0;
}

static void die(void)
{
	(void)kill(getpid(), SIGKILL);
}

ssize_t write(int fd, const void *bytes, size_t len)
{
	struct stat st;
	int file = fd > STDERR_FILENO && fstat(fd, &st) == 0 && S_ISREG(st.st_mode), due = file && is_due();
	ssize_t done = REAL(ssize_t, write, int, const void *, size_t)(fd, bytes, due ? len / 2 : len);

	if (due)
		die();
	return done;
}

int fsync(int fd)
{
	if (is_due())
		die();
	return REAL(int, fsync, int)(fd);
}

int renameat(int old_dir, const char *old, int new_dir, const char *new)
{
	if (is_due())
		die();
	return REAL(int, renameat, int, const char *, int, const char *)(old_dir, old, new_dir, new);
}

int unlinkat(int dir, const char *name, int flags)
{
	if (is_due())
		die();
	return REAL(int, unlinkat, int, const char *, int)(dir, name, flags);
}

static time_t wrong_s(void)
{
	char text[32] = "";
	const char *path = getenv("HF_SHIM_CLOCK");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (fd < 0)
		return 0;
	ssize_t len = read(fd, text, sizeof text - 1);

	(void)close(fd);
	return len > 0 ? (time_t)strtoll(text, NULL, 10) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
	int status = REAL(int, clock_gettime, clockid_t, struct timespec *)(clock, out);

	if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
		out->tv_sec += wrong_s();
	return status;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
	struct timespec now;

	(void)zone;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	out->tv_sec = now.tv_sec;
	out->tv_usec = now.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *out)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	if (out)
		*out = now.tv_sec;
	return now.tv_sec;
}
