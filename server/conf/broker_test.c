/* conf - tests: mosquitto's configuration follows ours. */
#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
	{"127.0.0.1", true,
     "\nplugin /lib/holdfast_broker.so\npersistence_location /d/broker\nplugin_opt_snapshot /d/broker/table\n", NULL},
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
		conf_broker_embedded(&c, t->as_root, &text);
		if (!strstr(os_buf_cstr(&text), t->has) || (t->has_not && strstr(os_buf_cstr(&text), t->has_not)))
			fail_msg("case %zu: wanted %s in\n%s", i, t->has, os_buf_cstr(&text));
	}
}

static void external_broker_has_its_own_files(void **state)
{
	static const char *const wanted[] = {
		"\nlistener 1883\ncafile /b/broker_ca.crt\ncertfile /b/broker.crt\nkeyfile /b/broker.key\n",
		"\nplugin /b/holdfast_broker.so\npersistence_location /b/state/\nplugin_opt_snapshot /b/state/table\n",
		"\nplugin_opt_control holdfast-control\n",
		"from /d/keys/broker.key: its key; secret",
		"# On broker.example:",
	};
	struct conf c = {.port_base = 25000,
	                 .data_dir = "/d",
	                 .keys_dir = "/d/keys",
	                 .broker = CONF_BROKER_EXTERNAL,
	                 .broker_port = 1883,
	                 .broker_host = "broker.example",
	                 .broker_plugin = "/lib/holdfast_broker.so"};
	OS_BUF_SCOPED text = os_buf_of(CONF_FILE_MAX);

	(void)state;
	conf_broker_external(&c, "/b", &text);
	for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
		if (!strstr(os_buf_cstr(&text), wanted[i]))
			fail_msg("no %s in\n%s", wanted[i], os_buf_cstr(&text));
	assert_null(strstr(os_buf_cstr(&text), "user root"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(broker_configuration_follows_ours),
		cmocka_unit_test(external_broker_has_its_own_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
