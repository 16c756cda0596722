/* sandbox - paths and TCP ports by Landlock. Uses: system calls; the header may be older than the kernel. */
#include "sandbox/sandbox_internal.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Rights that this kernel header may not know yet, and the version of Landlock that brought each. */
enum {
	FS_ALL_1 = (1 << 13) - 1,
	FS_REFER_2 = 1 << 13,
	FS_TRUNCATE_3 = 1 << 14,
	FS_IOCTL_DEV_5 = 1 << 15,
	NET_BIND_4 = 1,
	NET_CONNECT_4 = 2,
	SCOPE_ALL_6 = 3, /* abstract unix sockets, signals */
	RULE_NET_PORT = 2,
	FS_FILE_RIGHTS = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |
	                 FS_TRUNCATE_3 | FS_IOCTL_DEV_5
};

struct ruleset {
	uint64_t fs, net, scoped;
};
struct port_rule {
	uint64_t access, port;
};
struct step {
	int version;
	struct ruleset adds;
};
static const struct step steps[] = {
	{1, {.fs = FS_ALL_1}},       {2, {.fs = FS_REFER_2}},
	{3, {.fs = FS_TRUNCATE_3}},  {4, {.net = NET_BIND_4 | NET_CONNECT_4}},
	{5, {.fs = FS_IOCTL_DEV_5}}, {6, {.scoped = SCOPE_ALL_6}},
};

int sandbox_landlock_version(void)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return version > 0 ? (int)version : 0;
}

static struct ruleset handled_by(int version)
{
	struct ruleset all = {0};

	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
		if (version >= steps[i].version) {
			all.fs |= steps[i].adds.fs;
			all.net |= steps[i].adds.net;
			all.scoped |= steps[i].adds.scoped;
		}
	return all;
}

/* A path that is not there needs no rule. */
static bool path_allow(int ruleset, const struct sandbox_path *p, uint64_t handled)
{
	struct stat st;
	int fd = open(p->path, O_PATH | O_CLOEXEC);

	if (fd < 0)
		return true;
	bool ok = fstat(fd, &st) == 0;
	uint64_t rights = p->access & handled & (ok && S_ISDIR(st.st_mode) ? ~UINT64_C(0) : (uint64_t)FS_FILE_RIGHTS);
	struct landlock_path_beneath_attr rule = {.allowed_access = rights, .parent_fd = fd};

	ok = ok && syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
	close(fd);
	return ok;
}

static bool ports_allow(int ruleset, const unsigned *ports, size_t count, uint64_t access)
{
	for (size_t i = 0; i < count; i++) {
		struct port_rule rule = {access, ports[i]};

		if (syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &rule, 0) != 0)
			return false;
	}
	return true;
}

bool sandbox_landlock_enter(const struct sandbox_plan *p, int version)
{
	struct ruleset handled = handled_by(version);
	int ruleset = (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0);

	if (ruleset < 0)
		return false;
	bool ok = true;

	for (size_t i = 0; ok && i < p->path_count; i++)
		ok = path_allow(ruleset, &p->paths[i], handled.fs);
	if (ok && handled.net)
		ok = ports_allow(ruleset, p->bind_ports, p->bind_count, NET_BIND_4) &&
		     ports_allow(ruleset, p->connect_ports, p->connect_count, NET_CONNECT_4);
	ok = ok && syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
	close(ruleset);
	return ok;
}
