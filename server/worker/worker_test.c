/* worker tests - jobs come back in order, the queue has an end, dropped jobs are released once, stopping loses nothing. Uses: worker, cmocka. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/server_stage.h"
#include "worker/worker.h"

enum { JOBS = 200, GUARD_MS = 20000 };

struct task {
	struct worker_job job; /* first */
	int64_t value; /* of the setting, as the thread saw it */
	unsigned runs, runs_wanted, releases;
	int gate; /* the thread waits until it may read a byte here; -1 = it does not */
	bool writes;
	enum hf_err err;
};

static struct stage stage;
static struct os_loop loop;
static struct os_timer guard;
static struct worker *worker;
static struct task task[JOBS];
static unsigned done_count, done_wanted;
static size_t done_order[JOBS];

static void on_guard(struct os_timer *t)
{
	(void)t;
	fail_msg("the worker did not answer in time");
}

static void run(struct worker_job *j, struct db *db)
{
	struct task *t = (struct task *)j;
	char byte;

	if (t->gate >= 0)
		assert_int_equal(read(t->gate, &byte, 1), 1);
	t->runs++;
	t->err = t->writes ? db_exec(db, DB_SETTING_PUT, DB_ARGS(db_text("x"), db_int(9)), NULL)
	                   : db_get_int(db, DB_SETTING_GET, DB_ARGS(db_text("x")), -1, &t->value);
}

static void done(struct worker_job *j)
{
	struct task *t = (struct task *)j;

	if (t->runs < t->runs_wanted) {
		worker_again(worker, j);
		return;
	}
	done_order[done_count++] = (size_t)(t - task);
	if (done_count == done_wanted)
		os_loop_stop(&loop);
}

static void release(struct worker_job *j)
{
	((struct task *)j)->releases++;
}

static void until_done(unsigned count)
{
	done_count = 0;
	done_wanted = count;
	loop.stopping = false;
	os_timer_set(&loop, &guard, os_monotonic_ms() + GUARD_MS);
	assert_int_equal(os_loop_run(&loop), HF_E_OK);
}

static void put(int64_t value)
{
	assert_int_equal(db_exec(stage.db, DB_SETTING_PUT, DB_ARGS(db_text("x"), db_int(value)), NULL), HF_E_OK);
	assert_int_equal(db_commit(stage.db), HF_E_OK);
}

static int set_up(void **state)
{
	(void)state;
	stage_begin(&stage);
	for (size_t i = 0; i < JOBS; i++)
		task[i] = (struct task){.job = {.run = run, .done = done, .release = release}, .gate = -1, .runs_wanted = 1};
	assert_int_equal(os_loop_init(&loop), HF_E_OK);
	guard = (struct os_timer){.on_due = on_guard};
	assert_int_equal(worker_start(&loop, stage.path, &worker), HF_E_OK);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	worker_stop(worker);
	os_loop_release(&loop);
	stage_end(&stage);
	return 0;
}

static void jobs_come_back_in_order(void **state)
{
	(void)state;
	put(7);
	for (size_t i = 0; i < 100; i++)
		assert_int_equal(worker_submit(worker, &task[i].job), HF_E_OK);
	until_done(100);
	for (size_t i = 0; i < 100; i++)
		assert_true(done_order[i] == i && task[i].value == 7 && task[i].runs == 1);
	assert_int_equal(worker_counts(worker).runs, 100);
}

static void each_run_sees_what_was_committed(void **state)
{
	(void)state;
	for (int64_t v = 1; v <= 20; v++) {
		put(v);
		task[0].runs = 0;
		assert_int_equal(worker_submit(worker, &task[0].job), HF_E_OK);
		until_done(1);
		assert_int_equal(task[0].value, v);
	}
}

static void a_long_job_runs_again(void **state)
{
	(void)state;
	task[0].runs_wanted = 50;
	assert_int_equal(worker_submit(worker, &task[0].job), HF_E_OK);
	assert_int_equal(worker_submit(worker, &task[1].job), HF_E_OK);
	until_done(2);
	assert_true(done_order[0] == 1 && done_order[1] == 0); /* the short one went between */
	assert_int_equal(task[0].runs, 50);
}

