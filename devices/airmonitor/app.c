/* airmonitor - the program: samples on time, commands, events as lines on stdout. Uses: base node port/posix. */
#include "devices/airmonitor/airmonitor.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RING = 256, WORK = 2 * HF_NODE_WORK_MIN, KEY_FILE_MAX = 4096, WISH_LOOK_MS = 1000 };
enum { ACTION_OFF = 0, ACTION_ON = 1, ACTION_TOGGLE = 2 };
#define LIMIT_DEFAULT 35.0

static const char code_name[] = "code.txt";

struct app {
	const struct airmonitor_options *options;
	struct hf_posix_device *device;
	struct hf_node_config config;
	struct hf_node_app callbacks;
	struct hf_node node;
	struct airmonitor_sensors sensors;
	struct airmonitor_settings settings;
	struct airmonitor_alarm alarm;
	bool led, joined;
	int64_t next_ms; /* sample */
	struct hf_node_reading ring[RING];
	uint8_t work[WORK], keyex_key[KEY_FILE_MAX];
};

/* --- readings ----------------------------------------------------------------------------------------------------- */

static void report(struct app *a, const char *series, struct hf_wr *w)
{
	enum hf_err err = hf_node_report(&a->node, hf_posix_now_ms(), hf_span_text(series), hf_wr_span(w));

	if (err != HF_E_OK)
		(void)fprintf(stderr, "airmonitor: %s not reported: %s\n", series, hf_err_text(err));
}

static void report_double(struct app *a, const char *series, double v)
{
	uint8_t b[8];
	struct hf_wr w = hf_wr_of(b, sizeof b);

	airmonitor_put_double(&w, v);
	report(a, series, &w);
}

static void report_flag(struct app *a, const char *series, bool v)
{
	uint8_t b[4];
	struct hf_wr w = hf_wr_of(b, sizeof b);

	airmonitor_put_int32(&w, v);
	report(a, series, &w);
}

static void sample(struct app *a)
{
	double v[AIRMONITOR_SERIES_MAX];

	airmonitor_sensors_read(&a->sensors, v);
	for (unsigned i = 0; i < AIRMONITOR_SERIES_MAX && a->joined;
	     i++) /* before the join nobody is there to keep them for */
		if (!isnan(v[i]))
			report_double(a, airmonitor_series(i), v[i]);
	if (!airmonitor_alarm_step(&a->alarm, v[AIRMONITOR_PM25], a->settings.pm25_limit))
		return;
	(void)printf("alarm %s pm25=%.1f limit=%.1f\n", a->alarm.raised ? "raised" : "cleared", v[AIRMONITOR_PM25],
	             a->settings.pm25_limit);
	if (a->joined)
		report_flag(a, "ALARM", a->alarm.raised);
}

/* --- commands ----------------------------------------------------------------------------------------------------- */

static enum hf_err set_led(struct app *a, bool on)
{
	enum hf_err err = a->options->led ? hf_posix_led_set(a->options->led, on) : HF_E_OK;

	if (err != HF_E_OK) {
		(void)fprintf(stderr, "airmonitor: cannot set the lamp %s\n", a->options->led);
		return err;
	}
	a->led = on;
	(void)printf("led %s\n", on ? "on" : "off");
	report_flag(a, "LED", on);
	return HF_E_OK;
}

static enum hf_err on_action(void *ctx, uint8_t action)
{
	struct app *a = ctx;

	if (action > ACTION_TOGGLE)
		return HF_E_NOT_FOUND;
	return set_led(a, action == ACTION_TOGGLE ? !a->led : action == ACTION_ON);
}

/* Kept first, then in force. */
static enum hf_err on_setting(void *ctx, struct hf_span data_id, struct hf_span data)
{
	struct app *a = ctx;
	struct airmonitor_settings changed = a->settings;
	uint8_t b[AIRMONITOR_SETTINGS_LEN];
	struct hf_wr w = hf_wr_of(b, sizeof b);
	enum hf_err err = airmonitor_settings_take(&changed, data_id, data);

