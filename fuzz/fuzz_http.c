/* fuzz - HTTP requests through the real routes: paths, query strings, headers, tokens, bodies. Input: a request as text, see
 * fuzz/http_mhd.h; the token "@admin" or "@device" stands for one that is good. Every answer is JSON, or plain text of a
 * route that says so; a refusal has a sentence; nothing but KeyEx answers without a token. What a request did is rolled back.
 * Uses: api and all below it; tests/vectors. */
#include "account/account.h"
#include "alert/alert.h"
#include "api/api.h"
#include "ca/ca.h"
#include "enrol/enrol.h"
#include "fuzz/fuzz.h"
#include "fuzz/http_mhd.h"
#include "fuzz/http_worker.h"
#include "http/http.h"
#include "join/join.h"
#include "keyex/keyex.h"
#include "link/link.h"
#include "link/link_internal.h"
#include "port/openssl/openssl.h"
#include "registry/registry.h"
#include "session/session.h"
#include "signer/signer.h"
#include "telemetry/telemetry.h"
#include "type/type.h"
#include "upkeep/upkeep.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define VECTORS "tests/vectors/srup-v5/"

enum { JOINED = 0xd1, WAITING = 0xd3, PROVEN = 0xd4, SELF = 0x5e, KEYEX = 0xce, NOW_MS = 1000000 };
enum { PEM_MAX = 8192, BODY_MAX = 8192, BEARER_MAX = 96 };

static struct {
	struct os_loop loop;
	struct conf conf;
	struct db *db;
	struct facts facts;
	struct session_cache sessions;
	struct signer_client signer;
	int signer_fd; /* the other end */
	struct enrol enrol, enrol_before; /* before: as it was when the server was opened */
	struct keyex keyex, keyex_before;
	struct link link; /* never started: the broker is not there */
	struct upkeep upkeep;
	struct http *http;
	struct api api;
	char admin[BEARER_MAX], device[BEARER_MAX];
} s;

static void check(bool good)
{
	if (!good)
		abort();
}

/* --- a server with three devices; key vis-b is free ---------------------------------------------------------------- */

static struct hf_seal_key *load(const char *name)
{
	OS_BUF_SCOPED pem = os_buf_of(PEM_MAX);
	char path[128];
	struct hf_seal_key *key = NULL;

	(void)snprintf(path, sizeof path, VECTORS "%s.pub.pem", name);
	check(os_read_file(path, &pem) == HF_E_OK);
	check(hf_openssl_public_pem(os_buf_span(&pem), &key) == HF_E_OK);
	return key;
}

static void add_device(uint64_t id, const char *key_name, enum registry_state state)
{
	struct registry_identity i = {
		.id = id, .kind = REGISTRY_DEVICE, .state = state, .type = "airmonitor", .created_ms = NOW_MS};
	struct hf_wr der = hf_wr_of(i.key, sizeof i.key);
	struct hf_seal_key *key = load(key_name);

	check(hf_openssl_write(key, HF_OPENSSL_PUBLIC_DER, &der) == HF_E_OK);
	hf_openssl_key_free(key);
	i.key_len = der.len;
	check(registry_add(s.db, &i, 10) == HF_E_OK);
}

static void add_token(const char *role, enum account_scope scope, uint64_t id, char out[BEARER_MAX])
{
	struct account_token want = {.scope = scope, .scope_id = id};
	char text[ACCOUNT_TOKEN_TEXT_MAX];
	int64_t row = 0;

	(void)snprintf(want.name, sizeof want.name, "%s", role);
	(void)snprintf(want.role, sizeof want.role, "%s", role);
	check(account_token_new(s.db, &want, os_now_ms(), &row, text) == HF_E_OK);
	(void)snprintf(out, BEARER_MAX, "Bearer %s", text);
}

