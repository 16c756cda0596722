/* link, inside - connections, waiting answers, presence. */
#ifndef LINK_INTERNAL_H
#define LINK_INTERNAL_H
#include "link/link.h"
#include "type/type.h"

#include <mosquitto.h>
#include <openssl/types.h>

enum link_role { LINK_DATA, LINK_CONTROL, LINK_OUT, LINK_CONNS, LINK_PURGE = LINK_CONNS };
enum {
	LINK_WAITS_MAX = 256,
	LINK_LEAVING_MAX = 4096,
	LINK_ANSWERS_MAX = 256,
	LINK_BACKOFF_MIN_MS = 50,
	LINK_BACKOFF_MAX_MS = 5000,
	LINK_READS_A_TURN = 256,
	LINK_TURN_MS = 5,
	LINK_PRESENCE_BUCKETS = 4096,
	LINK_PRESENCE_MAX = 100000,
	LINK_TABLE_CHUNK = 60000,
	LINK_ADDRESS_FRESH_MS = 30000,
	LINK_ADDRESS_POLL_MS = 20,
};

/* One connection to the broker. */
struct link_conn {
	struct link *link;
	struct mosquitto *m;
	struct os_watch watch;
	struct os_timer retry, misc, more, overdue;
	int64_t backoff_ms;
	unsigned tries; /* which of the broker's addresses is next */
	enum link_role role;
	uint64_t records; /* TLS records that were read */
	bool clean, up, has_read, told;
	char client_id[64];
};
/* Where the broker is: its addresses are asked for without waiting, and again when they are old. */
struct link_address {
	struct os_resolve resolve;
	int64_t known_ms; /* monotonic; 0: never */
};
/* Somebody waits for the broker to follow. mid: of the publish that carries the change, 0 while it has not left. cut: that
 * publish was a revocation and is confirmed; now the session has to go. */
struct link_wait {
	uint64_t id;
	int mid;
	bool used, revoked, cut;
	link_done done;
	void *ctx;
};
/* A message that is no command, such as the answer to a join: its row stays until the broker has it. row 0: free; mid 0: it leaves
 * after this turn. */
struct link_answer {
	int64_t row;
	uint64_t device;
	int mid;
};
/* A signed message that leaves after this turn's commit. answer: its place among those that wait for a PUBACK, NULL for a command. */
struct link_leaving {
	char topic[HF_WIRE_TOPIC_MAX];
	struct os_buf message;
	struct link_answer *answer;
};
struct link_presence {
	uint64_t id;
	unsigned count; /* connections */
	struct link_presence *next;
};
/* A clean-session CONNECT under a revoked device's client ids: ends its session and empties its queue. */
struct link_purge {
	struct link_conn conn;
	struct os_timer timer;
	uint64_t id;
	unsigned step;
	enum { LINK_PURGE_IDLE, LINK_PURGE_CONNECTING, LINK_PURGE_UP } phase;
};

struct link {
	struct link_setup s;
	struct link_conn conn[LINK_CONNS];
	struct link_address address;
	SSL_CTX *tls_self, *tls_control;
	struct link_wait wait[LINK_WAITS_MAX];
	struct link_purge purge;
	struct link_leaving leaving[LINK_LEAVING_MAX];
	size_t leaving_count;
	struct link_answer answer[LINK_ANSWERS_MAX];
	int64_t submitted; /* highest outbox row that the signer was asked about */
	unsigned signing; /* asked, not answered */
	bool resubmit; /* some rows must be tried again once signing is 0 */
	bool more; /* rows wait because signing is at its maximum */
	struct os_timer pump, repush;
	int table_mid; /* publish that ends the table push; 0 = none under way */
	int revoke_mid; /* of the last revoke line; 0 = all are confirmed */
	bool table_known; /* the broker has our table */
	bool failed, profiles_changed;
	struct type_profile profile; /* the last one that was used */
	struct link_presence *presence[LINK_PRESENCE_BUCKETS];
	size_t present;
	struct link_counts counts;
	int64_t mark, changes; /* to be written after the commit, 0 = none; of the database when it was written last */
	unsigned unmarked; /* calls of link_mark since */
};

/* conn.c */
HF_NODISCARD enum hf_err link_conn_open(struct link_conn *c, const char *client_id, SSL_CTX *tls, bool clean);
void link_conn_close(struct link_conn *c);
void link_conn_connect(struct link_conn *c);
/* Does not wait out its backoff. */
void link_conn_hurry(struct link_conn *c);
void link_conn_flush(struct link_conn *c);
void link_conn_restart(struct link_conn *c);
HF_NODISCARD enum hf_err link_tls(const struct link_setup *s, const char *cert_pem, SSL_CTX **out);
/* record.c; flush: false when the connection is broken. waits: bytes are buffered that the socket has not taken. unread: bytes are
 * buffered that libmosquitto has not taken, maybe not yet a whole record. */
void link_record_context(SSL_CTX *ctx);
void link_record_begin(struct link_conn *c);
bool link_record_flush(struct link_conn *c);
bool link_record_waits(struct link_conn *c);
bool link_record_unread(struct link_conn *c);
/* Called by conn.c */
void link_on_up(struct link_conn *c);
void link_on_down(struct link_conn *c);
void link_on_message(struct link_conn *c, const char *topic, struct hf_span payload);
void link_on_published(struct link_conn *c, int mid, bool taken);

/* inbound.c */
void link_inbound(struct link *l, struct hf_span topic, struct hf_span payload);
/* Is there a row for this type of message? */
bool link_takes(unsigned type);
/* outbox.c */
void link_outbox_pump(struct link *l);
void link_outbox_turn_done(struct link *l, bool committed);
void link_outbox_on_pump(struct os_timer *t);
void link_outbox_published(struct link *l, int mid);
/* rights.c */
void link_rights_push(struct link *l);
void link_rights_changed(struct link *l, uint64_t id);
void link_rights_published(struct link *l, int mid, bool taken);
void link_rights_lost(struct link *l);
void link_rights_purged(struct link *l, uint64_t id);
void link_rights_on_repush(struct os_timer *t);
/* purge.c */
void link_purge_next(struct link *l);
void link_purge_on_up(struct link *l);
void link_purge_on_timer(struct os_timer *t);
void link_purge_stop(struct link *l);
/* restored.c */
void link_mark_turn_done(struct link *l, bool committed);
/* link.c */
void link_subscribe_events(struct link *l);
/* presence.c */
void link_presence_event(struct link *l, struct hf_span lines);
void link_presence_clear(struct link *l);

#endif
