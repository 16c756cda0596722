/* wish_test - a word from another process: taken, answered, waiting, refused. Uses: port/posix, tests/unit.h. */
#include "port/posix/posix_internal.h"
#include "tests/unit.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATH_LEN = 256 };

static char dir[PATH_LEN];
static struct hf_posix_word answer;

static struct hf_posix_store *open_store(void)
{
	struct hf_posix_why why;
	struct hf_posix_store *s = NULL;

	CHECK_EQ(hf_posix_store_open(dir, &why, &s), HF_E_OK);
	return s;
}

static bool begin(void)
{
	(void)snprintf(dir, sizeof dir, "%s/hf-wish-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	return mkdtemp(dir) != NULL;
}

static void end(void)
{
	static const char *const names[] = {"store.hf", "store.key", "lock", "wish", "wish.answer"};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		char path[2 * PATH_LEN];

		(void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		(void)unlink(path);
	}
	CHECK_EQ(rmdir(dir), 0); /* nothing else was left behind */
}

static enum hf_err leave(const char *word, int64_t wait_ms)
{
	answer.text[0] = '\0';
	return hf_posix_wish_leave(dir, word, wait_ms, &answer);
}

TEST(no_device_there)
{
	REQUIRE(begin());
	CHECK_EQ(leave("resign", 0), HF_E_NOT_FOUND);
	end();
	CHECK_EQ(leave("resign", 0), HF_E_NOT_FOUND);
}

/* Nobody runs: it waits for the next start, and the last word counts. */
TEST(waits_for_a_start)
{
	struct hf_posix_word word;

	REQUIRE(begin());
	struct hf_posix_store *s = open_store();

	CHECK(!hf_posix_wish_look(s, &word));
	CHECK_EQ(hf_posix_store_put(s, HF_NODE_ITEM_BROKER, hf_span_text("b")), HF_E_OK);
	hf_posix_store_close(s);
	CHECK_EQ(leave("resign", 1000), HF_E_STATE);
	CHECK_EQ(leave("rejoin", 1000), HF_E_STATE);
	s = open_store();
	CHECK(hf_posix_wish_look(s, &word));
	CHECK_STR(word.text, "rejoin");
	CHECK(hf_posix_wish_look(s, &word)); /* until it is answered */
	hf_posix_wish_answer(s, "taken");
	CHECK(!hf_posix_wish_look(s, &word));
	hf_posix_store_close(s);
	end();
}

TEST(answered_by_the_one_that_runs)
{
	REQUIRE(begin());
	struct hf_posix_store *s = open_store();

	CHECK_EQ(hf_posix_store_put(s, HF_NODE_ITEM_BROKER, hf_span_text("b")), HF_E_OK);
	CHECK_EQ(leave("rejoin", 60), HF_E_EXPIRED); /* it runs, but is busy; the wish stays */
	hf_posix_wish_answer(s, "too late");
	pid_t child = fork();

	if (child == 0)
		_exit(leave("resign", 10000) == HF_E_OK && strcmp(answer.text, "no: later") == 0 ? 0 : 1);
	struct hf_posix_word word = {""};
	int status = -1;

	while (!hf_posix_wish_look(s, &word))
		;
	hf_posix_wish_answer(s, "no: later");
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	CHECK_STR(word.text, "resign");
	hf_posix_store_close(s);
	end();
}

/* Longer than a word, as somebody else might leave: not taken for one. */
TEST(too_long_for_a_word)
{
	struct hf_posix_word word;
	char text[HF_POSIX_WORD_MAX + 2];

	memset(text, 'x', sizeof text);
	text[HF_POSIX_WORD_MAX + 1] = '\0';
	REQUIRE(begin());
	struct hf_posix_store *s = open_store();

	CHECK_EQ(hf_posix_store_note(s, "wish", hf_span_text(text)), HF_E_OK);
	CHECK(!hf_posix_wish_look(s, &word));
	text[HF_POSIX_WORD_MAX] = '\0';
	CHECK_EQ(hf_posix_store_note(s, "wish", hf_span_text(text)), HF_E_OK);
	CHECK(hf_posix_wish_look(s, &word));
	hf_posix_store_close(s);
	end();
}

UNIT_TESTS(T(no_device_there), T(waits_for_a_start), T(answered_by_the_one_that_runs), T(too_long_for_a_word))