static void fill(void)
{
	static struct type_profile p;
	const struct join_limits limits = {INT32_MAX, 10};
	const struct telemetry_sample sample = {hf_span_text("NOTE"), hf_span_text("text"), NOW_MS};
	struct session *session = NULL;

	check(type_install(s.db, NOW_MS) == HF_E_OK);
	add_device(JOINED, "vis-a", REGISTRY_REGISTERED);
	add_device(WAITING, "vis-r", REGISTRY_REGISTERED);
	add_device(PROVEN, "vis-c3072", REGISTRY_PROVEN);
	check(registry_set_state(s.db, &s.facts, JOINED, REGISTRY_JOINED, SELF, NOW_MS) == HF_E_OK);
	check(session_get(&s.sessions, WAITING, &session) == HF_E_OK);
	check(join_moderated(&s.sessions, &limits, session, hf_span_text("token"), os_now_ms()) == HF_E_OK);
	check(type_get(s.db, "airmonitor", &p) == HF_E_OK);
	check(telemetry_store(s.db, &s.facts, JOINED, &p, &sample) == HF_E_OK);
	check(alert_raise(s.db, &s.facts, JOINED, "alarm", "it \"smells\"") == HF_E_OK);
	add_token("admin", ACCOUNT_EVERYTHING, 0, s.admin);
	add_token("operator", ACCOUNT_DEVICE, JOINED, s.device);
	check(db_commit(s.db) == HF_E_OK);
	session_turn_done(&s.sessions, true);
	facts_turn_done(&s.facts, true);
}

static void open_database(void)
{
	static char folder[] = "/tmp/fuzz_http.XXXXXX";
	const char *why = "";
	char path[64];

	check(mkdtemp(folder) != NULL);
	(void)snprintf(path, sizeof path, "%s/db", folder);
	check(db_open(path, &s.db, &why) == HF_E_OK);
	/* Nothing opens it a second time: the name may go at once. */
	for (const char *const *tail = (const char *const[]){"", "-wal", "-shm", NULL}; *tail; tail++) {
		(void)snprintf(path, sizeof path, "%s/db%s", folder, *tail);
		(void)unlink(path);
	}
	check(rmdir(folder) == 0);
}

static void on_lost(void *ctx)
{
	(void)ctx;
	abort();
}

/* The listener wants one, though nobody shakes hands with it. */
static void make_certificate(struct http_setup *setup)
{
	static char key_pem[PEM_MAX], cert_pem[PEM_MAX];
	struct hf_wr k = hf_wr_of(key_pem, PEM_MAX), c = hf_wr_of(cert_pem, PEM_MAX);
	const struct ca_subject subject = {.name = "fuzz"};
	struct hf_seal_key *key = NULL;
	X509 *cert = NULL;

	check(hf_openssl_generate(HF_OPENSSL_P256, &key) == HF_E_OK);
	check(ca_root_make(key, &subject, os_now_ms() / 1000, &cert) == HF_E_OK);
	check(hf_openssl_write(key, HF_OPENSSL_PRIVATE_PEM, &k) == HF_E_OK && ca_cert_write(cert, &c) == HF_E_OK);
	hf_wr_nul(&k);
	hf_wr_nul(&c);
	setup->key_pem = key_pem;
	setup->certificate_pem = cert_pem;
	hf_openssl_key_free(key);
	ca_cert_free(cert);
}

/* Millions of requests a minute are fine here. */
static const char settings[] =
#define RATE(NAME, key, doc) "rate_" #key " = 0\nrate_" #key "_all = 0\n"
#include "limit/rates.def"
	;

