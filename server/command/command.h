/* command - what operators ask of devices, and what became of it. Uses: base wire peer os db facts audit type telemetry session. */
#ifndef COMMAND_H
#define COMMAND_H
#include "base/base.h"
#include "session/session.h"
#include "type/type.h"

enum { COMMAND_WHAT_MAX = 80, COMMAND_TEXT_MAX = 256 };

/* A command goes queued -> sent -> answered; without an answer in time it becomes expired (it never left) or unknown. It is never sent
 * twice by itself: what became of an unknown one, only a person can find out. */
struct command {
	int64_t id, created_ms, deadline_ms, sent_ms, answered_ms; /* 0 = not yet */
	int status; /* of the answer, -1 = none */
	uint64_t device;
	char kind[16], what[COMMAND_WHAT_MAX], value[COMMAND_TEXT_MAX], state[16], who[96], answer[COMMAND_TEXT_MAX];
};
/* Whether nothing more will happen to it. */
bool command_final(const struct command *c);

struct command_limits {
	int64_t timeout_ms, open_max;
};
/* Who wants what of which device. what: the action or setting by its name, for people. */
struct command_order {
	uint64_t device;
	const char *what, *who;
};
/* Each makes a command, logs who asked, and puts its message into the outbox; *id names it. value: the bytes of a setting on the
 * wire; shown: the same as text. Errors: STATE (the device is not joined to us), FULL (open_max reached), NOT_FOUND, DENIED
 * (revoked), INPUT, DATABASE. */
HF_NODISCARD enum hf_err command_action(struct session_cache *c, const struct command_limits *l,
                                        const struct command_order *o, uint8_t action, int64_t *id);
HF_NODISCARD enum hf_err command_data(struct session_cache *c, const struct command_limits *l,
                                      const struct command_order *o, struct hf_span value, const char *shown,
                                      int64_t *id);
HF_NODISCARD enum hf_err command_identify(struct session_cache *c, const struct command_limits *l,
                                          const struct command_order *o, int64_t *id);

/* A RESPONSE or an identification came. Errors: NOT_FOUND (never asked, answered before, too late, of another kind), DATABASE. */
HF_NODISCARD enum hf_err command_answered(struct session_cache *c, uint64_t device, struct hf_span token,
                                          unsigned status, int64_t now_ms);
HF_NODISCARD enum hf_err command_identified(struct session_cache *c, uint64_t device, struct hf_span text,
                                            int64_t now_ms);
/* Its message is about to leave. */
HF_NODISCARD enum hf_err command_sent(struct db *db, struct facts *f, int64_t id, uint64_t device, int64_t now_ms);
/* Ends those whose time has passed; ends all of a device, and takes what waits for it out of the outbox. why stands where
 * the answer would. */
HF_NODISCARD enum hf_err command_expire(struct db *db, struct facts *f, int64_t now_ms);
HF_NODISCARD enum hf_err command_drop(struct db *db, struct facts *f, uint64_t device, const char *why);

/* Errors: NOT_FOUND, DATABASE. */
HF_NODISCARD enum hf_err command_get(struct db *db, int64_t id, struct command *out);
HF_NODISCARD enum hf_err command_list(struct db *db, uint64_t device, int64_t limit,
                                      bool (*each)(void *ctx, const struct command *c), void *ctx);

#endif
