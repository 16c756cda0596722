/* cli - which server: options, environment, configuration files. Uses: base, os. */
#include "cli/cli.h"
#include "os/os.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_MAX = 65536 };

/* What a client.conf may say. Its CA and token serve its own server only: they are never offered to another address.
 * Source: architecture section 5. */
struct key_row {
	const char *key;
	size_t at, size;
	bool is_path;
};
#define KEY(key, member, is_path)                                                                 \
	{                                                                                             \
		key, offsetof(struct cli_target, member), sizeof((struct cli_target *)0)->member, is_path \
	}
static const struct key_row keys[] = {
	KEY("server", url, false),
	KEY("ca", ca, true),
	KEY("token_file", token_file, true),
};

enum hf_err cli_file(char out[CLI_PATH_MAX], const char *dir, const char *name)
{
	int n = snprintf(out, CLI_PATH_MAX, "%s/%s", dir, name);

	return n > 0 && n < CLI_PATH_MAX ? HF_E_OK : HF_E_TOO_BIG;
}

static bool copy(char *out, size_t cap, struct hf_span s)
{
	if (s.len >= cap)
		return false;
	if (s.len > 0)
		memcpy(out, s.ptr, s.len);
	out[s.len] = '\0';
	return true;
}

static struct hf_span trim(struct hf_span s)
{
	while (s.len > 0 && strchr(" \t\r", s.ptr[0]))
		s = hf_span_of(s.ptr + 1, s.len - 1);
	while (s.len > 0 && strchr(" \t\r", s.ptr[s.len - 1]))
		s.len--;
	return s;
}

/* A relative path means beside the configuration file. */
static bool put_value(const struct key_row *row, struct hf_span value, const char *file, struct cli_target *out)
{
	char *to = (char *)out + row->at;
	const char *slash = strrchr(file, '/');
	size_t dir = slash ? (size_t)(slash - file) + 1 : 0;

	if (!row->is_path || value.len == 0 || value.ptr[0] == '/')
		return copy(to, row->size, value);
	return copy(to, row->size, hf_span_of(file, dir)) && copy(to + dir, row->size - dir, value);
}

static bool take_line(struct hf_span line, const char *file, struct cli_target *out)
{
	const uint8_t *equals;

	line = trim(line);
	if (line.len == 0 || line.ptr[0] == '#')
		return true;
	equals = memchr(line.ptr, '=', line.len);
	if (!equals)
		return false;
	struct hf_span key = trim(hf_span_of(line.ptr, (size_t)(equals - line.ptr)));
	struct hf_span value = trim(hf_span_of(equals + 1, line.len - (size_t)(equals - line.ptr) - 1));

	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
		if (hf_span_equal(key, hf_span_text(keys[i].key)))
			return put_value(&keys[i], value, file, out);
	return false;
}

/* CLI_MISSING without a word when there is no such file. */
static enum cli_exit read_config(const char *file, struct cli_target *out)
{
	OS_BUF_SCOPED text = os_buf_of(FILE_MAX);
	unsigned number = 1;
	enum hf_err err = os_read_file(file, &text);

	if (err == HF_E_NOT_FOUND)
		return CLI_MISSING;
	if (err != HF_E_OK)
		return cli_fail(CLI_USAGE, "%s cannot be read", file);
	for (struct hf_span rest = os_buf_span(&text); rest.len > 0; number++) {
		const uint8_t *end = memchr(rest.ptr, '\n', rest.len);
		size_t len = end ? (size_t)(end - rest.ptr) : rest.len;

		if (!take_line(hf_span_of(rest.ptr, len), file, out))
			return cli_fail(CLI_USAGE, "%s line %u: only server, ca and token_file, as key = value", file, number);
		len += end != NULL;
		rest = hf_span_of(rest.ptr + len, rest.len - len);
	}
	return CLI_DONE;
}

/* var/client.conf of the checkout that the binary was built in: build/PRESET/bin/../../../var. */
static bool checkout_config(char out[CLI_PATH_MAX])
{
	char exe[CLI_PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
	char *slash;

	if (n <= 0)
		return false;
	exe[n] = '\0';
	slash = strrchr(exe, '/');
	if (!slash)
		return false;
	*slash = '\0';
	n = snprintf(out, CLI_PATH_MAX, "%s/../../../var/client.conf", exe);
	return n > 0 && n < CLI_PATH_MAX;
}

static bool home_config(char out[CLI_PATH_MAX])
{
	const char *home = getenv("HOME");
	int n = home ? snprintf(out, CLI_PATH_MAX, "%s/.config/holdfast/config", home) : -1;

	return n > 0 && n < CLI_PATH_MAX;
}

/* The first configuration file there is; none is no error. */
static enum cli_exit find_config(struct cli_target *out)
{
	const char *named = getenv("HOLDFAST_CONFIG");
	char path[CLI_PATH_MAX];
	enum cli_exit code = CLI_MISSING;

	if (named && *named) {
		code = read_config(named, out);
		return code == CLI_MISSING ? cli_fail(CLI_MISSING, "there is no file %s, which HOLDFAST_CONFIG names", named)
		                           : code;
	}
	if (checkout_config(path))
		code = read_config(path, out);
	if (code == CLI_MISSING && home_config(path))
		code = read_config(path, out);
	return code == CLI_MISSING ? CLI_DONE : code;
}

static enum cli_exit override(const char *value, char *to, size_t cap)
{
	return !value || copy(to, cap, hf_span_text(value)) ? CLI_DONE
	                                                    : cli_fail(CLI_USAGE, "'%.40s...' is too long", value);
}

/* An address from outside the configuration takes nothing else from it, unless it is the same one. */
static enum cli_exit choose_url(const char *url, struct cli_target *t)
{
	if (!url || !*url || strcmp(url, t->url) == 0)
		return CLI_DONE;
	*t = (struct cli_target){0};
	return override(url, t->url, sizeof t->url);
}

enum cli_exit cli_find_server(const struct cli_args *a, struct cli_target *out)
{
	const char *given = a->option[CLI_O_SERVER] ? a->option[CLI_O_SERVER] : getenv("HOLDFAST_SERVER");
	struct cli_target t = {0};
	enum cli_exit code = find_config(&t);

	if (code == CLI_DONE)
		code = choose_url(given, &t);
	if (code == CLI_DONE)
		code = override(a->option[CLI_O_CA], t.ca, sizeof t.ca);
	if (code == CLI_DONE)
		code = override(a->option[CLI_O_TOKEN_FILE], t.token_file, sizeof t.token_file);
	if (code != CLI_DONE)
		return code;
	size_t len = strlen(t.url);

	if (len == 0)
		return cli_fail(CLI_MISSING, "no server is known: give --server URL, or run ./start first");
	if (strncmp(t.url, "https://", 8) != 0)
		return cli_fail(CLI_USAGE, "'%s' is no address of a server: it begins with https://", t.url);
	if (t.url[len - 1] == '/')
		t.url[len - 1] = '\0';
	*out = t;
	return CLI_DONE;
}
