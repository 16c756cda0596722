/* sandbox - the two fences, one file each. */
#ifndef SANDBOX_INTERNAL_H
#define SANDBOX_INTERNAL_H
#include "sandbox/sandbox.h"

/* Bits for the ROLES columns of rules.def and syscalls.def. */
enum {
	SANDBOX_BIT_SIGNER = 1 << SANDBOX_SIGNER,
	SANDBOX_BIT_SERVER = 1 << SANDBOX_SERVER,
	SANDBOX_BIT_BROKER = 1 << SANDBOX_BROKER
};

/* Restricts paths and ports. False: errno says why. */
bool sandbox_landlock_enter(const struct sandbox_plan *p, int version);
/* Restricts system calls. False: errno says why. */
bool sandbox_seccomp_enter(const struct sandbox_plan *p);

#endif
