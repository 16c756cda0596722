/* http - replies that are made piece by piece: the connection sleeps while the next one is made. Uses: base os; libmicrohttpd. */
#include "http/http_internal.h"

#include <microhttpd.h>
#include <string.h>

enum { BLOCK_LEN = 16384 };

/* Called by the library for each block that the client can take. */
static ssize_t on_block(void *ctx, uint64_t at, char *out, size_t max)
{
	struct http_call *c = ctx;
	size_t left = c->reply.len - c->sent, len = left < max ? left : max;

	(void)at;
	if (len > 0) {
		memcpy(out, c->reply.ptr + c->sent, len);
		c->sent += len;
		http_moved(c);
		return (ssize_t)len;
	}
	if (c->stream == HTTP_LAST)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (c->stream == HTTP_BROKEN)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	http_moved(c);
	c->suspended = true;
	MHD_suspend_connection(c->connection);
	c->more(c);
	return 0;
}

enum http_verdict http_stream(struct http_call *c, const char *content_type, void (*more)(struct http_call *c))
{
	(void)http_reply(c, MHD_HTTP_OK, content_type, hf_span_of(NULL, 0));
	c->more = more;
	c->stream = HTTP_MORE;
	return HTTP_DONE;
}

void http_piece(struct http_call *c, struct hf_span bytes, enum http_piece then)
{
	c->reply.len = c->sent = 0;
	os_buf_put(&c->reply, bytes);
	c->stream = c->reply.err == HF_E_OK ? then : HTTP_BROKEN;
	if (c->suspended)
		http_resume(c);
}

struct MHD_Response *http_response(struct http_call *c)
{
	static char nothing[1];

	if (c->more)
		return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_LEN, on_block, c, NULL);
	return MHD_create_response_from_buffer(c->reply.len, c->reply.ptr ? (void *)c->reply.ptr : nothing,
	                                       MHD_RESPMEM_MUST_COPY);
}
