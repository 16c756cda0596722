/* conf - mosquitto's configuration, written from scratch: for our own broker, and for one on another machine. Uses: os. */
#include "conf/conf.h"

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
	"max_inflight_bytes 4194304\n"
	"max_packet_size 69632\n"
	"max_keepalive 3600\n"
	"sys_interval 0\n"
	"connection_messages false\n"
	"log_dest stderr\n"
	"log_type error\n"
	"log_type warning\n"
	"log_type notice\n"
	"log_type information\n"
	"persistence true\n"
	"persistence_file mosquitto.db\n";
static const char own_log[] = "log_timestamp false\n", other_log[] = "log_timestamp_format %Y-%m-%dT%H:%M:%S\n";

static const char listener_fixed[] =
	"require_certificate true\n"
	"use_identity_as_username false\n"
	"tls_version tlsv1.2\n"
	"ciphers ECDHE+AESGCM:ECDHE+CHACHA20\n";
// clang-format on

/* A line that names a file: of ours, or of the other machine's folder. */
struct line {
	const char *key;
	enum conf_place place;
	const char *elsewhere, *what;
};
static const struct line plugin_lines[] = {
	{"persistence_location", CONF_PLACE_BROKER_DIR, "/state/", NULL},
	{"plugin_opt_snapshot", CONF_PLACE_BROKER_TABLE, "/state/table", NULL},
	{"plugin_opt_journal", CONF_PLACE_BROKER_JOURNAL, "/state/journal", NULL},
};
static const struct line tls_lines[] = {
	{"cafile", CONF_PLACE_BROKER_CA_CERT, "/broker_ca.crt", "what clients' certificates hang on"},
	{"certfile", CONF_PLACE_BROKER_CERT, "/broker.crt", "the broker's certificate; it must name broker_host"},
	{"keyfile", CONF_PLACE_BROKER_KEY, "/broker.key", "its key; secret"},
};
#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])

/* folder NULL: our own places. */
static void lines_print(const struct line *l, size_t count, const struct conf *c, const char *folder,
                        struct os_buf *out)
{
	char path[CONF_PATH_MAX];

	for (size_t i = 0; i < count; i++) {
		conf_place(c, l[i].place, path);
		os_buf_format(out, "%s %s%s\n", l[i].key, folder ? folder : path, folder ? l[i].elsewhere : "");
	}
}

/* address NULL: all of them. */
static void listener(const struct conf *c, const char *address, const char *folder, struct os_buf *out)
{
	os_buf_format(out, "\nlistener %u%s%s\n", conf_mqtt_port(c), address ? " " : "", address ? address : "");
	lines_print(tls_lines, COUNT(tls_lines), c, folder, out);
	os_buf_text(out, listener_fixed);
}

/* The server itself always connects to localhost. */
static void listeners(const struct conf *c, struct os_buf *out)
{
	bool all_v4 = strcmp(c->listen, "0.0.0.0") == 0, all = strcmp(c->listen, "::") == 0;
	bool local = strncmp(c->listen, "127.", 4) == 0 || strcmp(c->listen, "::1") == 0;

	listener(c, all ? NULL : c->listen, NULL, out);
	if (!all && !all_v4 && !local)
		listener(c, "127.0.0.1", NULL, out);
}

static void head(const struct conf *c, const char *plugin, const char *folder, struct os_buf *out)
{
	os_buf_text(out, fixed);
	os_buf_format(out, "plugin %s\n", plugin);
	lines_print(plugin_lines, COUNT(plugin_lines), c, folder, out);
	os_buf_text(out, "plugin_opt_control holdfast-control\n"); /* the identity that may change the table */
}

void conf_broker_embedded(const struct conf *c, bool as_root, struct os_buf *out)
{
	os_buf_text(out, "# Made by holdfastd at each start of the broker: changes are lost. See holdfast.conf.\n");
	if (as_root)
		os_buf_text(out, "user root\n");
	os_buf_text(out, own_log);
	head(c, c->broker_plugin, NULL, out);
	listeners(c, out);
}

void conf_broker_external(const struct conf *c, const char *folder, struct os_buf *out)
{
	char path[CONF_PATH_MAX], plugin[CONF_PATH_MAX];
	struct hf_wr w = hf_wr_of(plugin, sizeof plugin - 1);

	os_buf_format(out,
	              "# mosquitto 2.0 as the broker of the universe %s; printed by: holdfast broker config\n"
	              "# On %s: this file as /etc/mosquitto/mosquitto.conf, and in %s:\n",
	              c->name, c->broker_host, folder);
	for (size_t i = 0; i < COUNT(tls_lines); i++) {
		conf_place(c, tls_lines[i].place, path);
		os_buf_format(out, "#   %-22s from %s: %s\n", tls_lines[i].elsewhere + 1, path, tls_lines[i].what);
	}
	os_buf_format(out, "#   %-22s from %s: lets in and keeps out; of the same version as holdfastd\n",
	              "holdfast_broker.so", c->broker_plugin);
	os_buf_text(
		out, "#   state/                 an empty folder, which mosquitto's user may write\n"
			 "# All of it belongs to mosquitto's user, the key with mode 600. Nobody but the server is let in until\n"
			 "# the server has come once as holdfast-control and brought the table.\n");
	hf_wr_text(&w, folder);
	hf_wr_text(&w, "/holdfast_broker.so");
	plugin[w.len] = '\0';
	os_buf_text(out, other_log);
	head(c, plugin, folder, out);
	listener(c, NULL, folder, out);
}
