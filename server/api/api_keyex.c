/* api - KeyEx over HTTPS, as the reference's own client speaks it. Source: srup-v5 section 8. Uses: keyex signer link; jansson. */
#include "api/api_internal.h"

#include "port/openssl/openssl.h"

#include <stdlib.h>
#include <string.h>

enum {
	KEY_BODY_MAX = 1200,
	SIGNATURE_TEXT_MAX = 1200,
	TOKEN_TEXT_MAX = 1200,
	CERT_TEXT_MAX = 4096,
	CONFIRM_MS = 2000,
	SIGNER_MS = 10000,
	KEYEX_ANSWER_MS = 600000
};

/* The reference's client takes 400 for a refusal; what it may try again later has a status of its own. */
static enum hf_err answer_as_keyex(enum hf_err err)
{
	return err == HF_E_EXISTS || err == HF_E_SIGNATURE || err == HF_E_STATE || err == HF_E_EXPIRED ? HF_E_INPUT : err;
}

static enum hf_err refuse(struct api_call *c, enum hf_err err)
{
	if (err != HF_E_OK && !c->why[0])
		return api_refuse(c, answer_as_keyex(err), "%s", hf_err_text(err));
	return answer_as_keyex(err);
}

/* As refuse, and with what the enrolment policy has to say: its record of the refusal stays. */
static enum hf_err refuse_device(struct api_call *c, enum hf_err err)
{
	enum enrol_refusal why = c->a->keyex->why;

	if (err != HF_E_DENIED || why == ENROL_FINE)
		return refuse(c, err);
	c->keep = true;
	return api_refuse(c, err, "%s", enrol_refusal_text(why));
}

static enum hf_err three(struct api_call *c, const char *const name[3], const size_t max[3], struct hf_span out[3])
{
	enum hf_err err = HF_E_OK;

	for (size_t i = 0; i < 3 && name[i] && err == HF_E_OK; i++)
		err = api_text(c, name[i], max[i], &out[i]);
	return err;
}

enum hf_err api_keyex_status(struct api_call *c)
{
	return api_reply(c, 200, json_pack("{s:b, s:o}", "active", 1, "identity", api_id(c->a->keyex->id)));
}

enum hf_err api_keyex_register(struct api_call *c)
{
	struct hf_span v[3] = {0};
	enum hf_err err =
		three(c, (const char *const[]){"identity", "key", "type"}, (const size_t[]){64, KEY_BODY_MAX, 63}, v);

	const struct keyex_request q = {v[0], v[1], v[2], hf_span_text(c->http->secret), http_address(c->http)};

	if (err == HF_E_OK)
		err = keyex_register(c->a->keyex, &q, os_now_ms());
	if (err == HF_E_EXISTS)
		api_refuse(c, err, "this identity is registered already; make a new id and key");
	if (err == HF_E_FULL)
		api_refuse(c, err, "too many registrations are half-made at the moment; try again later");
	if (err == HF_E_BUSY)
		api_refuse(
			c, err,
			"this server keeps as many identities as its configuration allows (identities_max); tell its operator");
	if (err != HF_E_OK)
		return refuse_device(c, err);
	return api_reply(c, 201,
	                 json_pack("{s:s, s:o, s:s}", "broker", c->a->broker_name, "default_c2",
	                           api_id(c->a->keyex->default_c2), "key", c->a->server_key_base64));
}

/* A call that waits for the signer, and then perhaps for the broker. */
struct pending {
	struct http_call *http;
	struct api *a;
	enum hf_err err;
	uint64_t id;
	size_t len;
	uint8_t answer[SIGNER_REPLY_MAX];
};
enum stage { STAGE_ASKED, STAGE_SIGNED, STAGE_CERTIFIED };

static void free_pending(void *state)
{
	struct pending *p = state;

	signer_forget(p->a->signer, p);
	link_forget(p->a->link, p);
	free(p);
}

