/* port/posix - the encrypted store: store.hf, one file, AES-256-GCM, replaced as a whole; its key in store.key, 0600.
 * What this protects: a copy of store.hf alone (a backup, a bug that serves files) shows no key and no
 * certificate, and a changed or torn file is noticed. What it does not: whoever reads the directory as this user or
 * as root has store.key too; and an older store.hf put back in place is not noticed. For that the key must come from
 * hardware (TPM, secure element): hf_seal_crypto.gcm is the place where it can.
 * Uses: base seal node port/openssl. */
#include "port/posix/posix_internal.h"

#include "port/openssl/openssl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	KEY_LEN = 32,
	NONCE_LEN = 12,
	TAG_LEN = 16,
	MAGIC_LEN = 8,
	HEAD_LEN = MAGIC_LEN + NONCE_LEN,
	FILE_MAX = HF_POSIX_STORE_MAX
};

static const char magic[MAGIC_LEN + 1] = "HFSTORE1", store_name[] = "store.hf", key_name[] = "store.key";

/* The values lie in image as they do in the file: u8 item, u16 length, bytes; each item once. */
struct hf_posix_store {
	int dir, lock;
	uint8_t key[KEY_LEN];
	size_t len;
	uint8_t image[FILE_MAX], next[FILE_MAX], file[HEAD_LEN + FILE_MAX + TAG_LEN];
};

/* --- files -------------------------------------------------------------------------------------------------------- */

