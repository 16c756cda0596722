/* os - the event loop: epoll, timers, and a frame around each turn. Uses: base; Linux. */
#include "os/os.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

_Static_assert((int)OS_READ == (int)EPOLLIN && (int)OS_WRITE == (int)EPOLLOUT, "event bits are epoll's");
enum { EVENTS_A_TURN = 64 };

enum hf_err os_loop_init(struct os_loop *l)
{
	*l = (struct os_loop){.epoll_fd = epoll_create1(EPOLL_CLOEXEC)};
	return l->epoll_fd >= 0 ? HF_E_OK : HF_E_IO;
}

void os_loop_release(struct os_loop *l)
{
	close(l->epoll_fd);
}

enum hf_err os_watch_set(struct os_loop *l, struct os_watch *w, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.ptr = w};

	if (w->loop && w->events == events)
		return HF_E_OK;
	if (epoll_ctl(l->epoll_fd, w->loop ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, w->fd, &e) != 0)
		return HF_E_IO;
	w->loop = l;
	w->events = events;
	return HF_E_OK;
}

void os_watch_clear(struct os_watch *w)
{
	if (!w->loop)
		return;
	epoll_ctl(w->loop->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL); /* fails only when the descriptor is closed already */
	w->loop = NULL;
	w->events = 0;
}

void os_timer_clear(struct os_loop *l, struct os_timer *t)
{
	for (struct os_timer **at = &l->timers; *at && t->armed; at = &(*at)->next) {
		if (*at != t)
			continue;
		*at = t->next;
		t->armed = false;
		return;
	}
}

void os_timer_set(struct os_loop *l, struct os_timer *t, int64_t due_ms)
{
	struct os_timer **at = &l->timers;

	os_timer_clear(l, t);
	t->due_ms = due_ms;
	t->turn = l->turn;
	while (*at && (*at)->due_ms <= due_ms)
		at = &(*at)->next;
	t->next = *at;
	t->armed = true;
	*at = t;
}

static int wait_ms(const struct os_loop *l)
{
	if (!l->timers)
		return -1;
	int64_t left = l->timers->due_ms - os_monotonic_ms();

	return left <= 0 ? 0 : left > 60000 ? 60000 : (int)left;
}

static struct os_timer *next_due(const struct os_loop *l, int64_t now)
{
	struct os_timer *t = l->timers;

	while (t && t->due_ms <= now && t->turn == l->turn)
		t = t->next;
	return t && t->due_ms <= now ? t : NULL;
}

/* Each timer at most once a turn: one that is set anew for now waits for the next. */
static void run_timers(struct os_loop *l)
{
	int64_t now = os_monotonic_ms();
	struct os_timer *t;

	l->turn++;
	for (unsigned n = 0; n < EVENTS_A_TURN && (t = next_due(l, now)); n++) {
		os_timer_clear(l, t);
		t->on_due(t);
	}
}

static enum hf_err turn(struct os_loop *l)
{
	struct epoll_event ready[EVENTS_A_TURN];
	int n = epoll_wait(l->epoll_fd, ready, EVENTS_A_TURN, wait_ms(l));

	if (n < 0 && errno != EINTR)
		return HF_E_IO;
	if (l->turn_begin)
		l->turn_begin(l->ctx);
	for (int i = 0; i < n; i++) {
		struct os_watch *w = ready[i].data.ptr;

		if (w->loop) /* an earlier handler of this turn may have cleared it */
			w->on_ready(w, ready[i].events);
	}
	run_timers(l);
	if (l->turn_end)
		l->turn_end(l->ctx);
	return HF_E_OK;
}

enum hf_err os_loop_run(struct os_loop *l)
{
	enum hf_err err = HF_E_OK;

	while (!l->stopping && err == HF_E_OK)
		err = turn(l);
	return err;
}

void os_loop_stop(struct os_loop *l)
{
	l->stopping = true;
}
