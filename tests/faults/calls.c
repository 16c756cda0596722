/* faults - the calls that the shim stands in for. Each is a point: "exec SQL", "step SQL", "publish TOPIC", "flush",
 * "write PATH", "sync PATH", "rename PATH", "send", and the wall clock. Test only; Linux, glibc. */
#include "tests/faults/faults.h"

#include <errno.h>
#include <mosquitto.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* Declares real, the function that this one stands before. */
#define REAL(type, name, ...)         \
	static type (*real)(__VA_ARGS__); \
	if (!real)                        \
	faults_real(name, &real, sizeof real)

/* --- SQLite and libmosquitto -------------------------------------------------------------------------------------- */

int sqlite3_exec(sqlite3 *db, const char *sql, int (*row)(void *, int, char **, char **), void *ctx, char **why)
{
	REAL(int, "sqlite3_exec", sqlite3 *, const char *, int (*)(void *, int, char **, char **), void *, char **);
	struct faults_point p = {"exec", sql, NULL};
	int rc;

	if (faults_before(&p, &rc))
		return rc;
	rc = real(db, sql, row, ctx, why);
	faults_after(&p);
	return rc;
}

int sqlite3_step(sqlite3_stmt *s)
{
	REAL(int, "sqlite3_step", sqlite3_stmt *);
	static const char *(*sql_of)(sqlite3_stmt *);
	struct faults_point p = {"step", NULL, NULL};
	int rc;

	if (!faults_watches(p.name))
		return real(s);
	if (!sql_of)
		faults_real("sqlite3_sql", &sql_of, sizeof sql_of);
	p.detail = sql_of(s);
	if (faults_before(&p, &rc))
		return rc;
	rc = real(s);
	faults_after(&p);
	return rc;
}

int mosquitto_publish_v5(struct mosquitto *m, int *mid, const char *topic, int len, const void *payload, int qos,
                         bool retain, const mosquitto_property *props)
{
	REAL(int, "mosquitto_publish_v5", struct mosquitto *, int *, const char *, int, const void *, int, bool,
	     const mosquitto_property *);
	struct faults_point p = {"publish", topic, m};
	int rc;

	if (faults_before(&p, &rc))
		return rc;
	rc = real(m, mid, topic, len, payload, qos, retain, props);
	faults_after(&p);
	return rc;
}

int mosquitto_loop_write(struct mosquitto *m, int max_packets)
{
	REAL(int, "mosquitto_loop_write", struct mosquitto *, int);
	struct faults_point p = {"flush", NULL, m};
	int rc;

	if (faults_before(&p, &rc))
		return rc;
	rc = real(m, max_packets);
	faults_after(&p);
	return rc;
}

/* --- files and sockets -------------------------------------------------------------------------------------------- */

enum { PATH_LEN = 512 };

/* What a descriptor is, looked up only for points that somebody watches. */
static struct faults_point fd_point(const char *name, int fd, char path[PATH_LEN])
{
	char link[32];
	int was = errno;
	ssize_t n = 0;

	if (faults_watches(name)) {
		(void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
		n = readlink(link, path, PATH_LEN - 1);
	}
	path[n > 0 ? n : 0] = 0;
	errno = was;
	return (struct faults_point){name, path, NULL};
}

static void track(int fd, off_t at, size_t len)
{
	if (faults_page() && faults_page()->tracks)
		faults_wrote(fd, at, len);
}

ssize_t write(int fd, const void *bytes, size_t len)
{
	REAL(ssize_t, "write", int, const void *, size_t);
	char path[PATH_LEN];
	struct faults_point p = fd_point("write", fd, path);

	if (faults_before(&p, &errno))
		return -1;
	track(fd, -1, len);
	ssize_t n = real(fd, bytes, len);

	faults_after(&p);
	return n;
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at)
{
	REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
	char path[PATH_LEN];
	struct faults_point p = fd_point("write", fd, path);

	if (faults_before(&p, &errno))
		return -1;
	track(fd, at, len);
	ssize_t n = real(fd, bytes, len, at);

	faults_after(&p);
	return n;
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at)
{
	return pwrite64(fd, bytes, len, at);
}

static int sync_with(int (*real)(int), int fd)
{
	char path[PATH_LEN];
	struct faults_point p = fd_point("sync", fd, path);

	if (faults_before(&p, &errno))
		return -1;
	int rc = real(fd);

	if (rc == 0)
		faults_synced(fd);
	faults_after(&p);
	return rc;
}

int fsync(int fd)
{
	REAL(int, "fsync", int);
	return sync_with(real, fd);
}

int fdatasync(int fd)
{
	REAL(int, "fdatasync", int);
	return sync_with(real, fd);
}

int rename(const char *from, const char *to)
{
	REAL(int, "rename", const char *, const char *);
	struct faults_point p = {"rename", to, NULL};

	if (faults_before(&p, &errno))
		return -1;
	int rc = real(from, to);

	faults_after(&p);
	return rc;
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	REAL(int, "renameat", int, const char *, int, const char *);
	struct faults_point p = {"rename", to, NULL};

	if (faults_before(&p, &errno))
		return -1;
	int rc = real(from_dir, from, to_dir, to);

	faults_after(&p);
	return rc;
}

ssize_t send(int fd, const void *bytes, size_t len, int flags)
{
	REAL(ssize_t, "send", int, const void *, size_t, int);
	struct faults_point p = {"send", NULL, NULL};

	if (faults_before(&p, &errno))
		return -1;
	ssize_t n = real(fd, bytes, len, flags);

	faults_after(&p);
	return n;
}

/* --- the wall clock ----------------------------------------------------------------------------------------------- */

static time_t jump_s(void)
{
	return faults_page() ? (time_t)faults_page()->clock_s : 0;
}

int clock_gettime(clockid_t id, struct timespec *out)
{
	REAL(int, "clock_gettime", clockid_t, struct timespec *);
	int rc = real(id, out);

	if (rc == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		out->tv_sec += jump_s();
	return rc;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
	REAL(int, "gettimeofday", struct timeval *, void *);
	int rc = real(out, zone);

	if (rc == 0)
		out->tv_sec += jump_s();
	return rc;
}

time_t time(time_t *out)
{
	REAL(time_t, "time", time_t *);
	time_t now = real(NULL) + jump_s();

	if (out)
		*out = now;
	return now;
}
