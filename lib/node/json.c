/* node - members of one flat JSON object, by jsmn. Uses: base, jsmn.h. */
#include "node/node_internal.h"

#define JSMN_STATIC
#define JSMN_STRICT
#define JSMN_PARENT_LINKS
#include <jsmn.h>

enum { TOKENS_MAX = 48, BODY_MAX = 65536, OBJECT = 0 };

static struct hf_span text_of(struct hf_span body, const jsmntok_t *t)
{
	return hf_span_of(body.ptr + t->start, (size_t)(t->end - t->start));
}

/* The value of the member of that name; it must be there once. */
static enum hf_err member(struct hf_span body, const char *name, jsmntype_t type, struct hf_span *out)
{
	jsmntok_t token[TOKENS_MAX];
	jsmn_parser parser;
	int found = -1;

	jsmn_init(&parser);
	int count = body.len > 0 && body.len <= BODY_MAX
	                ? jsmn_parse(&parser, (const char *)body.ptr, body.len, token, TOKENS_MAX)
	                : 0;
	if (count < 1 || token[OBJECT].type != JSMN_OBJECT)
		return HF_E_TEXT;
	for (int i = 1; i + 1 < count; i++) {
		if (token[i].parent != OBJECT || token[i].size != 1 ||
		    !hf_span_equal(text_of(body, &token[i]), hf_span_text(name)))
			continue;
		if (found >= 0)
			return HF_E_TEXT;
		found = i + 1;
	}
	if (found < 0)
		return HF_E_NOT_FOUND;
	if (token[found].type != type)
		return HF_E_TEXT;
	*out = text_of(body, &token[found]);
	return HF_E_OK;
}

struct escape {
	uint8_t letter, means;
};
static const struct escape escapes[] = {{'"', '"'},  {'\\', '\\'}, {'/', '/'},  {'n', '\n'},
                                        {'r', '\r'}, {'t', '\t'},  {'b', '\b'}, {'f', '\f'}};

/* One escape after its backslash. Of \u only ASCII is taken: nothing that KeyEx says needs more. */
static void put_escape(struct hf_rd *r, struct hf_wr *out)
{
	uint8_t letter = (uint8_t)hf_rd_be(r, 1), pair[2] = {1};
	struct hf_wr w = hf_wr_of(pair, sizeof pair);

	for (size_t i = 0; i < sizeof escapes / sizeof escapes[0]; i++)
		if (escapes[i].letter == letter) {
			hf_wr_be(out, escapes[i].means, 1);
			return;
		}
	if (letter != 'u' || hf_hex_decode(hf_rd_take(r, 4), &w) != HF_E_OK || w.len != 2 || pair[0] != 0 || pair[1] == 0 ||
	    pair[1] > 0x7e) {
		out->err = out->err != HF_E_OK ? out->err : HF_E_TEXT;
		return;
	}
	hf_wr_be(out, pair[1], 1);
}

enum hf_err hf_node_json_text(struct hf_span body, const char *name, struct hf_wr *out)
{
	struct hf_span raw = {0};
	enum hf_err err = member(body, name, JSMN_STRING, &raw);
	struct hf_rd r = hf_rd_of(raw);

	if (err != HF_E_OK)
		return err;
	while (hf_rd_left(&r) > 0 && out->err == HF_E_OK) {
		uint8_t c = (uint8_t)hf_rd_be(&r, 1);

		if (c == '\\')
			put_escape(&r, out);
		else
			hf_wr_be(out, c, 1);
	}
	return out->err != HF_E_OK ? out->err : hf_rd_finish(&r);
}

enum hf_err hf_node_json_base64(struct hf_span body, const char *name, struct hf_wr *out)
{
	size_t start = out->len;
	enum hf_err err = hf_node_json_text(body, name, out);

	if (err != HF_E_OK)
		return err;
	/* Decoded in place: three bytes are written where four were read. */
	struct hf_span text = hf_span_of(out->base + start, out->len - start);

	out->len = start;
	return hf_base64_decode(text, out);
}

enum hf_err hf_node_json_id(struct hf_span body, const char *name, uint64_t *out)
{
	char text[HF_ID_TEXT_MAX];
	struct hf_wr w = hf_wr_of(text, sizeof text);
	enum hf_err err = hf_node_json_text(body, name, &w);

	return err != HF_E_OK ? err : hf_id_parse(hf_wr_span(&w), out);
}

enum hf_err hf_node_json_flag(struct hf_span body, const char *name, bool *out)
{
	struct hf_span raw = {0};
	enum hf_err err = member(body, name, JSMN_PRIMITIVE, &raw);

	if (err != HF_E_OK)
		return err;
	*out = hf_span_equal(raw, hf_span_text("true"));
	return *out || hf_span_equal(raw, hf_span_text("false")) ? HF_E_OK : HF_E_TEXT;
}
