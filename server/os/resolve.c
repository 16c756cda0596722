/* os - names to addresses without waiting for them: glibc asks in a thread of its own. Uses: getaddrinfo_a(3). */
#include "os/os.h"

#include <arpa/inet.h>
#include <execinfo.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the asking thread works on. It has its own memory, as a request under way cannot always be called back. */
struct os_resolve_request {
	struct gaicb cb;
	struct addrinfo hints;
	char name[OS_HOST_MAX];
};

void os_resolve_prepare(void)
{
	void *frame;

	(void)backtrace(&frame, 1); /* loads libgcc_s, without which glibc's thread cannot end */
}

static bool is_numeric(const char *host)
{
	struct in6_addr any;

	return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

enum hf_err os_resolve_start(struct os_resolve *r, const char *host)
{
	os_resolve_stop(r);
	r->count = 0;
	if (strlen(host) >= OS_HOST_MAX)
		return HF_E_TOO_BIG;
	if (is_numeric(host)) {
		snprintf(r->address[r->count++], OS_ADDRESS_MAX, "%s", host);
		return HF_E_OK;
	}
	struct os_resolve_request *q = calloc(1, sizeof *q);

	if (!q)
		return HF_E_MEMORY;
	snprintf(q->name, sizeof q->name, "%s", host);
	q->hints = (struct addrinfo){.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	q->cb = (struct gaicb){.ar_name = q->name, .ar_request = &q->hints};
	if (getaddrinfo_a(GAI_NOWAIT, (struct gaicb *[]){&q->cb}, 1, NULL) != 0) {
		free(q);
		return HF_E_MEMORY;
	}
	r->request = q;
	return HF_E_BUSY;
}

static void take_addresses(struct os_resolve *r, const struct addrinfo *found)
{
	for (const struct addrinfo *a = found; a && r->count < OS_ADDRESSES_MAX; a = a->ai_next)
		if (getnameinfo(a->ai_addr, a->ai_addrlen, r->address[r->count], OS_ADDRESS_MAX, NULL, 0, NI_NUMERICHOST) == 0)
			r->count++;
}

enum hf_err os_resolve_step(struct os_resolve *r)
{
	if (r->request) {
		int state = gai_error(&r->request->cb);

		if (state == EAI_INPROGRESS)
			return HF_E_BUSY;
		if (state == 0) {
			take_addresses(r, r->request->cb.ar_result);
			freeaddrinfo(r->request->cb.ar_result);
		}
		free(r->request);
		r->request = NULL;
	}
	return r->count > 0 ? HF_E_OK : HF_E_NOT_FOUND;
}

void os_resolve_stop(struct os_resolve *r)
{
	if (r->request && os_resolve_step(r) == HF_E_BUSY && gai_cancel(&r->request->cb) == EAI_CANCELED)
		free(r->request);
	r->request = NULL; /* one that cannot be cancelled keeps its memory: the thread still writes there */
}
