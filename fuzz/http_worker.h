/* fuzz - the worker that the http target plays itself. Uses: worker. */
#ifndef FUZZ_HTTP_WORKER_H
#define FUZZ_HTTP_WORKER_H
#include "worker/worker.h"

/* Does all that waits, on this connection, as the worker's thread and the loop would. */
void worker_play(struct db *db);

#endif
