/* enrol, inside - finding a token. */
#ifndef ENROL_INTERNAL_H
#define ENROL_INTERNAL_H
#include "enrol/enrol.h"

/* By what was shown, and by number. Errors: NOT_FOUND, DATABASE. */
HF_NODISCARD enum hf_err enrol_token_find(struct enrol *e, struct hf_span text, struct enrol_token *out);
HF_NODISCARD enum hf_err enrol_token_get(struct enrol *e, int64_t id, struct enrol_token *out);

#endif
