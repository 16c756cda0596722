/* broker - the mosquitto plugin: options, callbacks, events, log. Uses: guard, store, live, ring, mosquitto. */
#include "broker/broker_internal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WINDOW_S = 10, LOGGED_A_WINDOW = 10, TOLD_A_WINDOW = 500, BATCH_MAX = 32768 };

static const char table_topic[] = "$CONTROL/holdfast/v1", events_topic[] = "$holdfast/v1/events";

static const char *const words[] = {
#define REASON(NAME, word, doc) [BROKER_N_##NAME] = (word),
#define COUNT(NAME, word, doc) [BROKER_N_##NAME] = (word),
#include "broker/counts.def"
};

/* --- log ----------------------------------------------------------------------------------------- */

static void begin_window(struct broker *b)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec - b->window_s < WINDOW_S)
		return;
	if (b->told > LOGGED_A_WINDOW)
		mosquitto_log_printf(MOSQ_LOG_WARNING, "holdfast refused_not_logged count=%u", b->told - LOGGED_A_WINDOW);
	b->window_s = now.tv_sec;
	b->told = 0;
}

static void log_refusal(enum broker_count why, const struct mosquitto *client, uint64_t id, struct hf_span detail)
{
	const char *address = mosquitto_client_address(client);
	char text[HF_ID_TEXT_MAX + 2 * BROKER_DETAIL_MAX];
	struct hf_wr w = hf_wr_of(text, sizeof text);

	if (id != 0)
		hf_wr_id(&w, id);
	else
		hf_wr_text(&w, "-");
	hf_wr_text(&w, " ");
	size_t at = w.len;

	hf_wr_hex(&w, hf_span_of(detail.ptr, detail.len < BROKER_DETAIL_MAX ? detail.len : BROKER_DETAIL_MAX));
	mosquitto_log_printf(MOSQ_LOG_WARNING, "holdfast refused reason=%s id=%.*s from=%s detail=%.*s", words[why],
	                     (int)at - 1, text, address ? address : "-", (int)(w.len - at), text + at);
}

void broker_refuse(struct broker *b, enum broker_count why, const struct mosquitto *client, uint64_t id,
                   struct hf_span detail)
{
	b->count[why]++;
	begin_window(b);
	b->told++;
	if (b->told <= LOGGED_A_WINDOW)
		log_refusal(why, client, id, detail);
	if (b->told <= TOLD_A_WINDOW) {
		broker_ring_put(&b->ring, BROKER_REFUSED, id, words[why], detail);
		return;
	}
	b->count[BROKER_N_UNTOLD]++;
	b->ring.lost++;
}

static void log_counts(const struct broker *b)
{
	char text[400];
	struct hf_wr w = hf_wr_of(text, sizeof text - 1);

	for (size_t i = 0; i < BROKER_N_COUNT_; i++) {
		if (b->count[i] == 0)
			continue;
		hf_wr_text(&w, " ");
		hf_wr_text(&w, words[i]);
		hf_wr_text(&w, "=");
		hf_wr_dec(&w, b->count[i]);
	}
	hf_wr_nul(&w);
	mosquitto_log_printf(MOSQ_LOG_NOTICE, "holdfast counts%s", text);
}

/* --- events -------------------------------------------------------------------------------------- */

static void publish_events(struct broker *b)
{
	char text[BATCH_MAX];
	struct hf_wr w = hf_wr_of(text, sizeof text);

	broker_ring_take(&b->ring, &w);
	/* The broker queues it and sends it at the start of its next turn. */
	if (mosquitto_broker_publish_copy(NULL, events_topic, (int)w.len, text, 0, false, NULL) != MOSQ_ERR_SUCCESS)
		b->ring.lost++;
}

/* Runs after each turn of the broker's loop, at least every 100 ms. */
static int on_tick(int event, void *event_data, void *userdata)
{
	struct broker *b = userdata;

	(void)event;
	(void)event_data;
	b->reloading = false;
	b->ticking = true;
	if (b->listeners == 0)
		return MOSQ_ERR_SUCCESS;
	broker_presence_tell(b);
	if (b->ring.count > 0 || b->ring.lost > 0)
		publish_events(b);
	return MOSQ_ERR_SUCCESS;
}

/* --- start and stop ------------------------------------------------------------------------------ */

