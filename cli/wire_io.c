/* cli - wire: lines of stdin, keys of a folder, output as JSON. Uses: base, port/openssl, os; jansson. */
#include "cli/wire.h"
#include "os/os.h"
#include "port/openssl/openssl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_FILE_MAX = 16384 };

enum hf_err cli_lines_init(struct cli_lines *l)
{
	*l = (struct cli_lines){.buf = malloc(CLI_LINE_MAX)};
	return l->buf ? HF_E_OK : HF_E_MEMORY;
}

void cli_lines_release(struct cli_lines *l)
{
	free(l->buf);
	l->buf = NULL;
}

/* Reads more behind what is there; a full buffer without a newline is thrown away. */
static void refill(struct cli_lines *l)
{
	ssize_t n;

	memmove(l->buf, l->buf + l->start, l->end - l->start);
	l->end -= l->start;
	l->start = 0;
	if (l->end == CLI_LINE_MAX) {
		l->skipping = true;
		l->end = 0;
	}
	(void)fflush(stdout);
	do
		n = read(STDIN_FILENO, l->buf + l->end, CLI_LINE_MAX - l->end);
	while (n < 0 && errno == EINTR);
	l->eof = n <= 0;
	l->end += n > 0 ? (size_t)n : 0;
}

/* len: the line's; after it lie taken - len bytes of newline. */
static enum cli_line take(struct cli_lines *l, size_t len, size_t taken, struct hf_span *line)
{
	bool skipped = l->skipping;
	size_t start = l->start;

	l->start += taken;
	l->skipping = false;
	if (skipped)
		return CLI_LINE_LONG;
	if (len > 0 && l->buf[start + len - 1] == '\r')
		len--;
	*line = hf_span_of(l->buf + start, len);
	return CLI_LINE_OK;
}

enum cli_line cli_lines_next(struct cli_lines *l, struct hf_span *line)
{
	for (;;) {
		size_t have = l->end - l->start;
		const uint8_t *newline = have ? memchr(l->buf + l->start, '\n', have) : NULL;

		if (newline) {
			size_t len = (size_t)(newline - (l->buf + l->start));

			return take(l, len, len + 1, line);
		}
		if (l->eof)
			return have || l->skipping ? take(l, have, have, line) : CLI_LINE_NONE;
		refill(l);
	}
}

void cli_keys_release(struct cli_keys *k)
{
	while (k->used > 0)
		hf_openssl_key_free(k->slot[--k->used].key);
}

const char *cli_key_name(const json_t *doc, const char *member)
{
	const json_t *v = json_object_get(doc, member);
	const char *name = json_string_value(v);

	return name && strlen(name) == json_string_length(v) ? name : NULL;
}

/* A base name: no way out of the folder. */
static bool plain_name(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	size_t len = strlen(name);

	return len > 0 && len < CLI_KEY_NAME_MAX && name[0] != '.' && strspn(name, allowed) == len;
}

static struct hf_seal_key *read_key(const struct cli_keys *k, const char *name)
{
	OS_BUF_SCOPED pem = os_buf_of(KEY_FILE_MAX);
	char file[CLI_KEY_NAME_MAX + 16], path[CLI_PATH_MAX];
	struct hf_seal_key *key = NULL;
	bool is_private = strcmp(k->suffix, ".key.pem") == 0;

	(void)snprintf(file, sizeof file, "%s%s", name, k->suffix);
	if (cli_file(path, k->dir, file) != HF_E_OK || os_read_file(path, &pem) != HF_E_OK)
		return NULL;
	if ((is_private ? hf_openssl_private_pem : hf_openssl_public_pem)(os_buf_span(&pem), &key) != HF_E_OK)
		return NULL;
	if (hf_openssl_crypto()->modulus_len(NULL, key) >= HF_SEAL_MODULUS_MIN)
		return key;
	hf_openssl_key_free(key);
	return NULL;
}

struct hf_seal_key *cli_keys_get(struct cli_keys *k, const char *name)
{
	if (!k->dir || !name || !plain_name(name))
		return NULL;
	for (size_t i = 0; i < k->used; i++)
		if (strcmp(k->slot[i].name, name) == 0)
			return k->slot[i].key;
	struct hf_seal_key *key = read_key(k, name);

	if (!key)
		return NULL;
	if (k->used == CLI_KEYS_MAX)
		cli_keys_release(k);
	(void)snprintf(k->slot[k->used].name, sizeof k->slot[0].name, "%s", name);
	k->slot[k->used++].key = key;
	return key;
}

enum cli_exit cli_check_dir(const char *option, const char *dir)
{
	struct stat st;

	if (!dir || (stat(dir, &st) == 0 && S_ISDIR(st.st_mode)))
		return CLI_DONE;
	return cli_fail(CLI_USAGE, "--%s: there is no folder %s", option, dir);
}

void cli_print_id(const json_t *doc)
{
	const json_t *id = json_object_get(doc, "id");

	(void)fputs("\"id\":", stdout);
	if (!id || json_dumpf(id, stdout, JSON_ENCODE_ANY | JSON_COMPACT) != 0)
		(void)fputs("null", stdout);
}

void cli_print_text(const char *name, const char *text)
{
	uint8_t buf[CLI_CELL_MAX * 6 + 2];
	struct hf_wr w = hf_wr_of(buf, sizeof buf);

	printf(",\"%s\":", name);
	if (text)
		hf_wr_json(&w, hf_span_text(text));
	else
		hf_wr_text(&w, "null");
	(void)fwrite(w.base, 1, w.len, stdout);
}

void cli_print_hex(const char *name, struct hf_span bytes)
{
	static const char digits[] = "0123456789abcdef";

	if (!bytes.ptr) {
		printf(",\"%s\":null", name);
		return;
	}
	printf(",\"%s\":\"", name);
	for (size_t i = 0; i < bytes.len; i++) {
		(void)putchar_unlocked(digits[bytes.ptr[i] >> 4]);
		(void)putchar_unlocked(digits[bytes.ptr[i] & 15]);
	}
	(void)fputs("\"", stdout);
}