	if (err != HF_E_OK)
		return err;
	airmonitor_settings_encode(&changed, &w);
	err = hf_posix_store_put(hf_posix_device_store(a->device), HF_NODE_ITEM_APPLICATION, hf_wr_span(&w));
	if (err != HF_E_OK)
		return err;
	a->settings = changed;
	a->next_ms = hf_posix_now_ms() + changed.interval_ms;
	(void)printf("settings pm25_limit=%.1f interval_ms=%lld\n", changed.pm25_limit, (long long)changed.interval_ms);
	return HF_E_OK;
}

static enum hf_err load_settings(struct app *a)
{
	uint8_t b[AIRMONITOR_SETTINGS_LEN];
	struct hf_wr w = hf_wr_of(b, sizeof b);

	a->settings = (struct airmonitor_settings){LIMIT_DEFAULT, a->options->interval_ms};
	enum hf_err err = hf_posix_store_get(hf_posix_device_store(a->device), HF_NODE_ITEM_APPLICATION, &w);

	if (err == HF_E_NOT_FOUND)
		return HF_E_OK;
	return err == HF_E_OK ? airmonitor_settings_decode(&a->settings, hf_wr_span(&w)) : err;
}

/* The server that they came from is no longer ours. */
static void forget_settings(struct app *a)
{
	enum hf_err err = hf_posix_store_erase(hf_posix_device_store(a->device), HF_NODE_ITEM_APPLICATION);

	if (err == HF_E_OK)
		err = load_settings(a);
	if (err != HF_E_OK)
		(void)fprintf(stderr, "airmonitor: the settings cannot be wiped: %s\n", hf_err_text(err));
}

/* --- events ------------------------------------------------------------------------------------------------------- */

static void show_code(struct app *a, const char *code)
{
	char line[HF_SEAL_VALUE_LEN + 2];
	int len = snprintf(line, sizeof line, "%s\n", code);

	if (len > 0 &&
	    hf_posix_store_note(hf_posix_device_store(a->device), code_name, hf_span_of(line, (size_t)len)) != HF_E_OK)
		(void)fprintf(stderr, "airmonitor: cannot write %s/%s\n", a->options->data, code_name);
	(void)printf("join waiting code=%s\n", code); /* whoever reads this finds the file */
}

static void hide_code(struct app *a)
{
	if (hf_posix_store_unnote(hf_posix_device_store(a->device), code_name) != HF_E_OK)
		(void)fprintf(stderr, "airmonitor: cannot remove %s/%s\n", a->options->data, code_name);
}

/* What an event does beside its line. */
static void follow(struct app *a, const struct hf_node_event *e)
{
	if (e->kind == HF_NODE_EXPELLED || e->kind == HF_NODE_LEFT || e->kind == HF_NODE_DEREGISTERED)
		a->joined = false;
	if (e->kind == HF_NODE_DEREGISTERED)
		forget_settings(a);
	if (e->kind != HF_NODE_JOINED)
		return;
	a->joined = true;
	a->next_ms = hf_posix_now_ms();
	report_flag(a, "LED", a->led);
	report_flag(a, "ALARM", a->alarm.raised);
}

static void on_event(void *ctx, const struct hf_node_event *e)
{
	struct app *a = ctx;
	char id[HF_ID_TEXT_MAX];

	if (e->kind == HF_NODE_CODE) {
		show_code(a, e->text);
		return;
	}
	if (e->kind == HF_NODE_CODE_GONE)
		hide_code(a);
	hf_id_text(e->id, id);
	(void)fputs(hf_node_kind_words(e->kind), stdout);
	if (e->id != 0)
		(void)printf(" %s=%s", hf_node_kind_label(e->kind), id);
	if (e->text[0] != '\0')
		(void)printf(" what=\"%s\"", e->text);
	if (e->err != HF_E_OK)
		(void)printf(" error=%s reason=\"%s\"", hf_err_name(e->err), hf_err_text(e->err));
	if (e->wait_ms > 0)
		(void)printf(" next_try_ms=%lld", (long long)e->wait_ms);
	(void)putchar('\n');
	follow(a, e);
}

