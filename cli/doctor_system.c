/* cli - holdfast doctor: files, disk, kernel, names, and the server that runs. Uses: conf, sandbox, db; statvfs, getaddrinfo. */
#include "cli/doctor.h"
#include "db/db.h"
#include "sandbox/sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { FREE_MB_MIN = 256, FREE_PART_MIN = 20, AHEAD_S = 300, OWN_FILES = 100, DEVICES_DAYS = 7, TABLE_MAX = 64 << 20 };

void cli_doctor_conf(struct cli_doctor *d)
{
	static struct conf_report r;

	r = (struct conf_report){0};
	if (conf_check(d->conf, d->now_s, &r) == HF_E_OK)
		return;
	for (const char *line = r.text; *line;) {
		int len = (int)strcspn(line, "\n");

		cli_doctor_find(d, "%.*s", len, line);
		line += len + (line[len] == '\n');
	}
}

/* Files that the programs write all the time. */
void cli_doctor_clock(struct cli_doctor *d)
{
	static const enum conf_place written[] = {CONF_PLACE_DB, CONF_PLACE_LOG, CONF_PLACE_BROKER_TABLE};

	for (size_t i = 0; i < sizeof written / sizeof written[0]; i++) {
		char path[CONF_PATH_MAX];
		struct stat st;

		conf_place(d->conf, written[i], path);
		if (stat(path, &st) < 0 || st.st_mtime <= d->now_s + AHEAD_S)
			continue;
		cli_doctor_find(
			d,
			"the clock was set back: %s was written %lld s after now; set the clock, certificates and joins "
			"depend on it",
			path, (long long)(st.st_mtime - d->now_s));
		return;
	}
}

void cli_doctor_disk(struct cli_doctor *d)
{
	struct statvfs s;

	if (statvfs(d->conf->data_dir, &s) < 0) {
		cli_doctor_find(d, "%s cannot be looked at: %s", d->conf->data_dir, strerror(errno));
		return;
	}
	uint64_t free_mb = (uint64_t)s.f_bavail * s.f_frsize >> 20;

	if (free_mb < FREE_MB_MIN || s.f_bavail < s.f_blocks / FREE_PART_MIN)
		cli_doctor_find(d, "the disk of %s has %llu MB left: make room, a full disk stops every change",
		                d->conf->data_dir, (unsigned long long)free_mb);
	if (s.f_files > 0 && s.f_favail == 0)
		cli_doctor_find(d, "the disk of %s has no inodes left: remove files", d->conf->data_dir);
}

static void name_look(struct cli_doctor *d, const char *key, const char *host)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found = NULL;
	int err = getaddrinfo(host, NULL, &hints, &found);

	if (err != 0)
		cli_doctor_find(d,
		                "%s: %s leads to no address (%s): devices that use it cannot come; correct the name or the DNS",
		                key, host, gai_strerror(err));
	else
		freeaddrinfo(found);
}

void cli_doctor_names(struct cli_doctor *d)
{
	const char *at = d->conf->name;
	char host[CONF_TEXT_MAX];

	while (*at) {
		size_t len = strcspn(at, " ");

		(void)snprintf(host, sizeof host, "%.*s", (int)len, at);
		if (len > 0)
			name_look(d, "name", host);
		at += len + strspn(at + len, " ");
	}
	if (d->conf->broker == CONF_BROKER_EXTERNAL)
		name_look(d, "broker_host", d->conf->broker_host);
}

void cli_doctor_limits(struct cli_doctor *d)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_max == RLIM_INFINITY)
		return;
	if ((int64_t)limit.rlim_max < d->conf->http_connections_max + OWN_FILES)
		cli_doctor_find(
			d,
			"a process may open %llu files, http_connections_max is %lld: raise LimitNOFILE of the unit (or "
			"ulimit -n), or lower http_connections_max",
			(unsigned long long)limit.rlim_max, (long long)d->conf->http_connections_max);
}

void cli_doctor_fences(struct cli_doctor *d)
{
	int landlock = sandbox_landlock_version();

	if (d->conf->sandbox == CONF_SANDBOX_OFF)
		cli_doctor_find(d, "sandbox = off: nothing keeps the processes in their places; take the line out of %s",
		                d->conf->file);
	if (landlock == 0)
		cli_doctor_find(
			d, "this kernel has no Landlock: paths are not fenced; enable it (lsm=landlock,...) or use a newer kernel");
	else if (landlock < 4)
		cli_doctor_find(d, "Landlock %d of this kernel does not fence TCP ports (4 does): a newer kernel would",
		                landlock);
}

