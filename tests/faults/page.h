/* faults - the control page: what a test writes and the shim obeys. tests/stories/fault_page.py packs the same bytes. */
#ifndef FAULTS_PAGE_H
#define FAULTS_PAGE_H
#include <stdint.h>

enum { FAULTS_RULES = 8, FAULTS_TEXT_MAX = 96, FAULTS_PROCESS_MAX = 32 };
enum faults_action { FAULTS_OFF, FAULTS_KILL, FAULTS_POWER, FAULTS_STOP, FAULTS_FAIL };

/* At the nth and the next times - 1 passings of the point `at`, seen by one process, counted once `after` was passed.
 * A pattern is the name of a point, a space, and a part of its detail: "step INSERT INTO reading", "exec COMMIT". */
struct faults_rule {
	char process[FAULTS_PROCESS_MAX]; /* "server", "signer", the program's name, or HOLDFAST_FAULTS_NAME */
	char after[FAULTS_TEXT_MAX]; /* empty: counts at once */
	char at[FAULTS_TEXT_MAX];
	uint32_t action, late; /* late: once the real call has returned */
	uint32_t nth, times;
	int32_t value; /* FAIL: what the call returns for SQLite and MQTT, errno for the system */
	uint32_t awake, seen, fired; /* written by the shim */
	uint64_t object; /* the connection of `after`: `at` must be of the same one */
};

struct faults_page {
	int64_t clock_s; /* added to the wall clock of every process */
	uint32_t tracks; /* some rule cuts the power: unsynced writes are remembered */
	uint32_t unused;
	struct faults_rule rule[FAULTS_RULES];
};

#endif
