/* sandbox - tests: each act is tried by a child that entered a plan; its exit status is the errno that it got. */
#include "sandbox/sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { ENTER_FAILED = 250, FAILED_WITHOUT_ERRNO = 251, NOBODY = 65534 };

static char folder[] = "/tmp/holdfast-sandbox-XXXXXX";
static struct conf conf = {.c2 = "main", .broker_program = "/bin/sh", .port_base = 31000};
static uid_t run_as;
static pid_t bystander; /* stands in for the signer: not in the sandbox of whoever tries */

/* --- helpers --- */

static void place_put(enum conf_place place, const char *text)
{
	char path[CONF_PATH_MAX];

	conf_place(&conf, place, path);
	assert_int_equal(os_replace_file(path, hf_span_text(text), 0600), HF_E_OK);
}

static void enter_or_exit(enum sandbox_role role)
{
	static struct sandbox_plan plan;
	const char *failed;

	if (run_as && (setgid(run_as) < 0 || setuid(run_as) < 0))
		_exit(ENTER_FAILED);
	sandbox_plan(role, &conf, &plan);
	if (sandbox_enter(&plan, &failed) != HF_E_OK) {
		fprintf(stderr, "%s: %s\n", failed, strerror(errno));
		_exit(ENTER_FAILED);
	}
}

/* The errno of act in a new process that entered role; 0 when act was allowed. */
static int attempt(enum sandbox_role role, int (*act)(void))
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		enter_or_exit(role);
		errno = 0;
		_exit(act() == 0 ? 0 : errno ? errno : FAILED_WITHOUT_ERRNO);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_not_equal(WEXITSTATUS(status), ENTER_FAILED);
	return WEXITSTATUS(status);
}

static bool has_landlock(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, 1) > 0;
}

static int read_place(enum conf_place place)
{
	char path[CONF_PATH_MAX], byte;

	conf_place(&conf, place, path);
	int fd = open(path, O_RDONLY);

	return fd < 0 || read(fd, &byte, 1) != 1 ? -1 : 0;
}

static int create_in(enum conf_place place, const char *name)
{
	char dir[CONF_PATH_MAX], path[CONF_PATH_MAX + 64];

	conf_place(&conf, place, dir);
	snprintf(path, sizeof path, "%s/%s", dir, name);
	return open(path, O_RDWR | O_CREAT | O_TRUNC, 0600) < 0 ? -1 : 0;
}

/* --- acts: -1 and errno, or 0 --- */

#define ACT(name, expression) \
	static int name(void)     \
	{                         \
		return (expression);  \
	}

ACT(read_keyex_key, read_place(CONF_PLACE_KEYEX_KEY))
ACT(read_ca_key, read_place(CONF_PLACE_BROKER_CA_KEY))
ACT(read_c2_key, read_place(CONF_PLACE_C2_KEY))
ACT(read_web_key, read_place(CONF_PLACE_WEB_KEY))
ACT(read_web_cert, read_place(CONF_PLACE_WEB_CERT))
ACT(read_broker_key, read_place(CONF_PLACE_BROKER_KEY))
ACT(list_keys, open(conf.keys_dir, O_RDONLY | O_DIRECTORY) < 0 ? -1 : 0)

static int read_keys_through_proc(void)
{
	char path[CONF_PATH_MAX * 2];

	snprintf(path, sizeof path, "/proc/self/root%s/keyex.pem", conf.keys_dir);
	return open(path, O_RDONLY) < 0 ? -1 : 0;
}

static int link_key_into_db(void)
{
	char key[CONF_PATH_MAX], to[CONF_PATH_MAX];

	conf_place(&conf, CONF_PLACE_KEYEX_KEY, key);
	conf_place(&conf, CONF_PLACE_DB, to);
	return link(key, to);
}

ACT(replace_key, create_in(CONF_PLACE_KEYS_DIR, "keyex.pem"))
ACT(write_signer_log, create_in(CONF_PLACE_LOG_DIR, "signer.log"))
ACT(write_broker_conf, create_in(CONF_PLACE_RUN_DIR, "mosquitto.conf"))

