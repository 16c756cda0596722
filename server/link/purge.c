/* link - ends the session of a revoked device: a clean-session CONNECT under each client id that it may have used, which only the
 * control identity can make, drops session and queue. One device after the other. Uses: base os; libmosquitto. */
#include "link/link_internal.h"

#include <stdio.h>

enum { FORMS = 2 }; /* "<id>" of our devices, "SRUP Client: <id>" of the reference's */

static void begin(struct link *l)
{
	struct link_purge *p = &l->purge;
	char id[HF_ID_TEXT_MAX], client_id[64];

	hf_id_text(p->wait->id, id);
	snprintf(client_id, sizeof client_id, p->step == 0 ? "%s" : "SRUP Client: %s", id);
	p->conn = (struct link_conn){.link = l, .role = LINK_CONNS};
	if (link_conn_open(&p->conn, client_id, l->tls_control, true) == HF_E_OK)
		link_conn_connect(&p->conn);
	else
		link_purge_on_up(l); /* out of memory: nothing to wait for */
}

void link_purge_next(struct link *l)
{
	for (size_t n = 0; n < LINK_WAITS_MAX && !l->purge.busy; n++) {
		struct link_wait *w = &l->wait[n];

		if (!w->used || w->mid != -1)
			continue;
		l->purge.busy = true;
		l->purge.wait = w;
		l->purge.step = 0;
		begin(l);
	}
}

/* In a timer of its own: a connection cannot be freed from inside its own callback. */
static void advance(struct os_timer *t)
{
	struct link *l = t->ctx;
	struct link_purge *p = &l->purge;
	struct link_wait *w = p->wait;

	link_conn_close(&p->conn);
	if (++p->step < FORMS) {
		begin(l);
		return;
	}
	p->busy = false;
	if (w->used && w->mid == -1) {
		struct link_wait was = *w;

		*w = (struct link_wait){0};
		if (was.done)
			was.done(was.ctx, HF_E_OK);
	}
	link_purge_next(l);
}

void link_purge_on_up(struct link *l)
{
	l->purge_retry.on_due = advance;
	l->purge_retry.ctx = l;
	os_timer_set(l->s.loop, &l->purge_retry, 0);
}
