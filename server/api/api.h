/* api - the REST routes: JSON in, domain verbs, JSON out. Uses: everything below; jansson. */
#ifndef API_H
#define API_H
#include "command/command.h"
#include "conf/conf.h"
#include "facts/facts.h"
#include "http/http.h"
#include "keyex/keyex.h"
#include "limit/limit.h"
#include "link/link.h"
#include "upkeep/upkeep.h"
#include "worker/worker.h"

/* What the routes work on; the daemon fills it in. */
struct api {
	const struct conf *conf;
	struct os_loop *loop;
	struct db *db;
	struct facts *facts;
	struct session_cache *sessions;
	struct signer_client *signer;
	struct link *link;
	struct keyex *keyex;
	struct http *http;
	struct worker *worker;
	const struct upkeep *upkeep;
	struct command_limits commands;
	const char *broker_name; /* as KeyEx tells it to devices: host, or host:port when it is not 8883 */
	const char *server_key_base64; /* of our PEM public key */
	const char *broker_ca_pem;
	const char *sandbox; /* what of the sandbox holds */
	struct enrol *enrol;
	/* Inside: */
	struct limit_table limits;
	uint8_t keyex_answer[SIGNER_REPLY_MAX]; /* KeyEx's signature over its own id, the same for everybody */
	size_t keyex_answer_len;
	int64_t keyex_answer_ms; /* monotonic */
	struct os_timer wake;
	uint64_t wake_mask;
	uint64_t turns_failed;
	unsigned exports; /* under way */
	uint64_t exports_refused;
};

/* Fills in the routes, allow and ctx of setup, and follows facts. */
void api_init(struct api *a, struct http_setup *setup);
/* Takes the rates of the configuration over; api_init does, and whoever changed the configuration. */
void api_settings(struct api *a);

#endif
