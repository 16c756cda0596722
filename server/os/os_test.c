/* os tests - buffers at their limits, whole files, timers and watches of the loop. Uses: os, cmocka; a temporary folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "os/os.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/os_test.XXXXXX";
static char path[64];

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(path, sizeof path, "%s/file", folder);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(folder);
}

/* --- buffers ------------------------------------------------------------------------------------------------------- */

static void buffer_ends_at_its_maximum(void **state)
{
	(void)state;
	for (size_t max = 0; max < 600; max += 50) {
		OS_BUF_SCOPED b = os_buf_of(max);

		for (size_t i = 0; i < max; i++)
			os_buf_text(&b, "x");
		assert_int_equal(b.err, HF_E_OK);
		assert_int_equal(strlen(os_buf_cstr(&b)), max);
		os_buf_text(&b, "y");
		assert_int_equal(b.err, HF_E_TOO_BIG);
		assert_int_equal(b.len, max);
	}
}

static void buffer_latches_its_error(void **state)
{
	OS_BUF_SCOPED b = os_buf_of(4);

	(void)state;
	os_buf_text(&b, "abc");
	os_buf_text(&b, "de");
	os_buf_text(&b, "f"); /* would fit */
	os_buf_format(&b, "%d", 1);
	assert_int_equal(b.err, HF_E_TOO_BIG);
	assert_string_equal(os_buf_cstr(&b), "abc");
	os_buf_release(&b);
	assert_int_equal(b.err, HF_E_OK);
	os_buf_format(&b, "%s", "abcd");
	assert_int_equal(b.err, HF_E_OK);
	assert_string_equal(os_buf_cstr(&b), "abcd");
}

static void empty_buffer(void **state)
{
	OS_BUF_SCOPED b = os_buf_of(0);

	(void)state;
	assert_string_equal(os_buf_cstr(&b), "");
	os_buf_put(&b, hf_span_of(NULL, 0));
	os_buf_format(&b, "%s", "");
	assert_int_equal(b.err, HF_E_OK);
	assert_int_equal(os_buf_span(&b).len, 0);
	os_buf_put(&b, hf_span_of("", 1));
	assert_int_equal(b.err, HF_E_TOO_BIG);
	os_buf_release(&b);
	os_buf_release(&b);
}

/* --- files --------------------------------------------------------------------------------------------------------- */

static unsigned mode_of(const char *file)
{
	struct stat st;

	assert_int_equal(stat(file, &st), 0);
	return st.st_mode & 0777;
}

static void file_is_replaced_whole(void **state)
{
	char tmp[80];

	(void)state;
	(void)snprintf(tmp, sizeof tmp, "%s.tmp", path);
	assert_int_equal(os_replace_file(path, hf_span_text("one and more"), 0600), HF_E_OK);
	assert_int_equal(mode_of(path), 0600);
	assert_int_equal(os_replace_file(path, hf_span_text("two"), 0644), HF_E_OK);
	assert_int_equal(mode_of(path), 0644);
	OS_BUF_SCOPED b = os_buf_of(100);

	assert_int_equal(os_read_file(path, &b), HF_E_OK);
	assert_string_equal(os_buf_cstr(&b), "two");
	assert_int_equal(access(tmp, F_OK), -1);
	assert_int_equal(os_replace_file(path, hf_span_of(NULL, 0), 0600), HF_E_OK);
	os_buf_release(&b);
	assert_int_equal(os_read_file(path, &b), HF_E_OK);
	assert_int_equal(b.len, 0);
}

