/* cli - arguments and dispatch: options may stand anywhere, the longest path of words names the command. Uses: base. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

static const struct cli_option_row options[] = {
#define OPTION(NAME, name, value, doc) [CLI_O_##NAME] = {name, value, doc},
#include "cli/options.def"
};

#define O(NAME) (UINT64_C(1) << CLI_O_##NAME)
#define API (O(SERVER) | O(CA) | O(TOKEN_FILE) | O(JSON))
static const struct cli_command commands[] = {
#define COMMAND(handler, path, usage, min, max, options, help) {path, usage, help, min, max, options, cli_##handler},
#include "cli/subcommands.def"
};
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

const struct cli_option_row *cli_option_row(enum cli_option o)
{
	return &options[o];
}

const struct cli_command *cli_command_at(size_t i)
{
	return i < COMMAND_COUNT ? &commands[i] : NULL;
}

size_t cli_command_matches(const struct cli_command *c, const char *const *word, size_t count)
{
	const char *p = c->path;
	size_t n = 0;

	for (; *p; n++) {
		size_t len = strcspn(p, " ");

		if (n == count || strlen(word[n]) != len || memcmp(word[n], p, len) != 0)
			return 0;
		p += len + (p[len] == ' ');
	}
	return n;
}

static enum cli_exit put_option(struct cli_args *a, size_t o, const char *value)
{
	if (o == CLI_O_NAME) {
		if (a->name_count == CLI_NAMES_MAX)
			return cli_fail(CLI_USAGE, "at most %d times --name", CLI_NAMES_MAX);
		a->name[a->name_count++] = value;
	} else if (a->option[o])
		return cli_fail(CLI_USAGE, "--%s is given twice", options[o].name);
	a->option[o] = value;
	return CLI_DONE;
}

/* Takes the option text (after its dashes), its value after = or from next; *used_next tells which. */
static enum cli_exit take_option(struct cli_args *a, const char *text, const char *next, bool *used_next)
{
	size_t len = strcspn(text, "="), o = 0;

	while (o < CLI_O_COUNT_ && (strlen(options[o].name) != len || memcmp(options[o].name, text, len) != 0))
		o++;
	if (o == CLI_O_COUNT_)
		return cli_fail(CLI_USAGE, "there is no option --%s; try: holdfast help", text);
	*used_next = options[o].value && text[len] == '\0';
	if (!options[o].value && text[len] == '=')
		return cli_fail(CLI_USAGE, "--%s takes no value", options[o].name);
	if (*used_next && !next)
		return cli_fail(CLI_USAGE, "--%s needs its %s", options[o].name, options[o].value);
	return put_option(a, o, *used_next ? next : options[o].value ? text + len + 1 : "");
}

static enum cli_exit parse(int argc, const char *const *argv, struct cli_args *a)
{
	bool only_words = false;

	for (int i = 1; i < argc; i++) {
		const char *text = argv[i];
		bool used_next = false;

		if (!only_words && strcmp(text, "--") == 0) {
			only_words = true;
		} else if (!only_words && (strncmp(text, "--", 2) == 0 || strcmp(text, "-h") == 0)) {
			enum cli_exit code =
				take_option(a, text[1] == 'h' ? "help" : text + 2, i + 1 < argc ? argv[i + 1] : NULL, &used_next);

			if (code != CLI_DONE)
				return code;
			i += used_next;
		} else if (a->word_count == CLI_WORDS_MAX) {
			return cli_fail(CLI_USAGE, "too many words");
		} else {
			a->word[a->word_count++] = text;
		}
	}
	return CLI_DONE;
}

/* Names the commands that begin with this word, or says that there are none. */
static enum cli_exit fail_unknown(const char *word)
{
	char list[CLI_CELL_MAX];
	struct hf_wr w = hf_wr_of(list, sizeof list - 1);
	size_t len = strlen(word);

	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		const char *path = commands[i].path;

		if (strncmp(path, word, len) != 0 || path[len] != ' ')
			continue;
		hf_wr_text(&w, w.len ? ", " : "");
		hf_wr_text(&w, path);
	}
	hf_wr_nul(&w);
	if (w.len == 0)
		return cli_fail(CLI_USAGE, "there is no command '%s'; try: holdfast help", word);
	return cli_fail(CLI_USAGE, "which one? %s", list);
}

/* Finds the command and takes its path off the words. */
static enum cli_exit find_command(struct cli_args *a)
{
	size_t best = 0;

	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		size_t n = cli_command_matches(&commands[i], a->word, a->word_count);

		if (n > best) {
			best = n;
			a->command = &commands[i];
		}
	}
	if (best == 0)
		return a->word_count ? fail_unknown(a->word[0]) : cli_fail(CLI_USAGE, "what should I do? try: holdfast help");
	a->word_count -= best;
	memmove(a->word, a->word + best, a->word_count * sizeof a->word[0]);
	return CLI_DONE;
}

static enum cli_exit check(const struct cli_args *a)
{
	const struct cli_command *c = a->command;

	for (size_t o = 0; o < CLI_O_COUNT_; o++)
		if (a->option[o] && o != CLI_O_HELP && !(c->options >> o & 1))
			return cli_fail(CLI_USAGE, "'holdfast %s' takes no --%s", c->path, options[o].name);
	if (a->word_count < c->words_min || a->word_count > c->words_max)
		return cli_fail(CLI_USAGE, "usage: holdfast %s %s", c->path, c->usage);
	return CLI_DONE;
}

enum cli_exit cli_run(int argc, const char *const *argv)
{
	struct cli_args a = {0};
	enum cli_exit code = parse(argc, argv, &a);

	if (code != CLI_DONE)
		return code;
	if (a.option[CLI_O_HELP])
		return cli_help(&a); /* explains the words before and after it; alone, everything */
	if (a.option[CLI_O_VERSION])
		return puts("holdfast " HOLDFAST_VERSION) < 0 ? CLI_REFUSED : CLI_DONE;
	code = find_command(&a);
	if (code == CLI_DONE)
		code = check(&a);
	if (code == CLI_DONE)
		code = a.command->run(&a);
	if (fflush(stdout) != 0 && code == CLI_DONE)
		return cli_fail(CLI_REFUSED, "the output could not be written");
	return code;
}

enum cli_exit cli_number(const struct cli_args *a, enum cli_option o, uint64_t min, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;

	if (!a->option[o])
		return CLI_DONE;
	if (hf_dec_parse(hf_span_text(a->option[o]), &v) != HF_E_OK || v < min || v > max)
		return cli_fail(CLI_USAGE, "--%s needs a whole number from %llu to %llu", options[o].name,
		                (unsigned long long)min, (unsigned long long)max);
	*out = v;
	return CLI_DONE;
}

enum cli_exit cli_check_id(const char *text)
{
	uint64_t id;

	if (hf_id_parse(hf_span_text(text), &id) == HF_E_OK)
		return CLI_DONE;
	return cli_fail(CLI_USAGE, "'%s' is no device id: %s", text, hf_err_text(HF_E_ID));
}
