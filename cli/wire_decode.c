/* cli - holdfast wire decode: one JSON line out for each line in. Uses: wire, seal, port/openssl; jansson. */
#include "cli/wire.h"
#include "port/openssl/openssl.h"
#include "wire/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In the order of the checks. Source: architecture section 5. */
enum stage {
	STAGE_OK,
	STAGE_INPUT,
	STAGE_PARSE,
	STAGE_VERSION,
	STAGE_TYPE,
	STAGE_SEQUENCE,
	STAGE_VERIFY,
	STAGE_DECRYPT
};
static const char *const stage_names[] = {NULL, "input", "parse", "version", "type", "sequence", "verify", "decrypt"};

struct decoder {
	struct cli_keys verify, open;
	uint8_t *message, *fields; /* CLI_MESSAGE_MAX; enough for its fields as text */
	size_t fields_cap;
};

/* What is known about one line. */
struct result {
	enum stage stage;
	const char *error;
	json_t *doc; /* of a JSON line */
	struct hf_wire_msg msg;
	bool has_head, parsed, verified, opened;
	uint8_t digest[32], plain[HF_SEAL_PLAINTEXT_MAX + 16];
	size_t plain_len;
};

static void stop(struct result *r, enum stage stage, const char *error)
{
	r->stage = stage;
	r->error = error;
}

/* The message of a line: hex, or the member of a JSON object. */
static enum hf_err read_input(struct decoder *d, struct hf_span line, struct result *r, struct hf_span *message)
{
	struct hf_wr w = hf_wr_of(d->message, CLI_MESSAGE_MAX);
	struct hf_span hex = line;

