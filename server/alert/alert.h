/* alert - what somebody should look at: raised once, listed, cleared. Uses: base os db facts audit. */
#ifndef ALERT_H
#define ALERT_H
#include "base/base.h"
#include "db/db.h"
#include "facts/facts.h"

/* Raises an alert of that kind for a device unless one is open. Errors: DATABASE. */
HF_NODISCARD enum hf_err alert_raise(struct db *db, struct facts *f, uint64_t device, const char *kind,
                                     const char *text);
/* Clears one by its number (who: a person) or by device and kind (the device itself says that it is over; none open is OK).
 * Errors: NOT_FOUND, DATABASE. */
HF_NODISCARD enum hf_err alert_clear(struct db *db, struct facts *f, int64_t id, const char *who);
HF_NODISCARD enum hf_err alert_clear_kind(struct db *db, struct facts *f, uint64_t device, const char *kind,
                                          const char *who);
/* Which device an alert is about. Errors: NOT_FOUND, DATABASE. */
HF_NODISCARD enum hf_err alert_device(struct db *db, int64_t id, uint64_t *device);

/* Since when an alert of that kind is open; 0 = none is. Errors: DATABASE. */
HF_NODISCARD enum hf_err alert_since(struct db *db, uint64_t device, const char *kind, int64_t *since_ms);

struct alert_row {
	int64_t id, raised_ms, cleared_ms; /* 0 = open */
	uint64_t device;
	char kind[64], text[256], cleared_by[96];
};
HF_NODISCARD enum hf_err alert_list(struct db *db, int64_t limit, bool (*each)(void *ctx, const struct alert_row *a),
                                    void *ctx);
HF_NODISCARD enum hf_err alert_count(struct db *db, int64_t *count);

#endif