static void file_that_cannot_be_replaced_stays(void **state)
{
	char other[4200], blocked[80];

	(void)state;
	assert_int_equal(os_replace_file(path, hf_span_text("kept"), 0600), HF_E_OK);
	(void)snprintf(other, sizeof other, "%s/none/file", folder);
	assert_int_equal(os_replace_file(other, hf_span_text("x"), 0600), HF_E_IO);
	memset(other, 'a', sizeof other - 1);
	other[sizeof other - 1] = 0;
	assert_int_equal(os_replace_file(other, hf_span_text("x"), 0600), HF_E_IO);
	(void)snprintf(blocked, sizeof blocked, "%s.tmp", path);
	assert_int_equal(mkdir(blocked, 0700), 0); /* where the new file would be written */
	assert_int_equal(os_replace_file(path, hf_span_text("lost"), 0600), HF_E_IO);
	assert_int_equal(rmdir(blocked), 0);
	OS_BUF_SCOPED b = os_buf_of(100);

	assert_int_equal(os_read_file(path, &b), HF_E_OK);
	assert_string_equal(os_buf_cstr(&b), "kept");
}

static void files_read(void **state)
{
	OS_BUF_SCOPED b = os_buf_of(3);

	(void)state;
	assert_int_equal(os_replace_file(path, hf_span_text("abcd"), 0600), HF_E_OK);
	assert_int_equal(os_read_file(path, &b), HF_E_TOO_BIG);
	os_buf_release(&b);
	assert_int_equal(os_replace_file(path, hf_span_text("abc"), 0600), HF_E_OK);
	assert_int_equal(os_read_file(path, &b), HF_E_OK);
	os_buf_release(&b);
	assert_int_equal(os_read_file("/tmp/os_test.none/file", &b), HF_E_NOT_FOUND);
	assert_int_equal(os_read_file(folder, &b), HF_E_IO);
	assert_int_equal(os_read_fd(-1, &b), HF_E_IO);
}

struct id_case {
	const char *text;
	enum hf_err err;
};

static void ids_read(void **state)
{
	static const struct id_case cases[] = {
		{"2a", HF_E_OK}, {"2a\n", HF_E_OK}, {"2a\n\n", HF_E_ID}, {"2a \n", HF_E_ID},  {"", HF_E_ID},
		{"\n", HF_E_ID}, {"2A", HF_E_ID},   {"02a", HF_E_ID},    {"0x2a\n", HF_E_ID},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		uint64_t id = 7;

		assert_int_equal(os_replace_file(path, hf_span_text(cases[i].text), 0600), HF_E_OK);
		assert_int_equal(os_read_id(path, &id), cases[i].err);
		assert_true(id == (cases[i].err == HF_E_OK ? 0x2a : 7));
	}
	assert_int_equal(os_read_id("/tmp/os_test.none/id", &(uint64_t){0}), HF_E_NOT_FOUND);
}

/* --- clocks -------------------------------------------------------------------------------------------------------- */

static void times_as_text(void **state)
{
	static const struct {
		int64_t ms;
		const char *text, *exact;
	} odd[] = {
		/* as `date -u --date=@SECONDS` prints them */
		{-1, "1969-12-31T23:59:59Z", "1969-12-31T23:59:59.999Z"},
		{-2000, "1969-12-31T23:59:58Z", "1969-12-31T23:59:58.000Z"},
		{INT64_C(2147483648000), "2038-01-19T03:14:08Z", "2038-01-19T03:14:08.000Z"},
		{INT64_C(4294967296001), "2106-02-07T06:28:16Z", "2106-02-07T06:28:16.001Z"},
		{INT64_C(253402300799999), "9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999Z"},
		{INT64_C(253402300800000), "@253402300800", ""},
		{INT64_MIN, "@-9223372036854776", ""},
		{INT64_MAX, "@9223372036854775", ""},
	};
	char text[OS_TIME_TEXT_MAX];

	(void)state;
	os_time_text(0, text);
	assert_string_equal(text, "1970-01-01T00:00:00Z");
	os_time_text(INT64_C(1795381545999), text);
	assert_string_equal(text, "2026-11-22T21:05:45Z");
	for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
		os_time_text(odd[i].ms, text);
		assert_string_equal(text, odd[i].text);
		os_time_ms_text(odd[i].ms, text);
		assert_string_equal(text, odd[i].exact);
	}
	assert_true(os_monotonic_ms() <= os_monotonic_ms());
}

