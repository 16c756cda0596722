/* daemon - how much memory a child takes. Uses: os; Linux. */
#include "daemon/daemon.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int64_t daemon_memory_bytes(pid_t pid)
{
	char path[64], text[128] = "", *resident;
	long long pages = 0;

	(void)snprintf(path, sizeof path, "/proc/%d/statm", pid);
	FILE *file = fopen(path, "re");

	if (!file)
		return 0;
	if (fgets(text, sizeof text, file) && (resident = strchr(text, ' '))) /* the second number */
		pages = strtoll(resident, NULL, 10);
	fclose(file);
	return pages * sysconf(_SC_PAGESIZE);
}
