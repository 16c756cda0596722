/* airmonitor - the command line. */
#include "devices/airmonitor/airmonitor.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

enum { HELP, VERSION, SERVER, CA, DATA, TYPE, REPLAY, IIO, LED, KEYEX_KEY, BROKER_PORT, INTERVAL_MS, JOIN };
enum { EXIT_USAGE = 2, INTERVAL_DEFAULT_MS = 10000, INTERVAL_MAX_MS = 86400000 };

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
	{"join", required_argument, NULL, JOIN},
	{NULL, 0, NULL, 0},
};

static const char help[] =
	"airmonitor - measures the air and reports it to a Holdfast server\n"
	"\n"
	"usage: airmonitor --server https://HOST:PORT --ca FILE --data DIR (--replay FILE | --iio DIR) [options]\n"
	"\n"
	"  --server URL       the server; registration goes there, the broker's address comes from it\n"
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
	"  --help, --version\n"
	"\n"
	"One line an event on stdout. Ends by SIGTERM or SIGINT. Exit status: 0 ended so, 1 cannot go on, 2 wrong usage.\n";

static int mistake(const char *what, const char *value)
{
	(void)fprintf(stderr, "airmonitor: %s%s%s (--help tells more)\n", what, value ? " " : "", value ? value : "");
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
	uint64_t n = 0;

	if (option == BROKER_PORT && number(value, 1, 65535, &n)) {
		o->broker_port = (unsigned)n;
		return 0;
	}
	if (option == INTERVAL_MS && number(value, 100, INTERVAL_MAX_MS, &n)) {
		o->interval_ms = (int64_t)n;
		return 0;
	}
	return mistake(option == BROKER_PORT ? "--broker-port is out of range:" : "--interval-ms is out of range:", value);
}

static int take(struct airmonitor_options *o, int option, const char *value)
{
	const char **const texts[JOIN + 1] = {
		[SERVER] = &o->server, [CA] = &o->ca,   [DATA] = &o->data, [TYPE] = &o->type,
		[REPLAY] = &o->replay, [IIO] = &o->iio, [LED] = &o->led,   [KEYEX_KEY] = &o->keyex_key};

	if (option == HELP) {
		(void)fputs(help, stdout);
		return 1;
	}
	if (option == VERSION) {
		(void)puts("airmonitor " HOLDFAST_VERSION);
		return 1;
	}
	if (option < 0 || option > JOIN) /* getopt has said what is wrong */
		return EXIT_USAGE + 1;
	if (option == JOIN)
		return take_join(o, value);
	if (!texts[option])
		return take_number(o, option, value);
	*texts[option] = value;
	return value[0] != '\0' ? 0 : mistake("an empty value makes no sense for", longs[option].name);
}

int airmonitor_options_read(int argc, char **argv, struct airmonitor_options *out)
{
	int option, index = 0, end = 0;

	*out = (struct airmonitor_options){.type = "airmonitor",
	                                   .interval_ms = INTERVAL_DEFAULT_MS,
	                                   .join = HF_NODE_JOIN_AUTO};
	while ((option = getopt_long(argc, argv, "", longs, &index)) != -1) {
		end = take(out, option, optarg);
		if (end != 0)
			return end;
	}
	if (optind < argc)
		return mistake("no such argument:", argv[optind]);
	if (!out->server || !out->ca || !out->data)
		return mistake("--server, --ca and --data are needed", NULL);
	if (!out->replay == !out->iio)
		return mistake("one of --replay and --iio is needed", NULL);
	if (strlen(out->type) > HF_NODE_TYPE_MAX)
		return mistake("--type is too long:", out->type);
	return 0;
}
