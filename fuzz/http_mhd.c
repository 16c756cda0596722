/* fuzz - libmicrohttpd as the http target plays it: the program's own functions take the place of the library's.
 * Uses: libmicrohttpd's header; Linux. */
#include "fuzz/http_mhd.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>

struct MHD_Response {
	struct hf_span body;
	MHD_ContentReaderCallback more;
	void *ctx;
};

struct mhd_callbacks mhd;

/* --- a request from its text -------------------------------------------------------------------------------------- */

/* The text up to the first of these bytes, ended by a NUL; *rest moves behind it, NULL at the end. */
static char *cut(char **rest, const char *at)
{
	char *s = *rest, *end = s + strcspn(s, at);

	*rest = *end ? end + 1 : NULL;
	*end = 0;
	return s;
}

static void add(struct MHD_Connection *c, enum MHD_ValueKind kind, char *name, char *value)
{
	if (c->pairs < MHD_PAIRS_MAX)
		c->pair[c->pairs++] = (struct mhd_pair){kind, name, value};
}

static void read_query(struct MHD_Connection *c, char *rest)
{
	while (rest) {
		char *value = cut(&rest, "&"), *name = cut(&value, "=");

		(void)mhd.unescape(mhd.unescape_ctx, c, name);
		if (value)
			(void)mhd.unescape(mhd.unescape_ctx, c, value);
		add(c, MHD_GET_ARGUMENT_KIND, name, value);
	}
}

static void read_headers(struct MHD_Connection *c, char *rest)
{
	while (rest && *rest) {
		char *value = cut(&rest, "\n"), *name = cut(&value, ":");

		if (value)
			add(c, MHD_HEADER_KIND, name, value + strspn(value, " \t"));
	}
}

bool mhd_read(struct MHD_Connection *c, struct hf_span input)
{
	const uint8_t *end = input.len ? memmem(input.ptr, input.len, "\n\n", 2) : NULL;
	size_t head = end ? (size_t)(end - input.ptr) : input.len;

	if (head >= sizeof c->text || (head && memchr(input.ptr, 0, head)))
		return false;
	*c = (struct MHD_Connection){0};
	memcpy(c->text, input.ptr, head);
	c->body = end ? hf_span_of(end + 2, input.len - head - 2) : hf_span_of(NULL, 0);
	char *headers = c->text, *target = cut(&headers, "\n");

	c->method = cut(&target, " ");
	if (!target || target[0] != '/')
		return false;
	char *query = target;

	c->url = cut(&query, "?");
	(void)mhd.unescape(mhd.unescape_ctx, c, (char *)(uintptr_t)c->url);
	read_query(c, query);
	read_headers(c, headers);
	return true;
}

/* --- the library's side ------------------------------------------------------------------------------------------- */

static void call(struct MHD_Connection *c, struct hf_span upload, void **slot)
{
	size_t len = upload.len;

	if (mhd.request(mhd.request_ctx, c, c->url, c->method, "HTTP/1.1", (const char *)upload.ptr, &len, slot) != MHD_YES)
		abort();
	if (len != 0) /* all of it is always taken */
		abort();
}

void mhd_receive(struct MHD_Connection *c, void **slot)
{
	size_t half = c->body.len / 2;

	mhd.connection(mhd.connection_ctx, c, &c->context, MHD_CONNECTION_NOTIFY_STARTED);
	call(c, hf_span_of("", 0), slot);
	if (half > 0)
		call(c, hf_span_of(c->body.ptr, half), slot);
	if (c->body.len > half)
		call(c, hf_span_of(c->body.ptr + half, c->body.len - half), slot);
	call(c, hf_span_of("", 0), slot);
}

/* Takes a reply in pieces until it ends, breaks off, or sleeps with nobody to wake it. */
static void drain(struct MHD_Connection *c, void (*idle)(void))
{
	char block[1000];
	ssize_t n = 0;
	uint64_t at = 0;

	while (c->more && n >= 0 && !c->suspended) {
		n = c->more(c->more_ctx, at, block, sizeof block);
		at += n > 0 ? (uint64_t)n : 0;
		if (c->suspended)
			idle();
		else if (n == 0) /* nothing, and not asleep: that would spin */
			abort();
	}
}

void mhd_finish(struct MHD_Connection *c, void **slot, void (*idle)(void))
{
	if (!c->suspended && c->status == 0)
		call(c, hf_span_of("", 0), slot);
	drain(c, idle);
	mhd.completed(mhd.completed_ctx, c, slot, MHD_REQUEST_TERMINATED_COMPLETED_OK);
	mhd.connection(mhd.connection_ctx, c, &c->context, MHD_CONNECTION_NOTIFY_CLOSED);
}

