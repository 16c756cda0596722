/* cli - holdfastd's configuration, for the commands that look at its files; holdfast broker config. Uses: conf, os. */
#include "cli/cli.h"
#include "conf/conf.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char packaged[] = "/var/lib/holdfast/holdfast.conf", broker_folder[] = "/etc/mosquitto/holdfast";

/* var/holdfast.conf of the checkout that the program was built in. */
static bool checkout_conf(char out[CLI_PATH_MAX])
{
	char exe[CLI_PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);

	exe[n > 0 ? n : 0] = '\0';
	char *slash = strrchr(exe, '/');

	if (!slash)
		return false;
	*slash = '\0';
	n = snprintf(out, CLI_PATH_MAX, "%s/../../../var/holdfast.conf", exe);
	return n > 0 && n < CLI_PATH_MAX && access(out, F_OK) == 0;
}

enum cli_exit cli_load_conf(const struct cli_args *a, struct conf *out)
{
	static struct conf_report r;
	char found[CLI_PATH_MAX];
	const char *file = a->option[CLI_O_CONFIG];

	if (!file)
		file = checkout_conf(found) ? found : packaged;
	r = (struct conf_report){0};
	if (!a->option[CLI_O_CONFIG] && access(file, F_OK) != 0)
		return cli_fail(CLI_MISSING, "there is no configuration of a server in %s: give --config FILE", file);
	if (conf_load(file, out, &r) == HF_E_OK)
		return CLI_DONE;
	return cli_fail(CLI_MISSING, "%.*s", (int)strcspn(r.text, "\n"), r.text);
}

enum cli_exit cli_broker_config(const struct cli_args *a)
{
	static struct conf c;
	const char *folder = a->option[CLI_O_DIR] ? a->option[CLI_O_DIR] : broker_folder;
	OS_BUF_SCOPED text = os_buf_of(CONF_FILE_MAX);
	enum cli_exit code = cli_load_conf(a, &c);

	if (code != CLI_DONE)
		return code;
	if (folder[0] != '/' || strpbrk(folder, "\n\r"))
		return cli_fail(CLI_USAGE, "--dir needs the whole path of a folder, beginning with /");
	if (c.broker != CONF_BROKER_EXTERNAL)
		return cli_fail(CLI_REFUSED,
		                "holdfastd runs the broker itself (run/mosquitto.conf); set broker = external in %s first",
		                c.file);
	conf_broker_external(&c, folder, &text);
	if (text.err != HF_E_OK)
		return cli_fail(CLI_REFUSED, "the paths are too long");
	return fputs(os_buf_cstr(&text), stdout) >= 0 ? CLI_DONE : CLI_REFUSED;
}