static int write_db(void)
{
	char path[CONF_PATH_MAX + 64], dir[CONF_PATH_MAX];

	conf_place(&conf, CONF_PLACE_DB_DIR, dir);
	snprintf(path, sizeof path, "%s/holdfast.db-wal", dir);
	return create_in(CONF_PLACE_DB_DIR, "holdfast.db-wal") < 0 ? -1 : unlink(path);
}

static int replace_table(void)
{
	char path[CONF_PATH_MAX];

	conf_place(&conf, CONF_PLACE_BROKER_TABLE, path);
	return os_replace_file(path, hf_span_text("end 0\n"), 0600) == HF_E_OK ? 0 : -1;
}

static int write_admin_token(void)
{
	char path[CONF_PATH_MAX];

	conf_place(&conf, CONF_PLACE_ADMIN_TOKEN, path);
	int fd = open(path, O_WRONLY | O_TRUNC);

	return fd >= 0 && write(fd, "token\n", 6) == 6 ? 0 : -1;
}

ACT(trace_bystander, ptrace(PTRACE_ATTACH, bystander, NULL, NULL) < 0 ? -1 : 0)

static int read_bystander(void)
{
	char byte;
	struct iovec here = {&byte, 1}, there = {&bystander, 1};

	return process_vm_readv(bystander, &here, 1, &there, 1, 0) < 0 ? -1 : 0;
}

static int open_bystander_memory(void)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/mem", bystander);
	return open(path, O_RDONLY) < 0 ? -1 : 0;
}

ACT(signal_bystander, kill(bystander, 0))

static int take_bystander_descriptor(void)
{
	int fd = (int)syscall(SYS_pidfd_open, bystander, 0);

	return fd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, fd, 0, 0);
}

static int execute(void)
{
	char *const args[] = {(char[]){"true"}, NULL};

	return execv("/bin/true", args);
}

static int make_child(void)
{
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	return child < 0 ? -1 : 0;
}

ACT(map_code, mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0)
ACT(mount_something, (int)syscall(SYS_mount, "none", "/mnt", "tmpfs", 0, NULL))
ACT(use_keyring, (int)syscall(SYS_keyctl, 0, -3, 0))
ACT(use_bpf, (int)syscall(SYS_bpf, 0, NULL, 0))
ACT(socket_inet, socket(AF_INET, SOCK_STREAM, 0) < 0 ? -1 : 0)
ACT(socket_unix, socket(AF_UNIX, SOCK_STREAM, 0) < 0 ? -1 : 0)

static int socket_pair(void)
{
	int fds[2];

	return socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
}

static struct sockaddr_in loopback(unsigned port)
{
	return (struct sockaddr_in){AF_INET, htons((uint16_t)port), {htonl(INADDR_LOOPBACK)}, {0}};
}

static int listen_on(unsigned port)
{
	struct sockaddr_in at = loopback(port);
	int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
		return -1;
	return bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 1) < 0 ? -1 : 0;
}

static int connect_to(unsigned port)
{
	struct sockaddr_in at = loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return fd < 0 ? -1 : connect(fd, (struct sockaddr *)&at, sizeof at);
}

ACT(listen_on_https, listen_on(conf_https_port(&conf)))
ACT(listen_elsewhere, listen_on(conf_https_port(&conf) + 1))
ACT(connect_to_broker, connect_to(conf_mqtt_port(&conf)))
ACT(connect_elsewhere, connect_to(conf_mqtt_port(&conf) + 1))

static int resolve_localhost(void)
{
	struct addrinfo *found = NULL, wanted = {.ai_socktype = SOCK_STREAM};
	int err = getaddrinfo("localhost", "1", &wanted, &found);

	if (!err)
		freeaddrinfo(found);
	return err ? -1 : 0;
}

static void *nothing(void *arg)
{
	return arg;
}

static int start_thread(void)
{
	pthread_t thread;

	errno = pthread_create(&thread, NULL, nothing, NULL);
	return errno || pthread_join(thread, NULL) ? -1 : 0;
}

