/* vectors_test - every message of the reference: what it accepts goes there and back, what is no message is refused.
 * Uses: wire, tests/unit.h, tests/vectors (on a bare machine by semihosting). */
#include "tests/unit.h"
#include "wire/wire.h"

#include <stdio.h>

enum { LINE_MAX_LEN = 200000 };

static char line_text[LINE_MAX_LEN];
static uint8_t message[LINE_MAX_LEN / 2], again[LINE_MAX_LEN / 2], text[LINE_MAX_LEN];

/* What stands between the text `before` and the next `end`. Empty when it is not there. */
static struct hf_span between(struct hf_span line, const char *before, char end)
{
	size_t skip = strlen(before), at = 0, to;

	while (at + skip <= line.len && memcmp(line.ptr + at, before, skip) != 0)
		at++;
	for (to = at += skip; to < line.len && line.ptr[to] != (uint8_t)end; to++)
		;
	return to < line.len ? hf_span_of(line.ptr + at, to - at) : hf_span_of(NULL, 0);
}

static bool stands(struct hf_span line, const char *before, const char *value)
{
	return hf_span_equal(between(line, before, '"'), hf_span_text(value));
}

/* The next line, and the message in it as bytes. */
static bool next(FILE *file, struct hf_span *line, struct hf_span *bytes)
{
	struct hf_wr w = hf_wr_of(message, sizeof message);

	if (!fgets(line_text, sizeof line_text, file))
		return false;
	*line = hf_span_text(line_text);
	CHECK_EQ(hf_hex_decode(between(*line, "\"message\":\"", '"'), &w), HF_E_OK);
	*bytes = hf_wr_span(&w);
	return true;
}

/* The fields that the reference names, in the same form and order, without their braces. */
static bool prints_as(const struct hf_wire_msg *m, struct hf_span fields)
{
	struct hf_wr w = hf_wr_of(text, sizeof text);

	return hf_wire_print(&w, m) == HF_E_OK && hf_span_equal(hf_span_of(text + 1, w.len - 2), fields);
}

TEST(vectors_accepted_there_and_back)
{
	FILE *file = fopen("tests/vectors/srup-v5/visible.jsonl", "r");
	struct hf_span line, bytes;
	unsigned count = 0;

	REQUIRE(file);
	while (next(file, &line, &bytes)) {
		struct hf_wr w = hf_wr_of(again, sizeof again);
		struct hf_wire_msg m;

		if (!stands(line, "\"expect\":\"", "accept"))
			continue;
		count++;
		if (!unit_check(hf_wire_decode(bytes, &m, NULL) == HF_E_OK, __FILE__, __LINE__, line_text))
			continue;
		CHECK(prints_as(&m, between(line, "\"fields\":{", '}')));
		CHECK_EQ(hf_wire_encode(&w, &m, HF_WIRE_WHOLE), HF_E_OK);
		CHECK(hf_span_equal(hf_wr_span(&w), bytes));
	}
	(void)fclose(file);
	CHECK_EQ(count, 197);
}

/* Those that stop at this stage; how many fail with err, or with whatever error when it is OK. */
static unsigned refused(const char *stage, enum hf_err err)
{
	FILE *file = fopen("tests/vectors/srup-v5/visible.jsonl", "r");
	struct hf_span line, bytes;
	unsigned count = 0;

	if (!file)
		return 0;
	while (next(file, &line, &bytes)) {
		struct hf_wire_msg m;

		if (!stands(line, "\"stage\":\"", stage))
			continue;
		enum hf_err got = hf_wire_decode(bytes, &m, NULL);

		count += err == HF_E_OK ? got != HF_E_OK : got == err;
	}
	(void)fclose(file);
	return count;
}

TEST(M1_vectors_that_do_not_parse)
{
	CHECK_EQ(refused("parse", HF_E_OK), 193);
}

TEST(M9_vectors_of_another_version_or_type)
{
	CHECK_EQ(refused("version", HF_E_VERSION), 39);
	CHECK_EQ(refused("type", HF_E_TYPE), 5);
}

UNIT_TESTS(T(vectors_accepted_there_and_back), T(M1_vectors_that_do_not_parse),
           T(M9_vectors_of_another_version_or_type))
