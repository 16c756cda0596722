/* posix_test - the encrypted store, addresses, sensors as files, recordings. Uses: port/posix, port/openssl,
 * tests/unit.h. */
#include "port/posix/posix_internal.h"
#include "tests/unit.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

enum { PATH_LEN = 256, BIG = 20000 };

static char dir[PATH_LEN];
static struct hf_posix_why why;

static const char *in_dir(const char *name)
{
	static char path[2 * PATH_LEN];

	(void)snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

/* A fresh folder for each case; the tree of the earlier one goes. */
static void begin(void)
{
	static const char *const names[] = {"store.hf",      "store.key",   "lock",          "store.hf.tmp",
	                                    "store.key.tmp", "note.txt",    "file.csv",      "brightness",
	                                    "in_temp_input", "in_temp_raw", "in_temp_scale", "in_temp_offset"};

	for (size_t i = 0; dir[0] && i < COUNT(names); i++)
		(void)unlink(in_dir(names[i]));
	if (dir[0])
		(void)rmdir(dir);
	(void)snprintf(dir, sizeof dir, "%s/hf-posix-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	CHECK(mkdtemp(dir) != NULL);
	why.text[0] = '\0';
}

static bool write_file(const char *name, const void *bytes, size_t len, mode_t mode)
{
	int fd = open(in_dir(name), O_WRONLY | O_CREAT | O_TRUNC, mode);
	bool good = fd >= 0 && write(fd, bytes, len) == (ssize_t)len && fchmod(fd, mode) == 0;

	return fd >= 0 && close(fd) == 0 && good;
}

static size_t read_file(const char *name, uint8_t *out, size_t cap)
{
	int fd = open(in_dir(name), O_RDONLY);
	ssize_t n = fd >= 0 ? read(fd, out, cap) : -1;

	if (fd >= 0)
		(void)close(fd);
	return n > 0 ? (size_t)n : 0;
}

static struct hf_posix_store *reopen(struct hf_posix_store *s)
{
	struct hf_posix_store *again = NULL;

	hf_posix_store_close(s);
	CHECK_EQ(hf_posix_store_open(dir, &why, &again), HF_E_OK);
	return again;
}

static bool holds(struct hf_posix_store *s, enum hf_node_item item, const char *text)
{
	uint8_t out[256];
	struct hf_wr w = hf_wr_of(out, sizeof out);

	return hf_posix_store_get(s, item, &w) == HF_E_OK && hf_span_equal(hf_wr_span(&w), hf_span_text(text));
}

static enum hf_err put(struct hf_posix_store *s, enum hf_node_item item, const char *text)
{
	return hf_posix_store_put(s, item, hf_span_text(text));
}

static enum hf_err open_error(void)
{
	struct hf_posix_store *s = NULL;
	enum hf_err err = hf_posix_store_open(dir, &why, &s);

	hf_posix_store_close(s);
	CHECK(err == HF_E_OK || why.text[0] != '\0'); /* always a sentence */
	return err;
}

/* --- store -------------------------------------------------------------------------------------------------------- */

TEST(store_keeps_values)
{
	struct hf_posix_store *s;
	struct stat st;

	begin();
	s = reopen(NULL);
	REQUIRE(s);
	CHECK(!holds(s, HF_NODE_ITEM_BROKER, ""));
	CHECK_EQ(put(s, HF_NODE_ITEM_BROKER, "localhost"), HF_E_OK);
	CHECK_EQ(put(s, HF_NODE_ITEM_COUNTER, "12345678"), HF_E_OK);
	CHECK_EQ(put(s, HF_NODE_ITEM_BROKER, "elsewhere"), HF_E_OK);
	CHECK_EQ(put(s, HF_NODE_ITEM_APPLICATION, ""), HF_E_OK);
	s = reopen(s);
	REQUIRE(s);
	CHECK(holds(s, HF_NODE_ITEM_BROKER, "elsewhere"));
	CHECK(holds(s, HF_NODE_ITEM_COUNTER, "12345678"));
	CHECK(holds(s, HF_NODE_ITEM_APPLICATION, ""));
	CHECK_EQ(hf_posix_store_erase(s, HF_NODE_ITEM_BROKER), HF_E_OK);
	CHECK_EQ(hf_posix_store_erase(s, HF_NODE_ITEM_BROKER), HF_E_OK); /* it was not there */
	s = reopen(s);
	REQUIRE(s);
	CHECK(!holds(s, HF_NODE_ITEM_BROKER, "elsewhere"));
	CHECK(holds(s, HF_NODE_ITEM_COUNTER, "12345678"));
	hf_posix_store_close(s);
	CHECK(stat(in_dir("store.key"), &st) == 0 && (st.st_mode & 0777) == 0600 && st.st_size == 32);
	CHECK(stat(in_dir("store.hf"), &st) == 0 && (st.st_mode & 0777) == 0600);
}

TEST(store_shows_nothing_in_plain)
{
	uint8_t file[4096];
	struct hf_posix_store *s;

	begin();
	s = reopen(NULL);
	REQUIRE(s);
	CHECK_EQ(put(s, HF_NODE_ITEM_IDENTITY_KEY, "a very private key"), HF_E_OK);
	hf_posix_store_close(s);
	size_t len = read_file("store.hf", file, sizeof file);

	CHECK(len > 40);
	CHECK(memmem(file, len, "private", 7) == NULL);
}

/* Every byte of the file, changed or cut off: refused with a sentence, and left as it is. */
TEST(store_torn_or_changed_is_refused_not_reset)
{
	uint8_t file[4096], after[4096];
	struct hf_posix_store *s;

	begin();
	s = reopen(NULL);
	REQUIRE(s);
	CHECK_EQ(put(s, HF_NODE_ITEM_BROKER, "localhost"), HF_E_OK);
	hf_posix_store_close(s);
	size_t len = read_file("store.hf", file, sizeof file);

	for (size_t i = 0; i < len; i++) {
		file[i] ^= 0x10;
		REQUIRE(write_file("store.hf", file, len, 0600));
		CHECK_EQ(open_error(), HF_E_ENVELOPE);
		CHECK(read_file("store.hf", after, sizeof after) == len && memcmp(file, after, len) == 0);
		file[i] ^= 0x10;
		REQUIRE(write_file("store.hf", file, i, 0600));
		CHECK_EQ(open_error(), HF_E_ENVELOPE);
	}
	REQUIRE(write_file("store.hf", file, len, 0600));
	CHECK_EQ(open_error(), HF_E_OK);
}

TEST(store_without_its_key)
{
	uint8_t key[33] = {1};
	struct hf_posix_store *s;

	begin();
	s = reopen(NULL);
	REQUIRE(s);
	CHECK_EQ(put(s, HF_NODE_ITEM_BROKER, "localhost"), HF_E_OK);
	hf_posix_store_close(s);
	(void)unlink(in_dir("store.key"));
	CHECK_EQ(open_error(), HF_E_KEY);
	REQUIRE(write_file("store.key", key, 31, 0600));
	CHECK_EQ(open_error(), HF_E_KEY);
	REQUIRE(write_file("store.key", key, 33, 0600));
	CHECK_EQ(open_error(), HF_E_KEY);
	REQUIRE(write_file("store.key", key, 32, 0600));
	CHECK_EQ(open_error(), HF_E_ENVELOPE);
	REQUIRE(write_file("store.key", key, 32, 0644));
	CHECK_EQ(open_error(), HF_E_KEY);
}

TEST(store_is_for_one_process)
{
	struct hf_posix_store *s;

	begin();
	s = reopen(NULL);
	REQUIRE(s);
	CHECK_EQ(open_error(), HF_E_BUSY);
	hf_posix_store_close(s);
	CHECK_EQ(open_error(), HF_E_OK);
}

TEST(store_that_cannot_be_written)
{
	static uint8_t big[BIG];
	struct hf_posix_store *s;

	begin();
	s = reopen(NULL);
	REQUIRE(s);
	CHECK_EQ(put(s, HF_NODE_ITEM_BROKER, "localhost"), HF_E_OK);
	REQUIRE(mkdir(in_dir("store.hf.tmp"), 0700) == 0); /* in the way, even of root */
	CHECK_EQ(put(s, HF_NODE_ITEM_BROKER, "elsewhere"), HF_E_IO);
	CHECK(holds(s, HF_NODE_ITEM_BROKER, "localhost"));
	REQUIRE(rmdir(in_dir("store.hf.tmp")) == 0);
	CHECK_EQ(hf_posix_store_put(s, HF_NODE_ITEM_CERTIFICATE, hf_span_of(big, sizeof big)), HF_E_OK);
	CHECK_EQ(hf_posix_store_put(s, HF_NODE_ITEM_CA_CERTIFICATE, hf_span_of(big, sizeof big)), HF_E_OK);
	CHECK_EQ(hf_posix_store_put(s, HF_NODE_ITEM_SERVER_KEY, hf_span_of(big, sizeof big)), HF_E_OK);
	CHECK_EQ(hf_posix_store_put(s, HF_NODE_ITEM_KEYEX_KEY, hf_span_of(big, sizeof big)), HF_E_NO_SPACE);
	s = reopen(s);
	REQUIRE(s);
	CHECK(holds(s, HF_NODE_ITEM_BROKER, "localhost"));
	hf_posix_store_close(s);
	s = NULL;
	CHECK_EQ(hf_posix_store_open("/proc/no/such/place", &why, &s), HF_E_IO);
	CHECK(why.text[0] != '\0');
}

/* Killed between any two instructions of a series of puts: what is there is one of the values, whole. */
TEST(store_survives_kill)
{
	begin();
	for (unsigned round = 0; round < 30; round++) {
		pid_t child = fork();

		if (child == 0) {
			struct hf_posix_store *s = NULL;
			char text[32];

			for (unsigned i = 0; hf_posix_store_open(dir, &why, &s) == HF_E_OK; i++, hf_posix_store_close(s)) {
				(void)snprintf(text, sizeof text, "value %u", i);
				if (put(s, HF_NODE_ITEM_BROKER, text) != HF_E_OK)
					_exit(1);
			}
			_exit(1);
		}
		(void)usleep(1000 + round * 331);
		(void)kill(child, SIGKILL);
		(void)waitpid(child, NULL, 0);
		CHECK_EQ(open_error(), HF_E_OK);
	}
}

TEST(store_notes)
{
	uint8_t text[64];
	struct hf_posix_store *s;
	struct stat st;

	begin();
	s = reopen(NULL);
	REQUIRE(s);
	CHECK_EQ(hf_posix_store_unnote(s, "note.txt"), HF_E_OK);
	CHECK_EQ(hf_posix_store_note(s, "note.txt", hf_span_text("first, longer\n")), HF_E_OK);
	CHECK_EQ(hf_posix_store_note(s, "note.txt", hf_span_text("second\n")), HF_E_OK);
	CHECK_EQ(read_file("note.txt", text, sizeof text), 7);
	CHECK_MEM(text, "second\n", 7);
	CHECK(stat(in_dir("note.txt"), &st) == 0 && (st.st_mode & 0777) == 0600);
	CHECK_EQ(hf_posix_store_unnote(s, "note.txt"), HF_E_OK);
	CHECK(stat(in_dir("note.txt"), &st) != 0);
	hf_posix_store_close(s);
}

/* --- addresses ---------------------------------------------------------------------------------------------------- */

TEST(broker_addresses)
{
	static const struct {
		const char *text, *host;
		unsigned port;
		enum hf_err err;
	} cases[] = {
		{"localhost", "localhost", 0, HF_E_OK},
		{"mqtt://localhost", "localhost", 0, HF_E_OK},
		{"mqtts://broker.example:8884", "broker.example", 8884, HF_E_OK},
		{"127.0.0.1:1", "127.0.0.1", 1, HF_E_OK},
		{"[::1]:65535", "::1", 65535, HF_E_OK},
		{"[::1]", "::1", 0, HF_E_OK},
		{"", "", 0, HF_E_TEXT},
		{"mqtt://", "", 0, HF_E_TEXT},
		{"host:", "", 0, HF_E_TEXT},
		{"host:0", "", 0, HF_E_TEXT},
		{"host:65536", "", 0, HF_E_TEXT},
		{"host:88x", "", 0, HF_E_TEXT},
		{"host/path", "", 0, HF_E_TEXT},
		{"https://host", "", 0, HF_E_TEXT},
		{"[::1", "", 0, HF_E_TEXT},
		{"[::1]x", "", 0, HF_E_TEXT},
		{"[]", "", 0, HF_E_TEXT},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		char host[64] = "";
		struct hf_wr w = hf_wr_of(host, sizeof host);
		unsigned port = 0;
		enum hf_err err = hf_posix_address(hf_span_text(cases[i].text), &w, &port);

		if (err != cases[i].err || (err == HF_E_OK && (strcmp(host, cases[i].host) != 0 || port != cases[i].port)))
			(void)unit_check(false, __FILE__, __LINE__, cases[i].text);
	}
	char host[4];
	struct hf_wr w = hf_wr_of(host, sizeof host);
	unsigned port;

	CHECK_EQ(hf_posix_address(hf_span_text("long"), &w, &port), HF_E_NO_SPACE);
}

/* --- things of the board ------------------------------------------------------------------------------------------ */

static bool put_text(const char *name, const char *text)
{
	return write_file(name, text, strlen(text), 0644);
}

TEST(sensors_as_files)
{
	static const char *const bad[] = {"", "x\n", "1x\n", "nan\n", "inf\n", "\n"};
	double v = 7;

	begin();
	CHECK_EQ(hf_posix_iio_read(dir, "temp", &v), HF_E_NOT_FOUND);
	REQUIRE(put_text("in_temp_raw", "100\n"));
	CHECK(hf_posix_iio_read(dir, "temp", &v) == HF_E_OK && v == 100);
	REQUIRE(put_text("in_temp_scale", "2.5\n"));
	CHECK(hf_posix_iio_read(dir, "temp", &v) == HF_E_OK && v == 250);
	REQUIRE(put_text("in_temp_offset", "-40\n"));
	CHECK(hf_posix_iio_read(dir, "temp", &v) == HF_E_OK && v == 150);
	REQUIRE(put_text("in_temp_input", "21500\n"));
	CHECK(hf_posix_iio_read(dir, "temp", &v) == HF_E_OK && v == 21500);
	for (size_t i = 0; i < COUNT(bad); i++) {
		REQUIRE(put_text("in_temp_input", bad[i]));
		CHECK(hf_posix_iio_read(dir, "temp", &v) != HF_E_OK);
		CHECK(v == 21500);
	}
}

TEST(lamp_as_a_file)
{
	uint8_t text[8] = {0};

	begin();
	CHECK_EQ(hf_posix_led_set(dir, true), HF_E_IO);
	REQUIRE(put_text("brightness", ""));
	CHECK_EQ(hf_posix_led_set(dir, true), HF_E_OK);
	CHECK_EQ(read_file("brightness", text, sizeof text), 2);
	CHECK_MEM(text, "1\n", 2);
	CHECK_EQ(hf_posix_led_set(dir, false), HF_E_OK);
	CHECK_EQ(read_file("brightness", text, sizeof text), 2);
	CHECK_MEM(text, "0\n", 2);
}

TEST(recordings)
{
	struct hf_posix_csv *csv = NULL;
	double v = 0;

	begin();
	REQUIRE(put_text("file.csv", "# made up\n\n a, b ,c\n1,2.5,-3e1\r\n, 4 ,5\n"));
	REQUIRE(hf_posix_csv_open(in_dir("file.csv"), &why, &csv) == HF_E_OK);
	CHECK_EQ(hf_posix_csv_rows(csv), 2);
	CHECK(hf_posix_csv_get(csv, 0, "b", &v) == HF_E_OK && v == 2.5);
	CHECK(hf_posix_csv_get(csv, 0, "c", &v) == HF_E_OK && v == -30);
	CHECK(hf_posix_csv_get(csv, 1, "a", &v) == HF_E_OK && isnan(v));
	CHECK(hf_posix_csv_get(csv, 1, "b", &v) == HF_E_OK && v == 4);
	CHECK_EQ(hf_posix_csv_get(csv, 0, "d", &v), HF_E_NOT_FOUND);
	CHECK_EQ(hf_posix_csv_get(csv, 2, "a", &v), HF_E_NOT_FOUND);
	hf_posix_csv_close(csv);
}

TEST(recordings_malformed)
{
	static const char *const bad[] = {"",           "a,b\n",        "a,b\n1\n",      "a,b\n1,2,3\n",
	                                  "a,b\n1,x\n", "a,b\n1,2 3\n", "a,,b\n1,2,3\n", "a\ninf\n"};
	char line[2000];

	begin();
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct hf_posix_csv *csv = NULL;

		REQUIRE(put_text("file.csv", bad[i]));
		CHECK_EQ(hf_posix_csv_open(in_dir("file.csv"), &why, &csv), HF_E_TEXT);
		CHECK(why.text[0] != '\0');
	}
	struct hf_posix_csv *csv = NULL;

	memset(line, '1', sizeof line);
	REQUIRE(write_file("file.csv", line, sizeof line, 0644));
	CHECK_EQ(hf_posix_csv_open(in_dir("file.csv"), &why, &csv), HF_E_TOO_BIG);
	CHECK_EQ(hf_posix_csv_open(in_dir("none.csv"), &why, &csv), HF_E_IO);
	begin();
	(void)rmdir(dir);
}

UNIT_TESTS(T(store_keeps_values), T(store_shows_nothing_in_plain), T(store_torn_or_changed_is_refused_not_reset),
           T(store_without_its_key), T(store_is_for_one_process), T(store_that_cannot_be_written),
           T(store_survives_kill), T(store_notes), T(broker_addresses), T(sensors_as_files), T(lamp_as_a_file),
           T(recordings), T(recordings_malformed))
