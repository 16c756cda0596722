/* conf - what the files of this module share. */
#ifndef CONF_INTERNAL_H
#define CONF_INTERNAL_H
#include "conf/conf.h"

/* Where a value stands, for the sentence about it. line 0: not in a file. */
struct conf_source {
	const char *file;
	size_t line;
	struct conf_report *report;
};
void conf_problem(const struct conf_source *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

enum conf_kind { CONF_KIND_HOSTS, CONF_KIND_ADDRESS, CONF_KIND_LABEL, CONF_KIND_PATH, CONF_KIND_INT, CONF_KIND_ENUM };
/* One row of config.def. */
struct conf_row {
	const char *key, *fallback, *doc;
	enum conf_kind kind;
	int64_t min, max;
	size_t offset, size;
};
enum {
#define CONF(key, KIND, fallback, min, max, doc) CONF_INDEX_##key,
#include "conf/config.def"
	CONF_ROWS
};
extern const struct conf_row conf_rows[CONF_ROWS];

/* Reads value as the row's kind into the field of c; false after a problem was reported. */
bool conf_value_parse(const struct conf_row *row, struct hf_span value, struct conf *c, const struct conf_source *s);
/* The value in force, as it stands in a file. */
void conf_value_print(const struct conf_row *row, const struct conf *c, struct os_buf *out);
/* The words that the key allows, "a or b". */
void conf_words(const char *key, char out[CONF_TEXT_MAX]);

/* Length of the longest prefix that is UTF-8 without control characters other than tab; s.len when all of it is. */
size_t conf_text_good(struct hf_span s);
/* How much of s a sentence quotes. */
int conf_quote_len(struct hf_span s);
/* The key that differs in the fewest letters. */
const char *conf_closest_key(struct hf_span name);

/* Adds a sentence for each certificate in the PEM file that is not good at now_s. */
void conf_check_cert(const char *path, int64_t now_s, struct conf_report *r);

#endif
