/* signer - the key process: reads its keys, answers a closed list of requests.
 * Uses: base wire seal port/openssl os conf ca. */
#include "signer/signer.h"

#include "ca/ca.h"
#include "peer/peer.h"
#include "port/openssl/openssl.h"
#include "wire/wire.h"

#include <errno.h>
#include <sys/socket.h>

struct signer {
	uint64_t c2_id, keyex_id;
	struct hf_seal_key *c2, *keyex, *ca_key;
	X509 *ca_cert;
};

static enum hf_err op_message(struct signer *s, struct hf_span in, struct hf_wr *out)
{
	struct hf_wire_msg m;
	struct hf_wire_covered covered;
	enum hf_err err = hf_wire_decode(in, &m, &covered);

	if (err != HF_E_OK)
		return err;
	if (m.sender_id != s->c2_id || m.sequence_id == 0 || m.signature.len != 0 ||
	    !hf_peer_may_send(m.type, HF_PEER_SERVER, HF_PEER_JOINED))
		return HF_E_DENIED;
	const struct hf_seal_crypto *c = hf_openssl_crypto();

	return c->sign(c->ctx, s->c2, covered.piece, 2, out);
}

static enum hf_err op_keyex_answer(struct signer *s, struct hf_span in, struct hf_wr *out)
{
	char id[HF_ID_TEXT_MAX];

	if (in.len != 0)
		return HF_E_DENIED;
	hf_id_text(s->keyex_id, id);
	return hf_openssl_pss_sign(s->keyex, hf_span_text(id), out);
}

/* A client certificate for that name; answer: end s u64, PEM. */
static enum hf_err certify(struct signer *s, struct hf_span spki, const char *name, unsigned days, struct hf_wr *out)
{
	struct ca_subject subject = {NULL, "Holdfast", name};
	struct ca_leaf leaf = {&subject, CA_USE_CLIENT, NULL, 0, days};
	struct ca_issuer issuer = {s->ca_cert, s->ca_key};
	struct hf_seal_key *key = NULL;
	X509 *cert = NULL;
	enum hf_err err = hf_openssl_public_der(spki, &key);

	if (err == HF_E_OK)
		err = ca_leaf_make(&issuer, key, &leaf, os_now_ms() / 1000, &cert);
	if (err == HF_E_OK) {
		hf_wr_be(out, (uint64_t)ca_cert_not_after(cert), 8);
		err = ca_cert_write(cert, out);
	}
	if (err == HF_E_OK) {
		os_log(OS_LOG_SIGNER_CERTIFIED, "name=%s not_after=%lld", name, (long long)ca_cert_not_after(cert));
	}
	ca_cert_free(cert);
	hf_openssl_key_free(key);
	return err;
}

static enum hf_err op_device_cert(struct signer *s, struct hf_span in, struct hf_wr *out)
{
	struct hf_rd r = hf_rd_of(in);
	uint64_t id = hf_rd_be(&r, 8);
	unsigned days = (unsigned)hf_rd_be(&r, 2);
	char name[HF_ID_TEXT_MAX];

	if (r.err != HF_E_OK || id == 0 || id == s->c2_id || id == s->keyex_id || days < 1 || days > 825)
		return HF_E_DENIED;
	hf_id_text(id, name);
	return certify(s, hf_rd_take(&r, hf_rd_left(&r)), name, days, out);
}

static enum hf_err op_access_cert(struct signer *s, struct hf_span in, struct hf_wr *out)
{
	struct hf_rd r = hf_rd_of(in);
	uint64_t control = hf_rd_be(&r, 1);
	char name[HF_ID_TEXT_MAX];

	if (r.err != HF_E_OK || control > 1)
		return HF_E_DENIED;
	hf_id_text(s->c2_id, name);
	return certify(s, hf_rd_take(&r, hf_rd_left(&r)), control ? SIGNER_CONTROL_NAME : name, SIGNER_ACCESS_DAYS, out);
}

struct op_row {
	uint8_t code;
	const char *name;
	unsigned a_second;
	enum hf_err (*run)(struct signer *s, struct hf_span in, struct hf_wr *out);
};
static const struct op_row ops[] = {
#define OP(NAME, code, handler, name, a_second, doc) {(code), (name), (a_second), op_##handler},
#include "signer/ops.def"
};
enum { OPS = sizeof ops / sizeof ops[0] };

