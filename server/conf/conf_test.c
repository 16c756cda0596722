/* conf - tests: what a configuration file may say, what is printed, what is found before a start. */
#include "conf/conf.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* Each case: a file's text and a part of the sentence about it; NULL: it is good. */
struct file_case {
	const char *text, *expect;
};
static const struct file_case file_cases[] = {
	{"", NULL},
	{"# only a comment\n\n   \t\n", NULL},
	{"port_base = 9000\nlisten=::1\r\n\tname\t=\tone.example two-2\n", NULL},
	{"port_base = 64000", NULL},
	{"data_dir = /tmp/with space/and#hash/ünï\n", NULL},
	{"prot_base = 9000\n", "t.conf:1: unknown key \"prot_base\"; the closest known key is \"port_base\""},
	{"\n\nKeys_dir = /x\n", "t.conf:3: unknown key \"Keys_dir\"; the closest known key is \"keys_dir\""},
	{"= 5\n", "t.conf:1: unknown key \"\""},
	{"port_base 9000\n", "t.conf:1: \"port_base 9000\" has no \"=\""},
	{"port_base =\n", "t.conf:1: port_base has no value"},
	{"port_base = 9000\nport_base = 9000\n", "t.conf:2: port_base stands in line 1 already"},
	{"port_base = 64001\n", "t.conf:1: port_base: 64001 is out of range, which is 0 to 64000"},
	{"port_base = 18446744073709551616\n", "is not a whole number"},
	{"port_base = -1\n", "\"-1\" is not a whole number"},
	{"port_base = 8000 # here\n", "(a comment needs a line of its own)"},
	{"certificate_days = 0\n", "out of range, which is 1 to 825"},
	{"broker = embeded\n", "broker: \"embeded\" is none of its words, which are: embedded or external"},
	{"sandbox = ON\n", "which are: on or off"},
	{"listen = localhost\n", "\"localhost\" is not an IPv4 or IPv6 address"},
	{"name = a_b\n", "host names hold letters"},
	{"c2 = ../x\n", "a name holds lower-case letters"},
	{"c2 = abcdefghijklmnopqrstuvwxyz0123456\n", "c2: the value is 33 bytes long; at most 32 are allowed"},
	{"name = \xc3\x28\n", "t.conf:1: the line is not UTF-8 text (byte 0xc3)"},
	{"data_dir = /\xed\xa0\x80\n", "not UTF-8"},
	{"data_dir = /\xc0\xaf\n", "not UTF-8"},
	{"data_dir = /\xf4\x90\x80\x80\n", "not UTF-8"},
	{"data_dir = /\xe2\x82", "not UTF-8"},
	{"name = a\x07\n", "a control character (byte 0x07)"},
	{"name = a\x7f\n", "a control character (byte 0x7f)"},
};

static void files_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof file_cases / sizeof file_cases[0]; i++) {
		const struct file_case *t = &file_cases[i];
		struct conf c = {.port_base = 77};
		struct conf_report r = {0};
		enum hf_err err = conf_parse(hf_span_text(t->text), "t.conf", &c, &r);

		if (t->expect && (err != HF_E_INPUT || r.count != 1 || !strstr(r.text, t->expect)))
			fail_msg("case %zu: %s wanted, got %s", i, t->expect, r.text);
		if (t->expect && c.port_base != 77)
			fail_msg("case %zu: the result was touched", i);
		if (!t->expect && (err != HF_E_OK || r.count != 0))
			fail_msg("case %zu: %s", i, r.text);
	}
}

static void bytes_of_value_zero_are_refused(void **state)
{
	static const char text[] = "port_base = 90\0"
							   "00\n\0";
	struct conf c;
	struct conf_report r = {0};

	(void)state;
	assert_int_equal(conf_parse(hf_span_of(text, sizeof text - 1), "t.conf", &c, &r), HF_E_INPUT);
	assert_string_equal(r.text, "t.conf:1: a control character (byte 0x00) stands in the line\n"
	                            "t.conf:2: a control character (byte 0x00) stands in the line\n");
}

static void every_problem_is_reported_and_space_is_bounded(void **state)
{
	OS_BUF_SCOPED text = os_buf_of(1 << 20);
	struct conf c;
	struct conf_report r = {0};

	(void)state;
	for (int i = 0; i < 1000; i++)
		os_buf_format(&text, "unknown_key_%d = 1\n", i);
	assert_int_equal(conf_parse(os_buf_span(&text), "t.conf", &c, &r), HF_E_INPUT);
	assert_int_equal(r.count, 1000);
	assert_true(r.len < sizeof r.text && r.text[r.len] == '\0' && r.text[r.len - 1] == '\n');
}