/* "holdfast-table 1 GENERATION", then lines, then "end COUNT". Source: docs/protocol.md, broker table. */
void cli_doctor_table(struct cli_doctor *d)
{
	static const char head[] = "holdfast-table 1 ";
	char path[CONF_PATH_MAX];
	OS_BUF_SCOPED text = os_buf_of(TABLE_MAX);

	conf_place(d->conf, CONF_PLACE_BROKER_TABLE, path);
	enum hf_err err = os_read_file(path, &text);

	if (err == HF_E_NOT_FOUND)
		return; /* before the first start */
	const char *at = os_buf_cstr(&text), *end = strstr(at, "\nend ");

	if (err != HF_E_OK || strncmp(at, head, sizeof head - 1) != 0 || !end)
		cli_doctor_find(d, "the broker's table %s is damaged: remove it, the server writes it anew at its start", path);
}

static int64_t table_generation(const struct conf *c)
{
	char path[CONF_PATH_MAX];
	uint64_t v = 0;
	OS_BUF_SCOPED text = os_buf_of(TABLE_MAX);

	conf_place(c, CONF_PLACE_BROKER_TABLE, path);
	if (os_read_file(path, &text) != HF_E_OK)
		return 0;
	const char *line = os_buf_cstr(&text);
	size_t len = strcspn(line, "\n");

	while (len > 0 && line[len - 1] != ' ')
		len--;
	if (hf_dec_parse(hf_span_of(line + len, strcspn(line + len, "\n")), &v) != HF_E_OK)
		return 0;
	return (int64_t)v;
}

void cli_doctor_database(struct cli_doctor *d)
{
	char path[CONF_PATH_MAX];
	struct db_look look = {0};

	conf_place(d->conf, CONF_PLACE_DB, path);
	if (access(path, F_OK) != 0)
		return; /* before the first start */
	if (db_look(path, (d->now_s + (int64_t)DEVICES_DAYS * CLI_DAY_S) * 1000, &look) != HF_E_OK)
		cli_doctor_find(d, "the database %s cannot be opened: restore it from the backup", path);
	if (look.broken[0])
		cli_doctor_find(d, "the database %s is damaged (%s): restore it from the backup", path, look.broken);
	if (look.is_newer)
		cli_doctor_find(
			d, "the database %s was made by a newer holdfastd: install that version, or restore an older backup", path);
	if (!look.broken[0] && look.table_generation < table_generation(d->conf))
		cli_doctor_find(d,
		                "the database is older than the broker's table: was it restored? Revoke again what was revoked "
		                "since, see docs/operations.md, Backup and restore");
	if (look.certificates_ending > 0)
		cli_doctor_find(d, "%lld joined devices have certificates that end within %d days: they have to register anew",
		                (long long)look.certificates_ending, DEVICES_DAYS);
}

/* The address at which the server listens, for ourselves. */
static void own_url(const struct conf *c, char out[CONF_TEXT_MAX])
{
	bool all = strcmp(c->listen, "0.0.0.0") == 0 || strcmp(c->listen, "::") == 0;
	bool v6 = !all && strchr(c->listen, ':');

	(void)snprintf(out, CONF_TEXT_MAX, "https://%s%.64s%s:%u", v6 ? "[" : "", all ? "localhost" : c->listen,
	               v6 ? "]" : "", conf_https_port(c));
}

void cli_doctor_server(struct cli_doctor *d)
{
	static const char *const parts[] = {"server", "signer", "broker", "database"};
	char url[CONF_TEXT_MAX], ca[CONF_PATH_MAX], token[CONF_PATH_MAX];
	struct cli_args a = {.option = {[CLI_O_SERVER] = url, [CLI_O_CA] = ca, [CLI_O_TOKEN_FILE] = token}};
	CLI_JSON_SCOPED *doc = NULL;

	own_url(d->conf, url);
	conf_place(d->conf, CONF_PLACE_WEB_CA_CERT, ca);
	conf_place(d->conf, CONF_PLACE_ADMIN_TOKEN, token);
	if (cli_call_once(&a, "GET", "/api/v1/status", NULL, &doc) != CLI_DONE) {
		cli_doctor_find(d, "holdfastd runs, but %s does not answer as it should: see log/holdfastd.log", url);
		return;
	}
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
		if (!json_is_true(json_object_get(json_object_get(doc, parts[i]), "up")))
			cli_doctor_find(d, "the %s is down: see the end of log/holdfastd.log and log/mosquitto.log", parts[i]);
}
