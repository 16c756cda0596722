/* daemon - the server process: opens everything, ties it to the turn of the loop, closes everything. Uses: all server modules.
 * One turn = one transaction: what handlers said leaves only after COMMIT. */
#include "daemon/server_internal.h"

#include "account/account.h"
#include "audit/audit.h"
#include "leave/leave.h"
#include "port/openssl/openssl.h"
#include "sandbox/sandbox.h"
#include "type/type.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
	HOUSEKEEPING_MS = 1000,
	PEM_MAX = 65536,
	PORT_OF_THE_REFERENCE = 8883,
	FAILED_PAUSE_MS = 100,
	FIRST_SWEEP_MS = 10 * 1000, /* the start has other things to do */
	TURN_SLOW_MS = 20
};

#define DAY_MS (INT64_C(24) * 3600 * 1000)

bool daemon_failed(const char *what, enum hf_err err)
{
	if (err != HF_E_OK)
		os_log(OS_LOG_FAILED, "what=\"%s\" why=\"%s\"", what, hf_err_text(err));
	return err != HF_E_OK;
}

static enum hf_err read_place(const struct server *s, enum conf_place place, struct os_buf *out)
{
	char path[CONF_PATH_MAX];

	conf_place(s->conf, place, path);
	enum hf_err err = os_read_file(path, out);

	(void)daemon_failed(path, err);
	return err;
}

static enum hf_err read_place_id(const struct server *s, enum conf_place place, uint64_t *out)
{
	char path[CONF_PATH_MAX];

	conf_place(s->conf, place, path);
	enum hf_err err = os_read_id(path, out);

	(void)daemon_failed(path, err);
	return err;
}

/* --- the turn ------------------------------------------------------------------------------------------------------------- */

static void turn_begin(void *ctx)
{
	struct server *s = ctx;

	s->turn_began_ms = os_monotonic_ms();
}

static void turn_end(void *ctx)
{
	struct server *s = ctx;
	bool committed = !s->turn_failed && !link_turn_failed(s->link) && db_commit(s->db) == HF_E_OK;

	s->turn_failed = false;
	if (!committed) {
		db_rollback(s->db);
		s->api.turns_failed++;
		os_log(OS_LOG_COMMIT_FAILED, "count=%llu", (unsigned long long)s->api.turns_failed);
	}
	upkeep_turn_done(&s->upkeep, committed);
	session_turn_done(&s->sessions, committed);
	facts_turn_done(&s->facts, committed);
	link_turn_done(s->link, committed);
	http_turn_done(s->http, committed);
	if (db_commit(s->db) != HF_E_OK) /* what subscribers read */
		db_rollback(s->db);
	int64_t took_ms = os_monotonic_ms() - s->turn_began_ms;

	if (took_ms > TURN_SLOW_MS)
		os_log(OS_LOG_TURN_SLOW, "ms=%lld", (long long)took_ms);
	if (!committed)
		usleep(FAILED_PAUSE_MS * 1000); /* a full disk must not become a busy loop */
}

static enum hf_err forget_idle(struct server *s, int64_t now_ms)
{
	uint64_t gone[REGISTRY_IDLE_BATCH];
	size_t count = 0;

	if (s->upkeep.clock.doubted) /* "30 days ago" may be a mistake of the clock */
		return HF_E_OK;
	enum hf_err err = keyex_forget_idle(&s->keyex, now_ms, gone, &count);

	for (size_t i = 0; i < count; i++)
		session_forget(&s->sessions, gone[i]);
	return err;
}

