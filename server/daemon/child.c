/* daemon - starts children, and what a child does before it serves. Uses: os, conf, sandbox, signer. */
#include "daemon/daemon.h"
#include "sandbox/sandbox.h"
#include "signer/signer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { FD_SPARE = 32, EXIT_SETUP = 3 };

/* Whoever is killed at once loses nothing; the broker saves its sessions first. */
struct child_row {
	const char *name, *process_name;
	int parent_died_signal;
	enum sandbox_role sandbox;
};
static const struct child_row rows[] = {
	[DAEMON_SERVER] = {"server", "holdfast-server", SIGKILL, SANDBOX_SERVER},
	[DAEMON_SIGNER] = {"signer", "holdfast-signer", SIGKILL, SANDBOX_SIGNER},
	[DAEMON_BROKER] = {"broker", "mosquitto", SIGTERM, SANDBOX_BROKER},
};

const char *daemon_child_name(enum daemon_child who)
{
	return rows[who].name;
}

/* As many descriptors as this user may have: each client of broker and server needs one. */
static void descriptors_raise(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static bool sandbox_take(enum daemon_child who, const struct conf *c)
{
	static struct sandbox_plan plan;
	const char *failed;

	if (c->sandbox == CONF_SANDBOX_OFF) {
		os_log(OS_LOG_SANDBOX_OFF, "process=%s", rows[who].name);
		return true;
	}
	sandbox_plan(rows[who].sandbox, c, &plan);
	if (sandbox_enter(&plan, &failed) != HF_E_OK) {
		os_log(OS_LOG_SANDBOX_FAILED, "process=%s step=\"%s\" error=\"%s\"", rows[who].name, failed, strerror(errno));
		return false;
	}
	os_log(OS_LOG_SANDBOX_ENTERED, "process=%s by=\"%s\"", rows[who].name, sandbox_level());
	return true;
}

static void broker_exec(const struct conf *c)
{
	char path[CONF_PATH_MAX], program[CONF_PATH_MAX];
	char *args[] = {program, (char[]){"-c"}, path, NULL};

	conf_place(c, CONF_PLACE_BROKER_CONF, path);
	memcpy(program, c->broker_program, sizeof program);
	descriptors_raise();
	if (sandbox_take(DAEMON_BROKER, c))
		execv(c->broker_program, args);
}

static void role_exec(enum daemon_child who, const struct conf *c)
{
	char file[CONF_PATH_MAX], role[16];
	char *args[] = {(char[]){"holdfastd"}, (char[]){"--config"}, file, (char[]){"--role"}, role, NULL};

	memcpy(file, c->file, sizeof file);
	memcpy(role, rows[who].name, strlen(rows[who].name) + 1);
	execv("/proc/self/exe", args);
}

/* Puts fds at 3, 4, ... and closes everything above. */
static bool fds_settle(const int *fds, size_t count)
{
	int spare[DAEMON_FDS_MAX] = {0};

	for (size_t i = 0; i < count; i++)
		spare[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, FD_SPARE);
	for (size_t i = 0; i < count; i++)
		if (dup2(spare[i], DAEMON_SIGNER_FD + (int)i) < 0)
			return false;
	return close_range(DAEMON_SIGNER_FD + (unsigned)count, ~0U, 0) == 0;
}

/* In the child, before its program runs. */
static bool child_settle(enum daemon_child who, pid_t parent, int log_fd)
{
	sigset_t none;
	int null = open("/dev/null", O_RDONLY);

	sigemptyset(&none);
	if (prctl(PR_SET_PDEATHSIG, rows[who].parent_died_signal) < 0 || getppid() != parent)
		return false;
	return setsid() >= 0 && sigprocmask(SIG_SETMASK, &none, NULL) == 0 && dup2(null, STDIN_FILENO) >= 0 &&
	       dup2(log_fd, STDOUT_FILENO) >= 0 && dup2(log_fd, STDERR_FILENO) >= 0;
}

pid_t daemon_spawn(const struct daemon_spawning *s)
{
	pid_t parent = getpid(), child = fork();

	if (child != 0)
		return child;
	if (child_settle(s->who, parent, s->log_fd) && fds_settle(s->fds, s->count)) {
		if (s->who == DAEMON_BROKER)
			broker_exec(s->conf);
		else
			role_exec(s->who, s->conf);
		os_log(OS_LOG_CHILD_FAILED, "child=%s error=\"%s\"", rows[s->who].name, strerror(errno));
	}
	_exit(EXIT_SETUP);
}

int daemon_role(enum daemon_child who, struct conf *c)
{
	char db_folder[CONF_PATH_MAX];

	if (fcntl(DAEMON_SIGNER_FD, F_GETFD) < 0) {
		os_log(OS_LOG_CHILD_FAILED, "child=%s error=\"only holdfastd itself starts a role\"", rows[who].name);
		return EXIT_SETUP;
	}
	(void)prctl(PR_SET_NAME, rows[who].process_name);
	descriptors_raise();
	os_resolve_prepare();
	conf_place(c, CONF_PLACE_DB_DIR, db_folder);
	if (setenv("SQLITE_TMPDIR", db_folder, 1) < 0 || !sandbox_take(who, c))
		return EXIT_SETUP;
	return who == DAEMON_SIGNER ? signer_main(c, DAEMON_SIGNER_FD) : daemon_server(c);
}
