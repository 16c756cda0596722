/* api - health, status, metrics. Uses: registry join alert link session http; jansson. */
#include "api/api_internal.h"

#include "alert/alert.h"
#include "join/join.h"
#include "registry/registry.h"
#include "telemetry/telemetry.h"

enum { METRICS_MAX = 65536 };

enum hf_err api_healthz(struct api_call *c)
{
	return api_reply(c, 200, json_pack("{s:b}", "ok", 1));
}

struct numbers {
	int64_t registered, joined, revoked, joins, alerts, gaps, missed, restored_ms;
};

static enum hf_err count_all(struct api_call *c, struct numbers *n)
{
	struct db *db = c->a->db;
	enum hf_err err = registry_count(db, REGISTRY_REGISTERED, &n->registered);

	if (err == HF_E_OK)
		err = registry_count(db, REGISTRY_JOINED, &n->joined);
	if (err == HF_E_OK)
		err = registry_count(db, REGISTRY_REVOKED, &n->revoked);
	if (err == HF_E_OK)
		err = join_count(db, os_now_ms(), &n->joins);
	if (err == HF_E_OK)
		err = registry_gaps_sum(db, &n->gaps, &n->missed);
	if (err == HF_E_OK)
		err = alert_since(db, 0, LINK_RESTORED, &n->restored_ms);
	return err == HF_E_OK ? alert_count(db, &n->alerts) : err;
}

static json_t *database_json(struct api_call *c, const struct numbers *n, int64_t oldest_ms)
{
	const struct upkeep *u = c->a->upkeep;

	return json_pack("{s:b, s:o, s:I, s:I, s:o, s:o, s:b, s:b}", "up", 1, "restored_ms", api_time(n->restored_ms),
	                 "size_bytes", (json_int_t)db_size_bytes(c->a->db), "empty_bytes",
	                 (json_int_t)db_free_bytes(c->a->db), "oldest_reading_ms", api_time(oldest_ms), "disk_free_bytes",
	                 u->disk_free_bytes < 0 ? json_null() : json_integer(u->disk_free_bytes), "disk_low", u->disk_low,
	                 "clock_doubted", u->clock.doubted);
}

static int add_limits(const struct api_call *c, json_t *status)
{
	const struct http_counts *h = http_counts(c->a->http);
	const struct enrol *e = c->a->enrol;
	uint64_t limited = 0, refused = 0;

	for (unsigned i = 0; i < LIMIT_CLASS_COUNT_; i++)
		limited += c->a->limits.refused[i];
	for (unsigned i = ENROL_FINE + 1; i < ENROL_REFUSAL_COUNT_; i++)
		refused += e->refused[i];
	return json_object_update_new(status, json_pack("{s:{s:s, s:I}, s:{s:I, s:I, s:I}}", "enrolment", "policy",
	                                                enrol_policy_name(e->policy), "refused", (json_int_t)refused,
	                                                "http", "rate_limited", (json_int_t)limited, "slow",
	                                                (json_int_t)h->slow, "crowded", (json_int_t)h->crowded));
}

enum hf_err api_status(struct api_call *c)
{
	struct numbers n;
	int64_t oldest_ms = 0;
	enum hf_err err = count_all(c, &n);

	if (err == HF_E_OK)
		err = telemetry_oldest(c->a->db, &oldest_ms);

	if (err != HF_E_OK)
		return err;
	json_t *status =
		json_pack("{s:s, s:{s:b, s:o, s:s, s:s}, s:{s:b}, s:{s:b}, s:o, s:{s:I, s:I, s:I, s:I}, s:I, s:I}", "version",
	              HOLDFAST_VERSION, "server", "up", 1, "id", api_id(c->a->sessions->self), "name", c->a->conf->name,
	              "sandbox", c->a->sandbox, "signer", "up", c->a->signer->watch.loop != NULL, "broker", "up",
	              link_up(c->a->link), "database", database_json(c, &n, oldest_ms), "devices", "registered",
	              (json_int_t)n.registered, "joined", (json_int_t)n.joined, "revoked", (json_int_t)n.revoked, "online",
	              (json_int_t)link_online_count(c->a->link), "joins_pending", (json_int_t)n.joins, "alerts",
	              (json_int_t)n.alerts);

	if (add_limits(c, status) == 0)
		return api_reply(c, 200, status);
	json_decref(status);
	return HF_E_MEMORY;
}

static void metric(struct os_buf *b, const char *name, const char *labels, uint64_t value)
{
	os_buf_format(b, "holdfast_%s%s %llu\n", name, labels, (unsigned long long)value);
}

static void refusals(struct os_buf *b, const struct link_counts *l)
{
	for (unsigned e = 1; e < HF_E_COUNT_; e++)
		os_buf_format(b, "holdfast_messages_refused_total{error=\"%s\"} %llu\n", hf_err_name((enum hf_err)e),
		              (unsigned long long)l->refused[e]);
}

