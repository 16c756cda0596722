/* daemon - the parent: starts, watches, restarts and stops its children. Parses nothing from outside, opens no network
 * socket. Uses: os, conf. */
#include "daemon/daemon.h"
#include "upkeep/upkeep.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	BACKOFF_MIN_MS = 100,
	BACKOFF_MAX_MS = 10000,
	STEADY_MS = 30000, /* who ran this long begins with the shortest backoff again */
	STOP_MS = 10000,
	READY_POLL_MS = 100,
	CLOCK_LOOK_MS = 5000,
	MEMORY_LOOK_MS = 250,
	CERTS_LOOK_MS = 24 * 3600 * 1000,
	EXIT_BUSY = 1,
	EXIT_BROKEN = 3
};

struct parent;
/* Children that live and die together, with the time of their next start. */
struct unit {
	struct parent *parent;
	const struct unit_row *row;
	int64_t backoff_ms, started_ms;
	struct os_timer restart, overdue;
};
struct unit_row {
	enum daemon_child first, last;
	bool (*start)(struct parent *p);
};
enum { UNIT_PAIR, UNIT_BROKER, UNITS };

struct parent {
	struct conf *conf;
	struct daemon_logs *logs;
	struct os_loop loop;
	struct os_watch signals;
	int news_fd; /* to the server; -1: none */
	struct timespec broker_cert; /* of the file that the broker has read */
	struct os_timer stop_overdue, ready_poll, clock_look, memory_look;
	struct upkeep_clock clock;
	int64_t certs_ms; /* when the certificates were looked at */
	struct unit units[UNITS];
	pid_t pids[DAEMON_CHILDREN]; /* 0: not running */
	bool told[DAEMON_CHILDREN]; /* was asked to end */
	bool stopping;
};

/* --- starting --- */

static void fd_drop(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
#define FD_SCOPED __attribute__((cleanup(fd_drop))) int

static bool child_start(struct parent *p, enum daemon_child who, const int *fds, size_t count)
{
	FD_SCOPED log_fd = daemon_logs_pipe(p->logs, who);
	const struct daemon_spawning spawning = {who, p->conf, fds, count, log_fd};
	pid_t pid = log_fd < 0 ? -1 : daemon_spawn(&spawning);

	p->told[who] = false;
	p->pids[who] = pid > 0 ? pid : 0;
	if (pid > 0)
		os_log(OS_LOG_CHILD_STARTED, "child=%s pid=%d", daemon_child_name(who), pid);
	else
		os_log(OS_LOG_CHILD_FAILED, "child=%s error=\"%s\"", daemon_child_name(who), strerror(errno));
	return pid > 0;
}

static bool pair_start(struct parent *p)
{
	char path[CONF_PATH_MAX];
	int ends[2] = {-1, -1}, news[2] = {-1, -1};

	conf_place(p->conf, CONF_PLACE_WEB_KEY, path);
	FD_SCOPED web_key = open(path, O_RDONLY | O_CLOEXEC);
	bool ok = web_key >= 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0 &&
	          socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, news) == 0;
	FD_SCOPED to_server = ends[0], to_signer = ends[1], to_parent = news[1];

	fd_drop(&p->news_fd);
	p->news_fd = news[0];
	if (!ok) {
		os_log(OS_LOG_CHILD_FAILED, "child=server path=%s error=\"%s\"", path, strerror(errno));
		return false;
	}
	const int server_fds[] = {to_signer, web_key, to_parent};

	return child_start(p, DAEMON_SIGNER, &to_server, 1) && child_start(p, DAEMON_SERVER, server_fds, 3);
}

static struct timespec broker_cert_time(const struct conf *c)
{
	char path[CONF_PATH_MAX];
	struct stat st = {0};

	conf_place(c, CONF_PLACE_BROKER_CERT, path);
	(void)stat(path, &st);
	return st.st_mtim;
}

