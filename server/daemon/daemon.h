/* daemon - what the files of holdfastd's parent share. Uses: base, os, conf, sandbox. */
#ifndef DAEMON_H
#define DAEMON_H
#include "base/base.h"
#include "conf/conf.h"
#include "os/os.h"

#include <sys/types.h>

/* Descriptors under which a child finds what the parent hands it. */
enum { DAEMON_SIGNER_FD = 3, DAEMON_WEB_KEY_FD = 4, DAEMON_FDS_MAX = 2 };

/* What a child is: a role of holdfastd itself, or the broker. */
enum daemon_child { DAEMON_SERVER, DAEMON_SIGNER, DAEMON_BROKER, DAEMON_CHILDREN };
const char *daemon_child_name(enum daemon_child who);

/* Runs the parent until it is told to stop: children, restarts, readiness. Returns the exit code. */
int daemon_parent(const struct conf *c, bool log_to_stderr);

/* Starts a child that finds fds at 3, 4, ... and dies with the parent. Its output goes to its log file, the server's to
 * the parent's stderr. Returns its process id; -1: errno. */
pid_t daemon_spawn(enum daemon_child who, const struct conf *c, const int *fds, size_t count);
/* A role in its own process: enters the sandbox and serves. Returns the exit code. */
int daemon_role(enum daemon_child who, const struct conf *c);

/* The server: serves HTTPS and the broker's messages until SIGTERM, asks the signer behind signer_fd, reads the web key
 * from web_key_fd. Called inside its sandbox. Returns the exit code. */
int daemon_server(const struct conf *c, int signer_fd, int web_key_fd);

/* Tells a service manager (NOTIFY_SOCKET) a line such as "READY=1"; does nothing when there is none. */
void daemon_notify(const char *line);

#endif
