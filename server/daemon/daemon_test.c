/* daemon - tests: what a service manager is told. */
#include "daemon/daemon.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static void manager_hears(const char *name, const char *shown)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	size_t len = strlen(shown);
	char got[32];

	memcpy(at.sun_path, name, len);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)), 0);
	setenv("NOTIFY_SOCKET", shown, 1);
	daemon_notify("READY=1");
	assert_int_equal(recv(fd, got, sizeof got, MSG_DONTWAIT), 7);
	assert_memory_equal(got, "READY=1", 7);
	close(fd);
}

static void service_manager_is_told(void **state)
{
	char path[] = "/tmp/holdfast-notify-XXXXXX", abstract[64];

	(void)state;
	assert_non_null(mkdtemp(path));
	char file[sizeof path + 8];

	snprintf(file, sizeof file, "%s/s", path);
	manager_hears(file, file);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(rmdir(path), 0);
	snprintf(abstract, sizeof abstract, "@holdfast-notify-%d", getpid());
	abstract[0] = '\0';
	char shown[sizeof abstract];

	memcpy(shown, abstract, sizeof shown);
	shown[0] = '@';
	manager_hears(abstract, shown);
}

static void nobody_to_tell_is_no_trouble(void **state)
{
	(void)state;
	unsetenv("NOTIFY_SOCKET");
	daemon_notify("READY=1");
	setenv("NOTIFY_SOCKET", "", 1);
	daemon_notify("READY=1");
	setenv("NOTIFY_SOCKET", "/nonexistent/socket", 1);
	daemon_notify("READY=1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(service_manager_is_told),
		cmocka_unit_test(nobody_to_tell_is_no_trouble),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
