/* cli - help and shell completion, printed from the command table. Uses: base. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

static const char intro[] = "holdfast - the operator's tool of a Holdfast universe\n\nCommands:\n";
static const char outro[] =
	"\nAlso for commands that talk to the server: --server URL, --ca FILE, --token-file FILE, --json.\n"
	"Without them: HOLDFAST_SERVER, the file HOLDFAST_CONFIG, var/client.conf of the checkout, "
	"~/.config/holdfast/config.\n"
	"Exit codes: 0 done, 1 refused, 2 wrong usage, 3 something is missing, 4 accepted but not yet confirmed, 5 server "
	"not reachable.\n"
	"More about one: holdfast help COMMAND\n";

/* Does the command's path begin with all of these words? */
static bool begins_with(const struct cli_command *c, const char *const *word, size_t count)
{
	const char *p = c->path;

	for (size_t i = 0; i < count; i++) {
		size_t len = strcspn(p, " ");

		if (len == 0 || strlen(word[i]) != len || memcmp(word[i], p, len) != 0)
			return false;
		p += len + (p[len] == ' ');
	}
	return true;
}

static void print_short(const struct cli_command *c)
{
	printf("  %-20s  %s\n", c->path, c->help);
}

static const struct {
	const char *path, *rest;
} examples[] = {
#define EXAMPLE(path, rest) {(path), (rest)},
#include "cli/examples.def"
};

static void print_example(const struct cli_command *c)
{
	for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++)
		if (strcmp(examples[i].path, c->path) == 0)
			printf("    Example: holdfast %s%s%s\n", c->path, examples[i].rest[0] ? " " : "", examples[i].rest);
}

static void print_long(const struct cli_command *c)
{
	printf("holdfast %s %s\n    %s\n", c->path, c->usage, c->help);
	for (size_t o = 0; o < CLI_O_COUNT_; o++) {
		const struct cli_option_row *row = cli_option_row((enum cli_option)o);

		if (c->options >> o & 1)
			printf("    --%s%s%s: %s\n", row->name, row->value ? " " : "", row->value ? row->value : "", row->doc);
	}
	print_example(c);
}

enum cli_exit cli_help(const struct cli_args *a)
{
	bool found = false;

	if (a->word_count == 0)
		(void)fputs(intro, stdout);
	for (size_t i = 0; cli_command_at(i); i++) {
		const struct cli_command *c = cli_command_at(i);

		if (a->word_count == 0)
			print_short(c);
		else if (begins_with(c, a->word, a->word_count) || cli_command_matches(c, a->word, a->word_count))
			print_long(c);
		else
			continue;
		found = true;
	}
	if (!found)
		return cli_fail(CLI_USAGE, "there is no command '%s'; try: holdfast help", a->word[0]);
	if (a->word_count == 0)
		(void)fputs(outro, stdout);
	return CLI_DONE;
}

/* One line of the table that the script looks words up in: "path words|--options|ID", the last one when it takes a device. */
static void print_completion_row(const struct cli_command *c)
{
	printf("%s|", c->path);
	for (size_t o = 0; o < CLI_O_COUNT_; o++)
		if (c->options >> o & 1)
			printf("--%s ", cli_option_row((enum cli_option)o)->name);
	printf("|%s\n", strncmp(c->usage, "ID", 2) == 0 ? "ID" : "");
}

/* Devices are asked for live, for a second at most; without a server there are none. */
static const char completion_head[] = "_holdfast() {\n"
									  "  local typed=\"${COMP_WORDS[*]:1:COMP_CWORD-1}\" "
									  "now=\"${COMP_WORDS[COMP_CWORD]}\" words= path options takes rest\n"
									  "  while IFS='|' read -r path options takes; do\n"
									  "    case \"$typed \" in \"$path \"*) words+=\" $options\";; esac\n"
									  "    if [ \"$typed/$takes\" = \"$path/ID\" ]; then\n"
									  "      words+=\" $(timeout 1 holdfast device list --json 2>/dev/null | grep -o "
									  "'\"id\": *\"[0-9a-f]*\"' | cut -d '\"' -f 4)\"\n"
									  "    fi\n"
									  "    case \"$path\" in \"${typed:+$typed }\"*) rest=\"${path#\"${typed:+$typed "
									  "}\"}\"; words+=\" ${rest%% *}\";; esac\n"
									  "  done <<'TABLE'\n";
static const char completion_tail[] = "TABLE\n"
									  "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$now\")\n"
									  "}\n"
									  "complete -o default -F _holdfast holdfast\n";

enum cli_exit cli_completion(const struct cli_args *a)
{
	if (a->word_count == 1 && strcmp(a->word[0], "bash") != 0)
		return cli_fail(CLI_USAGE, "there is a completion for bash, none for '%s'", a->word[0]);
	(void)fputs(completion_head, stdout);
	for (size_t i = 0; cli_command_at(i); i++)
		print_completion_row(cli_command_at(i));
	(void)fputs(completion_tail, stdout);
	return CLI_DONE;
}
