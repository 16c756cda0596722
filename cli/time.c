/* cli - points in time as people and programs write them. Uses: base. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* "90s", "-24h": a number and a unit, ago. */
static bool parse_ago(const char *text, int64_t now_ms, int64_t *out_ms)
{
	static const char names[] = "smhd";
	static const int64_t seconds[] = {1, 60, 3600, 86400};

	text += *text == '-';
	size_t len = strlen(text);
	const char *unit = len > 1 ? strchr(names, text[len - 1]) : NULL;
	uint64_t n;

	if (!unit || hf_dec_parse(hf_span_of(text, len - 1), &n) != HF_E_OK || n > UINT32_MAX)
		return false;
	*out_ms = now_ms - (int64_t)n * seconds[unit - names] * 1000;
	return true;
}

/* Milliseconds since 1970; four digits are more likely a year. */
static bool parse_number(const char *text, int64_t *out_ms)
{
	bool before = *text == '-';
	uint64_t n;

	if (strlen(text) == 4 || hf_dec_parse(hf_span_text(text + before), &n) != HF_E_OK || n > INT64_MAX)
		return false;
	*out_ms = before ? -(int64_t)n : (int64_t)n;
	return true;
}

/* ".123" and more digits, which are dropped. */
static const char *skip_fraction(const char *p, int64_t *ms)
{
	int64_t weight = 100;

	if (*p != '.' || p[1] < '0' || p[1] > '9')
		return p;
	for (p++; *p >= '0' && *p <= '9'; p++, weight /= 10)
		*ms += (*p - '0') * weight;
	return p;
}

static bool two_digits(const char *p, uint64_t max, uint64_t *out)
{
	return hf_dec_parse(hf_span_of(p, 2), out) == HF_E_OK && *out <= max;
}

/* "", "Z" or "+01:00"; without one it is UTC. */
static bool parse_zone(const char *p, int64_t *east_ms)
{
	uint64_t hours, minutes;

	if (*p == '\0' || ((*p == 'Z' || *p == 'z') && p[1] == '\0'))
		return true;
	if ((*p != '+' && *p != '-') || strlen(p) != 6 || p[3] != ':' || !two_digits(p + 1, 23, &hours) ||
	    !two_digits(p + 4, 59, &minutes))
		return false;
	*east_ms = (*p == '+' ? 1 : -1) * (int64_t)(hours * 60 + minutes) * 60000;
	return true;
}

/* A date with as much of the time as was given. Source: RFC 3339. */
static bool parse_date(const char *text, const char *form, int64_t *out_ms)
{
	struct tm tm = {0};
	const char *end = strptime(text, form, &tm);
	int day = tm.tm_mday;
	int64_t part = 0, east = 0;

	if (!end)
		return false;
	if (form[strlen(form) - 1] == 'S')
		end = skip_fraction(end, &part);
	if (!parse_zone(end, &east))
		return false;
	time_t s = timegm(&tm);

	*out_ms = (int64_t)s * 1000 + part - east;
	return tm.tm_mday == day; /* 30 February has become another day */
}

enum hf_err cli_time_parse(const char *text, int64_t now_ms, int64_t *out_ms)
{
	static const char *const forms[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M",
	                                    "%Y-%m-%d"};

	if (parse_ago(text, now_ms, out_ms) || parse_number(text, out_ms))
		return HF_E_OK;
	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
		if (parse_date(text, forms[i], out_ms))
			return HF_E_OK;
	return HF_E_TEXT;
}

enum cli_exit cli_time_query(const struct cli_args *a, enum cli_option o, int64_t now_ms, char path[CLI_PATH_MAX])
{
	char name[16], number[24];
	int64_t ms = 0;

	if (!a->option[o])
		return CLI_DONE;
	if (cli_time_parse(a->option[o], now_ms, &ms) != HF_E_OK)
		return cli_fail(CLI_USAGE,
		                "--%s '%s' is no time: write 90s, 10m, 24h or 7d (ago), 2026-11-22, 2026-11-22T21:05:00Z (UTC "
		                "unless it ends with a zone such as +01:00), or milliseconds since 1970",
		                cli_option_row(o)->name, a->option[o]);
	(void)snprintf(name, sizeof name, "%s_ms", cli_option_row(o)->name);
	(void)snprintf(number, sizeof number, "%lld", (long long)ms);
	cli_query(path, name, number);
	return CLI_DONE;
}
