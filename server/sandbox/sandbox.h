/* sandbox - a process gives up what its role does not need, for good. Uses: base, os, conf; libseccomp, Landlock. */
#ifndef SANDBOX_H
#define SANDBOX_H
#include "base/base.h"
#include "conf/conf.h"

enum sandbox_role { SANDBOX_SIGNER, SANDBOX_SERVER, SANDBOX_BROKER };

enum { SANDBOX_PATHS_MAX = 64, SANDBOX_PORTS_MAX = 4 };
struct sandbox_path {
	uint64_t access; /* Landlock rights */
	char path[CONF_PATH_MAX];
};
/* What a role may still do. All that is not listed is denied. */
struct sandbox_plan {
	enum sandbox_role role;
	const char *program; /* the one pointer that execve still takes; NULL: none */
	size_t path_count, bind_count, connect_count;
	unsigned bind_ports[SANDBOX_PORTS_MAX], connect_ports[SANDBOX_PORTS_MAX]; /* TCP */
	struct sandbox_path paths[SANDBOX_PATHS_MAX];
};

/* Fills out for a role by rules.def. The broker's plan points at c->broker_program: c must outlive it. */
void sandbox_plan(enum sandbox_role role, const struct conf *c, struct sandbox_plan *out);

/* Enters: no core dumps, no new privileges, no capabilities, paths and ports by Landlock, system calls by seccomp, not
 * traceable. Call it before any thread is started; it cannot be undone, and children inherit it. Where the kernel has
 * no Landlock the rest is done and sandbox_level says so. Errors: UNSUPPORTED; failed then names the step, errno the
 * reason, and the process must not go on. */
HF_NODISCARD enum hf_err sandbox_enter(const struct sandbox_plan *p, const char **failed);

/* Landlock's version on this kernel; 0: there is none. */
int sandbox_landlock_version(void);

/* What holds for this process now: "off", "seccomp only: this kernel has no Landlock", "Landlock 7 and seccomp". */
const char *sandbox_level(void);

#endif
