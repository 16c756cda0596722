/* link - ends the sessions of revoked devices: a clean-session CONNECT under each client id that one may have used, which only
 * the control identity can make, drops session and queue. Which are still to be done stands in the database, so that none is
 * forgotten; one device after the other. Uses: base os db; libmosquitto. */
#include "link/link_internal.h"

#include <stdio.h>

enum {
	FORMS = 2 /* "<id>" of our devices, "SRUP Client: <id>" of the reference's */,
	DEADLINE_MS = 3000,
	RETRY_MS = 1000
};

static void wait_for(struct link *l, int64_t ms)
{
	os_timer_set(l->s.loop, &l->purge.timer, os_monotonic_ms() + ms);
}

static void begin(struct link *l)
{
	struct link_purge *p = &l->purge;
	char id[HF_ID_TEXT_MAX], client_id[64];

	hf_id_text(p->id, id);
	snprintf(client_id, sizeof client_id, p->step == 0 ? "%s" : "SRUP Client: %s", id);
	p->conn = (struct link_conn){.link = l, .role = LINK_PURGE};
	p->phase = LINK_PURGE_CONNECTING;
	wait_for(l, DEADLINE_MS);
	if (link_conn_open(&p->conn, client_id, l->tls_control, true) == HF_E_OK)
		link_conn_connect(&p->conn);
}

void link_purge_next(struct link *l)
{
	int64_t id = 0;

	/* The broker must have refused the device before its session goes, else it could make a new one. */
	if (l->purge.phase != LINK_PURGE_IDLE || !link_up(l) || l->revoke_mid != 0)
		return;
	if (db_get_int(l->s.db, DB_PURGE_NEXT, NULL, 0, 0, &id) != HF_E_OK || id == 0)
		return;
	l->purge.id = (uint64_t)id;
	l->purge.step = 0;
	begin(l);
}

static void finish(struct link *l)
{
	if (db_exec(l->s.db, DB_PURGE_DONE, DB_ARGS(db_int(os_now_ms()), db_id(l->purge.id)), NULL) == HF_E_OK)
		link_rights_purged(l, l->purge.id);
	wait_for(l, 0); /* is there another one? */
}

/* Deadline, next step, or another try: in a timer, as a connection cannot be freed from inside its own callback. */
void link_purge_on_timer(struct os_timer *t)
{
	struct link *l = t->ctx;
	bool gone = l->purge.phase == LINK_PURGE_UP, late = l->purge.phase == LINK_PURGE_CONNECTING;

	link_conn_close(&l->purge.conn);
	l->purge.phase = LINK_PURGE_IDLE;
	if (late)
		wait_for(l, RETRY_MS);
	else if (!gone)
		link_purge_next(l);
	else if (++l->purge.step < FORMS)
		begin(l);
	else
		finish(l);
}

void link_purge_on_up(struct link *l)
{
	l->purge.phase = LINK_PURGE_UP;
	wait_for(l, 0);
}

void link_purge_stop(struct link *l)
{
	os_timer_clear(l->s.loop, &l->purge.timer);
	link_conn_close(&l->purge.conn);
	l->purge.phase = LINK_PURGE_IDLE;
}
