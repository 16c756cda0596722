/* cli - holdfast doctor: mosquitto with our plugin, started for a moment where nobody can reach it. Uses: conf, os; fork. */
#include "cli/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TRIAL_MS = 5000, SAID_MAX = 8192 };

/* A folder of its own with a configuration; the listener is a socket in it. */
struct trial {
	char folder[64], conf[96], socket[96];
	pid_t pid;
	int out;
	char said[SAID_MAX];
	size_t said_len;
};

static bool trial_write(struct trial *t, const struct conf *c)
{
	OS_BUF_SCOPED text = os_buf_of(CONF_FILE_MAX);

	(void)snprintf(t->folder, sizeof t->folder, "/tmp/holdfast-doctor-XXXXXX");
	if (!mkdtemp(t->folder))
		return false;
	(void)snprintf(t->conf, sizeof t->conf, "%s/conf", t->folder);
	(void)snprintf(t->socket, sizeof t->socket, "%s/socket", t->folder);
	if (geteuid() == 0)
		os_buf_text(&text, "user root\n");
	os_buf_format(&text,
	              "allow_anonymous false\nlog_dest stderr\nlog_timestamp false\nlistener 0 %s\nplugin %s\n"
	              "plugin_opt_snapshot %s/table\nplugin_opt_journal %s/journal\nplugin_opt_control holdfast-control\n",
	              t->socket, c->broker_plugin, t->folder, t->folder);
	return text.err == HF_E_OK && os_replace_file(t->conf, os_buf_span(&text), 0600) == HF_E_OK;
}

static bool trial_start(struct trial *t, const struct conf *c)
{
	char *args[] = {(char[]){"mosquitto"}, (char[]){"-c"}, t->conf, NULL};
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return false;
	t->pid = fork();
	if (t->pid == 0) {
		if (dup2(ends[1], STDOUT_FILENO) >= 0 && dup2(ends[1], STDERR_FILENO) >= 0)
			execv(c->broker_program, args);
		_exit(127);
	}
	close(ends[1]);
	t->out = ends[0];
	return t->pid > 0;
}

/* Listens until it runs, ends, or the time is over. True: it runs. */
static bool trial_hear(struct trial *t)
{
	int64_t end = os_monotonic_ms() + TRIAL_MS, left;

	while ((left = end - os_monotonic_ms()) > 0 && t->said_len < SAID_MAX - 1) {
		struct pollfd p = {.fd = t->out, .events = POLLIN};

		if (poll(&p, 1, (int)left) <= 0)
			continue;
		ssize_t n = read(t->out, t->said + t->said_len, SAID_MAX - 1 - t->said_len);

		if (n <= 0)
			return false;
		t->said_len += (size_t)n;
		t->said[t->said_len] = '\0';
		if (strstr(t->said, " running"))
			return true;
	}
	return false;
}

static void trial_end(struct trial *t)
{
	static const char *const made[] = {"conf", "socket", "table", "journal"};
	char path[128];

	if (t->pid > 0 && kill(t->pid, SIGKILL) == 0)
		(void)waitpid(t->pid, NULL, 0);
	if (t->out >= 0)
		close(t->out);
	for (size_t i = 0; t->folder[0] && i < sizeof made / sizeof made[0]; i++) {
		(void)snprintf(path, sizeof path, "%s/%s", t->folder, made[i]);
		(void)unlink(path);
	}
	if (t->folder[0])
		(void)rmdir(t->folder);
}

/* The last line that says "Error", else the last line. */
static void last_words(const char *said, char out[CONF_TEXT_MAX])
{
	const char *from = said, *line = said;

	while (line && *line) {
		if (strncmp(line, "Error", 5) == 0 || strncmp(from, "Error", 5) != 0)
			from = line;
		line = strchr(line, '\n');
		line += line != NULL;
	}
	(void)snprintf(out, CONF_TEXT_MAX, "%.*s", (int)strcspn(from, "\n"), *from ? from : "it said nothing");
}

static void judge(struct cli_doctor *d, const struct trial *t, bool runs)
{
	static const char version[] = "mosquitto version ";
	char words[CONF_TEXT_MAX];
	const char *at = strstr(t->said, version);

	last_words(t->said, words);
	if (!runs)
		cli_doctor_find(
			d,
			"%s does not start with the plugin %s (%s): are both of this release? apt-get install mosquitto, "
			"and build or install the plugin again",
			d->conf->broker_program, d->conf->broker_plugin, words);
	else if (!at || strncmp(at + sizeof version - 1, "2.0.", 4) != 0)
		cli_doctor_find(d, "%s is not mosquitto 2.0, for which the plugin is made: install that version",
		                d->conf->broker_program);
	else if (!strstr(t->said, "holdfast no_table"))
		cli_doctor_find(d, "%s did not take the plugin %s: build or install it again", d->conf->broker_program,
		                d->conf->broker_plugin);
}

void cli_doctor_broker(struct cli_doctor *d)
{
	const struct conf *c = d->conf;
	struct trial t = {.out = -1};

	if (c->broker != CONF_BROKER_EMBEDDED || access(c->broker_program, X_OK) != 0 ||
	    access(c->broker_plugin, R_OK) != 0)
		return; /* another check's matter */
	if (trial_write(&t, c) && trial_start(&t, c))
		judge(d, &t, trial_hear(&t));
	else
		cli_doctor_find(d, "mosquitto could not be tried: %s", strerror(errno));
	trial_end(&t);
}