/* --- the loop ------------------------------------------------------------------------------------------------------ */

static struct os_loop loop;
static char order[64];
static unsigned turns, runs;

static void note_turn(void *ctx)
{
	(void)ctx;
	turns++;
}

static void start_loop(void)
{
	assert_int_equal(os_loop_init(&loop), HF_E_OK);
	loop.turn_begin = note_turn;
	order[0] = 0;
	turns = runs = 0;
}

static void note_name(struct os_timer *t)
{
	size_t n = strlen(order);

	(void)snprintf(order + n, sizeof order - n, "%s", (const char *)t->ctx);
	if (strchr(t->ctx, '!'))
		os_loop_stop(&loop);
}

static void timers_in_their_order(void **state)
{
	struct os_timer a = {.on_due = note_name, .ctx = (char[]){"a"}}, b = {.on_due = note_name, .ctx = (char[]){"b"}};
	struct os_timer c = {.on_due = note_name, .ctx = (char[]){"c"}}, d = {.on_due = note_name, .ctx = (char[]){"d"}};
	struct os_timer last = {.on_due = note_name, .ctx = (char[]){"!"}};
	int64_t now = os_monotonic_ms();

	(void)state;
	start_loop();
	os_timer_set(&loop, &last, now);
	os_timer_set(&loop, &c, now - 10);
	os_timer_set(&loop, &a, now - 30);
	os_timer_set(&loop, &b, now - 10); /* set after c: comes after it */
	os_timer_set(&loop, &d, now - 40);
	os_timer_clear(&loop, &d);
	os_timer_clear(&loop, &d);
	os_timer_set(&loop, &d, now - 50);
	os_timer_set(&loop, &d, now - 20); /* set anew: it moves */
	assert_int_equal(os_loop_run(&loop), HF_E_OK);
	assert_string_equal(order, "adcb!");
	assert_false(a.armed || b.armed || c.armed || d.armed || last.armed);
	os_loop_release(&loop);
}

static void clear_other(struct os_timer *t)
{
	os_timer_clear(&loop, t->ctx);
	runs++;
}

static void timer_clears_another_that_is_due(void **state)
{
	struct os_timer victim = {.on_due = clear_other}, first = {.on_due = clear_other, .ctx = &victim};
	struct os_timer last = {.on_due = note_name, .ctx = (char[]){"!"}};
	int64_t now = os_monotonic_ms();

	(void)state;
	victim.ctx = &victim;
	start_loop();
	os_timer_set(&loop, &first, now - 2);
	os_timer_set(&loop, &victim, now - 1);
	os_timer_set(&loop, &last, now);
	assert_int_equal(os_loop_run(&loop), HF_E_OK);
	assert_int_equal(runs, 1);
	os_loop_release(&loop);
}

/* At once, five times: each in a turn of its own, so that what it did is committed in between. */
static void set_again_at_once(struct os_timer *t)
{
	if (++runs == 5)
		os_loop_stop(&loop);
	else
		os_timer_set(&loop, t, 0);
}

static void timer_at_once_waits_for_the_next_turn(void **state)
{
	struct os_timer again = {.on_due = set_again_at_once};

	(void)state;
	start_loop();
	os_timer_set(&loop, &again, 0);
	assert_int_equal(os_loop_run(&loop), HF_E_OK);
	assert_int_equal(runs, 5);
	assert_int_equal(turns, 5);
	os_loop_release(&loop);
}

static struct os_watch watches[2];

/* Reads its byte and closes the other's eyes: that one must not be called in this turn any more. */
static void read_and_clear_other(struct os_watch *w, uint32_t events)
{
	char byte;

	assert_true(events & OS_READ);
	assert_int_equal(read(w->fd, &byte, 1), 1);
	os_watch_clear(w == &watches[0] ? &watches[1] : &watches[0]);
	runs++;
	os_loop_stop(&loop);
}