ACT(raise_signal, signal(SIGUSR1, SIG_IGN) == SIG_ERR ? -1 : raise(SIGUSR1))

static int has_no_core_and_is_hidden(void)
{
	struct rlimit core = {1, 1};
	bool hidden = prctl(PR_GET_DUMPABLE) == 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;

	return hidden && getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0 ? 0 : -1;
}

ACT(raise_own_priority, setpriority(PRIO_PROCESS, 0, -5))

/* --- tests --- */

struct act_row {
	const char *what;
	enum sandbox_role role;
	int (*act)(void);
	int expect; /* errno; 0: allowed */
};

static void acts_try(const struct act_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int got = attempt(rows[i].role, rows[i].act);

		if (got != rows[i].expect)
			fail_msg("%s: wanted %s, got %s", rows[i].what, strerror(rows[i].expect), strerror(got));
	}
}

#define TRY_ALL(rows) acts_try((rows), sizeof(rows) / sizeof(rows)[0])
#define ROW(role, act, expect)                          \
	{                                                   \
#role " " #act, SANDBOX_##role, (act), (expect) \
	}

static void K8_server_cannot_read_keys(void **state)
{
	static const struct act_row rows[] = {
		ROW(SERVER, read_keyex_key, EACCES),
		ROW(SERVER, read_ca_key, EACCES),
		ROW(SERVER, read_c2_key, EACCES),
		ROW(SERVER, read_web_key, EACCES),
		ROW(SERVER, read_broker_key, EACCES),
		ROW(SERVER, list_keys, EACCES),
		ROW(SERVER, read_keys_through_proc, EACCES),
		ROW(SERVER, replace_key, EACCES),
		ROW(SERVER, link_key_into_db, EXDEV),
		ROW(BROKER, read_keyex_key, EACCES),
		ROW(BROKER, read_ca_key, EACCES),
		ROW(BROKER, read_c2_key, EACCES),
	};

	(void)state;
	if (!has_landlock())
		skip();
	TRY_ALL(rows);
}

static void K8_server_cannot_reach_into_the_signer(void **state)
{
	static const struct act_row rows[] = {
		ROW(SERVER, trace_bystander, EPERM),  ROW(SERVER, read_bystander, EPERM),
		ROW(SERVER, signal_bystander, EPERM), ROW(SERVER, take_bystander_descriptor, EPERM),
		ROW(BROKER, trace_bystander, EPERM),  ROW(BROKER, read_bystander, EPERM),
	};

	(void)state;
	TRY_ALL(rows);
	assert_int_not_equal(attempt(SANDBOX_SERVER, open_bystander_memory), 0);
}

static void K8_server_cannot_execute(void **state)
{
	static const struct act_row rows[] = {
		ROW(SERVER, execute, EPERM), ROW(SERVER, make_child, EPERM), ROW(SERVER, map_code, EPERM),
		ROW(SIGNER, execute, EPERM), ROW(SIGNER, make_child, EPERM), ROW(SIGNER, map_code, EPERM),
	};

	(void)state;
	TRY_ALL(rows);
}

static void K8_server_cannot_write_signer_log(void **state)
{
	static const struct act_row rows[] = {
		ROW(SERVER, write_signer_log, EACCES),
		ROW(SERVER, write_broker_conf, EACCES),
		ROW(BROKER, write_broker_conf, EACCES),
	};

	(void)state;
	if (!has_landlock())
		skip();
	TRY_ALL(rows);
}

static void K8_signer_has_no_network(void **state)
{
	static const struct act_row rows[] = {
		ROW(SIGNER, socket_inet, EPERM),
		ROW(SIGNER, socket_unix, EPERM),
		ROW(SIGNER, socket_pair, EPERM),
	};

	(void)state;
	TRY_ALL(rows);
}

