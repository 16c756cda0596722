/* audit - who did what: one row an act, in the transaction of the act itself. Uses: base os db. */
#ifndef AUDIT_H
#define AUDIT_H
#include "base/base.h"
#include "db/db.h"

/* An act or a security event. who: a token's name, "device ID", "policy" or "server"; device 0 = none; detail never holds a secret.
 * Errors: DATABASE. */
HF_NODISCARD enum hf_err audit_record(struct db *db, const char *who, const char *event, uint64_t device,
                                      const char *detail);

struct audit_entry {
	int64_t id, at_ms;
	uint64_t device;
	char who[96], event[64], detail[256];
};
/* The newest entries, of one device or of all (0), newest first, until each says false or limit is reached. Errors: DATABASE. */
HF_NODISCARD enum hf_err audit_list(struct db *db, uint64_t device, int64_t limit,
                                    bool (*each)(void *ctx, const struct audit_entry *e), void *ctx);

#endif