static void watch_cleared_in_the_same_turn(void **state)
{
	int ends[2][2];

	(void)state;
	start_loop();
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(pipe(ends[i]), 0);
		assert_int_equal(write(ends[i][1], "x", 1), 1);
		watches[i] = (struct os_watch){.fd = ends[i][0], .on_ready = read_and_clear_other};
		assert_int_equal(os_watch_set(&loop, &watches[i], OS_READ), HF_E_OK);
		assert_int_equal(os_watch_set(&loop, &watches[i], OS_READ), HF_E_OK);
	}
	assert_int_equal(os_loop_run(&loop), HF_E_OK);
	assert_int_equal(runs, 1);
	for (size_t i = 0; i < 2; i++) {
		os_watch_clear(&watches[i]);
		os_watch_clear(&watches[i]);
		(void)close(ends[i][0]);
		(void)close(ends[i][1]);
	}
	assert_int_equal(os_watch_set(&loop, &watches[0], OS_READ), HF_E_IO); /* closed */
	os_loop_release(&loop);
}

#define CASE(name) cmocka_unit_test(name)

/* Each case: the same call as text and as JSON, behind time, level and event. */
struct log_case {
	void (*call)(int fd);
	const char *text, *json;
};
static void log_nothing(int fd)
{
	os_log_to(fd, OS_LOG_STOPPED, "%s", "");
}
static void log_numbers(int fd)
{
	os_log_to(fd, OS_LOG_STOPPED, "a=%d b=%u c=%zu d=%lld e=%llu f=%016llx", -1, 2U, (size_t)3, -4LL, 5ULL, 6ULL);
}
static void log_texts(int fd)
{
	os_log_to(fd, OS_LOG_STOPPED, "at=%s:%u why=\"it is\" part=\"%.*s\" empty=%s", "::1", 80U, 2, "abc", "");
}
static void log_forged(int fd)
{
	os_log_to(fd, OS_LOG_STOPPED, "path=%s why=\"%s\" end=%d", "/x status=200", "a\" end=\"b\\\nc\x1b", 1);
}
static void log_key(int fd)
{
	os_log_to(fd, OS_LOG_STOPPED, "pid=%d %s=%d", 1, "signal", 9);
}
static const struct log_case log_cases[] = {
	{log_nothing, "", ""},
	{log_numbers, " a=-1 b=2 c=3 d=-4 e=5 f=0000000000000006",
     ",\"a\":-1,\"b\":2,\"c\":3,\"d\":-4,\"e\":5,\"f\":\"0000000000000006\""},
	{log_texts, " at=::1:80 why=\"it is\" part=\"ab\" empty=",
     ",\"at\":\"::1:80\",\"why\":\"it is\",\"part\":\"ab\",\"empty\":\"\""},
	{log_forged, " path=\"/x status=200\" why=\"a\\\" end=\\\"b\\\\?c?\" end=1",
     ",\"path\":\"/x status=200\",\"why\":\"a\\\" end=\\\"b\\\\?c?\",\"end\":1"},
	{log_key, " pid=1 signal=9", ",\"pid\":1,\"signal\":9"},
};

/* The line behind its time, without the newline. */
static void logged(void (*call)(int fd), char out[4200])
{
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	call(ends[1]);
	ssize_t n = read(ends[0], out, 4199);

	assert_true(n > 0 && n <= 4096 && out[n - 1] == '\n');
	out[n - 1] = '\0';
	(void)close(ends[0]);
	(void)close(ends[1]);
}