static void the_thread_cannot_write(void **state)
{
	(void)state;
	put(3);
	task[0].writes = true;
	assert_int_equal(worker_submit(worker, &task[0].job), HF_E_OK);
	until_done(1);
	assert_int_equal(task[0].err, HF_E_DATABASE);
	assert_int_equal(worker_submit(worker, &task[1].job), HF_E_OK);
	until_done(1);
	assert_int_equal(task[1].value, 3);
}

/* The first job is held at its gate, so that the others stay queued. */
static void a_full_queue_refuses(void **state)
{
	int gate[2];
	size_t taken = 1;

	(void)state;
	assert_int_equal(pipe(gate), 0);
	task[0].gate = gate[0];
	assert_int_equal(worker_submit(worker, &task[0].job), HF_E_OK);
	while (taken < JOBS && worker_submit(worker, &task[taken].job) == HF_E_OK)
		taken++;
	assert_in_range(taken, WORKER_QUEUE_MAX, WORKER_QUEUE_MAX + 1); /* the first may have left the queue already */
	assert_int_equal(worker_counts(worker).refused, 1);
	worker_again(worker, &task[JOBS - 1].job); /* one that was taken before */
	assert_int_equal(write(gate[1], "x", 1), 1);
	until_done((unsigned)taken + 1);
	assert_int_equal(worker_submit(worker, &task[JOBS - 2].job), HF_E_OK);
	until_done(1);
	close(gate[0]);
	close(gate[1]);
}

/* Dropped while idle, queued, running and run, but not collected: released once each, and never done. */
static void dropped_in_every_state(void **state)
{
	int gate[2];

	(void)state;
	assert_int_equal(pipe(gate), 0);
	worker_drop(worker, &task[0].job);
	assert_int_equal(task[0].releases, 1);
	task[1].gate = gate[0];
	assert_int_equal(worker_submit(worker, &task[1].job), HF_E_OK);
	assert_int_equal(worker_submit(worker, &task[2].job), HF_E_OK);
	assert_int_equal(worker_submit(worker, &task[3].job), HF_E_OK);
	while (worker_counts(worker).runs == 0)
		usleep(100);
	worker_drop(worker, &task[1].job);
	worker_drop(worker, &task[2].job);
	assert_true(task[1].releases == 0 && task[2].releases == 1);
	assert_int_equal(write(gate[1], "x", 1), 1);
	until_done(1);
	assert_true(done_order[0] == 3 && task[1].releases == 1 && task[2].runs == 0);
	assert_int_equal(worker_submit(worker, &task[4].job), HF_E_OK);
	while (worker_counts(worker).runs < 3)
		usleep(100);
	worker_drop(worker, &task[4].job); /* running or finished: either way it comes back first */
	assert_int_equal(worker_submit(worker, &task[5].job), HF_E_OK);
	until_done(1);
	assert_true(done_order[0] == 5 && task[4].releases == 1);
	close(gate[0]);
	close(gate[1]);
}

static void stopping_releases_what_was_dropped(void **state)
{
	(void)state;
	for (size_t i = 0; i < 50; i++)
		assert_int_equal(worker_submit(worker, &task[i].job), HF_E_OK);
	for (size_t i = 0; i < 50; i++)
		worker_drop(worker, &task[i].job);
	worker_stop(worker);
	for (size_t i = 0; i < 50; i++)
		assert_int_equal(task[i].releases, 1);
	worker = NULL; /* tear_down then has nothing to stop */
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(jobs_come_back_in_order),
		CASE(each_run_sees_what_was_committed),
		CASE(a_long_job_runs_again),
		CASE(the_thread_cannot_write),
		CASE(a_full_queue_refuses),
		CASE(dropped_in_every_state),
		CASE(stopping_releases_what_was_dropped),
	};

	return cmocka_run_group_tests_name("worker", tests, NULL, NULL);
}
