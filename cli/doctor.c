/* cli - holdfast doctor: what is wrong with this installation, in sentences. Uses: conf; the checks of doctor.def. */
#include "cli/doctor.h"

#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SENTENCE_MAX = 1200 };
enum when { WHEN_ALWAYS, WHEN_IDLE, WHEN_LIVE };
struct check {
	const char *name, *doc;
	enum when when;
	void (*run)(struct cli_doctor *d);
};
static const struct check checks[] = {
#define CHECK(name, doc) {#name, (doc), WHEN_ALWAYS, cli_doctor_##name},
#define IDLE(name, doc) {#name, (doc), WHEN_IDLE, cli_doctor_##name},
#define LIVE(name, doc) {#name, (doc), WHEN_LIVE, cli_doctor_##name},
#include "cli/doctor.def"
};
enum { CHECKS = sizeof checks / sizeof checks[0] };

void cli_doctor_find(struct cli_doctor *d, const char *fmt, ...)
{
	char text[SENTENCE_MAX];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	(void)json_array_append_new(d->findings, json_pack("{s:s, s:s}", "check", d->check, "text", text));
}

static void print_people(const struct cli_doctor *d, bool running, size_t looked)
{
	size_t i;
	json_t *row;

	json_array_foreach(d->findings, i, row) printf("%s: %s\n", json_string_value(json_object_get(row, "check")),
	                                               json_string_value(json_object_get(row, "text")));
	printf("%s%zu checks, %zu findings; holdfastd %s (%s)\n", i > 0 ? "\n" : "", looked, i,
	       running ? "runs" : "does not run", d->conf->file);
}

static void print_all(const struct cli_args *a, const struct cli_doctor *d, bool running, size_t looked)
{
	CLI_JSON_SCOPED *doc = json_pack("{s:s, s:b, s:I, s:O}", "config", d->conf->file, "running", running, "checks",
	                                 (json_int_t)looked, "findings", d->findings);

	if (a->option[CLI_O_JSON])
		cli_print_json(doc);
	else
		print_people(d, running, looked);
}

/* Another user's look would leave files of SQLite's behind that the server then cannot open. */
static enum cli_exit check_user(const struct conf *c)
{
	struct stat st;

	if (stat(c->data_dir, &st) < 0 || st.st_uid == geteuid())
		return CLI_DONE;
	struct passwd *owner = getpwuid(st.st_uid);

	return cli_fail(CLI_MISSING, "%s belongs to another user: sudo -u %s holdfast doctor --config %s", c->data_dir,
	                owner ? owner->pw_name : "OWNER", c->file);
}

enum cli_exit cli_doctor(const struct cli_args *a)
{
	static struct conf c;
	enum cli_exit code = cli_load_conf(a, &c);
	size_t looked = 0;

	if (code == CLI_DONE)
		code = check_user(&c);
	if (code != CLI_DONE)
		return code;
	CLI_JSON_SCOPED *findings = json_array();
	struct cli_doctor d = {.conf = &c, .findings = findings, .now_s = os_now_ms() / 1000};
	bool running = conf_running(&c) != 0;

	for (size_t i = 0; i < CHECKS; i++) {
		if (checks[i].when == (running ? WHEN_IDLE : WHEN_LIVE))
			continue;
		d.check = checks[i].name;
		checks[i].run(&d);
		looked++;
	}
	print_all(a, &d, running, looked);
	return json_array_size(findings) > 0 ? CLI_REFUSED : CLI_DONE;
}
