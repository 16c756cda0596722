/* airmonitor - the command line. */
#include "devices/airmonitor/airmonitor.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

enum {
	HELP,
	VERSION,
	SERVER,
	CA,
	DATA,
	TYPE,
	REPLAY,
	IIO,
	LED,
	KEYEX_KEY,
	BROKER_PORT,
	INTERVAL_MS,
	KEEPALIVE_S,
	JOIN,
	WISH
};
enum { EXIT_USAGE = 2, INTERVAL_DEFAULT_MS = 10000, INTERVAL_MAX_MS = 86400000, KEEPALIVE_DEFAULT_S = 60 };

/* Its letters serve getopt: long options only. */
static const struct option longs[] = {
	{"help", no_argument, NULL, HELP},
	{"version", no_argument, NULL, VERSION},
	{"server", required_argument, NULL, SERVER},
	{"ca", required_argument, NULL, CA},
	{"data", required_argument, NULL, DATA},
	{"type", required_argument, NULL, TYPE},
	{"replay", required_argument, NULL, REPLAY},
	{"iio", required_argument, NULL, IIO},
	{"led", required_argument, NULL, LED},
	{"keyex-key", required_argument, NULL, KEYEX_KEY},
	{"broker-port", required_argument, NULL, BROKER_PORT},
	{"interval-ms", required_argument, NULL, INTERVAL_MS},
	{"keepalive-s", required_argument, NULL, KEEPALIVE_S},
	{"join", required_argument, NULL, JOIN},
	{"resign", no_argument, NULL, WISH},
	{"deregister", no_argument, NULL, WISH},
	{"rejoin", no_argument, NULL, WISH},
	{NULL, 0, NULL, 0},
};

static const char help[] =
	"airmonitor - measures the air and reports it to a Holdfast server\n"
	"\n"
	"usage: airmonitor --server https://HOST:PORT --ca FILE --data DIR (--replay FILE | --iio DIR) [options]\n"
	"       airmonitor --data DIR (--resign | --deregister | --rejoin)\n"
	"\n"
	"  --server URL       the server; registration goes there, the broker's address comes from it. With an enrolment "
	"token:\n"
	"                     https://HOST:PORT/e/TOKEN\n"
	"  --ca FILE          PEM of the CA that signed the server's web certificate\n"
	"  --data DIR         keys, certificate and counters, encrypted; made if it is not there. While a join waits for a "
	"person\n"
	"                     DIR/code.txt holds the 32 digits to compare\n"
	"  --replay FILE      samples from a recording (CSV with columns PM25, PM10, TEMP, HUM), over and over\n"
	"  --iio DIR          samples from a sensor, such as /sys/bus/iio/devices/iio:device0\n"
	"  --interval-ms N    between two samples, 100 to 86400000 (default 10000); the server may set it to something "
	"else\n"
	"  --type NAME        device type to register as (default airmonitor)\n"
	"  --join KIND        simple, moderated, or auto: simple first, moderated when the server says so (default auto)\n"
	"  --led DIR          the lamp, such as /sys/class/leds/led0; without it the lamp is printed\n"
	"  --keyex-key FILE   KeyEx's public key (PEM); without it the key is pinned at first use\n"
	"  --broker-port N    instead of the port that follows from the server's\n"
	"  --keepalive-s N    a broker that is silent for so long is asked, for twice as long taken for gone; 5 to 3600\n"
	"                     (default 60)\n"
	"  --resign           tell the airmonitor that runs on DIR, or its next start, to leave the server: it keeps "
	"identity\n"
	"                     and certificate, and does not ask to join again\n"
	"  --deregister       the same, and to wipe identity, keys, certificate and settings then\n"
	"  --rejoin           after either: to ask to join again, or to register as a new device\n"
	"  --help, --version\n"
	"\n"
	"One line an event on stdout. Ends by SIGTERM or SIGINT. Exit status: 0 ended so or wish taken, 1 cannot go on or "
	"wish\n"
	"refused, 2 wrong usage.\n";

static int mistake(const char *what, const char *value)
{
	const char *secret = value ? strstr(value, "/e/") : NULL; /* an enrolment token in the wrong place */
	int len = !value ? 0 : (int)(secret ? (size_t)(secret - value) : strlen(value));

	(void)fprintf(stderr, "airmonitor: %s%s%.*s (--help tells more)\n", what, value ? " " : "", len,
	              value ? value : "");
	return EXIT_USAGE + 1;
}

