/* conf - values of each kind: read, print; and the texts around them. Uses: base, os. */
#include "conf/conf_internal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

struct word {
	const char *key, *text;
};
static const struct word words[] = {
#define WORD(key, NAME, text) {#key, (text)},
#include "conf/words.def"
};
enum { WORDS = sizeof words / sizeof words[0], KEY_MAX = 32, QUOTE_MAX = 60 };

int conf_quote_len(struct hf_span s)
{
	return s.len < QUOTE_MAX ? (int)s.len : QUOTE_MAX;
}

static bool has_only(struct hf_span s, const char *allowed)
{
	for (size_t i = 0; i < s.len; i++)
		if (!strchr(allowed, s.ptr[i]))
			return false;
	return true;
}

#define LOWER_AND_DIGITS "abcdefghijklmnopqrstuvwxyz0123456789"
#define HOST_LETTERS LOWER_AND_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZ.-: "

/* Copies a value whose length was checked against the row. */
static void text_store(struct hf_span v, void *field)
{
	char *out = field;

	memcpy(out, v.ptr, v.len);
	out[v.len] = '\0';
}

static bool hosts_parse(const struct conf_row *row, struct hf_span v, void *field, const struct conf_source *s)
{
	if (!has_only(v, HOST_LETTERS)) {
		conf_problem(s, "%s: host names hold letters, digits, dots and hyphens, and are separated by spaces", row->key);
		return false;
	}
	text_store(v, field);
	return true;
}

static bool address_parse(const struct conf_row *row, struct hf_span v, void *field, const struct conf_source *s)
{
	char text[CONF_TEXT_MAX];
	struct in6_addr any;

	text_store(v, text);
	if (inet_pton(AF_INET, text, &any) != 1 && inet_pton(AF_INET6, text, &any) != 1) {
		conf_problem(s, "%s: \"%s\" is not an IPv4 or IPv6 address", row->key, text);
		return false;
	}
	text_store(v, field);
	return true;
}

static bool label_parse(const struct conf_row *row, struct hf_span v, void *field, const struct conf_source *s)
{
	if (!has_only(v, LOWER_AND_DIGITS "-_")) {
		conf_problem(s, "%s: a name holds lower-case letters, digits, hyphens and underscores", row->key);
		return false;
	}
	text_store(v, field);
	return true;
}

static bool path_parse(const struct conf_row *row, struct hf_span v, void *field, const struct conf_source *s)
{
	char *out = field;

	(void)row;
	(void)s;
	while (v.len > 1 && v.ptr[v.len - 1] == '/')
		v.len--;
	text_store(v, out);
	return true;
}

static bool int_parse(const struct conf_row *row, struct hf_span v, void *field, const struct conf_source *s)
{
	uint64_t n = 0;
	int64_t *out = field;

	if (hf_dec_parse(v, &n) != HF_E_OK) {
		conf_problem(s, "%s: \"%.*s\" is not a whole number (a comment needs a line of its own)", row->key,
		             conf_quote_len(v), (const char *)v.ptr);
		return false;
	}
	if (n < (uint64_t)row->min || n > (uint64_t)row->max) {
		conf_problem(s, "%s: %llu is out of range, which is %lld to %lld", row->key, (unsigned long long)n,
		             (long long)row->min, (long long)row->max);
		return false;
	}
	*out = (int64_t)n;
	return true;
}

static bool word_parse(const struct conf_row *row, struct hf_span v, void *field, const struct conf_source *s)
{
	char allowed[CONF_TEXT_MAX];
	enum conf_word *out = field;

	for (size_t i = 0; i < WORDS; i++)
		if (strcmp(words[i].key, row->key) == 0 && hf_span_equal(v, hf_span_text(words[i].text))) {
			*out = (enum conf_word)i;
			return true;
		}
	conf_words(row->key, allowed);
	conf_problem(s, "%s: \"%.*s\" is none of its words, which are: %s", row->key, conf_quote_len(v),
	             (const char *)v.ptr, allowed);
	return false;
}

static void text_print(const void *field, struct os_buf *out)
{
	os_buf_text(out, field);
}

static void int_print(const void *field, struct os_buf *out)
{
	const int64_t *v = field;

	os_buf_format(out, "%lld", (long long)*v);
}

static void word_print(const void *field, struct os_buf *out)
{
	const enum conf_word *v = field;

	os_buf_text(out, words[*v].text);
}

