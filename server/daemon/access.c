/* daemon - the server's access to the broker: a key of its own, certificates that the signer makes anew. Uses: signer link. */
#include "daemon/server_internal.h"

#include "port/openssl/openssl.h"

enum { RENEW_MS = SIGNER_ACCESS_DAYS * 12 * 3600 * 1000, RENEW_RETRY_MS = 60000 };

static enum hf_err take_certificate(struct hf_span answer, char *pem, size_t cap)
{
	struct hf_wr out = hf_wr_of(pem, cap);
	struct hf_span text;
	int64_t not_after_s;
	enum hf_err err = signer_certificate_read(answer, &not_after_s, &text);

	if (err != HF_E_OK)
		return err;
	hf_wr_put(&out, text);
	hf_wr_nul(&out);
	return out.err;
}

static void on_self_renewed(void *ctx, enum hf_err err, struct hf_span answer)
{
	struct server *s = ctx;

	if (err == HF_E_OK)
		err = take_certificate(answer, s->self_cert, sizeof s->self_cert);
	if (daemon_failed("renew the server's access certificate", err))
		s->renewed = err;
}

static void on_control_renewed(void *ctx, enum hf_err err, struct hf_span answer)
{
	struct server *s = ctx;

	if (err == HF_E_OK)
		err = take_certificate(answer, s->control_cert, sizeof s->control_cert);
	if (err == HF_E_OK)
		err = s->renewed;
	if (err == HF_E_OK)
		err = link_renew(s->link, s->self_cert, s->control_cert);
	if (daemon_failed("renew the access certificates", err))
		os_timer_set(&s->loop, &s->renew, os_monotonic_ms() + RENEW_RETRY_MS);
	else
		os_log(OS_LOG_RENEWED, "client=%s", SIGNER_CONTROL_NAME);
}

static enum hf_err access_request(const struct server *s, bool control, struct hf_wr *payload)
{
	hf_wr_be(payload, control, 1);
	return hf_openssl_write(s->access_key, HF_OPENSSL_PUBLIC_DER, payload);
}

static enum hf_err ask_renewal(struct server *s, bool control, signer_done done)
{
	uint8_t payload[256];
	struct hf_wr w = hf_wr_of(payload, sizeof payload);
	enum hf_err err = access_request(s, control, &w);

	return err == HF_E_OK ? signer_ask(&s->signer, SIGNER_ACCESS_CERT, hf_wr_span(&w), done, s) : err;
}

/* Half-way through their life, or when the clock was set; the answers come in this order. */
static void on_renew(struct os_timer *t)
{
	struct server *s = t->ctx;

	s->renewed = HF_E_OK;
	enum hf_err err = ask_renewal(s, false, on_self_renewed);

	if (err == HF_E_OK)
		err = ask_renewal(s, true, on_control_renewed);
	os_timer_set(&s->loop, t,
	             os_monotonic_ms() +
	                 (daemon_failed("ask for new access certificates", err) ? RENEW_RETRY_MS : RENEW_MS));
}

/* A certificate of the signer for our new access key, for 24 h. */
static enum hf_err ask_certificate(const struct server *s, int signer_fd, bool control, char *pem, size_t cap)
{
	uint8_t payload[256], answer[SIGNER_REPLY_MAX];
	struct hf_wr w = hf_wr_of(payload, sizeof payload), a = hf_wr_of(answer, sizeof answer);
	enum hf_err err = access_request(s, control, &w);

	if (err == HF_E_OK)
		err = signer_ask_now(signer_fd, SIGNER_ACCESS_CERT, hf_wr_span(&w), &a);

	return err != HF_E_OK ? err : take_certificate(hf_wr_span(&a), pem, cap);
}

static void on_signer_lost(void *ctx)
{
	struct server *s = ctx;

	s->signer_gone = true;
	os_loop_stop(&s->loop);
}

enum hf_err daemon_access_open(struct server *s, int signer_fd)
{
	enum hf_err err = hf_openssl_generate(HF_OPENSSL_P256, &s->access_key);

	if (err == HF_E_OK)
		err = ask_certificate(s, signer_fd, false, s->self_cert, sizeof s->self_cert);
	if (err == HF_E_OK)
		err = ask_certificate(s, signer_fd, true, s->control_cert, sizeof s->control_cert);
	if (err == HF_E_OK)
		err = signer_client_init(&s->signer, &s->loop, signer_fd, on_signer_lost, s);
	s->renew = (struct os_timer){.on_due = on_renew, .ctx = s};
	os_timer_set(&s->loop, &s->renew, os_monotonic_ms() + RENEW_MS);
	return err;
}
