/* conf - is a port taken, and by whom. Opens no socket. Uses: /proc/net/tcp, /proc/net/tcp6, /proc/PID/fd. */
#include "conf/conf_internal.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TCP_LISTEN_STATE = 0x0a, TABLE_LINE_MAX = 512 };

/* A listening socket. An IPv4 address stands in the last four bytes, as ::ffff:a.b.c.d. */
struct listener {
	struct in6_addr address;
	unsigned port, uid;
	unsigned long inode;
};

static const struct in6_addr mapped_prefix = {.s6_addr = {[10] = 0xff, [11] = 0xff}};

static bool is_any(const struct in6_addr *a)
{
	struct in6_addr rest = *a;

	if (memcmp(a, &mapped_prefix, 12) == 0)
		memset(rest.s6_addr, 0, 12);
	return IN6_IS_ADDR_UNSPECIFIED(&rest);
}

static struct in6_addr address_of(const char *text)
{
	struct in6_addr a = mapped_prefix;

	if (inet_pton(AF_INET, text, &a.s6_addr[12]) != 1 && inet_pton(AF_INET6, text, &a) != 1)
		a = in6addr_any;
	return a;
}

/* The kernel prints an address as 32-bit words of the machine's own byte order: 8 or 32 hex digits. */
static bool address_read(const char *hex, size_t len, struct in6_addr *out)
{
	uint32_t words[4];
	size_t count = len / 8;

	*out = mapped_prefix;
	if (len % 8 || (count != 1 && count != 4))
		return false;
	for (size_t i = 0; i < count; i++) {
		char digits[9] = "";

		memcpy(digits, hex + i * 8, 8);
		words[i] = (uint32_t)strtoul(digits, NULL, 16);
	}
	memcpy(count == 1 ? &out->s6_addr[12] : out->s6_addr, words, count * 4);
	return true;
}

/* Reads a line of /proc/net/tcp: `sl local:port remote:port st tx:rx tr:when retrnsmt uid timeout inode ...`. */
static bool listener_read(const char *line, struct listener *out)
{
	char address[33], port[5], state[3], uid[11], inode[21];

	if (sscanf(line, " %*s %32[0-9A-F]:%4[0-9A-F] %*s %2[0-9A-F] %*s %*s %*s %10[0-9] %*s %20[0-9]", address, port,
	           state, uid, inode) != 5 ||
	    strtoul(state, NULL, 16) != TCP_LISTEN_STATE)
		return false;
	out->port = (unsigned)strtoul(port, NULL, 16);
	out->uid = (unsigned)strtoul(uid, NULL, 10);
	out->inode = strtoul(inode, NULL, 10);
	return address_read(address, strlen(address), &out->address);
}

static bool clashes(const struct listener *l, const struct in6_addr *address, unsigned port)
{
	return l->port == port &&
	       (is_any(&l->address) || is_any(address) || memcmp(&l->address, address, sizeof *address) == 0);
}

static bool table_search(const char *path, const struct in6_addr *address, unsigned port, struct listener *out)
{
	char line[TABLE_LINE_MAX];
	FILE *f = fopen(path, "re");
	bool found = false;

	while (f && !found && fgets(line, sizeof line, f))
		found = listener_read(line, out) && clashes(out, address, port);
	if (f)
		fclose(f);
	return found;
}

static bool listener_find(const char *text, unsigned port, struct listener *out)
{
	struct in6_addr address = address_of(text);

	return table_search("/proc/net/tcp", &address, port, out) || table_search("/proc/net/tcp6", &address, port, out);
}

static bool process_has(const char *pid, const char *target)
{
	char path[CONF_PATH_MAX], link[64];
	bool found = false;

	snprintf(path, sizeof path, "/proc/%s/fd", pid);
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && !found && (entry = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, link, sizeof link - 1);

		link[n > 0 ? n : 0] = '\0';
		found = strcmp(link, target) == 0;
	}
	if (dir)
		closedir(dir);
	return found;
}

static void process_name(const char *pid, char out[64])
{
	char path[CONF_PATH_MAX];

	snprintf(path, sizeof path, "/proc/%s/comm", pid);
	FILE *f = fopen(path, "re");

	if (!f || !fgets(out, 64, f))
		snprintf(out, 64, "a program");
	out[strcspn(out, "\n")] = '\0';
	if (f)
		fclose(f);
}

/* Looks through all processes for the one that holds the socket. */
static bool holder_find(unsigned long inode, char out[CONF_TEXT_MAX])
{
	char target[64], name[64];
	bool found = false;
	DIR *dir = opendir("/proc");
	struct dirent *entry;

	snprintf(target, sizeof target, "socket:[%lu]", inode);
	while (dir && !found && (entry = readdir(dir))) {
		if (!isdigit((unsigned char)entry->d_name[0]) || !process_has(entry->d_name, target))
			continue;
		process_name(entry->d_name, name);
		snprintf(out, CONF_TEXT_MAX, "%s (process %.16s)", name, entry->d_name);
		found = true;
	}
	if (dir)
		closedir(dir);
	return found;
}

bool conf_port_taken(const char *address, unsigned port)
{
	struct listener l;

	return listener_find(address, port, &l);
}

void conf_port_owner(const char *address, unsigned port, char out[CONF_TEXT_MAX])
{
	struct listener l;

	if (!listener_find(address, port, &l)) {
		snprintf(out, CONF_TEXT_MAX, "nobody");
		return;
	}
	if (holder_find(l.inode, out))
		return;
	struct passwd *user = getpwuid(l.uid);

	snprintf(out, CONF_TEXT_MAX, "a process of user %s (only root may see which)", user ? user->pw_name : "unknown");
}
