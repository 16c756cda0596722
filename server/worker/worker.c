/* worker - slow reading off the loop: one thread, a bounded queue, an eventfd back. Uses: base os db; pthread.
 * The lock guards the two queues, the jobs' states and the counters; it is the only one in the house. */
#include "worker/worker.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct queue {
	struct worker_job *first, **end;
	size_t count;
};
struct worker {
	struct db *db; /* the thread's */
	struct os_watch watch; /* the loop's */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wanted;
	struct queue waiting, finished;
	struct worker_counts counts;
	bool stopping;
};

static void put(struct queue *q, struct worker_job *j)
{
	j->next = NULL;
	*q->end = j;
	q->end = &j->next;
	q->count++;
}

static struct worker_job *take(struct queue *q)
{
	struct worker_job *j = q->first;

	if (!j)
		return NULL;
	q->first = j->next;
	if (!q->first)
		q->end = &q->first;
	q->count--;
	return j;
}

static void take_out(struct queue *q, struct worker_job *j)
{
	struct worker_job **at = &q->first;

	while (*at != j)
		at = &(*at)->next;
	*at = j->next;
	if (!*at)
		q->end = at;
	q->count--;
}

static struct worker_job *wait_for_work(struct worker *w)
{
	pthread_mutex_lock(&w->lock);
	while (!w->waiting.first && !w->stopping)
		pthread_cond_wait(&w->wanted, &w->lock);
	struct worker_job *j = w->stopping ? NULL : take(&w->waiting);

	if (j) {
		j->state = WORKER_RUNNING;
		w->counts.runs++;
	}
	pthread_mutex_unlock(&w->lock);
	return j;
}

static void *serve(void *ctx)
{
	struct worker *w = ctx;
	struct worker_job *j;

	while ((j = wait_for_work(w)) != NULL) {
		j->run(j, w->db);
		db_rollback(w->db); /* a snapshot that stays open keeps the write-ahead log from shrinking */
		pthread_mutex_lock(&w->lock);
		j->state = WORKER_FINISHED;
		put(&w->finished, j);
		pthread_mutex_unlock(&w->lock);
		(void)eventfd_write(w->watch.fd, 1); /* it fails only when it is readable anyway */
	}
	return NULL;
}

/* One by one: what done does may drop another. */
static struct worker_job *next_finished(struct worker *w, bool *dropped)
{
	pthread_mutex_lock(&w->lock);
	struct worker_job *j = take(&w->finished);

	if (j) {
		j->state = WORKER_IDLE;
		*dropped = j->dropped;
	}
	pthread_mutex_unlock(&w->lock);
	return j;
}

static void collect(struct worker *w)
{
	struct worker_job *j;
	bool dropped = false;

	while ((j = next_finished(w, &dropped)) != NULL) {
		if (dropped)
			j->release(j);
		else
			j->done(j);
	}
}

static void on_ready(struct os_watch *watch, uint32_t events)
{
	eventfd_t count;

	(void)events;
	(void)eventfd_read(watch->fd, &count);
	collect(watch->ctx);
}

enum hf_err worker_start(struct os_loop *loop, const char *db_path, struct worker **out)
{
	struct worker *w = calloc(1, sizeof *w);

	if (!w)
		return HF_E_MEMORY;
	w->waiting.end = &w->waiting.first;
	w->finished.end = &w->finished.first;
	w->watch = (struct os_watch){.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), .on_ready = on_ready, .ctx = w};
	enum hf_err err = w->watch.fd >= 0 ? os_watch_set(loop, &w->watch, OS_READ) : HF_E_IO;

	if (err == HF_E_OK)
		err = db_open_reader(db_path, &w->db);
	if (err == HF_E_OK && (pthread_mutex_init(&w->lock, NULL) != 0 || pthread_cond_init(&w->wanted, NULL) != 0 ||
	                       pthread_create(&w->thread, NULL, serve, w) != 0))
		err = HF_E_IO;
	if (err == HF_E_OK) {
		*out = w;
		return HF_E_OK;
	}
	os_watch_clear(&w->watch);
	if (w->watch.fd >= 0)
		close(w->watch.fd);
	db_close(w->db);
	free(w);
	return err;
}

void worker_stop(struct worker *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->stopping = true;
	pthread_cond_signal(&w->wanted);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	collect(w);
	os_watch_clear(&w->watch);
	close(w->watch.fd);
	pthread_cond_destroy(&w->wanted);
	pthread_mutex_destroy(&w->lock);
	db_close(w->db);
	free(w);
}

static enum hf_err enqueue(struct worker *w, struct worker_job *j, size_t max)
{
	pthread_mutex_lock(&w->lock);
	bool taken = w->waiting.count < max;

	if (taken) {
		j->state = WORKER_QUEUED;
		put(&w->waiting, j);
		pthread_cond_signal(&w->wanted);
	} else {
		w->counts.refused++;
	}
	pthread_mutex_unlock(&w->lock);
	return taken ? HF_E_OK : HF_E_BUSY;
}

enum hf_err worker_submit(struct worker *w, struct worker_job *j)
{
	return enqueue(w, j, WORKER_QUEUE_MAX);
}

void worker_again(struct worker *w, struct worker_job *j)
{
	(void)enqueue(w, j, SIZE_MAX);
}

void worker_drop(struct worker *w, struct worker_job *j)
{
	pthread_mutex_lock(&w->lock);
	bool ours = j->state == WORKER_IDLE || j->state == WORKER_QUEUED;

	if (j->state == WORKER_QUEUED)
		take_out(&w->waiting, j);
	j->dropped = true;
	pthread_mutex_unlock(&w->lock);
	if (ours)
		j->release(j);
}

struct worker_counts worker_counts(struct worker *w)
{
	pthread_mutex_lock(&w->lock);
	struct worker_counts c = w->counts;

	c.queued = w->waiting.count;
	pthread_mutex_unlock(&w->lock);
	return c;
}
