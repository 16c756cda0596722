/* worker - slow reading off the loop: one thread with a connection of its own; jobs in, results back in a turn. Uses: base os db. */
#ifndef WORKER_H
#define WORKER_H
#include "base/base.h"
#include "db/db.h"
#include "os/os.h"

struct worker;

/* A piece of work; the first member of the owner's own struct, set to zero before its first use. Between worker_submit and done it
 * is the thread's: the loop may only drop it. */
struct worker_job {
	/* In the thread, inside a reading transaction. Takes WORKER_SLICE_MS at most; what is longer asks to be run again. */
	void (*run)(struct worker_job *j, struct db *db);
	/* In the loop, when run has ended. */
	void (*done)(struct worker_job *j);
	void (*release)(struct worker_job *j);
	/* Inside: */
	enum { WORKER_IDLE, WORKER_QUEUED, WORKER_RUNNING, WORKER_FINISHED } state;
	bool dropped;
	struct worker_job *next;
};
enum { WORKER_QUEUE_MAX = 128, WORKER_SLICE_MS = 20 };

struct worker_counts {
	uint64_t runs, refused;
	size_t queued;
};

/* Starts the thread; signals are blocked in it as they are in the caller. Errors: DATABASE, IO, MEMORY. */
HF_NODISCARD enum hf_err worker_start(struct os_loop *loop, const char *db_path, struct worker **out);
/* Lets the job that runs end, then ends the thread. All jobs must be dropped. w may be NULL. */
void worker_stop(struct worker *w);
/* Queues a job that is idle. Errors: BUSY (the queue is full; counted). */
HF_NODISCARD enum hf_err worker_submit(struct worker *w, struct worker_job *j);
/* The same for one that was taken before: never refused, as each has at most one place. */
void worker_again(struct worker *w, struct worker_job *j);
/* The owner no longer wants it: it is released now or, if the thread has it, when it comes back; done is not called again. */
void worker_drop(struct worker *w, struct worker_job *j);
struct worker_counts worker_counts(struct worker *w);

#endif