static void on_signed(void *ctx, enum hf_err err, struct hf_span answer)
{
	struct pending *p = ctx;

	p->err = err;
	p->len = answer.len <= sizeof p->answer ? answer.len : 0;
	if (p->len > 0)
		memcpy(p->answer, answer.ptr, p->len);
	p->http->stage = STAGE_SIGNED;
	http_wake(p->http);
}

static void on_confirmed(void *ctx, enum hf_err err)
{
	struct pending *p = ctx;

	(void)err; /* the broker learns of it when it comes back; the device tries again until then */
	http_wake(p->http);
}

static enum hf_err ask(struct api_call *c, enum signer_op op, struct hf_span payload, uint64_t id)
{
	struct pending *p = calloc(1, sizeof *p);

	if (!p)
		return HF_E_MEMORY;
	*p = (struct pending){.http = c->http, .a = c->a, .id = id, .err = HF_E_BUSY};
	c->http->state = p;
	c->http->free_state = free_pending;
	c->http->deadline_ms = os_monotonic_ms() + SIGNER_MS;
	c->wait = true;
	return signer_ask(c->a->signer, op, payload, on_signed, p);
}

static enum hf_err validate_answer(struct api_call *c)
{
	char sig[SIGNATURE_TEXT_MAX];
	struct hf_wr w = hf_wr_of(sig, sizeof sig);

	hf_wr_base64(&w, hf_span_of(c->a->keyex_answer, c->a->keyex_answer_len));
	hf_wr_nul(&w);
	if (w.err != HF_E_OK)
		return w.err;
	return api_reply(c, 200, json_pack("{s:o, s:s}", "identity", api_id(c->a->keyex->id), "signature", sig));
}

/* KeyEx signs its own id and nothing else, so one signature serves all who ask within KEYEX_ANSWER_MS. */
enum hf_err api_keyex_validate(struct api_call *c)
{
	const struct pending *p = c->http->state;
	struct api *a = c->a;
	struct hf_span v[3] = {0};

	if (p && p->err != HF_E_OK)
		return p->err;
	if (p) {
		memcpy(a->keyex_answer, p->answer, p->len);
		a->keyex_answer_len = p->len;
		a->keyex_answer_ms = os_monotonic_ms();
		return validate_answer(c);
	}
	enum hf_err err =
		three(c, (const char *const[]){"identity", "signature", NULL}, (const size_t[]){64, SIGNATURE_TEXT_MAX, 0}, v);

	if (err == HF_E_OK)
		err = keyex_validate(a->keyex, v[0], v[1], os_now_ms());
	if (err != HF_E_OK)
		return refuse_device(c, err);
	if (a->keyex_answer_len > 0 && os_monotonic_ms() - a->keyex_answer_ms < KEYEX_ANSWER_MS)
		return validate_answer(c);
	return ask(c, SIGNER_KEYEX_ANSWER, hf_span_of(NULL, 0), 0);
}

static enum hf_err access_start(struct api_call *c)
{
	struct hf_span v[3] = {0};
	struct keyex_access grant = {0};
	uint8_t payload[1024];
	struct hf_wr w = hf_wr_of(payload, sizeof payload);
	enum hf_err err = three(c, (const char *const[]){"identity", "csr", "signature"},
	                        (const size_t[]){64, KEYEX_CSR_MAX, SIGNATURE_TEXT_MAX}, v);

	if (err == HF_E_OK)
		err = keyex_access(c->a->keyex, v[0], v[1], v[2], &grant);
	if (err == HF_E_STATE)
		api_refuse(c, err, "this identity has not proven its key; call validate first");
	hf_wr_be(&w, grant.id, 8);
	hf_wr_be(&w, (uint64_t)grant.days, 2);
	if (err == HF_E_OK)
		err = hf_openssl_write(grant.key, HF_OPENSSL_PUBLIC_DER, &w);
	hf_openssl_key_free(grant.key);
	return err == HF_E_OK ? ask(c, SIGNER_DEVICE_CERT, hf_wr_span(&w), grant.id) : refuse(c, err);
}

