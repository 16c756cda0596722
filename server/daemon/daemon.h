/* daemon - what the files of holdfastd's parent share. Uses: base, os, conf, sandbox. */
#ifndef DAEMON_H
#define DAEMON_H
#include "base/base.h"
#include "conf/conf.h"
#include "os/os.h"

#include <sys/types.h>

/* Descriptors under which a child finds what the parent hands it. */
enum { DAEMON_SIGNER_FD = 3, DAEMON_WEB_KEY_FD = 4, DAEMON_NEWS_FD = 5, DAEMON_FDS_MAX = 3 };

/* What a child is: a role of holdfastd itself, or the broker. */
enum daemon_child { DAEMON_SERVER, DAEMON_SIGNER, DAEMON_BROKER, DAEMON_CHILDREN };
const char *daemon_child_name(enum daemon_child who);

/* Runs the parent until it is told to stop: children, logs, restarts, readiness, SIGHUP. Returns the exit code. */
int daemon_parent(struct conf *c, bool log_to_stderr);

/* Starts a child that finds fds at 3, 4, ... and dies with the parent. Its output goes to log_fd, which stays the
 * caller's. Returns its process id; -1: errno. */
struct daemon_spawning {
	enum daemon_child who;
	const struct conf *conf;
	const int *fds;
	size_t count;
	int log_fd;
};
pid_t daemon_spawn(const struct daemon_spawning *s);
/* A role in its own process: enters the sandbox and serves. Returns the exit code. */
int daemon_role(enum daemon_child who, struct conf *c);

/* The server: serves HTTPS and the broker's messages until SIGTERM, with the descriptors that it inherited. Called inside
 * its sandbox. Returns the exit code. */
int daemon_server(struct conf *c);

/* --- logs ------------------------------------------------------------------------------------------------------------ */

/* The log files of c, of which there is one set in a process. to_stderr: the parent's and the server's lines go to
 * stderr instead of a file. NULL after a sentence on stderr when a file cannot be written. */
struct daemon_logs *daemon_logs_open(struct os_loop *loop, const struct conf *c, bool to_stderr);
/* Opens every file anew, as somebody may have put it aside. False after a sentence on stderr; the old ones stay. */
bool daemon_logs_reopen(struct daemon_logs *l);
/* Where a child that is about to start writes; the caller closes it. -1: errno. */
int daemon_logs_pipe(struct daemon_logs *l, enum daemon_child who);
/* Takes the last words of a child that has ended. */
void daemon_logs_drain(struct daemon_logs *l, enum daemon_child who);

/* --- SIGHUP ---------------------------------------------------------------------------------------------------------- */

/* Log level and form of c, for this process. */
void daemon_log_settings(const struct conf *c);
/* In the parent: reads the file of c again. Takes over what may change while running and logs each key that differs;
 * after a fault everything stays, and the log has its sentences. */
bool daemon_reload_conf(struct conf *c);
/* Sends the configuration and the web key and certificate behind fd to the server. */
void daemon_news_send(int fd, const struct conf *c);
/* What came: live keys in c; key and certificate (PEM), empty if they could not be read. Errors: NOT_FOUND (nothing came),
 * IO (the parent is gone), INPUT. */
struct daemon_news {
	struct os_buf web_key, web_cert;
};
HF_NODISCARD enum hf_err daemon_news_take(int fd, struct conf *c, struct daemon_news *out);

/* Logs which of our own certificates are not good by the clock, and which end within 30 days. */
void daemon_certs_tell(const struct conf *c);

/* What a process has in memory now; 0 when it is gone. */
int64_t daemon_memory_bytes(pid_t pid);

/* Tells a service manager (NOTIFY_SOCKET) a line such as "READY=1"; does nothing when there is none. */
void daemon_notify(const char *line);

#endif
