/* http - replies and what a handler reads of a request. Uses: base os; libmicrohttpd. */
#include "http/http_internal.h"

#include <microhttpd.h>

const char *http_query(const struct http_call *c, const char *name)
{
	return MHD_lookup_connection_value(c->connection, MHD_GET_ARGUMENT_KIND, name);
}

const char *http_header(const struct http_call *c, const char *name)
{
	return MHD_lookup_connection_value(c->connection, MHD_HEADER_KIND, name);
}

void http_error_body(struct os_buf *out, enum hf_err err, const char *sentence)
{
	char quoted[1024];
	struct hf_wr w = hf_wr_of(quoted, sizeof quoted);

	hf_wr_json(&w, hf_span_text(sentence ? sentence : hf_err_text(err)));
	if (w.err != HF_E_OK) {
		w = hf_wr_of(quoted, sizeof quoted);
		hf_wr_json(&w, hf_span_text(hf_err_text(err)));
	}
	os_buf_format(out, "{\"error\":\"%s\",\"message\":%.*s}\n", hf_err_name(err), (int)w.len, quoted);
}

enum http_verdict http_fail(struct http_call *c, enum hf_err err, const char *sentence)
{
	os_buf_release(&c->reply);
	c->more = NULL;
	c->status = hf_err_http(err);
	if (c->status == MHD_HTTP_TOO_MANY_REQUESTS && c->retry_after_s == 0)
		c->retry_after_s = HTTP_RETRY_AFTER_S;
	c->content_type = "application/json";
	c->refused = true;
	http_error_body(&c->reply, err, sentence);
	return HTTP_DONE;
}

enum http_verdict http_reply(struct http_call *c, unsigned status, const char *content_type, struct hf_span body)
{
	os_buf_release(&c->reply);
	c->more = NULL;
	c->status = status;
	c->content_type = content_type;
	os_buf_put(&c->reply, body);
	return HTTP_DONE;
}
