/* port/posix - wishes: a word from another process, left in the directory of the store. Uses: base.
 * A file rather than a signal or a socket: it waits when nobody runs, outlives a kill, and only who may use the
 * directory can leave one. */
#include "port/posix/posix_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

enum { PAUSE_MS = 20 };

static const char wish_name[] = "wish", answer_name[] = "wish.answer";

static bool there(int dir, const char *name)
{
	return faccessat(dir, name, F_OK, 0) == 0;
}

/* Whoever has the store holds its lock. */
static bool somebody_runs(int dir)
{
	int lock = openat(dir, "lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	bool held = lock >= 0 && flock(lock, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;

	if (lock >= 0)
		(void)close(lock);
	return held;
}

static enum hf_err read_word(int dir, const char *name, struct hf_posix_word *out)
{
	size_t len = 0;
	enum hf_err err = hf_posix_read_file(dir, name, out->text, HF_POSIX_WORD_MAX, &len);

	if (err == HF_E_OK)
		out->text[len] = '\0';
	return err;
}

static enum hf_err wait_for_answer(int dir, int64_t until_ms, struct hf_posix_word *answer)
{
	while (there(dir, wish_name)) {
		if (hf_posix_now_ms() >= until_ms)
			return somebody_runs(dir) ? HF_E_EXPIRED : HF_E_STATE;
		(void)nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
	}
	return read_word(dir, answer_name, answer);
}

static enum hf_err leave(int dir, const char *word, int64_t wait_ms, struct hf_posix_word *answer)
{
	if (!there(dir, "store.hf"))
		return HF_E_NOT_FOUND;
	if (unlinkat(dir, answer_name, 0) != 0 && errno != ENOENT)
		return HF_E_IO;
	enum hf_err err = hf_posix_replace_file(dir, wish_name, hf_span_text(word));

	if (err != HF_E_OK)
		return err;
	return somebody_runs(dir) ? wait_for_answer(dir, hf_posix_now_ms() + wait_ms, answer) : HF_E_STATE;
}

enum hf_err hf_posix_wish_leave(const char *dir, const char *word, int64_t wait_ms, struct hf_posix_word *answer)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? HF_E_NOT_FOUND : HF_E_IO;
	enum hf_err err = leave(fd, word, wait_ms, answer);

	(void)close(fd);
	return err;
}

bool hf_posix_wish_look(const struct hf_posix_store *s, struct hf_posix_word *out)
{
	return read_word(hf_posix_store_dir(s), wish_name, out) == HF_E_OK;
}

/* The answer is there before the wish goes. */
void hf_posix_wish_answer(const struct hf_posix_store *s, const char *answer)
{
	int dir = hf_posix_store_dir(s);

	(void)hf_posix_replace_file(dir, answer_name, hf_span_text(answer));
	(void)unlinkat(dir, wish_name, 0);
}
