/* telemetry - readings: stored with time and kind, queried by series, time and cursor. Uses: base os db facts type alert. */
#ifndef TELEMETRY_H
#define TELEMETRY_H
#include "base/base.h"
#include "db/db.h"
#include "facts/facts.h"
#include "type/type.h"

enum { TELEMETRY_NAME_MAX = 64, TELEMETRY_SERIES_MAX = 256, TELEMETRY_LIMIT_MAX = 1000 };

/* A value as its kind says: number for all numeric kinds (NAN for the others and what is no number), bytes as they came for all. */
struct telemetry_reading {
	int64_t cursor, at_ms;
	char name[TELEMETRY_NAME_MAX];
	enum type_kind kind;
	double number;
	struct hf_span bytes;
};

struct telemetry_sample {
	struct hf_span name, value;
	int64_t at_ms;
};
/* Stores what a device sent. The kind follows from the profile; a value of another length is kept as bytes. An ALARM of not
 * zero raises an alert, zero clears it. Errors: INPUT (name empty, too long or not printable), FULL (too many series), DATABASE. */
HF_NODISCARD enum hf_err telemetry_store(struct db *db, struct facts *f, uint64_t device, const struct type_profile *p,
                                         const struct telemetry_sample *s);

struct telemetry_query {
	uint64_t device;
	const char *series; /* "" = all */
	int64_t since_ms, until_ms;
	bool has_after; /* those later than the cursor, oldest first; else the newest, newest first */
	int64_t after, limit;
};
HF_NODISCARD enum hf_err telemetry_list(struct db *db, const struct telemetry_query *q,
                                        bool (*each)(void *ctx, const struct telemetry_reading *r), void *ctx);

/* The number in a value of a numeric kind; false when its length does not fit the kind. Little-endian: srup-v5 section 1. */
bool telemetry_number(enum type_kind kind, struct hf_span value, double *out);
/* The reverse: appends the bytes of a number. Errors: INPUT (out of range, not whole, not numeric kind), NO_SPACE. */
HF_NODISCARD enum hf_err telemetry_encode(enum type_kind kind, double number, struct hf_wr *out);

#endif
