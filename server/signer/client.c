/* signer - the server's side: requests go out at once, answers come back in order. Uses: base os. */
#include "signer/signer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { STARTUP_WAIT_MS = 10000, ANSWERS_A_TURN = 64 };

static enum hf_err send_request(int fd, enum signer_op op, struct hf_span payload)
{
	uint8_t code = (uint8_t)op;
	struct iovec part[2] = {{&code, 1}, {(void *)(uintptr_t)payload.ptr, payload.len}};
	struct msghdr m = {.msg_iov = part, .msg_iovlen = payload.len ? 2 : 1};

	if (payload.len > SIGNER_REQUEST_MAX)
		return HF_E_TOO_BIG;
	if (sendmsg(fd, &m, MSG_NOSIGNAL) >= 0)
		return HF_E_OK;
	return errno == EAGAIN ? HF_E_FULL : HF_E_UNREACHABLE;
}

/* false: this is no answer to what was asked, so no later one can be trusted to be its own. */
static bool answer(struct signer_client *s, struct hf_span reply)
{
	struct hf_rd r = hf_rd_of(reply);
	unsigned err = (unsigned)hf_rd_be(&r, 2);
	struct signer_request *q = &s->pending[s->answered % SIGNER_PENDING_MAX];
	struct signer_request was = *q;

	if (s->answered == s->asked || r.err != HF_E_OK || err >= HF_E_COUNT_)
		return false;
	s->answered++;
	*q = (struct signer_request){0};
	if (err != HF_E_OK)
		s->refused++;
	if (was.done)
		was.done(was.ctx, (enum hf_err)err, hf_rd_take(&r, hf_rd_left(&r)));
	return true;
}

static void lost(struct signer_client *s)
{
	os_watch_clear(&s->watch);
	os_log(OS_LOG_SIGNER_LOST, "pending=%u", s->asked - s->answered);
	s->on_lost(s->ctx);
}

static void on_ready(struct os_watch *w, uint32_t events)
{
	static uint8_t reply[SIGNER_REPLY_MAX];
	struct signer_client *s = w->ctx;

	(void)events;
	for (unsigned i = 0; i < ANSWERS_A_TURN; i++) {
		ssize_t n = recv(w->fd, reply, sizeof reply, 0);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0 || !answer(s, hf_span_of(reply, (size_t)n))) {
			lost(s);
			return;
		}
	}
}

enum hf_err signer_client_init(struct signer_client *s, struct os_loop *loop, int fd, void (*on_lost)(void *ctx),
                               void *ctx)
{
	s->on_lost = on_lost;
	s->ctx = ctx;
	s->watch = (struct os_watch){.fd = fd, .on_ready = on_ready, .ctx = s};
	if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
		return HF_E_IO;
	return os_watch_set(loop, &s->watch, OS_READ);
}

enum hf_err signer_ask(struct signer_client *s, enum signer_op op, struct hf_span payload, signer_done done, void *ctx)
{
	if (s->asked - s->answered == SIGNER_PENDING_MAX)
		return HF_E_FULL;
	enum hf_err err = send_request(s->watch.fd, op, payload);

	if (err != HF_E_OK)
		return err;
	s->pending[s->asked++ % SIGNER_PENDING_MAX] = (struct signer_request){done, ctx};
	return HF_E_OK;
}

enum hf_err signer_certificate_read(struct hf_span answer, int64_t *not_after_s, struct hf_span *pem)
{
	struct hf_rd r = hf_rd_of(answer);
	uint64_t end = hf_rd_be(&r, 8);

	if (r.err != HF_E_OK || hf_rd_left(&r) == 0)
		return HF_E_UNREACHABLE;
	*not_after_s = (int64_t)end;
	*pem = hf_rd_take(&r, hf_rd_left(&r));
	return HF_E_OK;
}

void signer_forget(struct signer_client *s, void *ctx)
{
	for (uint32_t i = s->answered; i != s->asked; i++)
		if (s->pending[i % SIGNER_PENDING_MAX].ctx == ctx)
			s->pending[i % SIGNER_PENDING_MAX] = (struct signer_request){0};
}

enum hf_err signer_ask_now(int fd, enum signer_op op, struct hf_span payload, struct hf_wr *out)
{
	uint8_t reply[SIGNER_REPLY_MAX];
	struct pollfd p = {.fd = fd, .events = POLLIN};
	enum hf_err err = send_request(fd, op, payload);

	if (err != HF_E_OK)
		return err;
	if (poll(&p, 1, STARTUP_WAIT_MS) != 1)
		return HF_E_UNREACHABLE;
	ssize_t n = recv(fd, reply, sizeof reply, 0);
	struct hf_rd r = hf_rd_of(hf_span_of(reply, n > 0 ? (size_t)n : 0));
	unsigned code = (unsigned)hf_rd_be(&r, 2);

	if (r.err != HF_E_OK || code >= HF_E_COUNT_)
		return HF_E_UNREACHABLE;
	hf_wr_put(out, hf_rd_take(&r, hf_rd_left(&r)));
	return code != HF_E_OK ? (enum hf_err)code : out->err;
}
