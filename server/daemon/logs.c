/* daemon - the log files: children write into pipes, the parent into files, which it puts aside when they are big. So a
 * child needs no right to its log, and mosquitto's lines look like ours. Uses: os, conf. */
#include "daemon/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PART_MAX = 8192, WINDOW_MS = 10000, LINES_A_WINDOW = 1000, READS_A_TURN = 64 };

enum file { FILE_MAIN, FILE_SIGNER, FILE_BROKER, FILES };
static const enum conf_place files[FILES] = {CONF_PLACE_LOG, CONF_PLACE_SIGNER_LOG, CONF_PLACE_BROKER_LOG};

/* What a child says. wrapped: its lines are not ours, and become events. */
struct source {
	struct os_watch watch; /* fd -1: the child does not run */
	struct daemon_logs *logs;
	enum file file;
	bool wrapped;
	char part[PART_MAX]; /* the beginning of a line */
	size_t part_len;
	int64_t window_ms;
	unsigned lines; /* of this window */
};
struct daemon_logs {
	struct os_loop *loop;
	const struct conf *conf;
	bool to_stderr; /* the main log is somebody else's */
	int fd[FILES];
	struct source source[DAEMON_CHILDREN];
};
static const enum file file_of[] = {
	[DAEMON_SERVER] = FILE_MAIN,
	[DAEMON_SIGNER] = FILE_SIGNER,
	[DAEMON_BROKER] = FILE_BROKER,
};

/* --- files ------------------------------------------------------------------------------------------------------------------ */

static bool is_file(const struct daemon_logs *l, enum file f)
{
	return f != FILE_MAIN || !l->to_stderr;
}

/* The main log takes the place of stderr: the parent's own lines go there. */
static bool file_open(struct daemon_logs *l, enum file f)
{
	char path[CONF_PATH_MAX];

	conf_place(l->conf, files[f], path);
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	if (fd < 0)
		return false;
	if (f == FILE_MAIN) {
		bool ok = dup2(fd, STDERR_FILENO) >= 0;

		close(fd);
		l->fd[f] = STDERR_FILENO;
		return ok;
	}
	if (l->fd[f] >= 0)
		close(l->fd[f]);
	l->fd[f] = fd;
	return true;
}

/* log → log.1 → log.2 → ...; the last one falls off the end. */
static void file_put_aside(const struct daemon_logs *l, enum file f)
{
	char path[CONF_PATH_MAX], from[CONF_PATH_MAX + 24], to[CONF_PATH_MAX + 24];

	conf_place(l->conf, files[f], path);
	for (int64_t n = l->conf->log_keep; n > 0; n--) {
		snprintf(to, sizeof to, "%s.%lld", path, (long long)n);
		snprintf(from, sizeof from, n > 1 ? "%s.%lld" : "%s", path, (long long)n - 1);
		(void)rename(from, to); /* there may be none of that number yet */
	}
	if (l->conf->log_keep == 0)
		(void)unlink(path);
}

static void file_limit(struct daemon_logs *l, enum file f)
{
	struct stat st;

	if (!is_file(l, f) || fstat(l->fd[f], &st) < 0 || st.st_size < l->conf->log_max_mb << 20)
		return;
	file_put_aside(l, f);
	(void)file_open(l, f); /* if that fails, the old one goes on growing under its new name */
}

static void file_write(const struct daemon_logs *l, enum file f, const char *text, size_t len)
{
	if (write(l->fd[f], text, len) < 0)
		return; /* the disk is full: the line is lost, the service goes on */
}

bool daemon_logs_reopen(struct daemon_logs *l)
{
	bool ok = true;

	for (unsigned f = 0; f < FILES; f++)
		if (is_file(l, (enum file)f) && !file_open(l, (enum file)f)) {
			char path[CONF_PATH_MAX];

			conf_place(l->conf, files[f], path);
			fprintf(stderr, "holdfastd: %s cannot be written: %s\n", path, strerror(errno));
			ok = false;
		}
	return ok;
}

