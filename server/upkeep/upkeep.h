/* upkeep - old rows go, a disk that fills up and a clock that jumps are told in time. Uses: base os conf db facts audit alert type. */
#ifndef UPKEEP_H
#define UPKEEP_H
#include "conf/conf.h"
#include "db/db.h"
#include "facts/facts.h"
#include "os/os.h"
#include "type/type.h"

/* --- the clock -------------------------------------------------------------------------------------------------------------- */

enum { UPKEEP_JUMP_MS = 60 * 1000 }; /* the wall clock may differ from the monotonic one by so much between two looks */
#define UPKEEP_DOUBT_MS (INT64_C(24) * 3600 * 1000) /* a clock that is further off than this deletes nothing, ... */
#define UPKEEP_PATIENCE_MS (INT64_C(7) * 24 * 3600 * 1000) /* ... until it has stayed so for this long */

/* Two readings of both clocks: the last one, and the last one that was believed. */
struct upkeep_clock {
	int64_t wall_ms, mono_ms, trusted_wall_ms, trusted_mono_ms, doubted_mono_ms;
	bool doubted;
};
/* trusted_wall_ms: when the server was last sure, before it stopped; it may be now. */
void upkeep_clock_init(struct upkeep_clock *c, int64_t trusted_wall_ms, int64_t now_ms, int64_t mono_ms);
/* Looks at both clocks. Returns how far the wall clock has jumped since the last look, 0 when it has not. Any times will do. */
int64_t upkeep_clock_look(struct upkeep_clock *c, int64_t now_ms, int64_t mono_ms);

/* --- all of it -------------------------------------------------------------------------------------------------------------- */

enum upkeep_kept {
#define KEEP(name, key, WALK, DELETE, doc) UPKEEP_##name,
#include "upkeep/retention.def"
	UPKEEP_KEPT_COUNT_
};
struct upkeep_place {
	unsigned row; /* of retention.def */
	int64_t key; /* the next one of its walk */
};
struct upkeep {
	const struct conf *conf;
	struct db *db;
	struct facts *facts;
	/* For /metrics and status: */
	struct upkeep_clock clock;
	uint64_t clock_jumps, removed[UPKEEP_KEPT_COUNT_];
	int64_t disk_free_bytes; /* -1 = not known */
	bool disk_low;
	/* Inside: */
	struct upkeep_place place, before; /* before: where this turn began */
	uint64_t pending[UPKEEP_KEPT_COUNT_]; /* removed in this turn */
	uint64_t told[UPKEEP_KEPT_COUNT_], telling[UPKEEP_KEPT_COUNT_]; /* by an event; by one of this turn */
	int64_t next_disk_ms, next_note_ms, next_tell_ms; /* monotonic */
	char type[TYPE_NAME_MAX]; /* whose readings are kept for type_days */
	int64_t type_days;
};

/* Errors: DATABASE. */
HF_NODISCARD enum hf_err upkeep_init(struct upkeep *u, int64_t now_ms, int64_t mono_ms);
/* Each second: the clock and, now and then, the disk. jumped says that the wall clock did. Errors: DATABASE. */
HF_NODISCARD enum hf_err upkeep_tick(struct upkeep *u, int64_t now_ms, int64_t mono_ms, bool *jumped);
/* Judges how much room the disk has: raises the alert or clears it. Errors: DATABASE. */
HF_NODISCARD enum hf_err upkeep_room(struct upkeep *u, int64_t free_bytes);
/* Removes old rows for a few milliseconds; *again_ms says when to go on. Nothing goes while the clock is in doubt.
 * Errors: DATABASE. */
HF_NODISCARD enum hf_err upkeep_sweep(struct upkeep *u, int64_t now_ms, int64_t *again_ms);
/* After the turn: a failed one removed nothing. */
void upkeep_turn_done(struct upkeep *u, bool committed);
const char *upkeep_kept_name(enum upkeep_kept k);

#endif
