/* link - the server at the broker: messages in, outbox and rights out, presence. Uses: base wire seal peer port/openssl os db facts
 * audit registry type telemetry session join leave command signer; libmosquitto. */
#ifndef LINK_H
#define LINK_H
#include "base/base.h"
#include "db/db.h"
#include "facts/facts.h"
#include "join/join.h"
#include "session/session.h"
#include "signer/signer.h"

struct link;

/* What lies beside the broker: the snapshot that it starts from, its journal, and our mark. */
struct link_files {
	const char *table, *journal, *mark;
};
/* Before link_start: is the database older than these files? Then it was restored from an old copy. Whoever the broker does not
 * know any more was revoked since and stays out; messages and commands under way are given up; every device is behind (see
 * registry.h); an alert is raised. Without an old copy nothing is changed. Errors: IO, MEMORY, DATABASE. */
HF_NODISCARD enum hf_err link_compare(const struct link_files *f, struct session_cache *c, int64_t now_ms);

struct link_setup {
	const char *host, *broker_name; /* where to connect to; the name that its certificate must have */
	unsigned port;
	const char *broker_ca_pem; /* what the broker's certificate must hang on */
	struct link_files files;
	struct os_loop *loop;
	struct db *db;
	struct facts *facts;
	struct session_cache *sessions;
	struct signer_client *signer;
	struct join_limits joins;
	/* The server's own broker identities: key pair and certificate (PEM) as itself and as control. */
	struct hf_seal_key *access_key;
	const char *self_cert_pem, *control_cert_pem;
};

#define LINK_RESTORED "database-restored" /* the kind of the alert, of no device; see link_compare */

struct link_counts {
	uint64_t received, sent, refused[HF_E_COUNT_], broker_refused, broker_kicked, broker_lost, tables;
	uint64_t full; /* a table of waits, presence or leaving messages had no room */
};

/* Connects and stays connected, with backoff. Errors: MEMORY, CRYPTO. */
HF_NODISCARD enum hf_err link_start(const struct link_setup *setup, struct link **out);
/* Says goodbye and frees all. */
void link_stop(struct link *l);

/* Other limits for the joins that come from now on. */
void link_join_limits(struct link *l, const struct join_limits *joins);

/* Did a handler of this turn lose the database? Then the turn must not be committed. */
bool link_turn_failed(const struct link *l);
/* After the turn: acknowledgements and messages leave, or are forgotten so that the broker sends again. */
void link_turn_done(struct link *l, bool committed);

/* Called once a second, inside a turn: moves the mark when the database has changed. Errors: DATABASE. */
HF_NODISCARD enum hf_err link_mark(struct link *l);

/* New certificates for the same key: used from the next connection on. Errors: CRYPTO; the old ones stay then. */
HF_NODISCARD enum hf_err link_renew(struct link *l, const char *self_cert_pem, const char *control_cert_pem);

/* Is the control connection there and the broker's table ours? */
bool link_up(const struct link *l);
bool link_online(const struct link *l, uint64_t device);
size_t link_online_count(const struct link *l);
const struct link_counts *link_counts(const struct link *l);

/* Calls done, in a later turn, once the broker has confirmed the next change of this identity's rights; for a revoked one, once its
 * session is cut and its queue is gone. The change itself must be made in this turn. Errors: FULL, UNREACHABLE (link not up). */
typedef void (*link_done)(void *ctx, enum hf_err err);
HF_NODISCARD enum hf_err link_await(struct link *l, uint64_t id, link_done done, void *ctx);
/* ctx goes away. */
void link_forget(struct link *l, void *ctx);

#endif