/* --- lines ------------------------------------------------------------------------------------------------------------------ */

/* Is there room for one more line in these ten seconds? */
static bool source_admits(struct source *s)
{
	int64_t now = os_monotonic_ms();

	if (now - s->window_ms >= WINDOW_MS) {
		if (s->lines > LINES_A_WINDOW)
			os_log_to(s->logs->fd[s->file], OS_LOG_BROKER_HUSHED, "count=%u", s->lines - LINES_A_WINDOW);
		s->window_ms = now;
		s->lines = 0;
	}
	return ++s->lines <= LINES_A_WINDOW;
}

static void source_say(struct source *s, const char *text, size_t len)
{
	if (!s->wrapped)
		file_write(s->logs, s->file, text, len);
	else if (source_admits(s))
		os_log_to(s->logs->fd[s->file], OS_LOG_BROKER_SAYS, "text=\"%.*s\"", (int)(len - (text[len - 1] == '\n')),
		          text);
}

/* Says all whole lines; a line that fills the room is said in parts. */
static void source_flush(struct source *s, bool all)
{
	size_t at = 0;

	while (at < s->part_len) {
		const char *from = s->part + at, *newline = memchr(from, '\n', s->part_len - at);
		size_t len = newline ? (size_t)(newline - from) + 1 : s->part_len - at;

		if (!newline && !all && (at > 0 || len < sizeof s->part))
			break;
		source_say(s, from, len);
		at += len;
	}
	s->part_len -= at;
	memmove(s->part, s->part + at, s->part_len);
}

static void source_end(struct source *s)
{
	source_flush(s, true);
	os_watch_clear(&s->watch);
	close(s->watch.fd);
	s->watch.fd = -1;
}

/* Reads what is there, and ends the source when its child is gone. */
static void source_read(struct source *s)
{
	ssize_t n = 1;
	bool ended = false;

	for (unsigned reads = 0; n > 0 && reads < READS_A_TURN; reads++) {
		n = read(s->watch.fd, s->part + s->part_len, sizeof s->part - s->part_len);
		if (n > 0)
			s->part_len += (size_t)n;
		ended = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
		source_flush(s, false);
	}
	if (ended)
		source_end(s);
	file_limit(s->logs, s->file);
}

static void on_ready(struct os_watch *w, uint32_t events)
{
	(void)events;
	source_read(w->ctx);
}

/* --- the whole -------------------------------------------------------------------------------------------------------------- */

struct daemon_logs *daemon_logs_open(struct os_loop *loop, const struct conf *c, bool to_stderr)
{
	static struct daemon_logs logs;

	logs = (struct daemon_logs){.loop = loop, .conf = c, .to_stderr = to_stderr, .fd = {STDERR_FILENO, -1, -1}};
	for (unsigned who = 0; who < DAEMON_CHILDREN; who++)
		logs.source[who] = (struct source){.watch = {.fd = -1, .on_ready = on_ready, .ctx = &logs.source[who]},
		                                   .logs = &logs,
		                                   .file = file_of[who],
		                                   .wrapped = who == DAEMON_BROKER};
	return daemon_logs_reopen(&logs) ? &logs : NULL;
}

int daemon_logs_pipe(struct daemon_logs *l, enum daemon_child who)
{
	struct source *s = &l->source[who];
	int ends[2];

	daemon_logs_drain(l, who);
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -1;
	s->watch.fd = ends[0];
	if (os_watch_set(l->loop, &s->watch, OS_READ) == HF_E_OK)
		return ends[1];
	close(ends[0]);
	close(ends[1]);
	s->watch.fd = -1;
	return -1;
}

void daemon_logs_drain(struct daemon_logs *l, enum daemon_child who)
{
	struct source *s = &l->source[who];

	if (s->watch.fd < 0)
		return;
	source_read(s);
	if (s->watch.fd >= 0)
		source_end(s);
}
