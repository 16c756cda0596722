/* cli - holdfast keygen --show: each file, what for, until when, and what is wrong with it. Uses: ca, os. */
#include "cli/keygen.h"
#include "os/os.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { SOON_DAYS = 30, DAY_S = 86400 };

static const struct cli_column columns[] = {
	{"FILE", "file", CLI_TEXT},
	{"STATE", "state", CLI_TEXT},
	{"ACCESS", "access", CLI_TEXT},
	{"ENDS", "ends", CLI_TEXT},
	{"IN THE PAPER'S TOOL", "paper", CLI_TEXT},
	{"WHAT FOR", "purpose", CLI_TEXT},
};

/* Third of the four parts of a token. */
static int64_t token_end(struct hf_span text)
{
	uint64_t end = 0;
	const uint8_t *at = text.ptr, *stop = text.ptr + text.len;

	for (int dots = 0; at < stop && dots < 2; at++)
		dots += *at == '.';
	size_t len = 0;

	while (at + len < stop && at[len] != '.')
		len++;
	return hf_dec_parse(hf_span_of(at, len), &end) == HF_E_OK && end < INT64_MAX / 1000 ? (int64_t)end : 0;
}

/* When the content of a file ends, s since 1970; 0 if it does not. */
static int64_t end_of(const struct cli_keyfile *f, const char *path)
{
	OS_BUF_SCOPED text = os_buf_of(CLI_KEY_TEXT_MAX);
	X509 *cert = NULL;
	int64_t end = 0;

	if ((f->form != CLI_K_CERT && f->form != CLI_K_TOKEN) || os_read_file(path, &text) != HF_E_OK)
		return 0;
	if (f->form == CLI_K_TOKEN)
		return token_end(os_buf_span(&text));
	if (ca_cert_read(os_buf_span(&text), &cert) == HF_E_OK)
		end = ca_cert_not_after(cert);
	ca_cert_free(cert);
	return end;
}

/* "ok", or what is wrong. */
static const char *judge(const struct cli_keyfile *f, const struct stat *st, int64_t end)
{
	int64_t left = end - os_now_ms() / 1000;

	if (!st)
		return "MISSING";
	if (!S_ISREG(st->st_mode))
		return "NO FILE";
	if (st->st_mode & (f->access == CA_PRIVATE ? 077 : 022))
		return f->access == CA_PRIVATE ? "TOO OPEN: chmod 600" : "TOO OPEN: chmod 644";
	if (f->form != CLI_K_CERT && f->form != CLI_K_TOKEN)
		return "ok";
	if (end == 0)
		return "DAMAGED";
	return left <= 0 ? "EXPIRED" : left < (int64_t)SOON_DAYS * DAY_S ? "ENDS SOON" : "ok";
}

static void add_row(json_t *rows, const char *dir, const char *shown, const struct cli_keyfile *f)
{
	char path[CLI_PATH_MAX], name[CLI_CELL_MAX], access[8] = "-", ends[OS_TIME_TEXT_MAX] = "-";
	struct stat st;

	if (cli_file(path, dir, f->name) != HF_E_OK)
		return;
	bool there = lstat(path, &st) == 0;
	int64_t end = there ? end_of(f, path) : 0;

	(void)snprintf(name, sizeof name, "%s%s", shown, f->name);
	if (there)
		(void)snprintf(access, sizeof access, "%04o", (unsigned)st.st_mode & 07777);
	if (end)
		os_time_text(end * 1000, ends);
	(void)json_array_append_new(rows, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "file", name, "state",
	                                            judge(f, there ? &st : NULL, end), "access", access, "ends", ends,
	                                            "paper", f->paper, "purpose", f->purpose));
}

static void add_folder(json_t *rows, const char *dir, const char *shown, enum cli_keyfolder folder)
{
	for (size_t i = 0; cli_keyfile_at(i); i++)
		if (cli_keyfile_at(i)->folder == folder)
			add_row(rows, dir, shown, cli_keyfile_at(i));
}

static void add_servers(json_t *rows, const char *dir)
{
	char folder[CLI_PATH_MAX], path[CLI_PATH_MAX], shown[CLI_CELL_MAX];
	DIR *list = cli_file(folder, dir, "c2") == HF_E_OK ? opendir(folder) : NULL;

	for (struct dirent *e = list ? readdir(list) : NULL; e; e = readdir(list)) {
		if (e->d_name[0] == '.' || cli_file(path, folder, e->d_name) != HF_E_OK)
			continue;
		(void)snprintf(shown, sizeof shown, "c2/%s/", e->d_name);
		add_folder(rows, path, shown, CLI_F_C2);
	}
	if (list)
		(void)closedir(list);
}

static bool holds_file(const char *dir, const char *name)
{
	char path[CLI_PATH_MAX];
	struct stat st;

	return cli_file(path, dir, name) == HF_E_OK && lstat(path, &st) == 0;
}

static enum cli_exit check_folder(const char *dir)
{
	struct stat st;

	if (stat(dir, &st) != 0 || !S_ISDIR(st.st_mode))
		return cli_fail(CLI_MISSING, "there is no folder %s", dir);
	if (!holds_file(dir, "keyex.pem") && !holds_file(dir, "c2_server.pem"))
		return cli_fail(CLI_MISSING, "%s holds no keys; make some: holdfast keygen universe DIR", dir);
	if (st.st_mode & 077)
		(void)fprintf(stderr, "holdfast: the folder %s is open to others: chmod 700\n", dir);
	return CLI_DONE;
}

enum cli_exit cli_keygen(const struct cli_args *a)
{
	const char *dir = a->option[CLI_O_SHOW];
	CLI_JSON_SCOPED *doc = NULL;

	if (!dir)
		return cli_fail(CLI_USAGE, "which one? keygen universe DIR, keygen c2 NAME --universe DIR, keygen web DIR, "
		                           "keygen broker DIR, keygen --show DIR");
	enum cli_exit code = check_folder(dir);

	if (code != CLI_DONE)
		return code;
	json_t *rows = json_array();

	if (holds_file(dir, "c2_server.pem")) {
		add_folder(rows, dir, "", CLI_F_C2);
	} else {
		add_folder(rows, dir, "", CLI_F_UNIVERSE);
		add_servers(rows, dir);
	}
	doc = json_pack("{s:o}", "files", rows);
	cli_print_list(a, doc, "files", columns, sizeof columns / sizeof columns[0], "No files.");
	return CLI_DONE;
}