static bool broker_start(struct parent *p)
{
	char path[CONF_PATH_MAX];
	OS_BUF_SCOPED text = os_buf_of(CONF_FILE_MAX);

	conf_broker_embedded(p->conf, geteuid() == 0, &text);
	conf_place(p->conf, CONF_PLACE_BROKER_CONF, path);
	if (text.err != HF_E_OK || os_replace_file(path, os_buf_span(&text), 0600) != HF_E_OK) {
		os_log(OS_LOG_CHILD_FAILED, "child=broker path=%s error=\"%s\"", path, strerror(errno));
		return false;
	}
	p->broker_cert = broker_cert_time(p->conf);
	return child_start(p, DAEMON_BROKER, NULL, 0);
}

static const struct unit_row unit_rows[] = {
	[UNIT_PAIR] = {DAEMON_SERVER, DAEMON_SIGNER, pair_start},
	[UNIT_BROKER] = {DAEMON_BROKER, DAEMON_BROKER, broker_start},
};

/* --- units --- */

static void child_end(struct parent *p, enum daemon_child who, int sig)
{
	if (p->pids[who] > 0 && kill(p->pids[who], sig) == 0)
		p->told[who] = true;
}

static bool unit_lives(const struct unit *u)
{
	for (unsigned who = u->row->first; who <= (unsigned)u->row->last; who++)
		if (u->parent->pids[who] > 0)
			return true;
	return false;
}

static void unit_end(struct unit *u, int sig)
{
	for (unsigned who = u->row->first; who <= (unsigned)u->row->last; who++)
		child_end(u->parent, (enum daemon_child)who, sig);
}

static void unit_start(struct unit *u)
{
	u->started_ms = os_monotonic_ms();
	if (u->row->start(u->parent))
		return;
	unit_end(u, SIGKILL);
	if (!unit_lives(u))
		os_timer_set(&u->parent->loop, &u->restart, u->started_ms + BACKOFF_MAX_MS);
}

static void on_restart(struct os_timer *t)
{
	unit_start(t->ctx);
}

static void on_unit_overdue(struct os_timer *t)
{
	unit_end(t->ctx, SIGKILL);
}

/* A member has ended: the others follow, and all start anew. */
static void unit_on_end(struct unit *u)
{
	struct os_loop *loop = &u->parent->loop;
	int64_t now = os_monotonic_ms();

	if (unit_lives(u)) {
		unit_end(u, SIGTERM);
		os_timer_set(loop, &u->overdue, now + STOP_MS);
		return;
	}
	os_timer_clear(loop, &u->overdue);
	if (now - u->started_ms >= STEADY_MS)
		u->backoff_ms = BACKOFF_MIN_MS;
	os_timer_set(loop, &u->restart, now + u->backoff_ms);
	u->backoff_ms = u->backoff_ms * 2 < BACKOFF_MAX_MS ? u->backoff_ms * 2 : BACKOFF_MAX_MS;
}

/* --- stopping --- */

/* Asks the next one that lives: the server first, so that it can still use the others. */
static void stop_step(struct parent *p)
{
	for (unsigned who = 0; who < DAEMON_CHILDREN; who++)
		if (p->pids[who] > 0) {
			if (!p->told[who])
				child_end(p, (enum daemon_child)who, SIGTERM);
			return;
		}
	os_loop_stop(&p->loop);
}

static void on_stop_overdue(struct os_timer *t)
{
	struct parent *p = t->ctx;

	for (unsigned who = 0; who < DAEMON_CHILDREN; who++)
		if (p->pids[who] > 0) {
			os_log(OS_LOG_CHILD_KILLED, "child=%s pid=%d", daemon_child_name((enum daemon_child)who), p->pids[who]);
			child_end(p, (enum daemon_child)who, SIGKILL);
		}
}

static void stop(struct parent *p, int sig)
{
	if (p->stopping)
		return;
	p->stopping = true;
	os_log(OS_LOG_PARENT_STOPPING, "signal=%d", sig);
	daemon_notify("STOPPING=1");
	os_timer_clear(&p->loop, &p->ready_poll);
	for (size_t i = 0; i < UNITS; i++) {
		os_timer_clear(&p->loop, &p->units[i].restart);
		os_timer_clear(&p->loop, &p->units[i].overdue);
	}
	os_timer_set(&p->loop, &p->stop_overdue, os_monotonic_ms() + STOP_MS);
	stop_step(p);
}

/* --- signals --- */