static void on_housekeeping(struct os_timer *t)
{
	struct server *s = t->ctx;
	int64_t now = os_now_ms(), gone = 0;
	bool jumped = false;

	if (daemon_failed("look after clock and disk", upkeep_tick(&s->upkeep, now, os_monotonic_ms(), &jumped)) ||
	    daemon_failed("expire registrations", registry_expire(s->db, now, &gone)) ||
	    daemon_failed("forget idle devices", forget_idle(s, now)) ||
	    daemon_failed("expire joins", join_expire(&s->sessions, now)) ||
	    daemon_failed("mark the database", link_mark(s->link)) ||
	    daemon_failed("end identities", leave_expire(&s->sessions, now)) ||
	    daemon_failed("expire commands", command_expire(s->db, &s->facts, now)) ||
	    daemon_failed("expire outbox", db_exec(s->db, DB_OUTBOX_EXPIRE, DB_ARGS(db_int(now)), NULL)))
		s->turn_failed = true; /* others have written in this turn: all of it goes back together */
	if (jumped) /* the certificates may have ended, or not begun */
		os_timer_set(&s->loop, &s->renew, 0);
	os_timer_set(&s->loop, t, os_monotonic_ms() + HOUSEKEEPING_MS);
}

static void on_sweep(struct os_timer *t)
{
	struct server *s = t->ctx;
	int64_t again_ms = 0;

	if (daemon_failed("remove old rows", upkeep_sweep(&s->upkeep, os_now_ms(), &again_ms)))
		s->turn_failed = true;
	os_timer_set(&s->loop, t, os_monotonic_ms() + again_ms);
}

static void on_signal(struct os_watch *w, uint32_t events)
{
	struct server *s = w->ctx;
	struct signalfd_siginfo info;

	(void)events;
	if (read(w->fd, &info, sizeof info) == sizeof info)
		os_loop_stop(&s->loop);
}

/* --- settings ----------------------------------------------------------------------------------------------------------------- */

/* Hands the live keys of the configuration to who keeps them (conf/live.def); at start and after each SIGHUP. */
static void settings_apply(struct server *s)
{
	static const enum enrol_policy policies[] = {[CONF_ENROLMENT_OPEN] = ENROL_OPEN,
	                                             [CONF_ENROLMENT_TOKEN] = ENROL_TOKEN,
	                                             [CONF_ENROLMENT_ALLOWLIST] = ENROL_ALLOWLIST};
	const struct conf *c = s->conf;
	struct join_limits joins = {c->join_ttl_s * 1000, c->joins_max};

	s->enrol.policy = policies[c->enrolment];
	s->enrol.allowed_max = c->allowlist_max;
	s->keyex.ttl_ms = c->registration_ttl_s * 1000;
	s->keyex.half_made_max = c->registrations_max;
	s->keyex.identities_max = c->identities_max;
	s->keyex.idle_ms = c->idle_identity_days * DAY_MS;
	s->keyex.certificate_days = c->certificate_days;
	s->api.commands = (struct command_limits){c->action_timeout_s * 1000, c->commands_open_max};
	api_settings(&s->api);
	link_join_limits(s->link, &joins);
	http_body_max(s->http, (size_t)c->http_body_max);
	daemon_log_settings(c);
}

/* The parent was told to reload. */
static void on_news(struct os_watch *w, uint32_t events)
{
	struct server *s = w->ctx;
	struct daemon_news news = {0};
	enum hf_err err = daemon_news_take(w->fd, s->conf, &news);

	(void)events;
	if (err == HF_E_NOT_FOUND)
		return;
	if (err == HF_E_IO)
		os_watch_clear(w); /* the parent is gone, and so are we */
	if (err == HF_E_OK) {
		settings_apply(s);
		os_timer_set(&s->loop, &s->renew, os_monotonic_ms()); /* fresh access certificates too */
		err = http_certificate_set(os_buf_cstr(&news.web_key), os_buf_cstr(&news.web_cert));
	}
	(void)daemon_failed("take over the new configuration", err);
	os_buf_release(&news.web_key);
	os_buf_release(&news.web_cert);
}

static enum hf_err open_news(struct server *s)
{
	s->news = (struct os_watch){.fd = DAEMON_NEWS_FD, .on_ready = on_news, .ctx = s};
	settings_apply(s);
	return os_watch_set(&s->loop, &s->news, OS_READ);
}

/* --- opening ---------------------------------------------------------------------------------------------------------------- */

