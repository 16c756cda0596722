/* fuzz - the worker as the http target plays it: jobs run when they are asked for, in the one thread. Uses: worker. */
#include "fuzz/http_worker.h"

static struct worker_job *first;

void worker_play(struct db *db)
{
	struct worker_job *j;

	while ((j = first) != NULL) {
		first = j->next;
		j->run(j, db);
		j->state = WORKER_IDLE;
		j->done(j);
	}
}

void worker_again(struct worker *w, struct worker_job *j)
{
	struct worker_job **at = &first;

	(void)w;
	while (*at)
		at = &(*at)->next;
	*at = j;
	j->next = NULL;
	j->state = WORKER_QUEUED;
}

enum hf_err worker_submit(struct worker *w, struct worker_job *j)
{
	worker_again(w, j);
	return HF_E_OK;
}

void worker_drop(struct worker *w, struct worker_job *j)
{
	(void)w;
	for (struct worker_job **at = &first; *at; at = &(*at)->next)
		if (*at == j) {
			*at = j->next;
			break;
		}
	j->release(j);
}

struct worker_counts worker_counts(struct worker *w)
{
	(void)w;
	return (struct worker_counts){0};
}