/* The certificate is there: note it and, the first time, let the broker know the device and answer once it does. */
static enum hf_err access_signed(struct api_call *c, struct pending *p)
{
	uint8_t digest[32] = {0};
	struct keyex_certificate cert = {.id = p->id, .digest = hf_span_of(digest, sizeof digest)};
	struct hf_span pem;
	int64_t not_after_s = 0;
	bool first = false;
	enum hf_err err = p->err;

	if (err == HF_E_OK)
		err = signer_certificate_read(hf_span_of(p->answer, p->len), &not_after_s, &pem);
	cert.not_after_ms = not_after_s * 1000;
	if (err == HF_E_OK)
		err = hf_openssl_sha256(&pem, 1, digest);
	if (err == HF_E_OK)
		err = keyex_certified(c->a->keyex, &cert, os_now_ms(), &first);
	if (err != HF_E_OK)
		return refuse(c, err);
	c->http->stage = STAGE_CERTIFIED;
	c->http->deadline_ms = os_monotonic_ms() + CONFIRM_MS;
	c->wait = first && link_await(c->a->link, p->id, on_confirmed, p) == HF_E_OK;
	return HF_E_OK;
}

static enum hf_err access_answer(struct api_call *c, const struct pending *p)
{
	static char certificate[CERT_TEXT_MAX * 2], ca[CERT_TEXT_MAX * 2];
	struct hf_wr w = hf_wr_of(certificate, sizeof certificate), v = hf_wr_of(ca, sizeof ca);
	struct hf_span pem;
	int64_t not_after_s;
	enum hf_err err = signer_certificate_read(hf_span_of(p->answer, p->len), &not_after_s, &pem);

	if (err != HF_E_OK)
		return err;
	hf_wr_base64(&w, pem);
	hf_wr_nul(&w);
	hf_wr_base64(&v, hf_span_text(c->a->broker_ca_pem));
	hf_wr_nul(&v);
	if (w.err != HF_E_OK || v.err != HF_E_OK)
		return HF_E_TOO_BIG;
	return api_reply(c, 200, json_pack("{s:s, s:s}", "certificate", certificate, "CA_certificate", ca));
}

enum hf_err api_keyex_access(struct api_call *c)
{
	struct pending *p = c->http->state;
	enum hf_err err = HF_E_OK;

	if (!p)
		return access_start(c);
	if (c->http->stage == STAGE_ASKED)
		return HF_E_BUSY; /* the signer did not answer in time */
	if (c->http->stage == STAGE_SIGNED)
		err = access_signed(c, p);
	if (err != HF_E_OK || c->wait)
		return err;
	return access_answer(c, p);
}

enum hf_err api_keyex_get_key(struct api_call *c)
{
	char text[KEYEX_PEM_MAX * 2];
	struct hf_wr w = hf_wr_of(text, sizeof text);
	enum hf_err err = keyex_key(c->a->keyex, c->http->place[0], &w);

	if (err == HF_E_OK)
		http_reply(c->http, 200, "text/plain", hf_wr_span(&w));
	return err;
}

enum hf_err api_keyex_get_type(struct api_call *c)
{
	char text[128];
	struct hf_wr w = hf_wr_of(text, sizeof text);
	enum hf_err err = keyex_type(c->a->keyex, c->http->place[0], &w);

	if (err == HF_E_OK)
		http_reply(c->http, 200, "text/plain", hf_wr_span(&w));
	return err;
}

enum hf_err api_keyex_c2_check(struct api_call *c)
{
	enum hf_err err = keyex_server_check(c->a->keyex, c->http->place[0]);

	return err != HF_E_OK ? err : api_reply(c, 200, json_pack("{s:b}", "known", 1));
}

enum hf_err api_keyex_c2(struct api_call *c)
{
	struct hf_span v[3] = {0};
	enum hf_err err = three(c, (const char *const[]){"identity", "key", "signature"},
	                        (const size_t[]){64, KEY_BODY_MAX, TOKEN_TEXT_MAX}, v);

	if (err == HF_E_OK)
		err = keyex_server_register(c->a->keyex, v[0], v[1], v[2], os_now_ms());
	return err != HF_E_OK ? refuse(c, err) : api_reply(c, 201, json_pack("{s:b}", "registered", 1));
}