static void long_lines_and_files_are_refused(void **state)
{
	char line[CONF_LINE_MAX + 3];
	OS_BUF_SCOPED big = os_buf_of(1 << 20);
	struct conf c;
	struct conf_report r = {0};

	(void)state;
	memset(line, ' ', sizeof line);
	line[0] = '#';
	assert_int_equal(conf_parse(hf_span_of(line, CONF_LINE_MAX), "t.conf", &c, &r), HF_E_OK);
	assert_int_equal(conf_parse(hf_span_of(line, CONF_LINE_MAX + 1), "t.conf", &c, &r), HF_E_INPUT);
	assert_non_null(strstr(r.text, "the line is 1201 bytes long"));
	while (big.len <= CONF_FILE_MAX)
		os_buf_text(&big, "# comment\n");
	r = (struct conf_report){0};
	assert_int_equal(conf_parse(os_buf_span(&big), "t.conf", &c, &r), HF_E_INPUT);
	assert_string_equal(r.text, "t.conf: the file is over 65536 bytes long\n");
}

/* --- files and folders --- */

static const char cert_pem[] = /* good from 2026-01-01 to 2026-03-01 */
	"-----BEGIN CERTIFICATE-----\n"
	"MIIBCjCBsaADAgECAgEBMAoGCCqGSM49BAMCMA8xDTALBgNVBAMMBHRlc3QwHhcN\n"
	"MjYwMTAxMDAwMDAwWhcNMjYwMzAxMDAwMDAwWjAPMQ0wCwYDVQQDDAR0ZXN0MFkw\n"
	"EwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEFukjWjfShb8fvcLwduUk3Kz87/p/493O\n"
	"2jNw66fMeTtBWLuJD/eE12RWL+Y3hsUvd9lPVnFW049If+lJPIEF3TAKBggqhkjO\n"
	"PQQDAgNIADBFAiEA5uRTGIgUEHfn7CrCohyQec0kVxbfR7rZ0lH4RO2qDeMCIDt8\n"
	"vVCPUSi70/bgJFnQ4e+QXbNjqNdm+/+U36rFFwce\n"
	"-----END CERTIFICATE-----\n";
enum { CERT_FROM_S = 1767225600, CERT_UNTIL_S = 1772323200 };

static char folder[] = "/tmp/holdfast-conf-XXXXXX";

static void put(const char *name, const char *text, unsigned mode)
{
	char path[CONF_PATH_MAX];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	assert_int_equal(os_replace_file(path, hf_span_text(text), mode), HF_E_OK);
}

static void folder_make(const char *name)
{
	char path[CONF_PATH_MAX];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	assert_int_equal(mkdir(path, 0700), 0);
}

static int universe_make(void **state)
{
	static const char *const keys[] = {"keyex.pem", "broker_ca.key", "broker.key", "web.key", "c2/main/c2_server.pem"};
	static const char *const texts[] = {"keyex_pub.pem", "keyex.id", "c2/main/c2_server_pub.pem",
	                                    "c2/main/c2_server.id", "c2/main/c2_server.stk"};
	static const char *const certs[] = {"broker_ca.crt", "broker.crt", "web_ca.crt", "web.crt"};
	char path[128];

	(void)state;
	unsetenv("HOLDFAST_PORT_BASE");
	assert_non_null(mkdtemp(folder));
	folder_make("keys");
	folder_make("keys/c2");
	folder_make("keys/c2/main");
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		snprintf(path, sizeof path, "keys/%s", keys[i]);
		put(path, "a key", 0600);
	}
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		snprintf(path, sizeof path, "keys/%s", texts[i]);
		put(path, "a text", 0644);
	}
	for (size_t i = 0; i < sizeof certs / sizeof certs[0]; i++) {
		snprintf(path, sizeof path, "keys/%s", certs[i]);
		put(path, cert_pem, 0644);
	}
	put("mosquitto", "a program", 0755);
	put("plugin.so", "a plugin", 0644);
	put("holdfast.conf", "broker_program = mosquitto\nbroker_plugin = plugin.so\nport_base = 25000\n", 0600);
	return 0;
}

static void load(struct conf *c)
{
	char path[CONF_PATH_MAX];
	struct conf_report r = {0};

	snprintf(path, sizeof path, "%s/%s", folder, "holdfast.conf");
	if (conf_load(path, c, &r) != HF_E_OK)
		fail_msg("%s", r.text);
}

