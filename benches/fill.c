/* fill - registers devices straight in a database, with the server's own schema and verbs; the server must not run.
 * Uses: base os db facts registry. Not a benchmark: what they stand on. */
#include "base/base.h"
#include "db/db.h"
#include "facts/facts.h"
#include "os/os.h"
#include "registry/registry.h"

#include <stdio.h>
#include <string.h>

enum {
	A_TRANSACTION = 1000,
	KEY_HEX_MAX = 2 * REGISTRY_KEY_MAX + 1,
	EXPONENT_LEN = 3,
	LINE_MAX_LEN = KEY_HEX_MAX + 256,
	COUNT_MAX = 1000000
};

static const char help[] =
	"Usage: fill DATABASE < LINES\n"
	"A line: ID COUNT TYPE STATE CONTROLLER KEY. COUNT devices, the first with this id (16 hex digits), the next with "
	"the\n"
	"id after it. STATE: registered or joined; CONTROLLER: the server's id, or 0. KEY: DER SubjectPublicKeyInfo in "
	"hex; as\n"
	"no two devices may have the same, each further one gets another public exponent: such a device has a key of the\n"
	"right size and nobody who could use it.\n";

struct order {
	uint64_t id, controller;
	unsigned count;
	char type[REGISTRY_TYPE_MAX], state[16], key[KEY_HEX_MAX];
};

static enum hf_err add(struct db *db, struct facts *facts, const struct order *o, struct registry_identity *i)
{
	int64_t now = os_now_ms();
	bool joined = strcmp(o->state, registry_state_name(REGISTRY_JOINED)) == 0;

	i->created_ms = now;
	enum hf_err err = registry_add(db, i, 0);

	if (err == HF_E_OK && joined)
		err = registry_set_state(db, facts, i->id, REGISTRY_JOINED, o->controller, now);
	facts_turn_done(facts, false); /* nobody listens */
	return err;
}

/* The last bytes of the DER are the exponent, 01 00 01: another odd number instead. */
static void change_exponent(struct registry_identity *i, unsigned n)
{
	struct hf_wr w = hf_wr_of(i->key + i->key_len - EXPONENT_LEN, EXPONENT_LEN);

	hf_wr_be(&w, 0x10001 + 2 * (uint64_t)n, EXPONENT_LEN);
}

static enum hf_err add_all(struct db *db, const struct order *o)
{
	static struct facts facts;
	struct registry_identity i = {.kind = REGISTRY_DEVICE, .state = REGISTRY_REGISTERED};
	struct hf_wr key = hf_wr_of(i.key, sizeof i.key);
	enum hf_err err = hf_hex_decode(hf_span_text(o->key), &key);

	i.key_len = key.len;
	(void)snprintf(i.type, sizeof i.type, "%s", o->type);
	for (unsigned n = 0; n < o->count && err == HF_E_OK; n++) {
		i.id = o->id + n;
		if (n > 0)
			change_exponent(&i, n);
		err = add(db, &facts, o, &i);
		if (err == HF_E_OK && n % A_TRANSACTION == 0)
			err = db_commit(db);
	}
	return err == HF_E_OK ? db_commit(db) : err;
}

/* The next word of a line, cut at a space or its end. */
static struct hf_span next_word(char **rest)
{
	char *word = *rest + strspn(*rest, " \n");
	size_t len = strcspn(word, " \n");

	*rest = word + len;
	return hf_span_of(word, len);
}

static bool copy(struct hf_span word, char *out, size_t cap)
{
	(void)snprintf(out, cap, "%.*s", (int)word.len, (const char *)word.ptr);
	return word.len > 0 && word.len < cap;
}

static enum hf_err read_order(char *line, struct order *o)
{
	uint64_t count = 0;
	struct hf_span id = next_word(&line), number = next_word(&line);

	if (hf_id_parse(id, &o->id) != HF_E_OK || hf_dec_parse(number, &count) != HF_E_OK || count > COUNT_MAX ||
	    !copy(next_word(&line), o->type, sizeof o->type) || !copy(next_word(&line), o->state, sizeof o->state))
		return HF_E_INPUT;
	struct hf_span controller = next_word(&line);

	o->count = (unsigned)count;
	o->controller = 0;
	if (!hf_span_equal(controller, hf_span_text("0")) && hf_id_parse(controller, &o->controller) != HF_E_OK)
		return HF_E_INPUT;
	return copy(next_word(&line), o->key, sizeof o->key) ? HF_E_OK : HF_E_INPUT;
}

int main(int argc, char **argv)
{
	static char line[LINE_MAX_LEN];
	static struct order o;
	struct db *db = NULL;
	const char *why = "";

	if (argc != 2 || argv[1][0] == '-') {
		(void)fputs(help, argc == 2 ? stdout : stderr);
		return argc == 2 ? 0 : 2;
	}
	os_log_level(OS_ERROR);
	if (db_open(argv[1], &db, &why) != HF_E_OK) {
		(void)fprintf(stderr, "fill: %s\n", why);
		return 1;
	}
	enum hf_err err = HF_E_OK;

	while (err == HF_E_OK && fgets(line, sizeof line, stdin)) {
		err = read_order(line, &o);
		if (err == HF_E_OK)
			err = add_all(db, &o);
	}
	db_close(db);
	if (err != HF_E_OK)
		(void)fprintf(stderr, "fill: %s\n", hf_err_text(err));
	return err == HF_E_OK ? 0 : 1;
}
