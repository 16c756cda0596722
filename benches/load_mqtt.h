/* load - MQTT 5 connections over TLS, bytes only: no queue, no retry, no thread. Uses: base ca; OpenSSL. */
#ifndef BENCHES_LOAD_MQTT_H
#define BENCHES_LOAD_MQTT_H
#include "base/base.h"
#include "seal/seal.h"

#include <openssl/ssl.h>

enum { LOAD_IN_MAX = 1 << 17, LOAD_PACKET_MAX = 4096 };
enum load_packet { LOAD_CONNACK = 2, LOAD_PUBLISH = 3, LOAD_PUBACK = 4, LOAD_SUBACK = 9 };

struct load_link {
	int fd;
	SSL *ssl;
	uint8_t *in; /* LOAD_IN_MAX bytes, NULL until something is read */
	size_t in_at, in_len;
};
/* One that arrived; its parts live until the next read. */
struct load_received {
	enum load_packet kind;
	uint8_t reason; /* of CONNACK and SUBACK */
	uint16_t packet_id;
	struct hf_span payload; /* of PUBLISH */
};

/* The broker's CA, with which this program certifies whom it wants to be; all of them with one P-256 key. */
struct load_stage {
	unsigned port;
	SSL_CTX *ctx;
	struct hf_seal_key *access, *ca_key;
	X509 *ca;
};
/* keys: the key folder of a universe. False: said on stderr. */
bool load_stage_open(struct load_stage *s, const char *keys, unsigned port);
void load_stage_close(struct load_stage *s);
/* A certificate for that name; free with X509_free. NULL: said on stderr. */
X509 *load_certify(const struct load_stage *s, const char *name);
/* TCP, TLS, CONNECT with clean start, CONNACK. False: refused or no connection, said on stderr. */
bool load_connect(struct load_link *l, const struct load_stage *s, X509 *cert, const char *client_id);
/* QoS 1, and waits for the SUBACK. */
bool load_subscribe(struct load_link *l, const char *filter);
bool load_send(struct load_link *l, struct hf_span bytes);
/* The next packet out of what was read; false when none is whole. */
bool load_take(struct load_link *l, struct load_received *out);
/* Reads what is there; false at the end of the connection. */
bool load_read(struct load_link *l);
/* Takes and reads until a packet of that kind is there; acknowledges and drops what comes before it. */
bool load_wait(struct load_link *l, enum load_packet kind, struct load_received *out);
/* packet_id 0: QoS 0. */
void load_put_publish(struct hf_wr *w, const char *topic, uint16_t packet_id, struct hf_span payload);
void load_close(struct load_link *l);

#endif