static void paths_follow_from_the_file(void **state)
{
	struct conf c;
	char path[CONF_PATH_MAX], expect[CONF_PATH_MAX];

	(void)state;
	load(&c);
	assert_string_equal(c.data_dir, folder);
	conf_place(&c, CONF_PLACE_C2_KEY, path);
	snprintf(expect, sizeof expect, "%s/keys/c2/main/c2_server.pem", folder);
	assert_string_equal(path, expect);
	snprintf(expect, sizeof expect, "%s/plugin.so", folder);
	assert_string_equal(c.broker_plugin, expect);
	assert_int_equal(conf_https_port(&c), 25443);
	assert_int_equal(conf_mqtt_port(&c), 25883);
}

static void a_missing_file_is_named(void **state)
{
	struct conf c;
	struct conf_report r = {0};

	(void)state;
	assert_int_equal(conf_load("/nonexistent/x.conf", &c, &r), HF_E_NOT_FOUND);
	assert_string_equal(r.text, "/nonexistent/x.conf: cannot read this configuration file: there is no such thing\n");
}

static void the_environment_moves_the_ports(void **state)
{
	struct conf c;
	struct conf_report r = {0};

	(void)state;
	setenv("HOLDFAST_PORT_BASE", "26000", 1);
	load(&c);
	assert_int_equal(c.port_base, 26000);
	setenv("HOLDFAST_PORT_BASE", "many", 1);
	assert_int_equal(conf_load(c.file, &c, &r), HF_E_INPUT);
	assert_string_equal(r.text, "HOLDFAST_PORT_BASE in the environment: port_base: \"many\" is not a whole number "
	                            "(a comment needs a line of its own)\n");
	unsetenv("HOLDFAST_PORT_BASE");
}

static void what_is_printed_is_a_configuration(void **state)
{
	struct conf c, again;
	struct conf_report r = {0};
	OS_BUF_SCOPED first = os_buf_of(CONF_FILE_MAX);
	OS_BUF_SCOPED second = os_buf_of(CONF_FILE_MAX);

	(void)state;
	load(&c);
	conf_print(&c, &first);
	if (conf_parse(os_buf_span(&first), "printed", &again, &r) != HF_E_OK)
		fail_msg("%s", r.text);
	conf_print(&again, &second);
	assert_string_equal(os_buf_cstr(&first), os_buf_cstr(&second));
	assert_non_null(strstr(os_buf_cstr(&first), "\n# 0 to 64000; default: 8000\nport_base = 25000\n"));
}

/* --- before a start --- */

static void check_finds(const struct conf *c, int64_t now_s, size_t count, const char *expect)
{
	struct conf_report r = {0};
	enum hf_err err = conf_check(c, now_s, &r);

	if (r.count != count || err != (count ? HF_E_MISSING : HF_E_OK) || !strstr(r.text, expect))
		fail_msg("%zu problems wanted, one with \"%s\"; got %zu:\n%s", count, expect, r.count, r.text);
}

static void a_good_universe_passes(void **state)
{
	struct conf c;
	struct conf_report r = {0};

	(void)state;
	load(&c);
	check_finds(&c, CERT_FROM_S, 0, "");
	check_finds(&c, CERT_UNTIL_S, 0, "");
	assert_int_equal(conf_make_folders(&c, &r), HF_E_OK);
	assert_int_equal(conf_make_folders(&c, &r), HF_E_OK);
	check_finds(&c, CERT_FROM_S, 0, "");
}

static void certificates_are_held_against_the_clock(void **state)
{
	struct conf c;
	struct conf_report r = {0};

	(void)state;
	load(&c);
	assert_int_equal(conf_check_certs(&c, CERT_UNTIL_S, &r), HF_E_OK);
	assert_int_equal(conf_check_certs(&c, CERT_UNTIL_S + 1, &r), HF_E_EXPIRED);
	assert_int_equal(r.count, 4);
	assert_non_null(strstr(r.text, "keys/web.crt was good until 2026-03-01T00:00:00Z"));
	check_finds(
		&c, CERT_FROM_S - 1, 4,
		"keys/web.crt is good from 2026-01-01T00:00:00Z only, and this machine's clock says 2025-12-31T23:59:59Z");
	check_finds(&c, CERT_UNTIL_S + 1, 4, "keys/broker.crt was good until 2026-03-01T00:00:00Z");
	c.broker = CONF_BROKER_EXTERNAL;
	check_finds(&c, CERT_UNTIL_S + 1, 3, "keys/broker_ca.crt was good until");
}

