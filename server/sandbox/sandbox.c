/* sandbox - plans from rules.def, capabilities, and the order in which a process gives things up. Uses: base, conf. */
#include "sandbox/sandbox_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SIGNER = SANDBOX_BIT_SIGNER, SERVER = SANDBOX_BIT_SERVER, BROKER = SANDBOX_BIT_BROKER };
enum { TRUNCATE = 1 << 14, DNS_PORT = 53, LEVEL_MAX = 64 };

#define READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define UPDATE (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | TRUNCATE)
#define WRITE (READ | UPDATE | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE)
#define RUN (READ | LANDLOCK_ACCESS_FS_EXECUTE)

struct own_row {
	unsigned roles;
	uint64_t access;
	enum conf_place place;
};
static const struct own_row own_rows[] = {
#define OWN(roles, access, PLACE) {(roles), (access), CONF_PLACE_##PLACE},
#define SYSTEM(roles, access, path)
#include "sandbox/rules.def"
};
struct system_row {
	unsigned roles;
	uint64_t access;
	const char *path;
};
static const struct system_row system_rows[] = {
#define OWN(roles, access, PLACE)
#define SYSTEM(roles, access, path) {(roles), (access), (path)},
#include "sandbox/rules.def"
};

static char level[LEVEL_MAX] = "off";

const char *sandbox_level(void)
{
	return level;
}

static struct sandbox_path *path_add(struct sandbox_plan *p, uint64_t access)
{
	_Static_assert(sizeof own_rows / sizeof own_rows[0] + sizeof system_rows / sizeof system_rows[0] + 2 <=
	                   SANDBOX_PATHS_MAX,
	               "a plan has room for every row");
	struct sandbox_path *path = &p->paths[p->path_count++];

	path->access = access;
	return path;
}

static void port_add(unsigned *ports, size_t *count, unsigned port)
{
	ports[(*count)++] = port;
}

/* Ports and programs depend on the configuration. */
static void plan_for_role(const struct conf *c, struct sandbox_plan *p)
{
	if (p->role == SANDBOX_SERVER) {
		port_add(p->bind_ports, &p->bind_count, conf_https_port(c));
		port_add(p->connect_ports, &p->connect_count, conf_mqtt_port(c));
		port_add(p->connect_ports, &p->connect_count, DNS_PORT);
		snprintf(path_add(p, READ)->path, CONF_PATH_MAX, "%s", c->broker_ca);
	}
	if (p->role == SANDBOX_BROKER) {
		port_add(p->bind_ports, &p->bind_count, conf_mqtt_port(c));
		snprintf(path_add(p, RUN)->path, CONF_PATH_MAX, "%s", c->broker_program);
		snprintf(path_add(p, READ)->path, CONF_PATH_MAX, "%s", c->broker_plugin);
		p->program = c->broker_program;
	}
}

void sandbox_plan(enum sandbox_role role, const struct conf *c, struct sandbox_plan *out)
{
	*out = (struct sandbox_plan){.role = role};
	for (size_t i = 0; i < sizeof own_rows / sizeof own_rows[0]; i++)
		if (own_rows[i].roles & 1U << role)
			conf_place(c, own_rows[i].place, path_add(out, own_rows[i].access)->path);
	for (size_t i = 0; i < sizeof system_rows / sizeof system_rows[0]; i++)
		if (system_rows[i].roles & 1U << role)
			snprintf(path_add(out, system_rows[i].access)->path, CONF_PATH_MAX, "%s", system_rows[i].path);
	plan_for_role(c, out);
}

static bool capabilities_set(uint64_t effective, uint64_t permitted)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
		{.effective = (uint32_t)effective, .permitted = (uint32_t)permitted},
		{.effective = (uint32_t)(effective >> 32), .permitted = (uint32_t)(permitted >> 32)},
	};

	return syscall(SYS_capset, &head, data) == 0;
}

/* True when a folder on the way to one of the paths is closed to this user: only a capability leads through it. */
static bool is_shut_off(const struct sandbox_plan *p)
{
	bool shut = false;

	for (size_t i = 0; !shut && i < p->path_count; i++) {
		int fd = open(p->paths[i].path, O_PATH | O_CLOEXEC);

		if (fd >= 0)
			close(fd);
		shut = fd < 0 && errno == EACCES;
	}
	return shut;
}

/* Nothing is kept, but for one case: root in a checkout below another user's closed home keeps the right to walk (and
 * read) there, provided that Landlock then fences it in. */
static bool capabilities_drop(const struct sandbox_plan *p, bool fenced)
{
	const uint64_t search = UINT64_C(1) << CAP_DAC_READ_SEARCH;
	uint64_t keep = 0;

	if (geteuid() == 0 && fenced && capabilities_set(0, search) && is_shut_off(p))
		keep = search;
	return capabilities_set(keep, keep);
}

static bool bounds_set(void)
{
	const struct rlimit none = {0, 0};

	for (unsigned long cap = 0; cap < 64; cap++)
		if (cap != CAP_DAC_READ_SEARCH)
			(void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0); /* refused to plain users, who have nothing to drop */
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return setrlimit(RLIMIT_CORE, &none) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

enum hf_err sandbox_enter(const struct sandbox_plan *p, const char **failed)
{
	int landlock = sandbox_landlock_version();

	*failed = "no core dumps, no new privileges";
	if (!bounds_set())
		return HF_E_UNSUPPORTED;
	*failed = "dropping capabilities";
	if (!capabilities_drop(p, landlock > 0))
		return HF_E_UNSUPPORTED;
	*failed = "Landlock";
	if (landlock > 0 && !sandbox_landlock_enter(p, landlock))
		return HF_E_UNSUPPORTED;
	*failed = "hiding memory";
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return HF_E_UNSUPPORTED;
	*failed = "seccomp";
	if (!sandbox_seccomp_enter(p))
		return HF_E_UNSUPPORTED;
	*failed = NULL;
	if (landlock > 0)
		snprintf(level, sizeof level, "Landlock %d and seccomp", landlock);
	else
		snprintf(level, sizeof level, "seccomp only: this kernel has no Landlock");
	return HF_E_OK;
}