static void child_ended(struct parent *p, enum daemon_child who, int status)
{
	const char *how = WIFSIGNALED(status) ? "signal" : "exit";
	int number = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);

	os_log(p->told[who] || p->stopping ? OS_LOG_CHILD_STOPPED : OS_LOG_CHILD_LOST, "child=%s pid=%d %s=%d",
	       daemon_child_name(who), p->pids[who], how, number);
	p->pids[who] = 0;
	daemon_logs_drain(p->logs, who);
	if (p->stopping)
		stop_step(p);
	else
		unit_on_end(&p->units[who == DAEMON_BROKER ? UNIT_BROKER : UNIT_PAIR]);
}

static void children_reap(struct parent *p)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (unsigned who = 0; who < DAEMON_CHILDREN; who++)
			if (p->pids[who] == pid)
				child_ended(p, (enum daemon_child)who, status);
}

/* The broker cannot open a certificate that took the place of the one it started with: it starts anew. */
static void broker_renew(struct parent *p)
{
	struct timespec now = broker_cert_time(p->conf);

	if (p->pids[DAEMON_BROKER] > 0 && (now.tv_sec != p->broker_cert.tv_sec || now.tv_nsec != p->broker_cert.tv_nsec))
		child_end(p, DAEMON_BROKER, SIGTERM);
}

static void reload(struct parent *p)
{
	(void)daemon_logs_reopen(p->logs);
	if (p->stopping || !daemon_reload_conf(p->conf))
		return;
	if (p->pids[DAEMON_SERVER] > 0)
		daemon_news_send(p->news_fd, p->conf);
	broker_renew(p);
	os_log(OS_LOG_CONFIG_READ, "file=%s", p->conf->file);
}

static void on_signal(struct os_watch *w, uint32_t events)
{
	struct parent *p = w->ctx;
	struct signalfd_siginfo info;

	(void)events;
	while (read(w->fd, &info, sizeof info) == (ssize_t)sizeof info)
		if (info.ssi_signo == SIGCHLD)
			children_reap(p);
		else if (info.ssi_signo == SIGHUP)
			reload(p);
		else
			stop(p, (int)info.ssi_signo);
}

static bool signals_watch(struct parent *p)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	p->signals = (struct os_watch){.on_ready = on_signal, .ctx = p};
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return false;
	p->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return p->signals.fd >= 0 && os_watch_set(&p->loop, &p->signals, OS_READ) == HF_E_OK;
}

/* --- readiness --- */

static void on_ready_poll(struct os_timer *t)
{
	struct parent *p = t->ctx;
	const struct conf *c = p->conf;
	bool broker_up = c->broker == CONF_BROKER_EXTERNAL || conf_port_taken(c->listen, conf_mqtt_port(c));

	if (!broker_up || !conf_port_taken(c->listen, conf_https_port(c))) {
		os_timer_set(&p->loop, t, os_monotonic_ms() + READY_POLL_MS);
		return;
	}
	os_log(OS_LOG_PARENT_READY, "https=%u mqtt=%u", conf_https_port(c), conf_mqtt_port(c));
	daemon_notify("READY=1");
}

/* --- memory --- */

/* A broker that takes more than it may begins anew, without what it queued. mosquitto's own memory_limit is of no use: its count of
 * what it holds drifts, below zero too, and then it lets nobody in for good. */
static void on_memory_look(struct os_timer *t)
{
	struct parent *p = t->ctx;
	int64_t bytes = p->pids[DAEMON_BROKER] > 0 ? daemon_memory_bytes(p->pids[DAEMON_BROKER]) : 0;
	char path[CONF_PATH_MAX];

	if (bytes > p->conf->broker_memory_mb << 20) {
		os_log(OS_LOG_BROKER_MEMORY, "mb=%lld broker_memory_mb=%lld", (long long)(bytes >> 20),
		       (long long)p->conf->broker_memory_mb);
		child_end(p, DAEMON_BROKER, SIGKILL);
		conf_place(p->conf, CONF_PLACE_BROKER_SESSIONS, path);
		(void)unlink(path); /* a snapshot of queues that are too big would end the next one too; there may be none */
	}
	os_timer_set(&p->loop, t, os_monotonic_ms() + MEMORY_LOOK_MS);
}

/* --- time --- */

