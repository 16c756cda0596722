/* conf - where things lie (places.def) and who runs there. Uses: base. */
#include "conf/conf_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum base { BASE_DATA, BASE_KEYS, BASE_C2 };
struct place {
	enum base base;
	const char *path;
};
static const struct place places[] = {
#define PLACE(NAME, BASE, path, KIND) {BASE_##BASE, (path)},
#include "conf/places.def"
};
static const enum conf_place folders[] = {CONF_PLACE_RUN_DIR, CONF_PLACE_DB_DIR, CONF_PLACE_BROKER_DIR,
                                          CONF_PLACE_LOG_DIR};

void conf_place(const struct conf *c, enum conf_place place, char out[CONF_PATH_MAX])
{
	const struct place *p = &places[place];
	struct hf_wr w = hf_wr_of(out, CONF_PATH_MAX - 1);

	hf_wr_text(&w, p->base == BASE_DATA ? c->data_dir : c->keys_dir);
	if (p->base == BASE_C2) {
		hf_wr_text(&w, "/c2/");
		hf_wr_text(&w, c->c2);
	}
	hf_wr_text(&w, p->path[0] ? "/" : "");
	hf_wr_text(&w, p->path);
	out[w.len] = '\0';
}

enum hf_err conf_make_folders(const struct conf *c, struct conf_report *r)
{
	char path[CONF_PATH_MAX];
	size_t problems = r->count;

	for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
		conf_place(c, folders[i], path);
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			conf_report_add(r, "%s cannot be made: %s", path, strerror(errno));
	}
	return r->count > problems ? HF_E_IO : HF_E_OK;
}

long conf_running(const struct conf *c)
{
	char path[CONF_PATH_MAX], text[32];
	uint64_t pid = 0;
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	conf_place(c, CONF_PLACE_PID, path);
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return 0;
	bool held = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
	ssize_t n = held ? read(fd, text, sizeof text) : 0;

	close(fd);
	while (n > 0 && text[n - 1] == '\n')
		n--;
	if (n > 0 && hf_dec_parse(hf_span_of(text, (size_t)n), &pid) == HF_E_OK && pid > 0)
		return (long)pid;
	return held ? -1 : 0;
}