static void open_server(void)
{
	struct conf_report report = {0};
	struct http_setup setup = {.listen = "127.0.0.1", .body_max = BODY_MAX, .secret_prefix = "/e/"};
	int pair[2];

	os_log_level(OS_ERROR + 1);
	check(conf_parse(hf_span_text(settings), "none", &s.conf, &report) == HF_E_OK);
	check(os_loop_init(&s.loop) == HF_E_OK && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	check(signer_client_init(&s.signer, &s.loop, pair[0], on_lost, NULL) == HF_E_OK);
	s.signer_fd = pair[1];
	open_database();
	session_cache_init(&s.sessions, s.db, &s.facts, SELF);
	s.enrol = (struct enrol){.db = s.db, .facts = &s.facts, .policy = ENROL_OPEN, .allowed_max = 10};
	s.keyex = (struct keyex){.db = s.db,
	                         .facts = &s.facts,
	                         .public_key = load("vis-r"),
	                         .id = KEYEX,
	                         .default_c2 = SELF,
	                         .ttl_ms = INT32_MAX,
	                         .half_made_max = 10,
	                         .identities_max = 100,
	                         .idle_ms = INT32_MAX,
	                         .certificate_days = 30,
	                         .enrol = &s.enrol};
	s.upkeep = (struct upkeep){.conf = &s.conf, .db = s.db, .facts = &s.facts};
	check(upkeep_init(&s.upkeep, os_now_ms(), os_monotonic_ms()) == HF_E_OK);
	s.link.s = (struct link_setup){.loop = &s.loop, .db = s.db, .facts = &s.facts, .sessions = &s.sessions};
	s.api = (struct api){.conf = &s.conf,
	                     .loop = &s.loop,
	                     .db = s.db,
	                     .facts = &s.facts,
	                     .sessions = &s.sessions,
	                     .signer = &s.signer,
	                     .link = &s.link,
	                     .keyex = &s.keyex,
	                     .upkeep = &s.upkeep,
	                     .enrol = &s.enrol,
	                     .commands = {1000, 10},
	                     .broker_name = "localhost",
	                     .server_key_base64 = "a2V5",
	                     .broker_ca_pem = "ca",
	                     .sandbox = "none"};
	api_init(&s.api, &setup);
	make_certificate(&setup);
	check(http_start(&s.loop, &setup, &s.http) == HF_E_OK);
	s.api.http = s.http;
	fill();
	s.enrol_before = s.enrol;
	s.keyex_before = s.keyex;
}

/* --- one request ---------------------------------------------------------------------------------------------------- */

static void work(void)
{
	worker_play(s.db);
}

/* The tokens of this run are random: the input names them. */
static bool put_token(struct MHD_Connection *c)
{
	bool given = false;

	for (size_t i = 0; i < c->pairs; i++) {
		if (c->pair[i].kind != MHD_HEADER_KIND)
			continue;
		if (strcmp(c->pair[i].value, "Bearer @admin") == 0)
			c->pair[i].value = s.admin;
		else if (strcmp(c->pair[i].value, "Bearer @device") == 0)
			c->pair[i].value = s.device;
		given |= c->pair[i].value == s.admin || c->pair[i].value == s.device;
	}
	return given;
}

/* The signer answers whatever it is asked with a good word: a time, and something behind it. */
static void answer_signer(void)
{
	static const uint8_t answer[] = "\0\0\0\0\0\0\x7f\xff\xff\xff-----BEGIN CERTIFICATE-----";
	uint8_t request[SIGNER_REQUEST_MAX];

	while (recv(s.signer_fd, request, sizeof request, MSG_DONTWAIT) > 0) {
		check(send(s.signer_fd, answer, sizeof answer - 1, 0) == sizeof answer - 1);
		s.signer.watch.on_ready(&s.signer.watch, OS_READ);
	}
}

static bool token_given;
static void *slot; /* the program's for the request under way: its struct http_call */

static void on_reply(struct MHD_Connection *c)
{
	const struct http_call *call = slot;
	json_t *reply = json_loadb((const char *)c->reply.ptr, c->reply.len, 0, NULL);

	check(c->status >= 200 && c->status < 600 && c->status != 500);
	if (c->status >= 400) {
		check(json_string_length(json_object_get(reply, "error")) > 0);
		check(json_string_length(json_object_get(reply, "message")) > 0);
	} else {
		check(reply || strcmp(call->content_type, "application/json") != 0);
		check(token_given || call->route->access == ACCOUNT_PUBLIC);
	}
	json_decref(reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct MHD_Connection c;

	if (!s.http)
		open_server();
	if (!mhd_read(&c, hf_span_of(data, size)))
		return 0;
	token_given = put_token(&c);
	c.on_reply = on_reply;
	mhd_receive(&c, &slot);
	work();
	answer_signer();
	http_wake_all(s.http, UINT64_MAX);
	work();
	http_turn_done(s.http, true);
	mhd_finish(&c, &slot, work);
	check(slot == NULL);
	db_rollback(s.db);
	session_turn_done(&s.sessions, false);
	facts_turn_done(&s.facts, false);
	s.api.keyex_answer_len = 0;
	s.enrol = s.enrol_before;
	s.keyex = s.keyex_before;
	return 0;
}
