/* daemon - tests: the broker's configuration, and what a service manager is told. */
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

/* What must stand in the file, and what must not (NULL: nothing). */
struct broker_case {
	const char *listen;
	bool as_root;
	const char *has, *has_not;
};
static const struct broker_case broker_cases[] = {
	{"127.0.0.1", false, "\nlistener 25883 127.0.0.1\ncafile /d/keys/broker_ca.crt\n", "user root"},
	{"127.0.0.1", true, "\nuser root\n", NULL},
	{"127.0.0.1", true, "\nallow_anonymous false\n", "allow_anonymous true"},
	{"127.0.0.1", true, "\nrequire_certificate true\nuse_identity_as_username false\n",
     "use_identity_as_username true"},
	{"127.0.0.1", true, "\nper_listener_settings false\n", "persistence false"},
	{"127.0.0.1", true, "\nplugin /lib/holdfast_broker.so\nplugin_opt_snapshot /d/broker/table\n", NULL},
	{"0.0.0.0", false, "\nlistener 25883 0.0.0.0\n", "listener 25883 127.0.0.1"},
	{"::", false, "\nlistener 25883\n", "listener 25883 ::"},
	{"::1", false, "\nlistener 25883 ::1\n", "listener 25883 127.0.0.1"},
	{"192.0.2.7", false, "\nlistener 25883 192.0.2.7\n", NULL},
	{"192.0.2.7", false, "\nlistener 25883 127.0.0.1\n", NULL},
};

static void broker_configuration_follows_ours(void **state)
{
	struct conf c = {.port_base = 25000,
	                 .data_dir = "/d",
	                 .keys_dir = "/d/keys",
	                 .broker_plugin = "/lib/holdfast_broker.so"};

	(void)state;
	for (size_t i = 0; i < sizeof broker_cases / sizeof broker_cases[0]; i++) {
		const struct broker_case *t = &broker_cases[i];
		OS_BUF_SCOPED text = os_buf_of(CONF_FILE_MAX);

		snprintf(c.listen, sizeof c.listen, "%s", t->listen);
		daemon_broker_conf(&c, t->as_root, &text);
		if (!strstr(os_buf_cstr(&text), t->has) || (t->has_not && strstr(os_buf_cstr(&text), t->has_not)))
			fail_msg("case %zu: wanted %s in\n%s", i, t->has, os_buf_cstr(&text));
	}
}

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
		cmocka_unit_test(broker_configuration_follows_ours),
		cmocka_unit_test(service_manager_is_told),
		cmocka_unit_test(nobody_to_tell_is_no_trouble),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
