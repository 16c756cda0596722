/* http - connections: how many an address may have, and how long a request may take to arrive. libmicrohttpd looks at idle time
 * only: who sends a byte now and then would stay for ever. Uses: base os. */
#include "http/http_internal.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum { PREFIX_LEN = 8 };

uint64_t http_address_of(const struct sockaddr *address)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct hf_rd r;

	if (address->sa_family == AF_INET) {
		memcpy(&v4, address, sizeof v4);
		return UINT64_C(0xffff) << 32 | ntohl(v4.sin_addr.s_addr);
	}
	if (address->sa_family != AF_INET6)
		return 0;
	memcpy(&v6, address, sizeof v6);
	r = hf_rd_of(hf_span_of(v6.sin6_addr.s6_addr, sizeof v6.sin6_addr.s6_addr));
	if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) /* the same number whichever socket it came through */
		(void)hf_rd_take(&r, PREFIX_LEN);
	return hf_rd_be(&r, PREFIX_LEN);
}

bool http_conn_fits(struct http_conns *l, uint64_t address)
{
	unsigned count = 0;

	for (const struct http_conn *c = l->first; c; c = c->next)
		count += c->address == address;
	if (count >= l->address_max)
		l->counts->crowded++;
	return count < l->address_max;
}

static void link_last(struct http_conns *l, struct http_conn *c)
{
	c->prev = l->last;
	c->next = NULL;
	if (l->last)
		l->last->next = c;
	else
		l->first = c;
	l->last = c;
}

static void unlink_one(struct http_conns *l, struct http_conn *c)
{
	if (c->prev)
		c->prev->next = c->next;
	else
		l->first = c->next;
	if (c->next)
		c->next->prev = c->prev;
	else
		l->last = c->prev;
}

static void on_due(struct os_timer *t)
{
	struct http_conns *l = t->ctx;
	int64_t now = os_monotonic_ms();
	struct http_conn *c = l->first;

	for (; c; c = c->next) {
		if (!c->reading)
			continue;
		if (c->since_ms + l->request_ms > now)
			break;
		c->reading = false;
		l->counts->slow++;
		(void)shutdown(c->fd, SHUT_RDWR); /* libmicrohttpd finds it closed, and closes */
	}
	if (c)
		os_timer_set(l->loop, &l->timer, c->since_ms + l->request_ms);
}

void http_conn_await(struct http_conns *l, struct http_conn *c)
{
	if (!c)
		return;
	unlink_one(l, c);
	link_last(l, c);
	c->reading = true;
	c->since_ms = os_monotonic_ms();
	l->timer.on_due = on_due;
	l->timer.ctx = l;
	if (!l->timer.armed)
		os_timer_set(l->loop, &l->timer, c->since_ms + l->request_ms);
}

struct http_conn *http_conn_add(struct http_conns *l, uint64_t address, int fd)
{
	struct http_conn *c = calloc(1, sizeof *c);

	if (!c)
		return NULL;
	c->address = address;
	c->fd = fd;
	link_last(l, c);
	http_conn_await(l, c);
	return c;
}

void http_conn_remove(struct http_conns *l, struct http_conn *c)
{
	unlink_one(l, c);
	free(c);
}

void http_conn_complete(struct http_conn *c)
{
	if (c)
		c->reading = false;
}
