/* daemon - how much memory a child takes. Uses: os; Linux. */
#include "daemon/daemon.h"

#include <stdio.h>
#include <unistd.h>

int64_t daemon_memory_bytes(pid_t pid)
{
	char path[64];
	long long pages = 0;

	(void)snprintf(path, sizeof path, "/proc/%d/statm", pid);
	FILE *file = fopen(path, "re");

	if (!file)
		return 0;
	bool read = fscanf(file, "%*d %lld", &pages) == 1;

	fclose(file);
	return read ? pages * sysconf(_SC_PAGESIZE) : 0;
}
