/* faults - the shim that tests preload (LD_PRELOAD): passes every watched call on, and at the moment that the control page names
 * kills its process, stops it, cuts its power or lets the call fail. The page is mapped before main, so before the sandbox.
 * HOLDFAST_FAULTS: the page's file; HOLDFAST_FAULTS_NAME: what rules call this process. Test only; Linux, glibc. */
#include "tests/faults/faults.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct faults_page *page;
static char process[FAULTS_PROCESS_MAX];

/* holdfastd's children are called by their role, everybody else by the program's name, or as the environment says. */
static const char *name_of(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/'), *given = getenv("HOLDFAST_FAULTS_NAME");

	if (given)
		return given;
	for (int i = 1; i + 1 < argc; i++)
		if (strcmp(argv[i], "--role") == 0)
			return argv[i + 1];
	return slash ? slash + 1 : argv[0];
}

__attribute__((constructor)) static void begin(int argc, char **argv)
{
	const char *path = getenv("HOLDFAST_FAULTS");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

	if (fd < 0)
		return;
	void *map = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	close(fd);
	(void)snprintf(process, sizeof process, "%s", name_of(argc, argv));
	page = map != MAP_FAILED ? map : NULL;
}

const struct faults_page *faults_page(void)
{
	return page;
}

void faults_real(const char *name, void *function, size_t size)
{
	void *found = dlsym(RTLD_NEXT, name);

	if (!found)
		abort();
	memcpy(function, &found, size);
}

/* --- rules -------------------------------------------------------------------------------------------------------- */

static bool is_ours(const struct faults_rule *r)
{
	return r->action != FAULTS_OFF && strcmp(r->process, process) == 0;
}

static bool names(const char *pattern, const char *name)
{
	size_t len = strlen(name);

	return strncmp(pattern, name, len) == 0 && (pattern[len] == ' ' || pattern[len] == '\0');
}

static bool matches(const char *pattern, const struct faults_point *p)
{
	if (!names(pattern, p->name))
		return false;
	pattern += strlen(p->name);
	return *pattern == '\0' || (p->detail && strstr(p->detail, pattern + 1));
}

bool faults_watches(const char *name)
{
	for (size_t i = 0; page && i < FAULTS_RULES; i++)
		if (is_ours(&page->rule[i]) && (names(page->rule[i].after, name) || names(page->rule[i].at, name)))
			return true;
	return false;
}

static void act(const struct faults_rule *r)
{
	if (r->action == FAULTS_POWER)
		faults_undo();
	if (r->action != FAULTS_FAIL)
		(void)kill(getpid(), r->action == FAULTS_STOP ? SIGSTOP : SIGKILL);
}

static bool is_due(struct faults_rule *r, const struct faults_point *p)
{
	if (r->after[0] && !r->awake)
		return false;
	if (r->object && p->object && r->object != (uintptr_t)p->object)
		return false;
	r->seen++;
	return r->seen >= r->nth && r->seen < r->nth + r->times;
}

static bool pass(const struct faults_point *p, bool late, int *value)
{
	bool fails = false;

	for (size_t i = 0; page && i < FAULTS_RULES; i++) {
		struct faults_rule *r = &page->rule[i];

		if (!is_ours(r))
			continue;
		if (late == (r->late != 0) && matches(r->at, p) && is_due(r, p)) {
			r->fired++;
			act(r);
			*value = r->value;
			fails |= r->action == FAULTS_FAIL;
		}
		if (late && r->after[0] && !r->awake && matches(r->after, p)) {
			r->object = (uintptr_t)p->object;
			r->awake = 1;
		}
	}
	return fails;
}

bool faults_before(const struct faults_point *p, int *value)
{
	return pass(p, false, value);
}

void faults_after(const struct faults_point *p)
{
	int was = errno, value;

	(void)pass(p, true, &value);
	errno = was;
}