static void K8_nobody_changes_the_kernel(void **state)
{
	static const struct act_row rows[] = {
		ROW(SERVER, mount_something, EPERM),
		ROW(SERVER, use_keyring, EPERM),
		ROW(SERVER, use_bpf, EPERM),
		ROW(SIGNER, mount_something, EPERM),
		ROW(SIGNER, use_keyring, EPERM),
		ROW(SIGNER, use_bpf, EPERM),
		ROW(BROKER, mount_something, EPERM),
		ROW(BROKER, use_keyring, EPERM),
		ROW(BROKER, use_bpf, EPERM),
		ROW(SERVER, socket_unix, EPERM),
		ROW(BROKER, socket_unix, EPERM),
		ROW(SERVER, raise_own_priority, EACCES),
		ROW(SIGNER, raise_own_priority, EACCES),
	};

	(void)state;
	TRY_ALL(rows);
}

static void each_can_do_its_work(void **state)
{
	static const struct act_row rows[] = {
		ROW(SERVER, write_db, 0),
		ROW(SERVER, replace_table, 0),
		ROW(SERVER, write_admin_token, 0),
		ROW(SERVER, read_web_cert, 0),
		ROW(SERVER, listen_on_https, 0),
		ROW(SERVER, connect_to_broker, ECONNREFUSED),
		ROW(SERVER, resolve_localhost, 0),
		ROW(SERVER, start_thread, 0),
		ROW(SERVER, socket_pair, 0),
		ROW(SERVER, raise_signal, 0),
		ROW(SERVER, has_no_core_and_is_hidden, 0),
		ROW(SIGNER, read_keyex_key, 0),
		ROW(SIGNER, read_c2_key, 0),
		ROW(SIGNER, list_keys, 0),
		ROW(SIGNER, has_no_core_and_is_hidden, 0),
		ROW(BROKER, read_broker_key, 0),
		ROW(BROKER, resolve_localhost, 0),
		ROW(BROKER, socket_pair, 0),
	};

	(void)state;
	TRY_ALL(rows);
}

static void ports_are_fenced(void **state)
{
	static const struct act_row rows[] = {
		ROW(SERVER, listen_elsewhere, EACCES),
		ROW(SERVER, connect_elsewhere, EACCES),
		ROW(BROKER, listen_on_https, EACCES),
		ROW(BROKER, connect_to_broker, EACCES),
	};

	(void)state;
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 4)
		skip();
	TRY_ALL(rows);
}

static void signer_writes_nothing(void **state)
{
	static const struct act_row rows[] = {
		ROW(SIGNER, replace_key, EACCES),
		ROW(SIGNER, write_db, EACCES),
		ROW(SIGNER, write_signer_log, EACCES),
	};

	(void)state;
	if (!has_landlock())
		skip();
	TRY_ALL(rows);
}

/* Runs the broker's program, which is a shell here; returns its exit status. */
static int shell_run(const char *script)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		char *const args[] = {conf.broker_program, (char[]){"-c"}, (char *)(uintptr_t)script, NULL};

		enter_or_exit(SANDBOX_BROKER);
		execv(conf.broker_program, args);
		_exit(errno);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void broker_program_is_run_once(void **state)
{
	(void)state;
	assert_int_equal(shell_run("exit 42"), 42);
	assert_int_equal(shell_run("exec /bin/sh -c 'exit 42' 2>/dev/null"), 126);
	assert_int_equal(shell_run("exec 2>/dev/null; read -r line < /etc/shadow && exit 42; exit 7"),
	                 has_landlock() ? 7 : 42);
}

ACT(level_is_said, strstr(sandbox_level(), has_landlock() ? "Landlock " : "seccomp only") ? 0 : -1)

static void level_says_what_holds(void **state)
{
	(void)state;
	assert_int_equal(attempt(SANDBOX_SERVER, level_is_said), 0);
	assert_string_equal(sandbox_level(), "off");
}