/* Once a day, and when the clock was set. */
static void on_clock_look(struct os_timer *t)
{
	struct parent *p = t->ctx;
	int64_t now = os_monotonic_ms();
	bool jumped = upkeep_clock_look(&p->clock, os_now_ms(), now) != 0;

	if (jumped || now - p->certs_ms >= CERTS_LOOK_MS) {
		p->certs_ms = now;
		daemon_certs_tell(p->conf);
	}
	os_timer_set(&p->loop, t, now + CLOCK_LOOK_MS);
}

/* --- the whole --- */

/* Takes the lock that says who runs here; kept until the process ends. */
static bool lock_take(const struct conf *c)
{
	char path[CONF_PATH_MAX], text[32];
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	conf_place(c, CONF_PLACE_PID, path);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int len = snprintf(text, sizeof text, "%d\n", getpid());

	if (fd < 0 || fcntl(fd, F_OFD_SETLK, &lock) < 0) {
		fprintf(stderr, "holdfastd: %s is locked: a holdfastd runs here already (process %ld)\n", path,
		        conf_running(c));
		return false;
	}
	return ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)len, 0) == len;
}

/* The server may fill this file, but not make one beside the keys. */
static bool token_file_make(const struct conf *c)
{
	char path[CONF_PATH_MAX];

	conf_place(c, CONF_PLACE_ADMIN_TOKEN, path);
	FD_SCOPED fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		fprintf(stderr, "holdfastd: %s cannot be made: %s\n", path, strerror(errno));
	return fd >= 0;
}

/* The parent keeps its memory to itself too: it opens the web key. */
static void harden(void)
{
	const struct rlimit none = {0, 0};

	umask(077);
	(void)setrlimit(RLIMIT_CORE, &none);
	(void)prctl(PR_SET_DUMPABLE, 0);
}

static bool begin(struct parent *p)
{
	if (!signals_watch(p))
		return false;
	os_log(OS_LOG_PARENT_STARTED, "version=%s data=%s", HOLDFAST_VERSION, p->conf->data_dir);
	p->stop_overdue = (struct os_timer){.on_due = on_stop_overdue, .ctx = p};
	p->ready_poll = (struct os_timer){.on_due = on_ready_poll, .ctx = p};
	p->clock_look = (struct os_timer){.on_due = on_clock_look, .ctx = p};
	p->certs_ms = os_monotonic_ms();
	upkeep_clock_init(&p->clock, os_now_ms(), os_now_ms(), p->certs_ms);
	for (size_t i = 0; i < UNITS; i++) {
		struct unit *u = &p->units[i];

		*u = (struct unit){.parent = p, .row = &unit_rows[i], .backoff_ms = BACKOFF_MIN_MS};
		u->restart = (struct os_timer){.on_due = on_restart, .ctx = u};
		u->overdue = (struct os_timer){.on_due = on_unit_overdue, .ctx = u};
		if (i != UNIT_BROKER || p->conf->broker == CONF_BROKER_EMBEDDED)
			unit_start(u);
	}
	os_timer_set(&p->loop, &p->ready_poll, os_monotonic_ms() + READY_POLL_MS);
	daemon_certs_tell(p->conf);
	os_timer_set(&p->loop, &p->clock_look, p->certs_ms + CLOCK_LOOK_MS);
	p->memory_look = (struct os_timer){.on_due = on_memory_look, .ctx = p};
	os_timer_set(&p->loop, &p->memory_look, p->certs_ms + MEMORY_LOOK_MS);
	return true;
}

int daemon_parent(struct conf *c, bool log_to_stderr)
{
	struct parent p = {.conf = c, .news_fd = -1};

	harden();
	if (!lock_take(c))
		return EXIT_BUSY;
	if (!token_file_make(c) || os_loop_init(&p.loop) != HF_E_OK)
		return EXIT_BROKEN;
	p.logs = daemon_logs_open(&p.loop, c, log_to_stderr);
	if (!p.logs)
		return EXIT_BROKEN;
	if (!begin(&p) || os_loop_run(&p.loop) != HF_E_OK) {
		os_log(OS_LOG_FAILED, "error=\"%s\"", strerror(errno));
		return EXIT_BROKEN;
	}
	os_log(OS_LOG_PARENT_STOPPED, "version=%s", HOLDFAST_VERSION);
	return 0;
}
