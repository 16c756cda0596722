/* unit - a test program in one header: TEST(name) { CHECK(...); }, then UNIT_TESTS(T(name), ...). Uses: stdio, or UNIT_PUT.
 * A bare target defines UNIT_PUT(text) to print a text by its own means and needs no stdio. The last line is "N passed, N failed". */
#ifndef TESTS_UNIT_H
#define TESTS_UNIT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifndef UNIT_PUT
#include <stdio.h>
#define UNIT_PUT(text) ((void)fputs((text), stdout))
#endif

struct unit_case {
	const char *name;
	void (*run)(void);
};

static unsigned unit_broken; /* failed checks of the case that runs */

#define TEST(name) static void test_##name(void)
#define T(case)                           \
	{                                     \
		.name = #case, .run = test_##case \
	}
/* The table of cases, in order, and main. */
#define UNIT_TESTS(...)                                         \
	int main(void)                                              \
	{                                                           \
		static const struct unit_case cases[] = {__VA_ARGS__};  \
		return unit_run(cases, sizeof cases / sizeof cases[0]); \
	}

/* A check that fails is printed and counted; the case goes on. REQUIRE leaves the case. Both sides of CHECK_EQ are integers. */
#define CHECK(cond) unit_check((cond), __FILE__, __LINE__, #cond)
#define CHECK_EQ(a, b) unit_equal((int64_t)(a), (int64_t)(b), __FILE__, __LINE__, #a " == " #b)
#define CHECK_STR(a, b) unit_check(strcmp((a), (b)) == 0, __FILE__, __LINE__, #a " is " #b)
#define CHECK_MEM(a, b, len) unit_check(memcmp((a), (b), (len)) == 0, __FILE__, __LINE__, #a " holds " #b)
#define REQUIRE(cond)                                       \
	do {                                                    \
		if (!unit_check((cond), __FILE__, __LINE__, #cond)) \
			return;                                         \
	} while (0)

static inline void unit_put_number(int64_t v)
{
	char text[21];
	size_t at = sizeof text;
	uint64_t rest = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

	text[--at] = '\0';
	do {
		text[--at] = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest > 0);
	if (v < 0)
		UNIT_PUT("-");
	UNIT_PUT(&text[at]);
}

static inline bool unit_check(bool good, const char *file, int line, const char *what)
{
	if (good)
		return true;
	unit_broken++;
	UNIT_PUT(file), UNIT_PUT(":"), unit_put_number(line), UNIT_PUT(": not so: "), UNIT_PUT(what), UNIT_PUT("\n");
	return false;
}

static inline bool unit_equal(int64_t a, int64_t b, const char *file, int line, const char *what)
{
	if (unit_check(a == b, file, line, what))
		return true;
	UNIT_PUT("\tleft "), unit_put_number(a), UNIT_PUT(", right "), unit_put_number(b), UNIT_PUT("\n");
	return false;
}

static inline int unit_run(const struct unit_case *cases, size_t count)
{
	unsigned failed = 0;

	for (size_t i = 0; i < count; i++) {
		unit_broken = 0;
		cases[i].run();
		UNIT_PUT(unit_broken == 0 ? "ok " : "FAILED ");
		UNIT_PUT(cases[i].name);
		UNIT_PUT("\n");
		failed += unit_broken != 0;
	}
	unit_put_number((int64_t)count - failed);
	UNIT_PUT(" passed, ");
	unit_put_number(failed);
	UNIT_PUT(" failed\n");
	return failed != 0;
}

#endif