static void log_lines_are_text_or_json(void **state)
{
	static const char text_head[] = " info server.stopped",
					  json_head[] = "\",\"level\":\"info\",\"event\":\"server.stopped\"";
	char line[4200];

	(void)state;
	for (size_t i = 0; i < sizeof log_cases / sizeof log_cases[0]; i++) {
		logged(log_cases[i].call, line);
		assert_memory_equal(line + 20, text_head, sizeof text_head - 1);
		assert_string_equal(line + 20 + sizeof text_head - 1, log_cases[i].text);
		os_log_json(true);
		logged(log_cases[i].call, line);
		os_log_json(false);
		assert_memory_equal(line, "{\"time\":\"", 9);
		assert_memory_equal(line + 29, json_head, sizeof json_head - 1);
		line[strlen(line) - 1] = '\0'; /* } */
		assert_string_equal(line + 29 + sizeof json_head - 1, log_cases[i].json);
	}
}

static char long_text[3000];
static void log_long(int fd)
{
	os_log_to(fd, OS_LOG_STOPPED, "a=\"%s\" b=\"%s\" c=%d", long_text, long_text, 1);
}

static void log_line_ends_at_its_maximum(void **state)
{
	char line[4200];

	(void)state;
	memset(long_text, '"', sizeof long_text - 1);
	os_log_json(true);
	logged(log_long, line);
	os_log_json(false);
	assert_string_equal(line + strlen(line) - 9, "\"\",\"c\":1}");
	assert_null(strstr(line, ",\"b\":"));
}

static void log_level_is_kept(void **state)
{
	(void)state;
	assert_true(os_log_has(OS_LOG_STOPPED));
	assert_false(os_log_has(OS_LOG_LINK_SENT));
	os_log_level(OS_ERROR);
	assert_false(os_log_has(OS_LOG_STOPPED));
	assert_true(os_log_has(OS_LOG_FAILED));
	os_log_level(OS_DEBUG);
	assert_true(os_log_has(OS_LOG_LINK_SENT));
	os_log_level(OS_INFO);
}

struct host_case {
	const char *host;
	enum hf_err err;
	const char *address;
};
static const struct host_case host_cases[] = {
	{"127.0.0.1", HF_E_OK, "127.0.0.1"},
	{"2001:db8::1", HF_E_OK, "2001:db8::1"},
	{"localhost", HF_E_OK, NULL},
	{"no-such-host.invalid", HF_E_NOT_FOUND, NULL},
};

static void names_are_resolved_without_waiting(void **state)
{
	struct os_resolve r = {0};

	(void)state;
	for (size_t i = 0; i < sizeof host_cases / sizeof host_cases[0]; i++) {
		const struct host_case *t = &host_cases[i];
		int64_t end = os_monotonic_ms() + 20000;
		enum hf_err err = os_resolve_start(&r, t->host);

		assert_true(err == HF_E_BUSY || t->address);
		while (err == HF_E_BUSY && os_monotonic_ms() < end) {
			usleep(1000);
			err = os_resolve_step(&r);
		}
		assert_int_equal(err, t->err);
		assert_true(err == HF_E_OK ? r.count > 0 : r.count == 0);
		if (t->address)
			assert_string_equal(r.address[0], t->address);
	}
	os_resolve_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(buffer_ends_at_its_maximum),
		CASE(buffer_latches_its_error),
		CASE(empty_buffer),
		CASE(file_is_replaced_whole),
		CASE(file_that_cannot_be_replaced_stays),
		CASE(files_read),
		CASE(ids_read),
		CASE(times_as_text),
		CASE(timers_in_their_order),
		CASE(timer_clears_another_that_is_due),
		CASE(timer_at_once_waits_for_the_next_turn),
		CASE(watch_cleared_in_the_same_turn),
		CASE(names_are_resolved_without_waiting),
		CASE(log_lines_are_text_or_json),
		CASE(log_line_ends_at_its_maximum),
		CASE(log_level_is_kept),
	};

	return cmocka_run_group_tests_name("os", tests, set_up, tear_down);
}