static bool number(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	return hf_dec_parse(hf_span_text(text), out) == HF_E_OK && *out >= min && *out <= max;
}

static int take_join(struct airmonitor_options *o, const char *value)
{
	static const char *const kinds[] = {
		[HF_NODE_JOIN_SIMPLE] = "simple", [HF_NODE_JOIN_MODERATED] = "moderated", [HF_NODE_JOIN_AUTO] = "auto"};

	for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (strcmp(kinds[i], value) == 0) {
			o->join = (enum hf_node_join)i;
			return 0;
		}
	return mistake("--join takes simple, moderated or auto, not", value);
}

static int take_number(struct airmonitor_options *o, int option, const char *value)
{
	static const struct {
		uint64_t min, max;
		const char *wrong;
	} ranges[WISH + 1] = {
		[BROKER_PORT] = {1, 65535, "--broker-port is out of range:"},
		[INTERVAL_MS] = {100, INTERVAL_MAX_MS, "--interval-ms is out of range:"},
		[KEEPALIVE_S] = {5, 3600, "--keepalive-s is out of range:"},
	};
	uint64_t n = 0;

	if (!number(value, ranges[option].min, ranges[option].max, &n))
		return mistake(ranges[option].wrong, value);
	if (option == BROKER_PORT)
		o->broker_port = (unsigned)n;
	if (option == KEEPALIVE_S)
		o->keepalive_s = (unsigned)n;
	if (option == INTERVAL_MS)
		o->interval_ms = (int64_t)n;
	return 0;
}

static int take_server(struct airmonitor_options *o, char *value)
{
	size_t len = strlen(value);
	char *path = strstr(value, "://");

	path = strchr(path ? path + 3 : value, '/');
	if (len == 0 || len >= sizeof o->address)
		return mistake("--server is no address", NULL);
	memcpy(o->address, value, len + 1);
	o->server = o->address;
	if (path)
		memset(path + 1, '.', strlen(path + 1));
	return 0;
}

static int take_wish(struct airmonitor_options *o, const char *wish)
{
	if (o->wish)
		return mistake("one wish at a time, not also", wish);
	o->wish = wish;
	return 0;
}

static int take(struct airmonitor_options *o, int option, const char *name, char *value)
{
	const char **const texts[WISH + 1] = {
		[CA] = &o->ca,   [DATA] = &o->data, [TYPE] = &o->type,          [REPLAY] = &o->replay,
		[IIO] = &o->iio, [LED] = &o->led,   [KEYEX_KEY] = &o->keyex_key};

	if (option == HELP) {
		(void)fputs(help, stdout);
		return 1;
	}
	if (option == VERSION) {
		(void)puts("airmonitor " HOLDFAST_VERSION);
		return 1;
	}
	if (option < 0 || option > WISH) /* getopt has said what is wrong */
		return EXIT_USAGE + 1;
	if (option == SERVER)
		return take_server(o, value);
	if (option == JOIN)
		return take_join(o, value);
	if (option == WISH)
		return take_wish(o, name);
	if (!texts[option])
		return take_number(o, option, value);
	*texts[option] = value;
	return value[0] != '\0' ? 0 : mistake("an empty value makes no sense for", name);
}

int airmonitor_options_read(int argc, char **argv, struct airmonitor_options *out)
{
	int option, index = 0, end = 0;

	*out = (struct airmonitor_options){.type = "airmonitor",
	                                   .interval_ms = INTERVAL_DEFAULT_MS,
	                                   .keepalive_s = KEEPALIVE_DEFAULT_S,
	                                   .join = HF_NODE_JOIN_AUTO};
	while ((option = getopt_long(argc, argv, "", longs, &index)) != -1) {
		end = take(out, option, longs[index].name, optarg);
		if (end != 0)
			return end;
	}
	if (optind < argc)
		return mistake("no such argument:", argv[optind]);
	if (out->wish)
		return out->data ? 0 : mistake("--data is needed", NULL);
	if (!out->server || !out->ca || !out->data)
		return mistake("--server, --ca and --data are needed", NULL);
	if (!out->replay == !out->iio)
		return mistake("one of --replay and --iio is needed", NULL);
	if (strlen(out->type) > HF_NODE_TYPE_MAX)
		return mistake("--type is too long:", out->type);
	return 0;
}
