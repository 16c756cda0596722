/* daemon - holdfastd's command line (options.def). Uses: conf; the parent and the roles. */
#include "daemon/daemon.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { DONE = 0, REFUSED = 1, USAGE = 2, MISSING = 3 };

enum option {
#define OPTION(NAME, text, value, doc) OPT_##NAME,
#include "daemon/options.def"
	OPTIONS
};
struct option_row {
	const char *text, *value, *doc;
};
static const struct option_row option_rows[] = {
#define OPTION(NAME, text, value, doc) {(text), (value), (doc)},
#include "daemon/options.def"
};

/* given[i]: NULL, the option's value, or "" for one without. */
struct args {
	const char *given[OPTIONS];
};

static void usage(FILE *out)
{
	fprintf(out, "holdfastd - the server of a Holdfast universe. Usage: holdfastd --config FILE [OPTION]...\n");
	for (size_t i = 0; i < OPTIONS; i++)
		fprintf(out, "  %-14s %-5s %s\n", option_rows[i].text, option_rows[i].value, option_rows[i].doc);
}

static size_t option_find(const char *text)
{
	size_t i = 0;

	while (i < OPTIONS && strcmp(option_rows[i].text, text) != 0)
		i++;
	return i;
}

static bool args_read(int argc, char **argv, struct args *out)
{
	for (int i = 1; i < argc; i++) {
		size_t at = option_find(argv[i]);

		if (at == OPTIONS) {
			fprintf(stderr, "holdfastd: unknown option %s (see --help)\n", argv[i]);
			return false;
		}
		if (!option_rows[at].value[0]) {
			out->given[at] = "";
		} else if (i + 1 < argc) {
			out->given[at] = argv[++i];
		} else {
			fprintf(stderr, "holdfastd: %s needs a %s\n", argv[i], option_rows[at].value);
			return false;
		}
	}
	return true;
}

/* The report, each line with the program's name. */
static void report_print(const struct conf_report *r)
{
	for (const char *line = r->text; *line;) {
		int len = (int)strcspn(line, "\n");

		fprintf(stderr, "holdfastd: %.*s\n", len, line);
		line += len + (line[len] == '\n');
	}
}

static int config_print(const struct conf *c)
{
	OS_BUF_SCOPED text = os_buf_of(CONF_FILE_MAX);

	conf_print(c, &text);
	return text.err == HF_E_OK && fputs(os_buf_cstr(&text), stdout) >= 0 ? DONE : REFUSED;
}

static bool config_check(const struct conf *c)
{
	struct conf_report r = {0};
	enum hf_err err = conf_check(c, os_now_ms() / 1000, &r);

	report_print(&r);
	return err == HF_E_OK;
}

static int role_run(struct conf *c, const char *name)
{
	for (unsigned who = DAEMON_SERVER; who <= DAEMON_SIGNER; who++)
		if (strcmp(name, daemon_child_name((enum daemon_child)who)) == 0)
			return daemon_role((enum daemon_child)who, c);
	fprintf(stderr, "holdfastd: there is no role %s\n", name);
	return USAGE;
}

static int config_use(const struct args *a, struct conf *c)
{
	struct conf_report r = {0};

	daemon_log_settings(c);
	if (a->given[OPT_ROLE])
		return role_run(c, a->given[OPT_ROLE]);
	if (a->given[OPT_PRINT_CONFIG])
		return config_print(c);
	if (!config_check(c))
		return MISSING;
	if (a->given[OPT_CHECK_CONFIG])
		return DONE;
	if (conf_make_folders(c, &r) != HF_E_OK) {
		report_print(&r);
		return MISSING;
	}
	return daemon_parent(c, a->given[OPT_STDERR] != NULL);
}

int main(int argc, char **argv)
{
	static struct conf c;
	struct conf_report r = {0};
	struct args a = {{0}};

	if (!args_read(argc, argv, &a))
		return USAGE;
	if (a.given[OPT_HELP]) {
		usage(stdout);
		return DONE;
	}
	if (a.given[OPT_VERSION]) {
		printf("holdfastd %s\n", HOLDFAST_VERSION);
		return DONE;
	}
	if (!a.given[OPT_CONFIG]) {
		usage(stderr);
		return USAGE;
	}
	if (conf_load(a.given[OPT_CONFIG], &c, &r) != HF_E_OK) {
		report_print(&r);
		return REFUSED;
	}
	return config_use(&a, &c);
}