static void open_store(struct broker *b)
{
	enum hf_err err = broker_store_open(&b->store, b->snapshot, b->journal);

	if (b->store.ready)
		mosquitto_log_printf(MOSQ_LOG_NOTICE, "holdfast table_loaded generation=%llu rows=%zu",
		                     (unsigned long long)b->store.generation, b->store.table.count);
	else
		mosquitto_log_printf(MOSQ_LOG_NOTICE, "holdfast no_table reason=%s", hf_err_name(err));
	if (b->store.ready && err != HF_E_OK)
		mosquitto_log_printf(MOSQ_LOG_ERR, "holdfast no_journal reason=%s", hf_err_name(err));
}

/* SIGHUP, which also makes the broker read its certificate again and reopen its log. */
static int on_reload(int event, void *event_data, void *userdata)
{
	struct broker *b = userdata;

	(void)event;
	(void)event_data;
	b->reloading = true;
	log_counts(b);
	return MOSQ_ERR_SUCCESS;
}

/* The work was done when the message was judged, see change_table; the broker wants an owner for the topic. */
static int on_control(int event, void *event_data, void *userdata)
{
	(void)event;
	(void)event_data;
	(void)userdata;
	return MOSQ_ERR_SUCCESS;
}

static const struct {
	int event;
	MOSQ_FUNC_generic_callback call;
	const char *topic;
} hooks[] = {
	{MOSQ_EVT_BASIC_AUTH, broker_on_auth, NULL},
	{MOSQ_EVT_ACL_CHECK, broker_on_acl, NULL},
	{MOSQ_EVT_DISCONNECT, broker_on_disconnect, NULL},
	{MOSQ_EVT_CONTROL, on_control, table_topic},
	{MOSQ_EVT_TICK, on_tick, NULL},
	{MOSQ_EVT_RELOAD, on_reload, NULL},
};
enum { HOOKS = sizeof hooks / sizeof hooks[0] };

static void broker_free(struct broker *b)
{
	broker_store_release(&b->store);
	broker_live_release(&b->live);
	free(b->snapshot);
	free(b->journal);
	free(b->control);
	free(b);
}

/* All three options and no other; the control name must not look like an id. */
static bool read_options(struct broker *b, const struct mosquitto_opt *options, int count)
{
	const struct {
		const char *key;
		char **value;
	} known[] = {{"snapshot", &b->snapshot}, {"journal", &b->journal}, {"control", &b->control}};
	uint64_t id;

	for (int i = 0; i < count; i++)
		for (size_t k = 0; k < sizeof known / sizeof known[0]; k++)
			if (strcmp(options[i].key, known[k].key) == 0 && !*known[k].value)
				*known[k].value = strdup(options[i].value);
	return count == 3 && b->snapshot && b->journal && b->control &&
	       hf_id_parse(hf_span_text(b->control), &id) != HF_E_OK;
}

/* Mosquitto calls the entry points by name; the linker's map lets no other symbol out. */
int mosquitto_plugin_version(int supported_version_count, const int *supported_versions)
{
	for (int i = 0; i < supported_version_count; i++)
		if (supported_versions[i] == MOSQ_PLUGIN_VERSION)
			return MOSQ_PLUGIN_VERSION;
	return -1;
}

int mosquitto_plugin_init(mosquitto_plugin_id_t *identifier, void **userdata, struct mosquitto_opt *options,
                          int option_count)
{
	struct broker *b = calloc(1, sizeof *b);

	if (!b)
		return MOSQ_ERR_NOMEM;
	if (!read_options(b, options, option_count)) {
		mosquitto_log_printf(MOSQ_LOG_ERR, "holdfast options needed=snapshot,journal,control");
		broker_free(b);
		return MOSQ_ERR_INVAL;
	}
	open_store(b);
	broker_live_init(&b->live, b->store.table.seed);
	b->plugin = identifier;
	b->presence_at = UINT32_MAX;
	b->window_s = INT64_MIN / 2;
	*userdata = b;
	for (size_t i = 0; i < HOOKS; i++) {
		int err = mosquitto_callback_register(identifier, hooks[i].event, hooks[i].call, hooks[i].topic, b);

		if (err != MOSQ_ERR_SUCCESS)
			return err; /* the broker stops */
	}
	return MOSQ_ERR_SUCCESS;
}

int mosquitto_plugin_cleanup(void *userdata, struct mosquitto_opt *options, int option_count)
{
	struct broker *b = userdata;

	(void)options;
	(void)option_count;
	if (!b)
		return MOSQ_ERR_SUCCESS;
	for (size_t i = 0; i < HOOKS; i++)
		(void)mosquitto_callback_unregister(b->plugin, hooks[i].event, hooks[i].call, hooks[i].topic);
	log_counts(b);
	broker_free(b);
	return MOSQ_ERR_SUCCESS;
}
