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
	uint64_t device;
	char name[TELEMETRY_NAME_MAX], type[TYPE_NAME_MAX]; /* type: the device's, where it was not named */
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

/* Which readings, and how far they were read. A cursor is the number of a reading: they rise, and none is given twice. */
struct telemetry_scan {
	uint64_t device; /* 0 = of all devices of the type */
	char series[TELEMETRY_NAME_MAX], type[TYPE_NAME_MAX]; /* "" = all; the type counts only without a device */
	int64_t since_ms, until_ms; /* from, and before */
	int64_t after, upto; /* cursors: those later than after, up to upto; what was read is left out the next time */
	bool newest_first; /* of one device only */
	int64_t width; /* inside: of the next stretch; begins with 0 */
};
/* Reads the next stretch: each gets at most max readings, in the order of their cursors. A step looks at a bounded part of the
 * table, so it may find none although there are more: go on until telemetry_done. Errors: DATABASE. */
HF_NODISCARD enum hf_err telemetry_step(struct db *db, struct telemetry_scan *s, int64_t max,
                                        void (*each)(void *ctx, const struct telemetry_reading *r), void *ctx);
bool telemetry_done(const struct telemetry_scan *s);
/* The last cursor given; 0 when there is no reading. Errors: DATABASE. */
HF_NODISCARD enum hf_err telemetry_last(struct db *db, int64_t *cursor);
/* When the reading came that is here longest; 0 when there is none. Errors: DATABASE. */
HF_NODISCARD enum hf_err telemetry_oldest(struct db *db, int64_t *at_ms);

/* The number in a value of a numeric kind; false when its length does not fit the kind. Little-endian: srup-v5 section 1. */
bool telemetry_number(enum type_kind kind, struct hf_span value, double *out);
/* The reverse: appends the bytes of a number. Errors: INPUT (out of range, not whole, not numeric kind), NO_SPACE. */
HF_NODISCARD enum hf_err telemetry_encode(enum type_kind kind, double number, struct hf_wr *out);

#endif
