/* cli - a key folder in the making: built under another name, synced, then renamed. Uses: ca, os. */
#include "cli/keygen.h"
#include "os/os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct cli_keyfile files[] = {
#define KEYFILE(folder, name, form, access, purpose, paper) \
	{CLI_F_##folder, name, CLI_K_##form, CA_##access, purpose, paper},
#include "cli/keyfiles.def"
};
enum { FILE_COUNT = sizeof files / sizeof files[0] };

const struct cli_keyfile *cli_keyfile_at(size_t i)
{
	return i < FILE_COUNT ? &files[i] : NULL;
}

static const char *const manifest_head[] = {
	[CLI_F_UNIVERSE] = "Keys and certificates of a Holdfast universe, made by: holdfast keygen universe\n",
	[CLI_F_C2] = "Keys, certificate and token of a C2 server, made by: holdfast keygen c2\n",
};
static const char *const manifest_foot[] = {
	[CLI_F_UNIVERSE] = "\nThe paper counts eight bootstrap files, ten for a private network, and does not list them. "
					   "Its public key tool writes the six\n"
					   "keyex and broker files and, for a private network, the four web files; each has its "
					   "counterpart here under the same name.\n"
					   "keyex.id and this list are ours. The five files of a C2 server, its token included, come from: "
					   "holdfast keygen c2\n"
					   "Ours differ in kind: CA and TLS keys are P-256, not RSA; KeyEx's identity key is RSA-2048 as "
					   "the protocol asks.\n",
	[CLI_F_C2] = "\nThe names are those of the paper's public key tool; the id and this list are ours. Its token binds "
				 "the key alone; this one\n"
				 "binds id, key and expiry.\n",
};

static void put_padded(struct hf_wr *w, const char *text, size_t wide)
{
	size_t len = strlen(text);

	hf_wr_text(w, text);
	for (; len < wide; len++)
		hf_wr_text(w, " ");
}

void cli_manifest(enum cli_keyfolder folder, struct hf_wr *out)
{
	enum { NAME_WIDE = 19, PAPER_WIDE = 19 };

	hf_wr_text(out, manifest_head[folder]);
	hf_wr_text(out, "Private files are readable by their owner alone. Nothing here is ever overwritten.\n\n");
	put_padded(out, "file", NAME_WIDE);
	put_padded(out, "in the paper's tool", PAPER_WIDE + 1);
	hf_wr_text(out, "access   what for\n");
	for (size_t i = 0; i < FILE_COUNT; i++) {
		if (files[i].folder != folder)
			continue;
		put_padded(out, files[i].name, NAME_WIDE);
		put_padded(out, files[i].paper, PAPER_WIDE + 1);
		hf_wr_text(out, files[i].access == CA_PRIVATE ? "private  " : "public   ");
		hf_wr_text(out, files[i].purpose);
		hf_wr_text(out, "\n");
	}
	hf_wr_text(out, manifest_foot[folder]);
}

/* The first name in a folder; "" when it is empty, NULL when there is no such folder. */
static const char *first_in(const char *path, char name[CLI_CELL_MAX])
{
	DIR *dir = opendir(path);

	if (!dir)
		return NULL;
	name[0] = '\0';
	for (struct dirent *e = readdir(dir); e; e = readdir(dir))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			(void)snprintf(name, CLI_CELL_MAX, "%s", e->d_name);
	(void)closedir(dir);
	return name;
}

static enum cli_exit refuse_full(const char *target)
{
	char name[CLI_CELL_MAX];
	struct stat st;
	const char *first = first_in(target, name);

	if (first && *first)
		return cli_fail(CLI_REFUSED, "%s is not empty: %s is there; nothing was changed", target, first);
	if (!first && lstat(target, &st) == 0)
		return cli_fail(CLI_REFUSED, "%s exists and is no folder that can be read; nothing was changed", target);
	return CLI_DONE;
}

enum cli_exit cli_making_begin(struct cli_making *m, const char *target, enum cli_keyfolder folder)
{
	size_t len = strlen(target);
	enum { SUFFIX = sizeof ".tmp-XXXXXX" };

	*m = (struct cli_making){.folder = folder};
	while (len > 1 && target[len - 1] == '/')
		len--;
	if (len == 0 || len + SUFFIX + NAME_MAX >= CLI_PATH_MAX)
		return cli_fail(CLI_USAGE, "the name of the folder is empty or too long");
	memcpy(m->target, target, len);
	enum cli_exit code = refuse_full(m->target);

	if (code != CLI_DONE)
		return code;
	(void)snprintf(m->temp, sizeof m->temp, "%.*s.tmp-XXXXXX", (int)len, m->target);
	if (!mkdtemp(m->temp)) /* mode 0700 */
		return cli_fail(CLI_REFUSED, "a folder beside %s cannot be made: %s", m->target, strerror(errno));
	return CLI_DONE;
}

static const struct cli_keyfile *row_of(enum cli_keyfolder folder, const char *name)
{
	size_t i = 0;

	while (i + 1 < FILE_COUNT && (files[i].folder != folder || strcmp(files[i].name, name) != 0))
		i++;
	return &files[i];
}

void cli_making_put(struct cli_making *m, const char *name, struct hf_span content)
{
	char path[CLI_PATH_MAX];

	if (m->err == HF_E_OK)
		m->err = cli_file(path, m->temp, name);
	if (m->err == HF_E_OK)
		m->err = ca_file_new(path, content, row_of(m->folder, name)->access);
}

/* Takes away what was made so far: only files of our own names are in it. */
static void undo(struct cli_making *m)
{
	char path[CLI_PATH_MAX];

	for (size_t i = 0; i < FILE_COUNT; i++)
		if (files[i].folder == m->folder && cli_file(path, m->temp, files[i].name) == HF_E_OK)
			(void)unlink(path);
	(void)rmdir(m->temp);
}

static void sync_parent(const char *target)
{
	char parent[CLI_PATH_MAX];
	int fd;

	if (cli_file(parent, target, "..") != HF_E_OK)
		return;
	fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)fsync(fd);
	(void)close(fd);
}

enum cli_exit cli_making_end(struct cli_making *m)
{
	uint8_t text[CLI_KEY_TEXT_MAX];
	struct hf_wr w = hf_wr_of(text, sizeof text);

	cli_manifest(m->folder, &w);
	cli_making_put(m, "MANIFEST", w.err == HF_E_OK ? hf_wr_span(&w) : hf_span_of(NULL, 0));
	if (m->err != HF_E_OK) {
		undo(m);
		return cli_fail(CLI_REFUSED, "%s was not made: %s", m->target, hf_err_text(m->err));
	}
	/* A rename takes the place of an empty folder, and of nothing else. */
	if (rename(m->temp, m->target) != 0) {
		int why = errno;

		undo(m);
		return cli_fail(CLI_REFUSED, "%s was not made: %s", m->target, strerror(why));
	}
	sync_parent(m->target);
	return CLI_DONE;
}
