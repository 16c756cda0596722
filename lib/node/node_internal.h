/* node, inside - what its files share. Uses: node.h. */
#ifndef HF_NODE_INTERNAL_H
#define HF_NODE_INTERNAL_H
#include "node/node.h"

/* Regions of the work buffer, for steps that need three texts at once. */
enum { HF_NODE_WORK_A = 2560, HF_NODE_WORK_B = 2048 };
struct hf_wr hf_node_work_a(const struct hf_node *n);
struct hf_wr hf_node_work_b(const struct hf_node *n);
struct hf_wr hf_node_work_c(const struct hf_node *n);
/* All of it. */
struct hf_wr hf_node_work(const struct hf_node *n);
void hf_node_work_wipe(const struct hf_node *n);

/* How we stand with the server, as the item STANDING keeps it. Append only. */
enum hf_node_standing {
	HF_NODE_REGISTERED_ONLY, /* asks to join */
	HF_NODE_MEMBER,
	HF_NODE_HAS_LEFT, /* does not ask */
	HF_NODE_RESIGNS, /* will have left once the broker has acknowledged it */
	HF_NODE_DEREGISTERS, /* the same, and is wiped then */
	HF_NODE_WIPED /* wiped, or half-way through */
};

/* --- node.c: the machine ------------------------------------------------------------------------------------------ */

/* Feeds one input to the machine. */
void hf_node_fire(struct hf_node *n, enum hf_node_input input);
/* Feeds FAIL, for that reason. */
void hf_node_fail(struct hf_node *n, enum hf_err why);
void hf_node_tell(const struct hf_node *n, const struct hf_node_event *e);
/* base doubled tries times, at most max, of which a random half is taken off. */
int64_t hf_node_backoff_ms(const struct hf_node *n, uint32_t tries, int64_t base_ms, int64_t max_ms);
/* Reads an item of exactly len bytes. NOT_FOUND, MISSING (another length), IO. */
enum hf_err hf_node_get_exact(const struct hf_node *n, enum hf_node_item item, uint8_t *out, size_t len);
/* Loads a key from an item. NOT_FOUND, KEY, IO. */
enum hf_err hf_node_get_key(const struct hf_node *n, enum hf_node_item item, bool private_half,
                            struct hf_seal_key **out);

/* Nobody is asked for anything and no value is on show. */
void hf_node_forget_requests(struct hf_node *n);
/* KeyEx's key: the one that was provisioned, else the one pinned earlier, if any. KEY, IO. */
enum hf_err hf_node_load_keyex_key(struct hf_node *n);

/* --- actions of machine.def: each returns OK, or why the new state fails ------------------------------------------ */
#define ON(state, input, action, next) enum hf_err hf_node_do_##action(struct hf_node *n);
#include "node/machine.def"

/* --- session.c: messages ------------------------------------------------------------------------------------------ */

/* The next sequence id to our server, stored before it is used. SEQUENCE, IO. */
enum hf_err hf_node_take_sequence(struct hf_node *n, uint64_t *out);
/* Signs and publishes m (type, token, body and sequence id are set) on the join topic or our own. */
enum hf_err hf_node_post(struct hf_node *n, struct hf_wire_msg *m, uint16_t *ticket);
/* A fresh token, 16 bytes of it as text. RANDOM. */
enum hf_err hf_node_token(const struct hf_node *n, uint8_t out[HF_PEER_TOKEN_LEN]);
/* The receive path up to the handler of the type. */
enum hf_err hf_node_receive(struct hf_node *n, struct hf_span topic, struct hf_span payload);

/* Handlers, by type. */
enum hf_err hf_node_take_response(struct hf_node *n, const struct hf_wire_msg *m);
enum hf_err hf_node_take_value(struct hf_node *n, const struct hf_wire_msg *m);
enum hf_err hf_node_take_action(struct hf_node *n, const struct hf_wire_msg *m);
enum hf_err hf_node_take_data(struct hf_node *n, const struct hf_wire_msg *m);
enum hf_err hf_node_take_id_req(struct hf_node *n, const struct hf_wire_msg *m);

enum hf_err hf_node_take_terminate(struct hf_node *n, const struct hf_wire_msg *m);
enum hf_err hf_node_take_deregister(struct hf_node *n, const struct hf_wire_msg *m);

/* --- leave.c ------------------------------------------------------------------------------------------------------ */

/* Stores how we stand. IO; then nothing has changed. */
enum hf_err hf_node_stand(struct hf_node *n, enum hf_node_standing standing);
/* Is there a wish that the broker has not acknowledged? */
bool hf_node_leaving(const struct hf_node *n);
/* The broker acknowledged that we leave, or refused to pass it on. */
void hf_node_parted(struct hf_node *n, bool accepted);

/* --- access.c: the certificate ------------------------------------------------------------------------------------ */

/* After a start there is more urgent work. */
enum { HF_NODE_RENEW_START_MS = 5000 };
/* Makes a key, stores it as ACCESS_KEY and asks KeyEx for its certificate. */
enum hf_err hf_node_ask_access(struct hf_node *n);
/* The answer: checked, and stored with the key as ACCESS. */
enum hf_err hf_node_take_access(struct hf_node *n, struct hf_span body);
/* Moves the three items of older stores to ACCESS. NOT_FOUND, IO, NO_SPACE. */
enum hf_err hf_node_adopt_access(struct hf_node *n);
/* Renews what is due; sets n->renew_ms. */
void hf_node_renew_step(struct hf_node *n);
/* The answer to a renewal. */
void hf_node_renew_answer(struct hf_node *n, unsigned status, struct hf_span body);

/* --- register.c: requests to KeyEx -------------------------------------------------------------------------------- */

void hf_node_body_begin(const struct hf_node *n, struct hf_wr *body);
void hf_node_body_base64(struct hf_wr *body, const char *name, struct hf_span value);
enum hf_err hf_node_body_post(struct hf_node *n, const char *step, struct hf_wr *body);
/* Why a request with this status failed. */
enum hf_err hf_node_unwanted(unsigned status);

/* --- queue.c ------------------------------------------------------------------------------------------------------ */

/* Sends what may be sent; sets n->queue_ms. */
void hf_node_queue_pump(struct hf_node *n);
/* What was in flight waits again. */
void hf_node_queue_land(struct hf_node *n);
/* Forgets every reading; they count as dropped. */
void hf_node_queue_drop(struct hf_node *n);
/* A ticket came back. False if it is none of the queue's. */
bool hf_node_queue_settle(struct hf_node *n, uint16_t ticket, bool accepted);

/* --- json.c: members of one JSON object --------------------------------------------------------------------------- */

/* Appends the text of a string member. NOT_FOUND, TEXT (no object, not a string, twice there, odd escapes),
 * NO_SPACE. */
enum hf_err hf_node_json_text(struct hf_span body, const char *name, struct hf_wr *out);
/* The same, base64 decoded. */
enum hf_err hf_node_json_base64(struct hf_span body, const char *name, struct hf_wr *out);
enum hf_err hf_node_json_id(struct hf_span body, const char *name, uint64_t *out);
enum hf_err hf_node_json_flag(struct hf_span body, const char *name, bool *out);
#endif
