/* cli - holdfast wire encode: a message for each JSON line. Uses: wire, seal, port/openssl; jansson. */
#include "cli/wire.h"
#include "port/openssl/openssl.h"
#include "wire/wire.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ID_DIGITS = 16, POOL_MAX = 1 << 19, ERROR_MAX = 160 };

struct encoder {
	struct cli_keys sign, seal;
	uint8_t *pool, *covered, *message;
};

/* One line: what it says, and what came of it. */
struct job {
	json_t *doc;
	const json_t *fields;
	struct hf_wire_msg msg;
	struct hf_wr pool, message;
	size_t used; /* members of fields that have their place in the message */
	char error[ERROR_MAX];
};

static bool fail(struct job *j, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool fail(struct job *j, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(j->error, sizeof j->error, fmt, args);
	va_end(args);
	return false;
}

static struct hf_span text_of(const json_t *v)
{
	return hf_span_of(json_string_value(v), json_string_length(v));
}

static bool read_number(struct job *j, const json_t *v, const char *name, uint64_t max, uint64_t *out)
{
	json_int_t n = json_integer_value(v);

	if (!json_is_integer(v) || n < 0 || (uint64_t)n > max)
		return fail(j, "field %s: a whole number from 0 to %llu is needed", name, (unsigned long long)max);
	*out = (uint64_t)n;
	return true;
}

static bool read_decimal(struct job *j, const json_t *v, const char *name, uint64_t *out)
{
	if (json_is_string(v) && hf_dec_parse(text_of(v), out) == HF_E_OK)
		return true;
	return fail(j, "field %s: decimal digits as text are needed", name);
}

static bool read_id(struct job *j, const json_t *v, const char *name, uint64_t *out)
{
	uint8_t raw[ID_DIGITS / 2];
	struct hf_wr w = hf_wr_of(raw, sizeof raw);

	if (!json_is_string(v) || json_string_length(v) != ID_DIGITS || hf_hex_decode(text_of(v), &w) != HF_E_OK)
		return fail(j, "field %s: 16 hexadecimal digits as text are needed", name);
	struct hf_rd r = hf_rd_of(hf_wr_span(&w));

	*out = hf_rd_be(&r, sizeof raw);
	return true;
}

static bool read_bytes(struct job *j, const json_t *v, const char *name, struct hf_span *out)
{
	size_t start = j->pool.len;

	if (!json_is_string(v) || hf_hex_decode(text_of(v), &j->pool) != HF_E_OK)
		return fail(j, "field %s: bytes in hexadecimal digits are needed, at most 65535", name);
	*out = hf_span_of(j->pool.base + start, j->pool.len - start);
	return true;
}

static bool read_field(struct job *j, const struct hf_wire_field *f, const json_t *v)
{
	void *to = (uint8_t *)&j->msg + f->at;
	uint64_t n = 0;

	switch ((enum hf_wire_kind)f->kind) {
	case HF_WIRE_K_u8:
		if (!read_number(j, v, f->name, UINT8_MAX, &n))
			return false;
		*(uint8_t *)to = (uint8_t)n;
		return true;
	case HF_WIRE_K_u32:
		if (!read_number(j, v, f->name, UINT32_MAX, &n))
			return false;
		*(uint32_t *)to = (uint32_t)n;
		return true;
	case HF_WIRE_K_u64: return read_decimal(j, v, f->name, to);
	case HF_WIRE_K_id: return read_id(j, v, f->name, to);
	case HF_WIRE_K_bytes: return read_bytes(j, v, f->name, to);
	case HF_WIRE_K_sig:
	case HF_WIRE_K_pad: return true;
	}
	return false;
}

/* Seals the member plaintext to recipient_key, as the line gives no envelope. */
static bool seal_field(struct encoder *e, struct job *j, const struct hf_wire_field *f)
{
	const json_t *plain = json_object_get(j->doc, "plaintext");
	const char *name = cli_key_name(j->doc, "recipient_key");
	struct hf_seal_key *key = cli_keys_get(&e->seal, name);
	struct hf_span text = {0};

	if (!json_is_string(plain) || !name)
		return fail(j, "field %s is missing, and there are no plaintext and recipient_key to make it from", f->name);
	if (!key)
		return fail(j, "there is no recipient key %.*s.pub.pem", CLI_KEY_NAME_MAX, name);
	if (!read_bytes(j, plain, "plaintext", &text))
		return false;
	size_t start = j->pool.len;
	enum hf_err err = hf_seal_envelope_seal(hf_openssl_crypto(), key, text, &j->pool);

	if (err != HF_E_OK)
		return fail(j, "field %s: %s", f->name, hf_err_text(err));
	*(struct hf_span *)(void *)((uint8_t *)&j->msg + f->at) = hf_span_of(j->pool.base + start, j->pool.len - start);
	return true;
}

static bool fill_field(struct encoder *e, struct job *j, const struct hf_wire_field *f)
{
	const json_t *v = json_object_get(j->fields, f->name);

	if (f->kind == HF_WIRE_K_sig || f->kind == HF_WIRE_K_pad)
		return true;
	if (!v && strcmp(f->name, "encrypted") == 0)
		return seal_field(e, j, f);
	if (!v)
		return fail(j, "field %s is missing", f->name);
	j->used++;
	return read_field(j, f, v);
}

static bool fill(struct encoder *e, struct job *j)
{
	const json_t *type = json_object_get(j->doc, "type");
	const struct hf_wire_shape *s = json_is_string(type) ? hf_wire_shape_named(text_of(type)) : NULL;

	j->fields = json_object_get(j->doc, "fields");
	if (!s)
		return fail(j, "%s", hf_err_text(HF_E_TYPE));
	if (!json_is_object(j->fields))
		return fail(j, "there is no object called fields");
	j->msg = (struct hf_wire_msg){.version = HF_WIRE_V5, .type = s->code};
	for (size_t i = 0; hf_wire_head_at(i); i++)
		if (!fill_field(e, j, hf_wire_head_at(i)))
			return false;
	for (size_t i = 0; i < s->count; i++)
		if (!fill_field(e, j, &s->field[i]))
			return false;
	if (j->used != json_object_size(j->fields))
		return fail(j, "fields has a member that %s does not have", s->name);
	return j->msg.sequence_id != 0 || fail(j, "%s", hf_err_text(HF_E_SEQUENCE));
}

/* Signs what goes out; GENERIC carries no signature. */
static bool put_signature(struct encoder *e, struct job *j)
{
	const char *name = cli_key_name(j->doc, "key");
	struct hf_seal_key *key = cli_keys_get(&e->sign, name);
	struct hf_wr w = hf_wr_of(e->covered, CLI_MESSAGE_MAX);
	const struct hf_seal_crypto *c = hf_openssl_crypto();
	size_t start = j->pool.len;

	if (j->msg.type == HF_WIRE_GENERIC)
		return true;
	if (!name)
		return fail(j, "the line names no key");
	if (!key)
		return fail(j, "there is no key %.*s.key.pem", CLI_KEY_NAME_MAX, name);
	enum hf_err err = hf_wire_encode(&w, &j->msg, HF_WIRE_COVERED);
	struct hf_span piece = hf_wr_span(&w);

	if (err == HF_E_OK)
		err = c->sign(c->ctx, key, &piece, 1, &j->pool);
	if (err != HF_E_OK)
		return fail(j, "%s", hf_err_text(err));
	j->msg.signature = hf_span_of(j->pool.base + start, j->pool.len - start);
	return true;
}

static bool encode(struct encoder *e, struct job *j)
{
	if (!j->doc)
		return fail(j, "the line is no JSON object");
	if (!fill(e, j) || !put_signature(e, j))
		return false;
	enum hf_err err = hf_wire_encode(&j->message, &j->msg, HF_WIRE_WHOLE);

	return err == HF_E_OK || fail(j, "%s", hf_err_text(err));
}

static void encode_line(struct encoder *e, enum cli_line kind, struct hf_span line)
{
	struct job j = {.pool = hf_wr_of(e->pool, POOL_MAX), .message = hf_wr_of(e->message, CLI_MESSAGE_MAX)};

	if (kind == CLI_LINE_OK && line.len > 0)
		j.doc = json_loadb((const char *)line.ptr, line.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	if (!json_is_object(j.doc))
		cli_json_drop(&j.doc);
	bool ok = encode(e, &j);

	(void)putchar('{');
	cli_print_id(j.doc);
	printf(",\"ok\":%s", ok ? "true" : "false");
	cli_print_text("error", ok ? NULL : j.error);
	cli_print_hex("message", ok ? hf_wr_span(&j.message) : (struct hf_span){0});
	(void)fputs("}\n", stdout);
	cli_json_drop(&j.doc);
}

static enum cli_exit run(struct encoder *e)
{
	struct cli_lines lines = {0};
	struct hf_span line = {0};
	enum cli_line kind;

	e->pool = malloc(POOL_MAX);
	e->covered = malloc(CLI_MESSAGE_MAX);
	e->message = malloc(CLI_MESSAGE_MAX);
	if (!e->pool || !e->covered || !e->message || cli_lines_init(&lines) != HF_E_OK)
		return cli_fail(CLI_REFUSED, "out of memory");
	while (!ferror(stdout) && (kind = cli_lines_next(&lines, &line)) != CLI_LINE_NONE)
		encode_line(e, kind, line);
	cli_lines_release(&lines);
	return CLI_DONE;
}

enum cli_exit cli_wire_encode(const struct cli_args *a)
{
	const char *dir = a->option[CLI_O_SIGN];
	struct encoder e = {.sign = {.dir = dir, .suffix = ".key.pem"}, .seal = {.dir = dir, .suffix = ".pub.pem"}};

	if (!dir)
		return cli_fail(CLI_USAGE, "give --sign DIR, the folder of the keys");
	enum cli_exit code = cli_check_dir("sign", dir);

	if (code == CLI_DONE)
		code = run(&e);
	cli_keys_release(&e.sign);
	cli_keys_release(&e.seal);
	free(e.pool);
	free(e.covered);
	free(e.message);
	return code;
}