	while (hex.len > 0 && strchr(" \t", hex.ptr[0]))
		hex = hf_span_of(hex.ptr + 1, hex.len - 1);
	while (hex.len > 0 && strchr(" \t", hex.ptr[hex.len - 1]))
		hex.len--;
	if (hex.len > 0 && hex.ptr[0] == '{') {
		r->doc = json_loadb((const char *)line.ptr, line.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
		const json_t *text = json_object_get(r->doc, "message");

		if (!json_is_string(text))
			return r->doc ? HF_E_INPUT : HF_E_TEXT;
		hex = hf_span_of(json_string_value(text), json_string_length(text));
	}
	if (hf_hex_decode(hex, &w) != HF_E_OK)
		return HF_E_SHORT;
	*message = hf_wr_span(&w);
	return HF_E_OK;
}

static const char *input_error(enum hf_err err)
{
	if (err == HF_E_TEXT)
		return "the line is no JSON";
	return err == HF_E_INPUT ? "there is no text called message" : "the message is not in hexadecimal digits";
}

static enum stage stage_of(enum hf_err err)
{
	return err == HF_E_VERSION ? STAGE_VERSION : err == HF_E_TYPE ? STAGE_TYPE : STAGE_PARSE;
}

/* Version and type are shown for every message that has them, also when they are the reason for refusing it. */
static void look_at_head(struct hf_span in, struct result *r)
{
	r->has_head = in.len >= 2;
	if (!r->has_head)
		return;
	r->msg.version = in.ptr[0];
	r->msg.type = in.ptr[1];
}

static void check_signature(struct decoder *d, struct result *r, const struct hf_wire_covered *covered)
{
	const char *name = cli_key_name(r->doc, "key");
	struct hf_seal_key *key = cli_keys_get(&d->verify, name);

	if (!d->verify.dir || r->msg.type == HF_WIRE_GENERIC)
		return;
	if (!key) {
		stop(r, STAGE_VERIFY, name ? "there is no such key" : "the line names no key");
		return;
	}
	enum hf_err err = hf_seal_verify(hf_openssl_crypto(), key, covered->piece, 2, r->msg.signature);

	if (err != HF_E_OK)
		stop(r, STAGE_VERIFY, hf_err_text(err));
	r->verified = err == HF_E_OK;
}

/* The envelope of a message; NULL if its type has none. */
static const struct hf_span *envelope_of(const struct hf_wire_msg *m)
{
	const struct hf_wire_shape *s = hf_wire_shape(m->type);

	for (size_t i = 0; s && i < s->count; i++)
		if (strcmp(s->field[i].name, "encrypted") == 0)
			return (const void *)((const uint8_t *)m + s->field[i].at);
	return NULL;
}

static void open_envelope(struct decoder *d, struct result *r)
{
	const char *name = cli_key_name(r->doc, "recipient_key");
	struct hf_seal_key *key = cli_keys_get(&d->open, name);
	const struct hf_span *envelope = envelope_of(&r->msg);
	struct hf_wr w = hf_wr_of(r->plain, sizeof r->plain);

	if (!d->open.dir || !json_object_get(r->doc, "recipient_key") || !envelope)
		return;
	if (!key) {
		stop(r, STAGE_DECRYPT, "there is no such recipient key");
		return;
	}
	enum hf_err err = hf_seal_envelope_open(hf_openssl_crypto(), key, *envelope, &w);

	if (err != HF_E_OK)
		stop(r, STAGE_DECRYPT, hf_err_text(err == HF_E_NO_SPACE ? HF_E_TOO_BIG : err));
	r->opened = err == HF_E_OK;
	r->plain_len = w.len;
}

static void judge(struct decoder *d, struct hf_span in, struct result *r)
{
	struct hf_wire_covered covered = {0};
	enum hf_err err = hf_wire_decode(in, &r->msg, &covered);

	if (err != HF_E_OK) {
		look_at_head(in, r);
		stop(r, stage_of(err), in.len ? hf_err_text(err) : "the message is empty");
		return;
	}
	r->has_head = r->parsed = true;
	if (hf_openssl_sha256(covered.piece, 2, r->digest) != HF_E_OK)
		hf_wipe(r->digest, sizeof r->digest);
	if (r->msg.sequence_id == 0) {
		stop(r, STAGE_SEQUENCE, hf_err_text(HF_E_SEQUENCE));
		return;
	}
	check_signature(d, r, &covered);
	if (r->stage == STAGE_OK)
		open_envelope(d, r);
}

static void print_fields(struct decoder *d, const struct result *r)
{
	struct hf_wr w = hf_wr_of(d->fields, d->fields_cap);

	(void)fputs(",\"fields\":", stdout);
	if (r->parsed && hf_wire_print(&w, &r->msg) == HF_E_OK)
		(void)fwrite(w.base, 1, w.len, stdout);
	else
		(void)fputs("null", stdout);
}

static void print_result(struct decoder *d, const struct result *r)
{
	const struct hf_wire_shape *shape = r->has_head ? hf_wire_shape(r->msg.type) : NULL;
	bool is_signed = r->parsed && r->msg.type != HF_WIRE_GENERIC;

	(void)putchar('{');
	cli_print_id(r->doc);
	printf(",\"ok\":%s", r->stage == STAGE_OK ? "true" : "false");
	cli_print_text("stage", stage_names[r->stage]);
	cli_print_text("error", r->error);
	if (r->has_head)
		printf(",\"version\":%u", r->msg.version);
	else
		(void)fputs(",\"version\":null", stdout);
	cli_print_text("type", shape ? shape->name : NULL);
	if (r->has_head)
		printf(",\"type_code\":%u", r->msg.type);
	else
		(void)fputs(",\"type_code\":null", stdout);
	printf(",\"verified\":%s", r->verified ? "true" : "false");
	print_fields(d, r);
	cli_print_hex("signed_bytes_sha256", hf_span_of(is_signed ? r->digest : NULL, is_signed ? sizeof r->digest : 0));
	cli_print_hex("plaintext", hf_span_of(r->opened ? r->plain : NULL, r->opened ? r->plain_len : 0));
	(void)fputs("}\n", stdout);
}

static void decode_line(struct decoder *d, enum cli_line kind, struct hf_span line)
{
	struct result r = {0};
	struct hf_span message = {0};

	if (kind == CLI_LINE_LONG) {
		stop(&r, STAGE_INPUT, "the line is too long");
	} else {
		enum hf_err err = read_input(d, line, &r, &message);

		if (err == HF_E_OK)
			judge(d, message, &r);
		else
			stop(&r, STAGE_INPUT, input_error(err));
	}
	print_result(d, &r);
	json_decref(r.doc);
	hf_wipe(r.plain, sizeof r.plain);
}

enum cli_exit cli_wire_decode(const struct cli_args *a)
{
	struct decoder d = {.verify = {.dir = a->option[CLI_O_VERIFY], .suffix = ".pub.pem"},
	                    .open = {.dir = a->option[CLI_O_OPEN], .suffix = ".key.pem"},
	                    .fields_cap = 2 * CLI_MESSAGE_MAX + 4096};
	struct cli_lines lines = {0};
	struct hf_span line = {0};
	enum cli_line kind;
	enum cli_exit code = cli_check_dir("verify", d.verify.dir);

	if (code == CLI_DONE)
		code = cli_check_dir("open", d.open.dir);
	if (code != CLI_DONE)
		return code;
	d.message = malloc(CLI_MESSAGE_MAX);
	d.fields = malloc(d.fields_cap);
	if (!d.message || !d.fields || cli_lines_init(&lines) != HF_E_OK)
		code = cli_fail(CLI_REFUSED, "out of memory");
	while (code == CLI_DONE && !ferror(stdout) && (kind = cli_lines_next(&lines, &line)) != CLI_LINE_NONE)
		decode_line(&d, kind, line);
	cli_lines_release(&lines);
	cli_keys_release(&d.verify);
	cli_keys_release(&d.open);
	free(d.message);
	free(d.fields);
	return code;
}
