/* broker - the journal file: the changes since the snapshot, and the table's files as bytes. Uses: base; Linux. */
#ifndef BROKER_JOURNAL_H
#define BROKER_JOURNAL_H
#include "base/base.h"
#include "broker/table.h"

enum { BROKER_JOURNAL_MAX = 64 << 20 }; /* bytes */
/* What only takes rights away may still be written when the journal is full. */
enum { BROKER_JOURNAL_SPARE = 1 << 20 };
enum { BROKER_SNAPSHOT_MAX = 128 << 20 };

enum broker_sync { BROKER_LAZY, BROKER_SYNC };

/* Owner of fd. The path is borrowed. */
struct broker_journal {
	const char *path;
	int fd; /* -1: none */
	uint64_t len; /* bytes of whole lines */
};

/* Reads a whole file; the caller frees *data. Errors: NOT_FOUND, TOO_BIG, MEMORY, IO. */
HF_NODISCARD enum hf_err broker_file_read(const char *path, size_t max, uint8_t **data, size_t *len);

void broker_journal_init(struct broker_journal *j, const char *path);
void broker_journal_release(struct broker_journal *j);
/* Goes on with the file that is there; what lies behind its first len bytes is cut off. Errors: IO. */
HF_NODISCARD enum hf_err broker_journal_resume(struct broker_journal *j, uint64_t len);
/* Begins a new file of that generation with a revoke line for each revoked row of t; on the disk before it returns.
 * Errors: IO, NO_SPACE (path too long); then the old file goes on. */
HF_NODISCARD enum hf_err broker_journal_start(struct broker_journal *j, uint64_t generation,
                                              const struct broker_table *t);
/* Appends whole lines, all or nothing. max: BROKER_JOURNAL_MAX, or with its spare. BROKER_SYNC: on the disk on return.
 * Errors: MISSING (no journal), FULL, IO. */
HF_NODISCARD enum hf_err broker_journal_append(struct broker_journal *j, struct hf_span lines, uint64_t max,
                                               enum broker_sync sync);

#endif