/* At most a_second of each operation in any one second. */
static bool too_often(size_t op)
{
	static int64_t second[OPS];
	static unsigned used[OPS];
	int64_t now = os_monotonic_ms() / 1000;

	if (second[op] != now) {
		second[op] = now;
		used[op] = 0;
	}
	return ++used[op] > ops[op].a_second;
}

static enum hf_err serve(struct signer *s, struct hf_span request, struct hf_wr *out)
{
	for (size_t i = 0; i < OPS && request.len > 0; i++) {
		if (ops[i].code != request.ptr[0])
			continue;
		enum hf_err err = too_often(i) ? HF_E_BUSY : ops[i].run(s, hf_span_of(request.ptr + 1, request.len - 1), out);

		if (err == HF_E_OK)
			os_log(OS_LOG_SIGNER_SIGNED, "op=%s bytes=%zu", ops[i].name, request.len - 1);
		else
			os_log(OS_LOG_SIGNER_REFUSED, "op=%s why=%s", ops[i].name, hf_err_name(err));
		return err;
	}
	os_log(OS_LOG_SIGNER_REFUSED, "op=%d why=not-on-the-list", request.len ? request.ptr[0] : -1);
	return HF_E_DENIED;
}

static int loop(struct signer *s, int fd)
{
	static uint8_t request[SIGNER_REQUEST_MAX + 1], reply[SIGNER_REPLY_MAX];

	for (;;) {
		ssize_t n = recv(fd, request, sizeof request, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 ? 0 : 1;
		struct hf_wr out = hf_wr_of(reply + 2, sizeof reply - 2), head = hf_wr_of(reply, 2);
		enum hf_err err = serve(s, hf_span_of(request, (size_t)n), &out);

		hf_wr_be(&head, (uint64_t)err, 2);
		if (send(fd, reply, err == HF_E_OK ? out.len + 2 : 2, MSG_NOSIGNAL) < 0)
			return 1;
	}
}

/* Reads one place; what is wrong is logged with its path. */
static bool got(const struct conf *c, enum conf_place place, enum hf_err err)
{
	char path[CONF_PATH_MAX];

	conf_place(c, place, path);
	if (err != HF_E_OK)
		os_log(OS_LOG_FAILED, "what=\"the signer cannot use a file\" file=%s why=\"%s\"", path, hf_err_text(err));
	return err == HF_E_OK;
}

static enum hf_err read_place(const struct conf *c, enum conf_place place, struct os_buf *out)
{
	char path[CONF_PATH_MAX];

	conf_place(c, place, path);
	return os_read_file(path, out);
}

static bool read_key(const struct conf *c, enum conf_place place, struct hf_seal_key **out)
{
	OS_BUF_SCOPED pem = os_buf_of(CONF_FILE_MAX);
	enum hf_err err = read_place(c, place, &pem);

	return got(c, place, err == HF_E_OK ? hf_openssl_private_pem(os_buf_span(&pem), out) : err);
}

static bool read_ca(const struct conf *c, X509 **out)
{
	OS_BUF_SCOPED pem = os_buf_of(CONF_FILE_MAX);
	enum hf_err err = read_place(c, CONF_PLACE_BROKER_CA_CERT, &pem);

	return got(c, CONF_PLACE_BROKER_CA_CERT, err == HF_E_OK ? ca_cert_read(os_buf_span(&pem), out) : err);
}

static bool read_id(const struct conf *c, enum conf_place place, uint64_t *out)
{
	char path[CONF_PATH_MAX];

	conf_place(c, place, path);
	return got(c, place, os_read_id(path, out));
}

int signer_main(const struct conf *c, int fd)
{
	struct signer s = {0};
	int code = 1;

	if (read_id(c, CONF_PLACE_C2_ID, &s.c2_id) && read_id(c, CONF_PLACE_KEYEX_ID, &s.keyex_id) &&
	    read_key(c, CONF_PLACE_C2_KEY, &s.c2) && read_key(c, CONF_PLACE_KEYEX_KEY, &s.keyex) &&
	    read_key(c, CONF_PLACE_BROKER_CA_KEY, &s.ca_key) && read_ca(c, &s.ca_cert)) {
		os_log(OS_LOG_SIGNER_STARTED, "c2=%016llx", (unsigned long long)s.c2_id);
		code = loop(&s, fd);
	}
	ca_cert_free(s.ca_cert);
	hf_openssl_key_free(s.c2);
	hf_openssl_key_free(s.keyex);
	hf_openssl_key_free(s.ca_key);
	return code;
}