/* The whole universe given to a user without any capability. */
static void owner_set(uid_t uid)
{
	char c2_folder[CONF_PATH_MAX + 8];

	snprintf(c2_folder, sizeof c2_folder, "%s/c2", conf.keys_dir);
	assert_int_equal(chown(c2_folder, uid, uid), 0);
	for (size_t i = 0; i < CONF_PLACE_COUNT_; i++) {
		char path[CONF_PATH_MAX];

		conf_place(&conf, (enum conf_place)i, path);
		if (chown(path, uid, uid) < 0 && errno != ENOENT)
			fail_msg("chown %s: %s", path, strerror(errno));
	}
	assert_int_equal(chown(folder, uid, uid), 0);
	assert_int_equal(chown(conf.data_dir, uid, uid), 0);
}

static void plain_users_have_the_same_fences(void **state)
{
	if (geteuid() != 0)
		skip();
	owner_set(NOBODY);
	run_as = NOBODY;
	K8_server_cannot_read_keys(state);
	K8_server_cannot_execute(state);
	K8_signer_has_no_network(state);
	each_can_do_its_work(state);
	broker_program_is_run_once(state);
	run_as = 0;
	owner_set(0);
}

/* root in a checkout below another user's home that is closed to all others */
static void root_works_below_a_closed_home(void **state)
{
	if (geteuid() != 0 || !has_landlock())
		skip();
	assert_int_equal(chown(folder, NOBODY, NOBODY), 0);
	each_can_do_its_work(state);
	K8_server_cannot_read_keys(state);
	K8_server_cannot_write_signer_log(state);
	assert_int_equal(chown(folder, 0, 0), 0);
}

/* --- the universe that is tried on --- */

static int universe_make(void **state)
{
	static const enum conf_place files[] = {CONF_PLACE_KEYEX_KEY,   CONF_PLACE_BROKER_CA_KEY, CONF_PLACE_C2_KEY,
	                                        CONF_PLACE_WEB_KEY,     CONF_PLACE_WEB_CERT,      CONF_PLACE_BROKER_KEY,
	                                        CONF_PLACE_ADMIN_TOKEN, CONF_PLACE_BROKER_TABLE,  CONF_PLACE_SIGNER_LOG,
	                                        CONF_PLACE_BROKER_CONF};
	struct conf_report r = {0};
	char path[CONF_PATH_MAX];

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(conf.data_dir, sizeof conf.data_dir, "%s/home", folder);
	snprintf(conf.keys_dir, sizeof conf.keys_dir, "%s/home/keys", folder);
	while (conf_port_taken("::", conf_https_port(&conf)) || conf_port_taken("::", conf_mqtt_port(&conf)))
		conf.port_base += 2;
	assert_int_equal(mkdir(conf.data_dir, 0700), 0);
	assert_int_equal(mkdir(conf.keys_dir, 0700), 0);
	assert_int_equal(conf_make_folders(&conf, &r), HF_E_OK);
	snprintf(path, sizeof path, "%s/home/keys/c2", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	conf_place(&conf, CONF_PLACE_C2_DIR, path);
	assert_int_equal(mkdir(path, 0700), 0);
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
		place_put(files[i], "content");
	bystander = fork();
	if (bystander == 0)
		for (;;)
			pause();
	return 0;
}

static int universe_remove(void **state)
{
	char *const args[] = {(char[]){"rm"}, (char[]){"-rf"}, folder, NULL};

	(void)state;
	kill(bystander, SIGKILL);
	waitpid(bystander, NULL, 0);
	if (fork() == 0)
		execv("/bin/rm", args);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(K8_server_cannot_read_keys),     cmocka_unit_test(K8_server_cannot_reach_into_the_signer),
		cmocka_unit_test(K8_server_cannot_execute),       cmocka_unit_test(K8_server_cannot_write_signer_log),
		cmocka_unit_test(K8_signer_has_no_network),       cmocka_unit_test(K8_nobody_changes_the_kernel),
		cmocka_unit_test(each_can_do_its_work),           cmocka_unit_test(ports_are_fenced),
		cmocka_unit_test(signer_writes_nothing),          cmocka_unit_test(broker_program_is_run_once),
		cmocka_unit_test(level_says_what_holds),          cmocka_unit_test(plain_users_have_the_same_fences),
		cmocka_unit_test(root_works_below_a_closed_home),
	};

	return cmocka_run_group_tests(tests, universe_make, universe_remove);
}