static bool write_all(int fd, const uint8_t *at, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

enum hf_err hf_posix_replace_file(int dir, const char *name, struct hf_span bytes)
{
	char fresh[HF_POSIX_NAME_MAX];

	(void)snprintf(fresh, sizeof fresh, "%s.tmp", name);
	int fd = openat(dir, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return HF_E_IO;
	bool good = write_all(fd, bytes.ptr, bytes.len) && fsync(fd) == 0;

	good = close(fd) == 0 && good;
	if (good && renameat(dir, fresh, dir, name) == 0)
		return fsync(dir) == 0 ? HF_E_OK : HF_E_IO;
	(void)unlinkat(dir, fresh, 0);
	return HF_E_IO;
}

enum hf_err hf_posix_read_file(int dir, const char *name, void *out, size_t cap, size_t *len)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	uint8_t more;
	ssize_t n = 1;

	if (fd < 0)
		return errno == ENOENT ? HF_E_NOT_FOUND : HF_E_IO;
	*len = 0;
	while (*len < cap && (n = read(fd, (uint8_t *)out + *len, cap - *len)) > 0)
		*len += (size_t)n;
	bool longer = n > 0 && read(fd, &more, 1) == 1;

	(void)close(fd);
	return n < 0 ? HF_E_IO : longer ? HF_E_TOO_BIG : HF_E_OK;
}

/* --- the image ---------------------------------------------------------------------------------------------------- */

/* Where an item's value lies in the image. */
static bool find(const struct hf_posix_store *s, unsigned item, struct hf_span *out)
{
	struct hf_rd r = hf_rd_of(hf_span_of(s->image, s->len));

	while (hf_rd_left(&r) > 0) {
		unsigned at = (unsigned)hf_rd_be(&r, 1);
		struct hf_span value = hf_rd_lp(&r);

		if (r.err != HF_E_OK)
			return false;
		if (at == item) {
			*out = value;
			return true;
		}
	}
	return false;
}

/* Every item known and there once: what we write, so anything else is not ours. */
static bool image_is_sound(const struct hf_posix_store *s)
{
	struct hf_rd r = hf_rd_of(hf_span_of(s->image, s->len));
	bool seen[HF_NODE_ITEM_COUNT_] = {false};

	while (hf_rd_left(&r) > 0) {
		unsigned item = (unsigned)hf_rd_be(&r, 1);

		(void)hf_rd_lp(&r);
		if (r.err != HF_E_OK || item >= HF_NODE_ITEM_COUNT_ || seen[item])
			return false;
		seen[item] = true;
	}
	return true;
}

static void put_value(struct hf_wr *w, unsigned item, struct hf_span value)
{
	hf_wr_be(w, item, 1);
	hf_wr_lp(w, value);
}

static enum hf_err save(struct hf_posix_store *s, struct hf_span image)
{
	const struct hf_seal_crypto *c = hf_openssl_crypto();
	uint8_t nonce[NONCE_LEN];
	struct hf_wr w = hf_wr_of(s->file, sizeof s->file);
	enum hf_err err = c->random(c->ctx, nonce, sizeof nonce);

	if (err != HF_E_OK)
		return err;
	hf_wr_put(&w, hf_span_of(magic, MAGIC_LEN));
	hf_wr_put(&w, hf_span_of(nonce, sizeof nonce));
	struct hf_seal_aead with = {s->key, nonce, hf_span_of(magic, MAGIC_LEN)};

	err = c->gcm(c->ctx, true, &with, image, &w);
	return err == HF_E_OK ? hf_posix_replace_file(s->dir, store_name, hf_wr_span(&w)) : err;
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

static enum hf_err open_dir(struct hf_posix_store *s, const char *dir, struct hf_posix_why *why)
{
	if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
		hf_posix_say(why, "cannot make the directory %s: %s", dir, strerror(errno));
		return HF_E_IO;
	}
	s->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	s->lock = s->dir < 0 ? -1 : openat(s->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->lock < 0) {
		hf_posix_say(why, "cannot use the directory %s: %s", dir, strerror(errno));
		return HF_E_IO;
	}
	if (flock(s->lock, LOCK_EX | LOCK_NB) != 0) {
		hf_posix_say(why, "another process uses the directory %s", dir);
		return HF_E_BUSY;
	}
	return HF_E_OK;
}

static enum hf_err make_key(struct hf_posix_store *s, const char *dir, struct hf_posix_why *why)
{
	const struct hf_seal_crypto *c = hf_openssl_crypto();
	enum hf_err err;

	if (faccessat(s->dir, store_name, F_OK, 0) == 0) {
		hf_posix_say(why,
		             "%s/%s is there but its key %s is not: put the key back, or remove the store and register anew",
		             dir, store_name, key_name);
		return HF_E_KEY;
	}
	err = c->random(c->ctx, s->key, KEY_LEN);
	if (err == HF_E_OK)
		err = hf_posix_replace_file(s->dir, key_name, hf_span_of(s->key, KEY_LEN));
	if (err != HF_E_OK)
		hf_posix_say(why, "cannot write %s/%s: %s", dir, key_name, hf_err_text(err));
	return err;
}

static enum hf_err load_key(struct hf_posix_store *s, const char *dir, struct hf_posix_why *why)
{
	struct stat st;
	size_t len = 0;
	enum hf_err err = hf_posix_read_file(s->dir, key_name, s->key, KEY_LEN, &len);

	if (err == HF_E_NOT_FOUND)
		return make_key(s, dir, why);
	if (err != HF_E_OK || len != KEY_LEN) {
		hf_posix_say(why, "%s/%s cannot be read or does not hold %d bytes", dir, key_name, KEY_LEN);
		return HF_E_KEY;
	}
	if (fstatat(s->dir, key_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || (st.st_mode & 077) != 0) {
		hf_posix_say(why, "others may read %s/%s: chmod 600 it, if it was never copied", dir, key_name);
		return HF_E_KEY;
	}
	return HF_E_OK;
}

static enum hf_err unseal(struct hf_posix_store *s, size_t len)
{
	const struct hf_seal_crypto *c = hf_openssl_crypto();
	struct hf_wr w = hf_wr_of(s->image, sizeof s->image);

	if (len < HEAD_LEN + TAG_LEN || memcmp(s->file, magic, MAGIC_LEN) != 0)
		return HF_E_ENVELOPE;
	struct hf_seal_aead with = {s->key, s->file + MAGIC_LEN, hf_span_of(magic, MAGIC_LEN)};
	enum hf_err err = c->gcm(c->ctx, false, &with, hf_span_of(s->file + HEAD_LEN, len - HEAD_LEN), &w);

	s->len = err == HF_E_OK ? w.len : 0;
	if (err == HF_E_OK && !image_is_sound(s))
		err = HF_E_VERSION;
	return err;
}

static enum hf_err load(struct hf_posix_store *s, const char *dir, struct hf_posix_why *why)
{
	size_t len = 0;
	enum hf_err err = load_key(s, dir, why);

	if (err != HF_E_OK)
		return err;
	err = hf_posix_read_file(s->dir, store_name, s->file, sizeof s->file, &len);
	if (err == HF_E_NOT_FOUND)
		return HF_E_OK;
	if (err == HF_E_OK)
		err = unseal(s, len);
	if (err == HF_E_VERSION)
		hf_posix_say(why, "%s/%s was written by another version of this program", dir, store_name);
	else if (err == HF_E_IO)
		hf_posix_say(why, "cannot read %s/%s: %s", dir, store_name, strerror(errno));
	else if (err != HF_E_OK)
		hf_posix_say(why,
		             "%s/%s is damaged, was changed, or %s is another store's: put a good copy back, or remove it and "
		             "register anew",
		             dir, store_name, key_name);
	return err == HF_E_TOO_BIG ? HF_E_ENVELOPE : err;
}

enum hf_err hf_posix_store_open(const char *dir, struct hf_posix_why *why, struct hf_posix_store **out)
{
	struct hf_posix_store *s = calloc(1, sizeof *s);

	if (!s) {
		hf_posix_say(why, "out of memory");
		return HF_E_MEMORY;
	}
	s->dir = s->lock = -1;
	enum hf_err err = open_dir(s, dir, why);

	if (err == HF_E_OK)
		err = load(s, dir, why);
	if (err != HF_E_OK) {
		hf_posix_store_close(s);
		return err;
	}
	*out = s;
	return HF_E_OK;
}

void hf_posix_store_close(struct hf_posix_store *s)
{
	if (!s)
		return;
	if (s->lock >= 0)
		(void)close(s->lock);
	if (s->dir >= 0)
		(void)close(s->dir);
	hf_wipe(s, sizeof *s);
	free(s);
}

/* --- use ---------------------------------------------------------------------------------------------------------- */

enum hf_err hf_posix_store_get(struct hf_posix_store *s, enum hf_node_item item, struct hf_wr *out)
{
	struct hf_span value;

	if (!find(s, item, &value))
		return HF_E_NOT_FOUND;
	hf_wr_put(out, value);
	return out->err;
}

/* Writes the image anew, with another value for item, or without it. */
static enum hf_err change(struct hf_posix_store *s, enum hf_node_item item, const struct hf_span *value)
{
	struct hf_wr w = hf_wr_of(s->next, sizeof s->next);
	struct hf_span old;

	for (unsigned i = 0; i < HF_NODE_ITEM_COUNT_; i++)
		if (i != (unsigned)item && find(s, i, &old))
			put_value(&w, i, old);
		else if (i == (unsigned)item && value)
			put_value(&w, i, *value);
	enum hf_err err = w.err != HF_E_OK ? w.err : save(s, hf_wr_span(&w));

	if (err == HF_E_OK) {
		hf_wipe(s->image, sizeof s->image);
		memcpy(s->image, s->next, w.len);
		s->len = w.len;
	}
	hf_wipe(s->next, sizeof s->next);
	return err;
}

enum hf_err hf_posix_store_put(struct hf_posix_store *s, enum hf_node_item item, struct hf_span value)
{
	struct hf_span old;

	return find(s, item, &old) && hf_span_equal(old, value) ? HF_E_OK : change(s, item, &value);
}

enum hf_err hf_posix_store_erase(struct hf_posix_store *s, enum hf_node_item item)
{
	struct hf_span old;

	return find(s, item, &old) ? change(s, item, NULL) : HF_E_OK;
}

enum hf_err hf_posix_store_note(struct hf_posix_store *s, const char *name, struct hf_span text)
{
	return hf_posix_replace_file(s->dir, name, text);
}

enum hf_err hf_posix_store_unnote(struct hf_posix_store *s, const char *name)
{
	return unlinkat(s->dir, name, 0) == 0 || errno == ENOENT ? HF_E_OK : HF_E_IO;
}

int hf_posix_store_dir(const struct hf_posix_store *s)
{
	return s->dir;
}