static void upkeep_metrics(struct os_buf *b, const struct api *a)
{
	const struct upkeep *u = a->upkeep;
	struct worker_counts w = worker_counts(a->worker);

	for (unsigned i = 0; i < UPKEEP_KEPT_COUNT_; i++)
		os_buf_format(b, "holdfast_rows_removed_total{table=\"%s\"} %llu\n", upkeep_kept_name((enum upkeep_kept)i),
		              (unsigned long long)u->removed[i]);
	metric(b, "clock_jumps_total", "", u->clock_jumps);
	metric(b, "clock_doubted", "", u->clock.doubted);
	metric(b, "disk_low", "", u->disk_low);
	if (u->disk_free_bytes >= 0)
		metric(b, "disk_free_bytes", "", (uint64_t)u->disk_free_bytes);
	metric(b, "worker_runs_total", "", w.runs);
	metric(b, "worker_refused_total", "", w.refused);
	metric(b, "worker_queued", "", w.queued);
	metric(b, "exports", "", a->exports);
	metric(b, "exports_refused_total", "", a->exports_refused);
	metric(b, "database_bytes", "", (uint64_t)db_size_bytes(a->db));
	metric(b, "database_empty_bytes", "", (uint64_t)db_free_bytes(a->db));
}

/* Requests that came too fast, registrations that the policy refused, half-made ones that made room. */
static void limits(struct os_buf *b, const struct api *a)
{
	static const char *const classes[] = {
#define RATE(NAME, key, doc) [LIMIT_##NAME] = #key,
#include "limit/rates.def"
	};

	for (unsigned i = 0; i < LIMIT_CLASS_COUNT_; i++)
		os_buf_format(b, "holdfast_http_rate_limited_total{class=\"%s\"} %llu\n", classes[i],
		              (unsigned long long)a->limits.refused[i]);
	for (unsigned r = ENROL_FINE + 1; r < ENROL_REFUSAL_COUNT_; r++)
		os_buf_format(b, "holdfast_enrolments_refused_total{why=\"%s\"} %llu\n",
		              enrol_refusal_word((enum enrol_refusal)r), (unsigned long long)a->enrol->refused[r]);
	metric(b, "http_addresses_crowded_total", "", a->limits.crowded);
	metric(b, "registrations_pushed_out_total", "", a->keyex->pushed_out);
	metric(b, "registrations_too_many_total", "", a->keyex->too_many);
}

enum hf_err api_metrics(struct api_call *c)
{
	const struct link_counts *l = link_counts(c->a->link);
	const struct session_counts *s = &c->a->sessions->counts;
	const struct http_counts *h = http_counts(c->a->http);
	struct numbers n;
	OS_BUF_SCOPED b = os_buf_of(METRICS_MAX);
	enum hf_err err = count_all(c, &n);

	if (err != HF_E_OK)
		return err;
	metric(&b, "devices", "{state=\"registered\"}", (uint64_t)n.registered);
	metric(&b, "devices", "{state=\"joined\"}", (uint64_t)n.joined);
	metric(&b, "devices", "{state=\"revoked\"}", (uint64_t)n.revoked);
	metric(&b, "devices_online", "", link_online_count(c->a->link));
	metric(&b, "joins_pending", "", (uint64_t)n.joins);
	metric(&b, "alerts_open", "", (uint64_t)n.alerts);
	metric(&b, "messages_received_total", "", s->received);
	metric(&b, "messages_repeated_total", "", s->repeated);
	metric(&b, "messages_stepped_back_total", "", s->stepped_back);
	metric(&b, "messages_unjudged_total", "", s->unjudged);
	metric(&b, "device_gaps", "", (uint64_t)n.gaps);
	metric(&b, "device_messages_missed", "", (uint64_t)n.missed);
	metric(&b, "database_restored", "", n.restored_ms != 0);
	metric(&b, "messages_sent_total", "", l->sent);
	refusals(&b, l);
	metric(&b, "broker_refused_total", "", l->broker_refused);
	metric(&b, "broker_kicked_total", "", l->broker_kicked);
	metric(&b, "broker_events_lost_total", "", l->broker_lost);
	metric(&b, "broker_up", "", link_up(c->a->link));
	metric(&b, "signer_refused_total", "", c->a->signer->refused);
	metric(&b, "http_requests_total", "", h->requests);
	metric(&b, "http_refused_total", "", h->refused);
	metric(&b, "http_body_too_big_total", "", h->too_big);
	metric(&b, "http_slow_total", "", h->slow);
	metric(&b, "http_crowded_total", "", h->crowded);
	limits(&b, c->a);
	metric(&b, "turns_failed_total", "", c->a->turns_failed);
	metric(&b, "http_undone_total", "", h->errors);
	metric(&b, "http_waited_total", "", h->parked);
	metric(&b, "facts_lost_total", "", c->a->facts->lost);
	metric(&b, "broker_tables_total", "", l->tables);
	metric(&b, "link_full_total", "", l->full);
	metric(&b, "http_streams_total", "", h->streams);
	upkeep_metrics(&b, c->a);
	http_reply(c->http, 200, "text/plain; version=0.0.4", os_buf_span(&b));
	return HF_E_OK;
}