static enum hf_err open_signals(struct server *s)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
		return HF_E_IO;
	s->signals =
		(struct os_watch){.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC), .on_ready = on_signal, .ctx = s};
	return s->signals.fd >= 0 ? os_watch_set(&s->loop, &s->signals, OS_READ) : HF_E_IO;
}

static enum hf_err open_database(struct server *s)
{
	char path[CONF_PATH_MAX];
	const char *why = "";

	conf_place(s->conf, CONF_PLACE_DB, path);
	enum hf_err err = db_open(path, &s->db, &why);

	if (err == HF_E_OK)
		err = db_sync(s->db, s->conf->database_sync == CONF_SYNC_FULL);
	if (err != HF_E_OK)
		os_log(OS_LOG_FAILED, "what=\"open the database\" file=%s why=\"%s\"", path, why);
	if (err == HF_E_OK)
		err = worker_start(&s->loop, path, &s->worker);
	s->upkeep = (struct upkeep){.conf = s->conf, .db = s->db, .facts = &s->facts};
	return err == HF_E_OK ? upkeep_init(&s->upkeep, os_now_ms(), os_monotonic_ms()) : err;
}

/* The file is the parent's; the server may only fill it. */
static enum hf_err write_token(const struct server *s, const char *text)
{
	char path[CONF_PATH_MAX];

	conf_place(s->conf, CONF_PLACE_ADMIN_TOKEN, path);
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	size_t len = strlen(text);
	bool ok = fd >= 0 && write(fd, text, len) == (ssize_t)len && write(fd, "\n", 1) == 1 && fsync(fd) == 0;

	if (fd >= 0)
		close(fd);
	return ok ? HF_E_OK : HF_E_IO;
}

static enum hf_err make_admin(struct server *s)
{
	struct account_token t = {.name = "first admin", .role = "admin", .scope = ACCOUNT_EVERYTHING};
	char text[ACCOUNT_TOKEN_TEXT_MAX];
	int64_t admins = 0, id = 0, now = os_now_ms();
	enum hf_err err = account_admins(s->db, now, &admins);

	if (err != HF_E_OK || admins > 0)
		return err;
	err = account_token_new(s->db, &t, now, &id, text);
	if (err == HF_E_OK)
		err = write_token(s, text);
	hf_wipe(text, sizeof text);
	return err != HF_E_OK ? err
	                      : audit_record(s->db, "server", "token.made", 0, "the first admin token; see admin.token");
}

/* Our own server in the registry, so that KeyEx gives out its key and the broker knows it. */
static enum hf_err register_self(struct server *s, uint64_t self, const struct hf_seal_key *key)
{
	struct registry_identity i = {.id = self,
	                              .kind = REGISTRY_SERVER,
	                              .state = REGISTRY_JOINED,
	                              .type = "c2-server",
	                              .created_ms = os_now_ms()},
							 old;
	struct hf_wr w = hf_wr_of(i.key, sizeof i.key);
	enum hf_err err = hf_openssl_write(key, HF_OPENSSL_PUBLIC_DER, &w);

	i.key_len = w.len;
	if (err == HF_E_OK)
		err = registry_get(s->db, self, &old);
	if (err == HF_E_NOT_FOUND)
		return registry_add(s->db, &i, 0);
	if (err == HF_E_OK && !hf_span_equal(hf_span_of(old.key, old.key_len), hf_span_of(i.key, i.key_len))) {
		os_log(OS_LOG_FAILED, "what=\"the database knows this server's id with another key\" do=\"restore the key "
		                      "directory of this universe\"");
		return HF_E_KEY;
	}
	return err;
}

static enum hf_err open_identity(struct server *s)
{
	OS_BUF_SCOPED pem = os_buf_of(PEM_MAX);
	OS_BUF_SCOPED keyex_pem = os_buf_of(PEM_MAX);
	char base64[PEM_MAX / 8];
	struct hf_wr w = hf_wr_of(base64, sizeof base64);
	struct hf_seal_key *key = NULL;
	uint64_t self = 0;
	enum hf_err err = read_place_id(s, CONF_PLACE_C2_ID, &self);

