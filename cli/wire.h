/* cli, inside - what wire decode and encode share: lines, keys, output. Uses: seal, port/openssl; jansson. */
#ifndef CLI_WIRE_H
#define CLI_WIRE_H
#include "cli/cli.h"
#include "seal/seal.h"

enum { CLI_LINE_MAX = 4 << 20, CLI_MESSAGE_MAX = 2 << 20 };

/* Lines of stdin. What was printed is flushed before each wait for more. */
struct cli_lines {
	uint8_t *buf;
	size_t start, end;
	bool eof, skipping;
};
enum cli_line { CLI_LINE_NONE, CLI_LINE_OK, CLI_LINE_LONG };
HF_NODISCARD enum hf_err cli_lines_init(struct cli_lines *l);
void cli_lines_release(struct cli_lines *l);
/* The next line without its newline (and carriage return), valid until the next call. LONG: there was one over
 * CLI_LINE_MAX; it was skipped. NONE: the input has ended. */
enum cli_line cli_lines_next(struct cli_lines *l, struct hf_span *line);

/* Keys of a folder by base name, each read once. */
enum { CLI_KEYS_MAX = 64, CLI_KEY_NAME_MAX = 64 };
struct cli_keys {
	const char *dir;
	const char *suffix; /* ".pub.pem" or ".key.pem" */
	struct {
		char name[CLI_KEY_NAME_MAX];
		struct hf_seal_key *key;
	} slot[CLI_KEYS_MAX];
	size_t used;
};
void cli_keys_release(struct cli_keys *k);
/* A member of a line that names a key; NULL when there is none, or it is no text. */
const char *cli_key_name(const json_t *doc, const char *member);
/* NULL when there is no such key, it is no RSA key, or the name is not a plain one. */
struct hf_seal_key *cli_keys_get(struct cli_keys *k, const char *name);
/* Prints a sentence and returns CLI_USAGE when dir (NULL is fine) is no folder. */
enum cli_exit cli_check_dir(const char *option, const char *dir);

/* Prints "id":... as it came, null for none. */
void cli_print_id(const json_t *doc);
/* Prints "name":"text", or null for NULL, with a comma before. */
void cli_print_text(const char *name, const char *text);
/* Prints "name":"hex", or null for a NULL pointer, with a comma before. */
void cli_print_hex(const char *name, struct hf_span bytes);

#endif