struct MHD_Daemon *MHD_start_daemon(unsigned int flags, uint16_t port, MHD_AcceptPolicyCallback apc, void *apc_ctx,
                                    MHD_AccessHandlerCallback dh, void *dh_ctx, ...)
{
	va_list args;
	int option;

	(void)flags, (void)port, (void)apc, (void)apc_ctx;
	mhd.request = dh;
	mhd.request_ctx = dh_ctx;
	va_start(args, dh_ctx);
	while ((option = va_arg(args, int)) != MHD_OPTION_END) {
		switch (option) {
		case MHD_OPTION_UNESCAPE_CALLBACK:
			mhd.unescape = va_arg(args, mhd_unescape);
			mhd.unescape_ctx = va_arg(args, void *);
			break;
		case MHD_OPTION_NOTIFY_COMPLETED:
			mhd.completed = va_arg(args, MHD_RequestCompletedCallback);
			mhd.completed_ctx = va_arg(args, void *);
			break;
		case MHD_OPTION_NOTIFY_CONNECTION:
			mhd.connection = va_arg(args, MHD_NotifyConnectionCallback);
			mhd.connection_ctx = va_arg(args, void *);
			break;
		case MHD_OPTION_EXTERNAL_LOGGER:
			(void)va_arg(args, void *);
			(void)va_arg(args, void *);
			break;
		case MHD_OPTION_CONNECTION_LIMIT:
		case MHD_OPTION_STRICT_FOR_CLIENT:
		case MHD_OPTION_CONNECTION_TIMEOUT:
		case MHD_OPTION_LISTENING_ADDRESS_REUSE: (void)va_arg(args, unsigned); break;
		case MHD_OPTION_SOCK_ADDR:
		case MHD_OPTION_HTTPS_CERT_CALLBACK:
		case MHD_OPTION_HTTPS_PRIORITIES: (void)va_arg(args, void *); break;
		default: abort(); /* http uses another one: say here how many arguments it has */
		}
	}
	va_end(args);
	return (struct MHD_Daemon *)&mhd;
}

const union MHD_DaemonInfo *MHD_get_daemon_info(struct MHD_Daemon *daemon, enum MHD_DaemonInfoType type, ...)
{
	static union MHD_DaemonInfo info;

	(void)daemon, (void)type;
	info.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return &info;
}

const union MHD_ConnectionInfo *MHD_get_connection_info(struct MHD_Connection *c, enum MHD_ConnectionInfoType type, ...)
{
	static struct sockaddr_in address = {.sin_family = AF_INET};
	static union MHD_ConnectionInfo info;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (type == MHD_CONNECTION_INFO_CLIENT_ADDRESS)
		info.client_addr = (struct sockaddr *)&address;
	else if (type == MHD_CONNECTION_INFO_SOCKET_CONTEXT)
		info.socket_context = c->context;
	else if (type == MHD_CONNECTION_INFO_CONNECTION_FD)
		info.connect_fd = -1;
	else
		return NULL;
	return &info;
}

const char *MHD_lookup_connection_value(struct MHD_Connection *c, enum MHD_ValueKind kind, const char *key)
{
	for (size_t i = 0; i < c->pairs; i++)
		if (c->pair[i].kind == kind && strcasecmp(c->pair[i].name, key) == 0)
			return c->pair[i].value;
	return NULL;
}

int MHD_get_connection_values(struct MHD_Connection *c, enum MHD_ValueKind kind, MHD_KeyValueIterator each, void *ctx)
{
	int count = 0;

	for (size_t i = 0; i < c->pairs; i++)
		if (c->pair[i].kind == kind && (count++, each && each(ctx, kind, c->pair[i].name, c->pair[i].value) != MHD_YES))
			break;
	return count;
}

struct MHD_Response *MHD_create_response_from_buffer(size_t size, void *buffer, enum MHD_ResponseMemoryMode mode)
{
	struct MHD_Response *r = calloc(1, sizeof *r);

	(void)mode;
	if (r)
		r->body = hf_span_of(buffer, size);
	return r;
}

struct MHD_Response *MHD_create_response_from_callback(uint64_t size, size_t block, MHD_ContentReaderCallback more,
                                                       void *ctx, MHD_ContentReaderFreeCallback release)
{
	struct MHD_Response *r = calloc(1, sizeof *r);

	(void)size, (void)block, (void)release;
	if (r)
		*r = (struct MHD_Response){.more = more, .ctx = ctx};
	return r;
}

enum MHD_Result MHD_add_response_header(struct MHD_Response *r, const char *header, const char *content)
{
	(void)r;
	return header && content ? MHD_YES : MHD_NO;
}

enum MHD_Result MHD_queue_response(struct MHD_Connection *c, unsigned int status, struct MHD_Response *r)
{
	c->status = status;
	c->reply = r->body;
	c->more = r->more;
	c->more_ctx = r->ctx;
	c->on_reply(c);
	return MHD_YES;
}

void MHD_destroy_response(struct MHD_Response *r)
{
	free(r);
}

void MHD_suspend_connection(struct MHD_Connection *c)
{
	c->suspended = true;
}

void MHD_resume_connection(struct MHD_Connection *c)
{
	c->suspended = false;
}
