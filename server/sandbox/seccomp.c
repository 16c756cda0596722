/* sandbox - system calls by seccomp, from the rows of syscalls.def. Uses: libseccomp. */
#include "sandbox/sandbox_internal.h"

#include <errno.h>
#include <linux/tiocl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SIGNER = SANDBOX_BIT_SIGNER, SERVER = SANDBOX_BIT_SERVER, BROKER = SANDBOX_BIT_BROKER };

struct row {
	unsigned roles;
	int call;
	unsigned compared; /* arguments */
	struct scmp_arg_cmp compare;
};
static const struct row rows[] = {
#define DENY(roles, call) {(roles), SCMP_SYS(call), 0, {0, SCMP_CMP_EQ, 0, 0}},
#define DENY_IF(roles, call, argument, op, a, b) {(roles), SCMP_SYS(call), 1, {(argument), (op), (a), (b)}},
#include "sandbox/syscalls.def"
};

/* Signals to others; the address of the one program that may be run. These depend on the process. */
static int own_rows_add(scmp_filter_ctx filter, const struct sandbox_plan *p)
{
	static const int signalling[] = {SCMP_SYS(kill), SCMP_SYS(tgkill), SCMP_SYS(rt_sigqueueinfo),
	                                 SCMP_SYS(rt_tgsigqueueinfo)};
	const uint32_t deny = SCMP_ACT_ERRNO(EPERM);
	int err = seccomp_rule_add(filter, deny, SCMP_SYS(tkill), 0);

	for (size_t i = 0; !err && i < sizeof signalling / sizeof signalling[0]; i++)
		err = seccomp_rule_add(filter, deny, signalling[i], 1, SCMP_A0(SCMP_CMP_NE, (scmp_datum_t)getpid(), 0));
	if (!err && p->program)
		err = seccomp_rule_add(filter, deny, SCMP_SYS(execve), 1,
		                       SCMP_A0(SCMP_CMP_NE, (scmp_datum_t)(uintptr_t)p->program, 0));
	if (!err)
		err = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	return err;
}

bool sandbox_seccomp_enter(const struct sandbox_plan *p)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int err = filter ? seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2) : -ENOMEM;

	for (size_t i = 0; !err && i < sizeof rows / sizeof rows[0]; i++)
		if (rows[i].roles & 1U << p->role)
			err =
				seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EPERM), rows[i].call, rows[i].compared, &rows[i].compare);
	if (!err)
		err = own_rows_add(filter, p);
	if (!err)
		err = seccomp_load(filter);
	if (filter)
		seccomp_release(filter);
	errno = -err;
	return err == 0;
}
