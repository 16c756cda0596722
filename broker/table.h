/* broker - the table of identities and the lines that change it. Uses: base, wire. */
#ifndef BROKER_TABLE_H
#define BROKER_TABLE_H
#include "base/base.h"
#include "wire/wire.h"

enum { BROKER_TABLE_MAX = 1000000 }; /* rows */
enum { BROKER_REVOKED = 0 }; /* state of a row that stands for nobody; the others are enum hf_wire_state */

struct broker_row {
	uint64_t id, controller; /* controller: the server that a device is joined to, else 0 */
	uint8_t role, state;
};

/* Rows by id in open addressing; the seed keeps chosen ids from meeting in one place. Owner: whoever called init. */
struct broker_table {
	struct broker_row *row; /* id 0: empty */
	size_t cap, count;
	uint64_t seed;
};

void broker_table_init(struct broker_table *t);
void broker_table_release(struct broker_table *t);
/* Makes room for more rows. Errors: FULL (over BROKER_TABLE_MAX), MEMORY; the table is as before. */
HF_NODISCARD enum hf_err broker_table_reserve(struct broker_table *t, size_t more);
/* Adds the row, or replaces the one of that id. Errors: FULL, MEMORY. */
HF_NODISCARD enum hf_err broker_table_put(struct broker_table *t, const struct broker_row *row);
void broker_table_del(struct broker_table *t, uint64_t id);
/* The row of an identity; NULL when it is not known or revoked. */
const struct broker_row *broker_table_get(const struct broker_table *t, uint64_t id);
/* The same, revoked rows included. */
const struct broker_row *broker_table_find(const struct broker_table *t, uint64_t id);
/* What the topic rules ask; borrows t. */
struct hf_wire_rights broker_table_rights(struct broker_table *t);

enum broker_verb {
	BROKER_PUT,
	BROKER_DEL,
	BROKER_REVOKE,
	BROKER_RESET,
	BROKER_COMMIT, /* so far: what a control payload may hold */
	BROKER_TABLE_HEAD,
	BROKER_TABLE_END,
	BROKER_JOURNAL_HEAD,
};

struct broker_line {
	enum broker_verb verb;
	struct broker_row row; /* of PUT; only the id of DEL and REVOKE */
	uint64_t number; /* generation, or the count of END */
};

/* One line without its LF, exactly in one of the forms of the table in table.c. Errors: TEXT. */
HF_NODISCARD enum hf_err broker_line_parse(struct hf_span text, struct broker_line *out);
/* Takes the next line off rest; its LF is dropped and ended says whether there was one. False at the end. */
bool broker_line_next(struct hf_span *rest, struct hf_span *line, bool *ended);

/* May an identity of that role and id connect under this client id? Source: the contract, "client id rule". */
bool broker_client_id_fits(enum hf_wire_role role, uint64_t id, struct hf_span client_id);

#endif
