/* api, inside - what the route files share. */
#ifndef API_INTERNAL_H
#define API_INTERNAL_H
#include "account/account.h"
#include "api/api.h"

#include <jansson.h>

/* One request under way. */
struct api_call {
	struct api *a;
	struct http_call *http;
	const struct account_caller *caller; /* NULL on public routes */
	uint64_t device; /* of routes whose scope is DEVICE */
	json_t *body; /* of POST and PUT: an object */
	char why[256]; /* a sentence for the error that is returned; empty = the error's own */
	bool wait; /* call me again at http->deadline_ms or when woken */
	bool keep; /* keep what was written although an error is returned */
};
enum { API_WAIT_MAX_MS = 30000, API_LIST_DEFAULT = 100, API_LIST_MAX = 1000 };
typedef enum hf_err (*api_run)(struct api_call *c);

#define ROUTE(method, pattern, handler, right, scope, rate, doc) enum hf_err api_##handler(struct api_call *c);
#include "api/routes.def"

/* Answers with a JSON value, which is released. */
enum hf_err api_reply(struct api_call *c, unsigned status, json_t *value);
/* Answers with {name: list}, or passes err on; list is released either way. */
enum hf_err api_reply_list(struct api_call *c, const char *name, json_t *list, enum hf_err err);
/* Writes c->why and returns err. */
enum hf_err api_refuse(struct api_call *c, enum hf_err err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* A string member. Errors: INPUT with a sentence (missing, no string, longer than max). */
HF_NODISCARD enum hf_err api_text(struct api_call *c, const char *member, size_t max, struct hf_span *out);
/* A number in the query; fallback when it is not there. Errors: INPUT with a sentence. */
HF_NODISCARD enum hf_err api_number(struct api_call *c, const char *name, int64_t fallback, int64_t max, int64_t *out);
/* A place of the path as a row number. Errors: NOT_FOUND. */
HF_NODISCARD enum hf_err api_row(struct api_call *c, int64_t *out);
/* The name for the log. */
const char *api_who(const struct api_call *c);
/* For http_call.wake_mask: a fact of this kind about this device wakes the call (and, one time in 64, others do). */
uint64_t api_wake_bit(enum facts_kind kind, uint64_t device);
json_t *api_id(uint64_t id);
/* null for 0 */
json_t *api_time(int64_t ms);

#endif
