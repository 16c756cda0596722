/* fuzz - `holdfast wire decode` and `wire encode`: lines that somebody else wrote. Each line has one answer, which is JSON; what
 * encode makes decode takes. Uses: cli; Linux (memfd); tests/vectors. */
#include "cli/cli.h"
#include "fuzz/fuzz.h"
#include "os/os.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define KEYS "tests/vectors/srup-v5"

enum { OUT_MAX = 32 << 20 };

static void check(bool good)
{
	if (!good)
		abort();
}

static size_t lines_of(struct hf_span s)
{
	size_t n = s.len > 0 && s.ptr[s.len - 1] != '\n';

	for (size_t i = 0; i < s.len; i++)
		n += s.ptr[i] == '\n';
	return n;
}

/* Runs a command with this as its stdin; what it wrote to stdout. */
static void run(enum cli_exit (*command)(const struct cli_args *), struct hf_span in, struct os_buf *out)
{
	struct cli_args args = {.option = {[CLI_O_VERIFY] = KEYS, [CLI_O_OPEN] = KEYS, [CLI_O_SIGN] = KEYS}};
	int input = memfd_create("in", MFD_CLOEXEC), output = memfd_create("out", MFD_CLOEXEC), ours = dup(STDOUT_FILENO);

	check(input >= 0 && output >= 0 && ours >= 0);
	check(fflush(stdout) == 0 && write(input, in.ptr, in.len) == (ssize_t)in.len && lseek(input, 0, SEEK_SET) == 0);
	check(dup2(input, STDIN_FILENO) >= 0 && dup2(output, STDOUT_FILENO) >= 0);
	check(command(&args) == CLI_DONE);
	check(fflush(stdout) == 0 && dup2(ours, STDOUT_FILENO) >= 0 && lseek(output, 0, SEEK_SET) == 0);
	check(os_read_fd(output, out) == HF_E_OK);
	(void)close(input);
	(void)close(output);
	(void)close(ours);
}

/* One JSON object for each line; those that were made, by encode, are said to be good by decode. */
static void check_answers(struct hf_span out, size_t count, bool all_ok)
{
	size_t seen = 0;

	while (out.len > 0) {
		const uint8_t *end = memchr(out.ptr, '\n', out.len);

		check(end != NULL);
		size_t len = (size_t)(end - out.ptr);
		json_t *doc = json_loadb((const char *)out.ptr, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);

		check(json_is_boolean(json_object_get(doc, "ok")));
		check(json_is_true(json_object_get(doc, "ok")) == json_is_null(json_object_get(doc, "error")));
		check(!all_ok || json_is_true(json_object_get(doc, "ok")));
		json_decref(doc);
		out = hf_span_of(end + 1, out.len - len - 1);
		seen++;
	}
	check(seen == count);
}

/* The messages that encode made, a line each. */
static void made(struct hf_span out, struct os_buf *hex)
{
	static const char before[] = "\"error\":null,\"message\":\"";

	while (out.len > 0) {
		const uint8_t *end = memchr(out.ptr, '\n', out.len);
		size_t len = (size_t)(end - out.ptr);
		const uint8_t *start = memmem(out.ptr, len, before, sizeof before - 1);

		if (start) {
			start += sizeof before - 1;
			os_buf_put(hex, hf_span_of(start, (size_t)((const uint8_t *)memchr(start, '"', len) - start)));
			os_buf_text(hex, "\n");
		}
		out = hf_span_of(end + 1, out.len - len - 1);
	}
	check(hex->err == HF_E_OK);
}

static enum cli_exit decode_only(const struct cli_args *a)
{
	struct cli_args plain = *a;

	plain.option[CLI_O_VERIFY] = plain.option[CLI_O_OPEN] = NULL;
	return cli_wire_decode(&plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hf_span in = hf_span_of(size ? (const void *)data : "", size);
	OS_BUF_SCOPED decoded = os_buf_of(OUT_MAX);
	OS_BUF_SCOPED encoded = os_buf_of(OUT_MAX);
	OS_BUF_SCOPED messages = os_buf_of(OUT_MAX);
	OS_BUF_SCOPED again = os_buf_of(OUT_MAX);

	run(cli_wire_decode, in, &decoded);
	check_answers(os_buf_span(&decoded), lines_of(in), false);
	run(cli_wire_encode, in, &encoded);
	check_answers(os_buf_span(&encoded), lines_of(in), false);
	made(os_buf_span(&encoded), &messages);
	run(decode_only, os_buf_span(&messages), &again);
	check_answers(os_buf_span(&again), lines_of(os_buf_span(&messages)), true);
	return 0;
}
