/* faults - what the files of the shim share: points, unsynced writes. Test only; Linux. */
#ifndef FAULTS_FAULTS_H
#define FAULTS_FAULTS_H
#include "tests/faults/page.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* One passing of a point: its name, what it is about (may be NULL), its connection (may be NULL). */
struct faults_point {
	const char *name, *detail;
	const void *object;
};

/* The page, NULL when the process runs without faults. */
const struct faults_page *faults_page(void);
/* Does some rule of this process name a point of this name? Then its detail is worth looking up. */
bool faults_watches(const char *name);
/* To be called before and after the real call. true: the call must fail with *value instead. Never returns from a kill. */
bool faults_before(const struct faults_point *p, int *value);
void faults_after(const struct faults_point *p);

/* Finds the next definition of a function. */
void faults_real(const char *name, void *function, size_t size);

/* Remembers what a write is about to overwrite, until its file is synced. at: -1 for the file's own position. */
void faults_wrote(int fd, off_t at, size_t len);
void faults_synced(int fd);
/* The power goes: what was not synced was never written. */
void faults_undo(void);

#endif
