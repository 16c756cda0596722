/* port/fake - the other side of one device in a test: KeyEx, broker, server and a person, and an application that
 * counts.
 * Uses: base wire seal peer node. */
#ifndef HF_FAKE_HOME_H
#define HF_FAKE_HOME_H
#include "port/fake/fake.h"
#include "wire/wire.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { HF_FAKE_SEEN_MAX = 4096, HF_FAKE_RING = 16, HF_FAKE_WAY_MAX = 16 };

/* One sequence id that came in, and what it stood on. */
struct hf_fake_seen {
	uint64_t id, digest;
};

struct hf_fake_home {
	struct hf_fake fake;
	struct hf_node node;
	struct hf_node_config config;
	struct hf_node_app app;
	struct hf_node_reading ring[HF_FAKE_RING];
	uint8_t work[HF_NODE_WORK_MIN];
	int64_t now_ms;
	bool running, up, offline; /* offline: the broker is not to be had */

	/* KeyEx. A request whose path holds broken is answered with that status, if it is not NULL. */
	uint64_t keyex, keyex_key;
	bool keyex_silent, inactive; /* no key of its own to be had; takes nobody */
	const char *broken;
	unsigned broken_status, registrations, certificates;
	int64_t life_s; /* of the certificates that it gives */

	/* Broker. What takes time is on its way, oldest first. */
	int64_t latency_ms; /* one way */
	struct hf_fake_sent way[HF_FAKE_WAY_MAX];
	size_t way_count;
	int64_t wrong_s; /* by how much the device's clock is wrong */
	int64_t knock_ms; /* when the port tries next */
	unsigned made, bad_pairs; /* which connect the connection is of; how often key and certificate did not fit */

	/* Server. */
	uint64_t server, server_key, told_key; /* told_key: what get_key answers, other than register's, if not 0 */
	uint64_t device, device_key, sequence;
	uint8_t join_status; /* the answer to a simple join */
	uint8_t person_status; /* the answer to a moderated one; 0: nobody answers */
	bool deny; /* the broker refuses what the device publishes */
	struct hf_fake_sent last; /* the last message to the device, for replays */
	struct hf_seal_window heard; /* judged as our server does */
	struct hf_fake_seen seen[HF_FAKE_SEEN_MAX];
	size_t seen_count;
	unsigned reused, forged, lost; /* ids seen on other bytes; bad signatures; honest messages too old to be taken */
	unsigned readings, responses, identifications, joins, resignations, deregistrations;
	uint8_t status; /* of the last RESPONSE */
	uint8_t token[HF_PEER_TOKEN_MAX];
	size_t token_len;

	/* The application. */
	unsigned events[HF_NODE_KIND_COUNT_], actions, settings;
	uint8_t last_action;
	enum hf_err outcome, last_err; /* what the callbacks answer; of the last event that had one */
	char code[HF_SEAL_VALUE_LEN + 1];
};

/* A world in which everything goes well: a fresh device, simple joins are accepted. */
void hf_fake_home_init(struct hf_fake_home *h, uint64_t seed);
/* Power on: hf_node_init on what the store holds. */
enum hf_err hf_fake_home_start(struct hf_fake_home *h);
/* Power off; the store stays, connection and RAM go. */
void hf_fake_home_stop(struct hf_fake_home *h);
/* Lets time pass up to for_ms, answering everything; returns early when the power goes. */
void hf_fake_home_run(struct hf_fake_home *h, int64_t for_ms);
/* Sends one message of the server to the device: signs it with that key; 0 in m->sequence_id takes the next. */
void hf_fake_home_send(struct hf_fake_home *h, struct hf_wire_msg m, uint64_t key);
/* The device hears the last message once more, after the latency. */
void hf_fake_home_replay(struct hf_fake_home *h);
/* Cuts the connection; it comes back with the next run, unless offline is set. */
void hf_fake_home_drop(struct hf_fake_home *h);

#ifdef __cplusplus
}
#endif
#endif