	if (err == HF_E_OK)
		err = read_place_id(s, CONF_PLACE_KEYEX_ID, &s->keyex.id);
	if (err == HF_E_OK)
		err = read_place(s, CONF_PLACE_C2_PUB, &pem);
	if (err == HF_E_OK)
		err = hf_openssl_public_pem(os_buf_span(&pem), &key);
	if (err == HF_E_OK)
		err = read_place(s, CONF_PLACE_KEYEX_PUB, &keyex_pem);
	if (err == HF_E_OK)
		err = hf_openssl_public_pem(os_buf_span(&keyex_pem), &s->keyex.public_key);
	if (err == HF_E_OK)
		err = register_self(s, self, key);
	hf_openssl_key_free(key);
	hf_wr_base64(&w, os_buf_span(&pem));
	if (err == HF_E_OK)
		err = w.err;
	os_buf_put(&s->server_key_base64, hf_wr_span(&w));
	s->keyex.default_c2 = self;
	session_cache_init(&s->sessions, s->db, &s->facts, self);
	return err;
}

static struct link_files link_files(const struct server *s)
{
	return (struct link_files){s->table_file, s->journal_file, s->mark_file};
}

static enum hf_err compare(struct server *s)
{
	struct link_files files = link_files(s);

	conf_place(s->conf, CONF_PLACE_BROKER_TABLE, s->table_file);
	conf_place(s->conf, CONF_PLACE_BROKER_JOURNAL, s->journal_file);
	conf_place(s->conf, CONF_PLACE_BROKER_MARK, s->mark_file);
	return link_compare(&files, &s->sessions, os_now_ms());
}

static enum hf_err open_link(struct server *s)
{
	struct link_setup setup = {
		/* Our own broker listens on the loopback address whatever else it listens on. */
		.host = s->conf->broker == CONF_BROKER_EXTERNAL ? s->conf->broker_host : "127.0.0.1",
		.broker_name = s->first_name,
		.port = conf_mqtt_port(s->conf),
		.broker_ca_pem = os_buf_cstr(&s->broker_ca),
		.files = link_files(s),
		.loop = &s->loop,
		.db = s->db,
		.facts = &s->facts,
		.sessions = &s->sessions,
		.signer = &s->signer,
		.access_key = s->access_key,
		.self_cert_pem = s->self_cert,
		.control_cert_pem = s->control_cert,
	};

	return link_start(&setup, &s->link);
}

static void open_keyex(struct server *s)
{
	s->enrol = (struct enrol){.db = s->db, .facts = &s->facts};
	s->keyex.db = s->db;
	s->keyex.facts = &s->facts;
	s->keyex.enrol = &s->enrol;
}

static enum hf_err open_http(struct server *s)
{
	open_keyex(s);
	s->api = (struct api){
		.conf = s->conf,
		.loop = &s->loop,
		.db = s->db,
		.facts = &s->facts,
		.sessions = &s->sessions,
		.signer = &s->signer,
		.link = s->link,
		.keyex = &s->keyex,
		.worker = s->worker,
		.upkeep = &s->upkeep,
		.enrol = &s->enrol,
		.broker_name = s->broker_name,
		.server_key_base64 = os_buf_cstr(&s->server_key_base64),
		.broker_ca_pem = os_buf_cstr(&s->broker_ca),
		.sandbox = sandbox_level(),
	};
	struct http_setup setup = {
		.listen = s->conf->listen,
		.port = (uint16_t)conf_https_port(s->conf),
		.key_pem = os_buf_cstr(&s->web_key),
		.certificate_pem = os_buf_cstr(&s->web_cert),
		.connections_max = (unsigned)s->conf->http_connections_max,
		.timeout_s = (unsigned)s->conf->http_timeout_s,
		.request_s = (unsigned)s->conf->http_request_s,
		.address_max = (unsigned)s->conf->http_address_max,
		.secret_prefix = "/e/",
	};

