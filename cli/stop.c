/* cli - when to stop what goes on for long: a signal, or nobody reads our output any more. Uses: signals, poll. */
#include "cli/cli.h"

#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t signalled;
static bool watching;

static void on_signal(int number)
{
	(void)number;
	signalled = 1;
}

void cli_stop_on_signals(void)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction act = {.sa_handler = on_signal}; /* without SA_RESTART: what waits is woken */

	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		(void)sigaction(numbers[i], &act, NULL);
	act.sa_handler = SIG_IGN; /* stdout then says EPIPE */
	(void)sigaction(SIGPIPE, &act, NULL);
	watching = true;
}

bool cli_stopped(void)
{
	struct pollfd out = {.fd = STDOUT_FILENO};

	return watching && (signalled || (poll(&out, 1, 0) == 1 && (out.revents & POLLERR)));
}

void cli_pause(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	(void)nanosleep(&t, NULL);
}