struct kind {
	bool (*parse)(const struct conf_row *row, struct hf_span v, void *field, const struct conf_source *s);
	void (*print)(const void *field, struct os_buf *out);
	bool is_text; /* min and max are lengths */
};
static const struct kind kinds[] = {
	[CONF_KIND_HOSTS] = {hosts_parse, text_print, true}, [CONF_KIND_ADDRESS] = {address_parse, text_print, true},
	[CONF_KIND_LABEL] = {label_parse, text_print, true}, [CONF_KIND_PATH] = {path_parse, text_print, true},
	[CONF_KIND_INT] = {int_parse, int_print, false},     [CONF_KIND_ENUM] = {word_parse, word_print, true},
};

bool conf_value_parse(const struct conf_row *row, struct hf_span value, struct conf *c, const struct conf_source *s)
{
	const struct kind *k = &kinds[row->kind];

	if (value.len == 0) {
		conf_problem(s, "%s has no value; leave the line out to get the default", row->key);
		return false;
	}
	if (k->is_text && (value.len < (size_t)row->min || value.len > (size_t)row->max)) {
		conf_problem(s, "%s: the value is %zu bytes long; at most %lld are allowed", row->key, value.len,
		             (long long)row->max);
		return false;
	}
	return k->parse(row, value, (char *)c + row->offset, s);
}

void conf_value_print(const struct conf_row *row, const struct conf *c, struct os_buf *out)
{
	kinds[row->kind].print((const char *)c + row->offset, out);
}

void conf_words(const char *key, char out[CONF_TEXT_MAX])
{
	struct hf_wr w = hf_wr_of(out, CONF_TEXT_MAX);

	for (size_t i = 0; i < WORDS; i++)
		if (strcmp(words[i].key, key) == 0) {
			hf_wr_text(&w, w.len > 0 ? " or " : "");
			hf_wr_text(&w, words[i].text);
		}
	hf_wr_nul(&w);
}

struct utf8_row {
	uint8_t mask, lead;
	size_t len;
	uint32_t min;
};
static const struct utf8_row utf8_rows[] = {
	{0x80, 0x00, 1, 0x20},
	{0xe0, 0xc0, 2, 0x80},
	{0xf0, 0xe0, 3, 0x800},
	{0xf8, 0xf0, 4, 0x10000},
};

/* Bytes of the character at the start of s; 0 when it is not a good one. */
static size_t utf8_len(struct hf_span s)
{
	for (size_t i = 0; i < sizeof utf8_rows / sizeof utf8_rows[0]; i++) {
		const struct utf8_row *row = &utf8_rows[i];

		if ((s.ptr[0] & row->mask) != row->lead)
			continue;
		uint32_t c = s.ptr[0] & (uint8_t)~row->mask;

		for (size_t j = 1; j < row->len; j++) {
			if (j >= s.len || (s.ptr[j] & 0xc0) != 0x80)
				return 0;
			c = c << 6 | (s.ptr[j] & 0x3f);
		}
		bool good = (c >= row->min && c != 0x7f && !(c >= 0xd800 && c < 0xe000) && c < 0x110000) || c == '\t';

		return good ? row->len : 0;
	}
	return 0;
}

size_t conf_text_good(struct hf_span s)
{
	size_t at = 0;

	while (at < s.len) {
		size_t len = utf8_len(hf_span_of(s.ptr + at, s.len - at));

		if (len == 0)
			break;
		at += len;
	}
	return at;
}

/* Edit distance of a name to a key of at most KEY_MAX letters. */
static size_t distance(struct hf_span name, const char *key)
{
	size_t cost[KEY_MAX + 1], key_len = strlen(key);

	for (size_t j = 0; j <= key_len; j++)
		cost[j] = j;
	for (size_t i = 0; i < name.len; i++) {
		size_t corner = cost[0];

		cost[0] = i + 1;
		for (size_t j = 0; j < key_len; j++) {
			size_t change = corner + (name.ptr[i] != (uint8_t)key[j]);
			size_t best = cost[j] < cost[j + 1] ? cost[j] + 1 : cost[j + 1] + 1;

			corner = cost[j + 1];
			cost[j + 1] = change < best ? change : best;
		}
	}
	return cost[key_len];
}

const char *conf_closest_key(struct hf_span name)
{
	const char *best = conf_rows[0].key;
	size_t best_distance = SIZE_MAX;

	for (size_t i = 0; i < CONF_ROWS; i++) {
		size_t d = distance(name, conf_rows[i].key);

		if (d < best_distance) {
			best_distance = d;
			best = conf_rows[i].key;
		}
	}
	return best;
}
