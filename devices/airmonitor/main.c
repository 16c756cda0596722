/* airmonitor - main: signals become a descriptor, then the program runs. Uses: airmonitor. */
#include "devices/airmonitor/airmonitor.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* SIGTERM and SIGINT, to be waited for beside the network. */
static int open_stop(void)
{
	sigset_t set;

	(void)signal(SIGPIPE, SIG_IGN);
	if (sigemptyset(&set) != 0 || sigaddset(&set, SIGTERM) != 0 || sigaddset(&set, SIGINT) != 0 ||
	    sigprocmask(SIG_BLOCK, &set, NULL) != 0)
		return -1;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int main(int argc, char **argv)
{
	struct airmonitor_options options;
	int end = airmonitor_options_read(argc, argv, &options), stop_fd;

	if (end != 0)
		return end - 1;
	if (options.wish)
		return airmonitor_wish_leave(&options);
	(void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}); /* a core dump would hold the keys */
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	stop_fd = open_stop();
	if (stop_fd < 0) {
		perror("airmonitor: signals");
		return EXIT_FAILURE;
	}
	int status = airmonitor_run(&options, stop_fd);

	(void)close(stop_fd);
	return status;
}
