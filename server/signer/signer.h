/* signer - the key process and how the server asks it. Only this process reads CA, KeyEx and C2 identity keys.
 * Uses: base wire seal port/openssl os conf ca. */
#ifndef SIGNER_H
#define SIGNER_H
#include "base/base.h"
#include "conf/conf.h"
#include "os/os.h"

/* The control identity's name; no device id looks like it. */
#define SIGNER_CONTROL_NAME "holdfast-control"

enum signer_op {
#define OP(NAME, code, handler, name, a_second, doc) SIGNER_##NAME = (code),
#include "signer/ops.def"
};
enum { SIGNER_REQUEST_MAX = 70000, SIGNER_REPLY_MAX = 8192, SIGNER_PENDING_MAX = 8192, SIGNER_ACCESS_DAYS = 1 };

/* Serves fd (SOCK_SEQPACKET) until it closes. Returns the exit code. */
int signer_main(const struct conf *c, int fd);

/* --- the server's side --------------------------------------------------------------------------------------------------- */

/* err is the signer's: DENIED (not on the list, not allowed), BUSY (rate), KEY, ... ; answer is borrowed until the call returns. */
typedef void (*signer_done)(void *ctx, enum hf_err err, struct hf_span answer);
struct signer_request {
	signer_done done; /* NULL once it was given up */
	void *ctx;
};
struct signer_client {
	struct os_watch watch;
	void (*on_lost)(void *ctx);
	void *ctx;
	uint32_t asked, answered; /* requests are answered in order: pending[answered % MAX] is next */
	struct signer_request pending[SIGNER_PENDING_MAX];
	uint64_t refused;
};
/* The descriptor becomes non-blocking and stays the caller's. */
HF_NODISCARD enum hf_err signer_client_init(struct signer_client *s, struct os_loop *loop, int fd,
                                            void (*on_lost)(void *ctx), void *ctx);
/* Asks; done comes in a later turn. Errors: FULL, TOO_BIG, UNREACHABLE. */
HF_NODISCARD enum hf_err signer_ask(struct signer_client *s, enum signer_op op, struct hf_span payload,
                                    signer_done done, void *ctx);
/* Takes the answer to a *_CERT request apart: when the certificate ends (s since 1970) and its PEM. Errors: UNREACHABLE. */
HF_NODISCARD enum hf_err signer_certificate_read(struct hf_span answer, int64_t *not_after_s, struct hf_span *pem);
/* ctx goes away: its answers are dropped. */
void signer_forget(struct signer_client *s, void *ctx);
/* Asks and waits; only before the loop runs. The answer is copied to out. */
HF_NODISCARD enum hf_err signer_ask_now(int fd, enum signer_op op, struct hf_span payload, struct hf_wr *out);

#endif
