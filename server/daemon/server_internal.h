/* daemon, inside - the server process: what its files share. */
#ifndef DAEMON_SERVER_INTERNAL_H
#define DAEMON_SERVER_INTERNAL_H
#include "api/api.h"
#include "daemon/daemon.h"
#include "upkeep/upkeep.h"
#include "worker/worker.h"

struct server {
	struct conf *conf;
	struct os_loop loop;
	struct os_watch signals, news;
	struct os_timer housekeeping, renew, sweep;
	struct db *db;
	struct facts facts;
	struct session_cache sessions;
	struct signer_client signer;
	struct enrol enrol;
	struct keyex keyex;
	struct link *link;
	struct http *http;
	struct api api;
	struct worker *worker;
	struct upkeep upkeep;
	struct hf_seal_key *access_key;
	struct os_buf web_key, web_cert, broker_ca, server_key_base64;
	char broker_name[CONF_TEXT_MAX + 8], first_name[CONF_TEXT_MAX];
	char self_cert[8192], control_cert[8192];
	char table_file[CONF_PATH_MAX], journal_file[CONF_PATH_MAX], mark_file[CONF_PATH_MAX];
	int64_t turn_began_ms;
	bool signer_gone, turn_failed;
	enum hf_err renewed; /* how the first of the two renewals ended */
};

/* Logs what failed and why; true when it did. */
bool daemon_failed(const char *what, enum hf_err err);
/* A new access key with its two certificates from the signer; they are renewed half-way through their life, and when s->renew is set. */
HF_NODISCARD enum hf_err daemon_access_open(struct server *s, int signer_fd);

#endif