	api_init(&s->api, &setup);
	enum hf_err err = http_start(&s->loop, &setup, &s->http);

	s->api.http = s->http;
	return err;
}

static enum hf_err open_files(struct server *s)
{
	const char *name = s->conf->broker == CONF_BROKER_EXTERNAL ? s->conf->broker_host : s->conf->name;
	size_t len = strcspn(name, " ");
	unsigned port = conf_mqtt_port(s->conf);

	snprintf(s->first_name, sizeof s->first_name, "%.*s", (int)len, name);
	if (port == PORT_OF_THE_REFERENCE)
		snprintf(s->broker_name, sizeof s->broker_name, "%s", s->first_name);
	else
		snprintf(s->broker_name, sizeof s->broker_name, "%s:%u", s->first_name, port);
	s->web_key = s->web_cert = s->broker_ca = s->server_key_base64 = os_buf_of(PEM_MAX);
	enum hf_err err = os_read_fd(DAEMON_WEB_KEY_FD, &s->web_key);

	close(DAEMON_WEB_KEY_FD);
	if (err == HF_E_OK)
		err = read_place(s, CONF_PLACE_WEB_CERT, &s->web_cert);
	if (err == HF_E_OK)
		err = os_read_file(s->conf->broker_ca, &s->broker_ca);
	return err;
}

static bool open_all(struct server *s)
{
	return !daemon_failed("start the loop", os_loop_init(&s->loop)) && !daemon_failed("signals", open_signals(s)) &&
	       !daemon_failed("read keys and certificates", open_files(s)) &&
	       !daemon_failed("open the database", open_database(s)) &&
	       !daemon_failed("read this server's identity", open_identity(s)) &&
	       !daemon_failed("install profiles", type_install(s->db, os_now_ms())) &&
	       !daemon_failed("make the first admin token", make_admin(s)) &&
	       !daemon_failed("compare the database with the broker's table", compare(s)) &&
	       !daemon_failed("commit", db_commit(s->db)) &&
	       !daemon_failed("get an access certificate from the signer", daemon_access_open(s, DAEMON_SIGNER_FD)) &&
	       !daemon_failed("start the link", open_link(s)) && !daemon_failed("listen for HTTPS", open_http(s)) &&
	       !daemon_failed("watch the parent", open_news(s));
}

static void close_all(struct server *s)
{
	http_stop(s->http);
	worker_stop(s->worker);
	link_stop(s->link);
	session_cache_release(&s->sessions);
	hf_openssl_key_free(s->access_key);
	hf_openssl_key_free(s->keyex.public_key);
	db_close(s->db); /* every turn was committed: what is left belongs to an opening that failed */
	os_buf_release(&s->web_key);
	os_buf_release(&s->web_cert);
	os_buf_release(&s->broker_ca);
	os_buf_release(&s->server_key_base64);
	os_loop_release(&s->loop);
}

int daemon_server(struct conf *c)
{
	struct server *s = calloc(1, sizeof *s);
	int code = 1;

	if (!s)
		return code;
	s->conf = c;
	if (open_all(s)) {
		s->loop.turn_begin = turn_begin;
		s->loop.turn_end = turn_end;
		s->loop.ctx = s;
		s->housekeeping = (struct os_timer){.on_due = on_housekeeping, .ctx = s};
		os_timer_set(&s->loop, &s->housekeeping, os_monotonic_ms() + HOUSEKEEPING_MS);
		s->sweep = (struct os_timer){.on_due = on_sweep, .ctx = s};
		os_timer_set(&s->loop, &s->sweep, os_monotonic_ms() + FIRST_SWEEP_MS);
		os_log(OS_LOG_STARTED, "https=%s:%u mqtt=%s sandbox=\"%s\"", c->listen, conf_https_port(c), s->broker_name,
		       sandbox_level());
		code = os_loop_run(&s->loop) == HF_E_OK && !s->signer_gone ? 0 : 1;
		os_log(OS_LOG_STOPPED, "code=%d", code);
	}
	close_all(s);
	free(s);
	return code;
}