static void all_problems_come_at_once(void **state)
{
	struct conf c;
	char path[CONF_PATH_MAX];

	(void)state;
	load(&c);
	conf_place(&c, CONF_PLACE_KEYEX_KEY, path);
	assert_int_equal(chmod(path, 0640), 0);
	conf_place(&c, CONF_PLACE_C2_TOKEN, path);
	assert_int_equal(unlink(path), 0);
	put("keys/web_ca.crt", "nothing", 0644);
	assert_int_equal(chmod(c.keys_dir, 0755), 0);
	assert_int_equal(chmod(c.data_dir, 0777), 0);
	snprintf(c.broker_plugin, sizeof c.broker_plugin, "/nonexistent.so");
	check_finds(&c, CERT_FROM_S, 6, "keyex.pem is open to others (mode 640): chmod 600 '");
	check_finds(&c, CERT_FROM_S, 6, "c2_server.stk is missing: No such file");
	check_finds(&c, CERT_FROM_S, 6, "web_ca.crt holds no certificate in PEM form");
	check_finds(&c, CERT_FROM_S, 6, "is open to others (mode 755): chmod 700 '");
	check_finds(&c, CERT_FROM_S, 6, "can be written by others (mode 777)");
	check_finds(&c, CERT_FROM_S, 6, "the broker's plugin /nonexistent.so cannot be read");
	snprintf(c.keys_dir, sizeof c.keys_dir, "/nonexistent/keys");
	check_finds(&c, CERT_FROM_S, 3, "make them with `holdfast keygen universe '/nonexistent/keys'`");
	snprintf(c.data_dir, sizeof c.data_dir, "/nonexistent");
	check_finds(&c, CERT_FROM_S, 3, "the folder /nonexistent cannot be used: No such file or directory");
	assert_int_equal(chmod(folder, 0700), 0);
}

static void a_taken_port_is_named_with_its_owner(void **state)
{
	struct conf c;
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof at;
	char owner[CONF_TEXT_MAX], expect[CONF_TEXT_MAX];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	unsigned port = ntohs(at.sin_port);

	assert_true(conf_port_taken("127.0.0.1", port));
	assert_true(conf_port_taken("0.0.0.0", port));
	assert_true(conf_port_taken("::", port));
	assert_false(conf_port_taken("127.0.0.2", port));
	assert_false(conf_port_taken("::1", port));
	conf_port_owner("127.0.0.1", port, owner);
	snprintf(expect, sizeof expect, "(process %d)", getpid());
	assert_non_null(strstr(owner, expect));
	load(&c);
	c.port_base = (int64_t)port - 443;
	struct conf_report r = {0};

	assert_int_equal(conf_check(&c, CERT_FROM_S, &r), HF_E_MISSING);
	assert_non_null(strstr(r.text, ", needed for HTTPS, is taken by "));
	assert_non_null(strstr(r.text, expect));
	close(fd);
	assert_false(conf_port_taken("127.0.0.1", port));
}

static void a_running_daemon_is_known_by_its_lock(void **state)
{
	struct conf c;
	char path[CONF_PATH_MAX];
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	(void)state;
	load(&c);
	put("run/holdfastd.pid", "1234\n", 0600);
	assert_int_equal(conf_running(&c), 0);
	conf_place(&c, CONF_PLACE_PID, path);
	int fd = open(path, O_RDWR | O_CLOEXEC);

	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	assert_int_equal(conf_running(&c), 1234);
	close(fd);
	assert_int_equal(conf_running(&c), 0);
}

static int universe_remove(void **state)
{
	char *const args[] = {(char[]){"rm"}, (char[]){"-rf"}, folder, NULL};

	(void)state;
	pid_t child = fork();

	if (child == 0)
		execv("/bin/rm", args);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_read),
		cmocka_unit_test(bytes_of_value_zero_are_refused),
		cmocka_unit_test(every_problem_is_reported_and_space_is_bounded),
		cmocka_unit_test(long_lines_and_files_are_refused),
		cmocka_unit_test(paths_follow_from_the_file),
		cmocka_unit_test(a_missing_file_is_named),
		cmocka_unit_test(the_environment_moves_the_ports),
		cmocka_unit_test(what_is_printed_is_a_configuration),
		cmocka_unit_test(a_good_universe_passes),
		cmocka_unit_test(certificates_are_held_against_the_clock),
		cmocka_unit_test(all_problems_come_at_once),
		cmocka_unit_test(a_taken_port_is_named_with_its_owner),
		cmocka_unit_test(a_running_daemon_is_known_by_its_lock),
	};

	return cmocka_run_group_tests(tests, universe_make, universe_remove);
}
