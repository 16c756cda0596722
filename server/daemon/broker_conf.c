/* daemon - the broker's configuration, written from scratch at each of its starts. Uses: conf, os. */
#include "daemon/daemon.h"

#include <string.h>

/* The same for every universe. max_packet_size: 64 KiB of payload and a topic. */
// clang-format off
static const char fixed[] =
	"per_listener_settings false\n"
	"allow_anonymous false\n"
	"allow_zero_length_clientid false\n"
	"set_tcp_nodelay true\n"
	"max_queued_messages 200000\n"
	"max_queued_bytes 67108864\n"
	"max_inflight_messages 2000\n"
	"max_packet_size 69632\n"
	"max_keepalive 3600\n"
	"sys_interval 0\n"
	"connection_messages false\n"
	"log_dest stderr\n"
	"log_timestamp_format %Y-%m-%dT%H:%M:%S\n"
	"log_type error\n"
	"log_type warning\n"
	"log_type notice\n"
	"log_type information\n";
// clang-format on

static void line_path(struct os_buf *out, const char *key, const struct conf *c, enum conf_place place)
{
	char path[CONF_PATH_MAX];

	conf_place(c, place, path);
	os_buf_format(out, "%s %s\n", key, path);
}

/* address NULL: all of them. */
static void listener(struct os_buf *out, const struct conf *c, const char *address)
{
	os_buf_format(out, "\nlistener %u%s%s\n", conf_mqtt_port(c), address ? " " : "", address ? address : "");
	line_path(out, "cafile", c, CONF_PLACE_BROKER_CA_CERT);
	line_path(out, "certfile", c, CONF_PLACE_BROKER_CERT);
	line_path(out, "keyfile", c, CONF_PLACE_BROKER_KEY);
	os_buf_text(out, "require_certificate true\nuse_identity_as_username false\ntls_version tlsv1.2\n"
	                 "ciphers ECDHE+AESGCM:ECDHE+CHACHA20\n");
}

/* The server itself always connects to localhost. */
static void listeners(struct os_buf *out, const struct conf *c)
{
	bool all_v4 = strcmp(c->listen, "0.0.0.0") == 0, all = strcmp(c->listen, "::") == 0;
	bool local = strncmp(c->listen, "127.", 4) == 0 || strcmp(c->listen, "::1") == 0;

	listener(out, c, all ? NULL : c->listen);
	if (!all && !all_v4 && !local)
		listener(out, c, "127.0.0.1");
}

void daemon_broker_conf(const struct conf *c, bool as_root, struct os_buf *out)
{
	char folder[CONF_PATH_MAX];

	os_buf_text(out, "# Made by holdfastd at each start of the broker: changes are lost. See holdfast.conf.\n");
	os_buf_text(out, fixed);
	if (as_root)
		os_buf_text(out, "user root\n");
	conf_place(c, CONF_PLACE_BROKER_DIR, folder);
	os_buf_format(out, "persistence true\npersistence_location %s\npersistence_file mosquitto.db\n", folder);
	os_buf_format(out, "plugin %s\n", c->broker_plugin);
	line_path(out, "plugin_opt_snapshot", c, CONF_PLACE_BROKER_TABLE);
	line_path(out, "plugin_opt_journal", c, CONF_PLACE_BROKER_JOURNAL);
	os_buf_text(out, "plugin_opt_control holdfast-control\n");
	listeners(out, c);
}
