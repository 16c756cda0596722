/* node - the device engine without I/O: registration, join, commands, readings. Uses: base wire seal peer. */
#ifndef HF_NODE_H
#define HF_NODE_H
#include "base/base.h"
#include "peer/peer.h"
#include "seal/seal.h"
#include "wire/wire.h"

#ifdef __cplusplus
extern "C" {
#endif

enum hf_node_item {
#define ITEM(NAME, fate, doc) HF_NODE_ITEM_##NAME,
#include "node/items.def"
	HF_NODE_ITEM_COUNT_
};

enum hf_node_kind {
#define EVENT(NAME, words, label, doc) HF_NODE_##NAME,
#include "node/events.def"
	HF_NODE_KIND_COUNT_
};

enum hf_node_state {
#define STATE(NAME, doc) HF_NODE_S_##NAME,
#include "node/machine.def"
	HF_NODE_S_COUNT_
};

enum hf_node_input {
#define INPUT(NAME, doc) HF_NODE_I_##NAME,
#include "node/machine.def"
	HF_NODE_I_COUNT_
};

/* One row of the machine: in state on input, next. Rows from 0 until NULL, for tests and docs. */
struct hf_node_row {
	uint8_t state, input, next;
	const char *action;
};
const struct hf_node_row *hf_node_row_at(size_t i);
const char *hf_node_state_name(enum hf_node_state state);
const char *hf_node_input_name(enum hf_node_input input);

/* Something the application may want to know; borrowed for the call. Which members count: events.def. */
struct hf_node_event {
	enum hf_node_kind kind;
	enum hf_err err;
	uint64_t id;
	int64_t wait_ms;
	const char *text; /* never NULL */
};
/* The words of a kind ("join waiting"), and what its id is ("server"). */
const char *hf_node_kind_words(enum hf_node_kind kind);
const char *hf_node_kind_label(enum hf_node_kind kind);

/* The item ACCESS, all PEM: our key for the broker, its certificate (leaf first), the one CA that the broker is checked
 * against. */
struct hf_node_access {
	struct hf_span key, certificate, ca;
};
/* Borrows from value. Errors: SHORT, TRAILING. */
HF_NODISCARD enum hf_err hf_node_access_parse(struct hf_span value, struct hf_node_access *out);
/* How long a certificate is good, from beginning to end and from now on by the port's clock: negative once it is over,
 * more than life_s while that clock is before its beginning. */
struct hf_node_validity {
	int64_t life_s, left_s;
};

/* Where the port shall connect to, and as whom. Certificate, key and CA are the item ACCESS of the store. */
struct hf_node_link {
	struct hf_span broker;
	const char *client_id, *topic; /* subscribe to topic with QoS 1 before on_connected */
};

/* What a port gives. */
struct hf_node_env {
	void *ctx;
	const struct hf_seal_crypto *crypto;

	/* Store. get appends the value: NOT_FOUND, NO_SPACE, IO. put is durable once it returns OK; after an error or a
	 * power cut the old or the new value is there, whole. */
	enum hf_err (*get)(void *ctx, enum hf_node_item item, struct hf_wr *out);
	enum hf_err (*put)(void *ctx, enum hf_node_item item, struct hf_span value);
	/* Durable once it returns OK, also when there was no such value. IO. */
	enum hf_err (*erase)(void *ctx, enum hf_node_item item);

	/* Keys. Identity: RSA-2048, e = 65537; access: the port's choice, with a CSR (PEM, SHA-256) for CN common_name. */
	enum hf_err (*make_identity)(void *ctx, struct hf_wr *private_pem, struct hf_wr *public_pem);
	enum hf_err (*make_access)(void *ctx, const char *common_name, struct hf_wr *private_pem, struct hf_wr *csr_pem);
	enum hf_err (*load_key)(void *ctx, bool private_half, struct hf_span pem, struct hf_seal_key **out);
	void (*free_key)(void *ctx, struct hf_seal_key *key); /* NULL is allowed */
	/* Do the three fit together, and for how long? KEY, MEMORY. */
	enum hf_err (*check_access)(void *ctx, const struct hf_node_access *access, struct hf_node_validity *out);
	/* RSASSA-PSS as KeyEx wants it. */
	enum hf_err (*sign_pss)(void *ctx, struct hf_seal_key *key, struct hf_span text, struct hf_wr *sig);
	enum hf_err (*verify_pss)(void *ctx, struct hf_seal_key *key, struct hf_span text, struct hf_span sig);

	/* Starts a request to KeyEx; path begins with /. The answer comes by hf_node_on_http, never within this call; a
	 * second request drops the first and its answer. method and path are static or copied, body is copied. */
	enum hf_err (*request)(void *ctx, const char *method, const char *path, struct hf_span body);
	/* Connects and stays connected, trying again for ever; a connection that is there is made anew. Tells by
	 * hf_node_on_connected and hf_node_on_disconnected, never within this call; link is copied. */
	enum hf_err (*connect)(void *ctx, const struct hf_node_link *link);
	/* Ends the connection and every try, and tells nothing any more. May be called from within hf_node_on_... */
	void (*disconnect)(void *ctx);
	/* Publishes with QoS 1, no retain. *ticket names it in hf_node_on_published. UNREACHABLE when not connected. */
	enum hf_err (*publish)(void *ctx, const char *topic, struct hf_span payload, uint16_t *ticket);
};

/* What an application gives. Called once a message is verified and its sequence id is stored: never twice for one
 * message. */
struct hf_node_app {
	void *ctx;
	/* OK: done. NOT_FOUND: there is no such action or setting. Anything else: it failed. */
	enum hf_err (*action)(void *ctx, uint8_t action);
	enum hf_err (*setting)(void *ctx, struct hf_span data_id, struct hf_span data);
	void (*event)(void *ctx, const struct hf_node_event *event);
};

enum { HF_NODE_WORK_MIN = 8192, HF_NODE_DATA_ID_MAX = 32, HF_NODE_DATA_MAX = 64, HF_NODE_TYPE_MAX = 63 };

/* One reading that waits. Memory of the caller, contents of node. */
struct hf_node_reading {
	uint64_t sequence; /* 0: not sent yet; once set it stays, so that the server knows a repeat */
	uint16_t ticket;
	uint8_t state, id_len, data_len;
	uint8_t token[16], id[HF_NODE_DATA_ID_MAX], data[HF_NODE_DATA_MAX];
};

enum hf_node_join { HF_NODE_JOIN_SIMPLE, HF_NODE_JOIN_MODERATED, HF_NODE_JOIN_AUTO };

/* Borrowed for the life of the node. */
struct hf_node_config {
	const char *type, *software; /* device type (1..63 bytes); answer to ID_REQ */
	enum hf_node_join join; /* AUTO: simple, then moderated when the server says so */
	struct hf_span keyex_key; /* KeyEx's public key, PEM; empty: pinned at first use */
	uint8_t *work; /* scratch memory of work_cap >= HF_NODE_WORK_MIN bytes */
	size_t work_cap;
	struct hf_node_reading *ring; /* readings that wait: ring_cap >= 1 of them */
	size_t ring_cap;
};

/* What happened since the start. */
struct hf_node_counts {
	uint32_t taken, own, refused, replayed, forged, sent, readings_sent, readings_dropped, denied;
};

/* A device. Only hf_node functions look inside. */
struct hf_node {
	const struct hf_node_config *config;
	const struct hf_node_env *env;
	const struct hf_node_app *app;
	struct hf_seal_key *identity, *server_key, *keyex_key;
	uint64_t id, server, keyex;
	int64_t now_ms, deadline_ms, queue_ms, renew_ms;
	struct hf_seal_counter counter;
	struct hf_seal_window window;
	struct hf_peer_request slot[1];
	struct hf_peer_table pending;
	struct hf_node_counts counts;
	uint32_t register_tries, join_tries, renew_tries, denied_streak;
	size_t ring_first, ring_count;
	enum hf_err why; /* of the last failure, for the event that reports it */
	uint16_t ticket; /* of the last request to join or to leave */
	uint8_t state, before; /* enum hf_node_state */
	uint8_t standing; /* enum hf_node_standing, as stored */
	bool up, renewing, expired; /* a renewal is asked for; the broker says that our certificate's time is over */
	char code[HF_SEAL_VALUE_LEN + 1];
};

/* Starts from what the store holds. Errors: INPUT (config), MISSING (the store names a registration but lacks a part
 * of it), KEY, IO; then nothing is held. */
HF_NODISCARD enum hf_err hf_node_init(struct hf_node *n, const struct hf_node_config *config,
                                      const struct hf_node_env *env, const struct hf_node_app *app, int64_t now_ms);
/* Gives the keys back and wipes n. */
void hf_node_release(struct hf_node *n);
/* Does what is due. Returns when to call again at the latest, INT64_MAX for never. now_ms never goes back. */
int64_t hf_node_step(struct hf_node *n, int64_t now_ms);
/* The answer to the request: its HTTP status and body; status 0 when there was none. */
void hf_node_on_http(struct hf_node *n, int64_t now_ms, unsigned status, struct hf_span body);
/* The broker refuses our certificate because its time is over. May be told at each try. */
void hf_node_on_expired(struct hf_node *n, int64_t now_ms);
/* The broker took us and our topic is subscribed; the broker is gone. */
void hf_node_on_connected(struct hf_node *n, int64_t now_ms);
void hf_node_on_disconnected(struct hf_node *n, int64_t now_ms);
/* A message of the broker. payload is borrowed for the call. */
void hf_node_on_message(struct hf_node *n, int64_t now_ms, struct hf_span topic, struct hf_span payload);
/* The broker acknowledged a publish, or refused it. */
void hf_node_on_published(struct hf_node *n, int64_t now_ms, uint16_t ticket, bool accepted);

/* Queues a reading; it leaves once we are joined and at the broker. When the ring is full the oldest goes and is
 * counted. Errors: TOO_BIG (id over 32 or data over 64 bytes), INPUT (empty id). */
HF_NODISCARD enum hf_err hf_node_report(struct hf_node *n, int64_t now_ms, struct hf_span data_id, struct hf_span data);
/* Readings that are not acknowledged yet. */
size_t hf_node_waiting(const struct hf_node *n);

/* The device's own wishes. Each is stored before it returns OK and outlives a restart; what came of it is an event.
 * resign: tells the server, keeps identity and certificate, drops readings that wait, and does not ask to join again.
 * deregister: tells the server, then wipes the registration and disconnects; the application wipes what it kept.
 * rejoin: after either, or after the server's command to the same end: asks to join again, or registers as a new device.
 * A wish that is fulfilled already is OK. Errors: STATE (not registered yet; an earlier wish is not done), IO. */
HF_NODISCARD enum hf_err hf_node_resign(struct hf_node *n, int64_t now_ms);
HF_NODISCARD enum hf_err hf_node_deregister(struct hf_node *n, int64_t now_ms);
HF_NODISCARD enum hf_err hf_node_rejoin(struct hf_node *n, int64_t now_ms);

#ifdef __cplusplus
}
#endif
#endif