static void on_trouble(void *ctx, const char *line)
{
	(void)ctx;
	(void)fprintf(stderr, "airmonitor: %s\n", line);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static int give_up(const char *what)
{
	(void)fprintf(stderr, "airmonitor: %s\n", what);
	return EXIT_FAILURE;
}

static bool read_keyex_key(struct app *a)
{
	FILE *file = a->options->keyex_key ? fopen(a->options->keyex_key, "re") : NULL;

	if (!a->options->keyex_key)
		return true;
	size_t len = file ? fread(a->keyex_key, 1, sizeof a->keyex_key, file) : 0;

	if (file)
		(void)fclose(file);
	a->config.keyex_key = hf_span_of(a->keyex_key, len);
	return len > 0;
}

static int open_all(struct app *a, int stop_fd)
{
	const struct airmonitor_options *o = a->options;
	struct hf_posix_config config = {.server = o->server,
	                                 .ca_file = o->ca,
	                                 .dir = o->data,
	                                 .broker_port = o->broker_port,
	                                 .keepalive_s = o->keepalive_s,
	                                 .stop_fd = stop_fd,
	                                 .ctx = a,
	                                 .log = on_trouble};
	struct hf_posix_why why = {""};

	if (!read_keyex_key(a))
		return give_up("cannot read the file of --keyex-key");
	a->sensors.iio = o->iio;
	if (o->replay && hf_posix_csv_open(o->replay, &why, &a->sensors.replay) != HF_E_OK)
		return give_up(why.text);
	if (hf_posix_device_open(&config, &why, &a->device) != HF_E_OK)
		return give_up(why.text);
	hide_code(a); /* of an earlier life */
	enum hf_err err = load_settings(a);

	return err == HF_E_OK ? EXIT_SUCCESS : give_up(hf_err_text(err));
}

static bool stopped(int stop_fd)
{
	struct pollfd p = {.fd = stop_fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

static void loop(struct app *a, int stop_fd)
{
	while (!stopped(stop_fd)) {
		int64_t now_ms = hf_posix_now_ms();

		if (now_ms >= a->next_ms) {
			sample(a);
			a->next_ms = now_ms + a->settings.interval_ms;
		}
		airmonitor_wish_take(hf_posix_device_store(a->device), &a->node);
		int64_t deadline_ms = hf_node_step(&a->node, now_ms), look_ms = now_ms + WISH_LOOK_MS;

		deadline_ms = deadline_ms < a->next_ms ? deadline_ms : a->next_ms;
		hf_posix_device_turn(a->device, &a->node, deadline_ms < look_ms ? deadline_ms : look_ms);
	}
}

static int live(struct app *a, int stop_fd)
{
	int status = open_all(a, stop_fd);

	if (status != EXIT_SUCCESS)
		return status;
	enum hf_err err =
		hf_node_init(&a->node, &a->config, hf_posix_device_env(a->device), &a->callbacks, hf_posix_now_ms());

	if (err != HF_E_OK) {
		(void)fprintf(stderr, "airmonitor: the store in %s does not fit: %s\n", a->options->data, hf_err_text(err));
		return EXIT_FAILURE;
	}
	a->next_ms = hf_posix_now_ms();
	loop(a, stop_fd);
	(void)printf("stopped readings_sent=%u dropped=%u waiting=%zu\n", a->node.counts.readings_sent,
	             a->node.counts.readings_dropped, hf_node_waiting(&a->node));
	hide_code(a);
	hf_node_release(&a->node);
	return EXIT_SUCCESS;
}

int airmonitor_run(const struct airmonitor_options *options, int stop_fd)
{
	struct app *a = calloc(1, sizeof *a);

	if (!a)
		return give_up("out of memory");
	a->options = options;
	a->config = (struct hf_node_config){.type = options->type,
	                                    .software = "Holdfast airmonitor " HOLDFAST_VERSION,
	                                    .join = options->join,
	                                    .work = a->work,
	                                    .work_cap = sizeof a->work,
	                                    .ring = a->ring,
	                                    .ring_cap = RING};
	a->callbacks = (struct hf_node_app){.ctx = a, .action = on_action, .setting = on_setting, .event = on_event};
	int status = live(a, stop_fd);

	hf_posix_device_close(a->device);
	hf_posix_csv_close(a->sensors.replay);
	hf_wipe(a->work, sizeof a->work);
	free(a);
	return status;
}
