/* port/posix - the port as one thing: what struct hf_node_env asks for, and the one poll. Uses: base seal node
 * port/openssl. */
#include "port/posix/posix_internal.h"

#include "port/openssl/openssl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MQTT_PORT = 8883, HTTPS_OFFSET = 443, MQTT_OFFSET = 883, WAIT_MAX_MS = 60000 };
enum { FD_MQTT, FD_STOP, FDS };

struct hf_posix_device {
	struct hf_node_env env;
	struct hf_posix_store *store;
	struct hf_posix_http *http;
	struct hf_posix_mqtt *mqtt;
	struct hf_node *node; /* set while hf_posix_device_turn hands things over */
	unsigned broker_port;
	bool broker_port_forced;
	int stop_fd;
	void *ctx;
	void (*log)(void *ctx, const char *line);
};

/* --- store and keys ----------------------------------------------------------------------------------------------- */

static enum hf_err env_get(void *ctx, enum hf_node_item item, struct hf_wr *out)
{
	return hf_posix_store_get(((struct hf_posix_device *)ctx)->store, item, out);
}

static enum hf_err env_put(void *ctx, enum hf_node_item item, struct hf_span value)
{
	return hf_posix_store_put(((struct hf_posix_device *)ctx)->store, item, value);
}

static enum hf_err env_erase(void *ctx, enum hf_node_item item)
{
	return hf_posix_store_erase(((struct hf_posix_device *)ctx)->store, item);
}

static enum hf_err env_make_identity(void *ctx, struct hf_wr *private_pem, struct hf_wr *public_pem)
{
	struct hf_seal_key *key = NULL;
	enum hf_err err = hf_openssl_generate(HF_OPENSSL_RSA2048, &key);

	(void)ctx;
	if (err == HF_E_OK)
		err = hf_openssl_write(key, HF_OPENSSL_PRIVATE_PEM, private_pem);
	if (err == HF_E_OK)
		err = hf_openssl_write(key, HF_OPENSSL_PUBLIC_PEM, public_pem);
	hf_openssl_key_free(key);
	return err;
}

static enum hf_err env_make_access(void *ctx, const char *common_name, struct hf_wr *private_pem, struct hf_wr *csr_pem)
{
	struct hf_seal_key *key = NULL;
	enum hf_err err = hf_openssl_generate(HF_OPENSSL_P256, &key);

	(void)ctx;
	if (err == HF_E_OK)
		err = hf_openssl_write(key, HF_OPENSSL_PRIVATE_PEM, private_pem);
	if (err == HF_E_OK)
		err = hf_openssl_csr(key, common_name, csr_pem);
	hf_openssl_key_free(key);
	return err;
}

static enum hf_err env_load_key(void *ctx, bool private_half, struct hf_span pem, struct hf_seal_key **out)
{
	(void)ctx;
	return private_half ? hf_openssl_private_pem(pem, out) : hf_openssl_public_pem(pem, out);
}

static void env_free_key(void *ctx, struct hf_seal_key *key)
{
	(void)ctx;
	hf_openssl_key_free(key);
}

static enum hf_err env_check_access(void *ctx, const struct hf_node_access *access, struct hf_node_validity *out)
{
	(void)ctx;
	return hf_posix_tls_check(access, out);
}

static enum hf_err env_sign_pss(void *ctx, struct hf_seal_key *key, struct hf_span text, struct hf_wr *sig)
{
	(void)ctx;
	return hf_openssl_pss_sign(key, text, sig);
}

static enum hf_err env_verify_pss(void *ctx, struct hf_seal_key *key, struct hf_span text, struct hf_span sig)
{
	(void)ctx;
	return hf_openssl_pss_verify(key, text, sig);
}

/* --- network ------------------------------------------------------------------------------------------------------ */

static enum hf_err env_request(void *ctx, const char *method, const char *path, struct hf_span body)
{
	return hf_posix_http_start(((struct hf_posix_device *)ctx)->http, method, path, body);
}

static enum hf_err env_connect(void *ctx, const struct hf_node_link *link)
{
	struct hf_posix_device *d = ctx;

	return hf_posix_mqtt_start(d->mqtt, link, d->broker_port, d->broker_port_forced);
}

static void env_disconnect(void *ctx)
{
	hf_posix_mqtt_stop(((struct hf_posix_device *)ctx)->mqtt);
}

static enum hf_err env_publish(void *ctx, const char *topic, struct hf_span payload, uint16_t *ticket)
{
	return hf_posix_mqtt_publish(((struct hf_posix_device *)ctx)->mqtt, topic, payload, ticket);
}

static void mqtt_up(void *ctx)
{
	struct hf_posix_device *d = ctx;

	hf_node_on_connected(d->node, hf_posix_now_ms());
}

static void mqtt_down(void *ctx)
{
	struct hf_posix_device *d = ctx;

	hf_node_on_disconnected(d->node, hf_posix_now_ms());
}

static void mqtt_expired(void *ctx)
{
	struct hf_posix_device *d = ctx;

	hf_node_on_expired(d->node, hf_posix_now_ms());
}

static void mqtt_message(void *ctx, struct hf_span topic, struct hf_span payload)
{
	struct hf_posix_device *d = ctx;

	hf_node_on_message(d->node, hf_posix_now_ms(), topic, payload);
}

static void mqtt_published(void *ctx, uint16_t ticket, bool accepted)
{
	struct hf_posix_device *d = ctx;

	hf_node_on_published(d->node, hf_posix_now_ms(), ticket, accepted);
}

static void mqtt_log(void *ctx, const char *line)
{
	struct hf_posix_device *d = ctx;

	d->log(d->ctx, line);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static const struct hf_node_env functions = {
	.get = env_get,
	.put = env_put,
	.erase = env_erase,
	.make_identity = env_make_identity,
	.make_access = env_make_access,
	.load_key = env_load_key,
	.free_key = env_free_key,
	.check_access = env_check_access,
	.sign_pss = env_sign_pss,
	.verify_pss = env_verify_pss,
	.request = env_request,
	.connect = env_connect,
	.disconnect = env_disconnect,
	.publish = env_publish,
};

/* Both ports of a universe lie a fixed way above its base: from the one of the address follows the other. */
static unsigned broker_port_beside(const char *server)
{
	size_t end = hf_posix_authority_len(server), at = end;
	uint64_t port = 0;

	while (at > 0 && server[at - 1] != ':')
		at--;
	struct hf_span digits = hf_span_of(server + at, end - at);

	if (hf_dec_parse(digits, &port) != HF_E_OK || port <= HTTPS_OFFSET || port - HTTPS_OFFSET + MQTT_OFFSET > 65535)
		return MQTT_PORT;
	return (unsigned)port - HTTPS_OFFSET + MQTT_OFFSET;
}

enum hf_err hf_posix_device_open(const struct hf_posix_config *config, struct hf_posix_why *why,
                                 struct hf_posix_device **out)
{
	struct hf_posix_device *d = calloc(1, sizeof *d);
	struct hf_posix_mqtt_owner owner = {d, mqtt_up, mqtt_down, mqtt_expired, mqtt_message, mqtt_published, mqtt_log};

	if (!d) {
		hf_posix_say(why, "out of memory");
		return HF_E_MEMORY;
	}
	d->env = functions;
	d->env.ctx = d;
	d->env.crypto = hf_openssl_crypto();
	d->stop_fd = config->stop_fd;
	d->ctx = config->ctx;
	d->log = config->log;
	d->broker_port_forced = config->broker_port != 0;
	d->broker_port = d->broker_port_forced ? config->broker_port : broker_port_beside(config->server);
	enum hf_err err = hf_posix_http_new(config->server, config->ca_file, why, &d->http);

	if (err == HF_E_OK)
		err = hf_posix_store_open(config->dir, why, &d->store);
	if (err == HF_E_OK) {
		err = hf_posix_mqtt_new(&owner, d->store, config->keepalive_s, &d->mqtt);
		if (err != HF_E_OK)
			hf_posix_say(why, "%s", hf_err_text(err));
	}
	if (err != HF_E_OK) {
		hf_posix_device_close(d);
		return err;
	}
	*out = d;
	return HF_E_OK;
}

void hf_posix_device_close(struct hf_posix_device *d)
{
	if (!d)
		return;
	hf_posix_mqtt_free(d->mqtt);
	hf_posix_http_free(d->http);
	hf_posix_store_close(d->store);
	free(d);
}

const struct hf_node_env *hf_posix_device_env(struct hf_posix_device *d)
{
	return &d->env;
}

struct hf_posix_store *hf_posix_device_store(struct hf_posix_device *d)
{
	return d->store;
}

void hf_posix_device_turn(struct hf_posix_device *d, struct hf_node *n, int64_t deadline_ms)
{
	struct pollfd fds[FDS] = {
		[FD_MQTT] = hf_posix_mqtt_poll(d->mqtt), [FD_STOP] = {.fd = d->stop_fd, .events = POLLIN}};
	int64_t now_ms = hf_posix_now_ms(), until_ms = hf_posix_mqtt_deadline_ms(d->mqtt);
	struct hf_posix_why why = {""};
	struct hf_span body;
	unsigned status = 0;

	until_ms = until_ms < deadline_ms ? until_ms : deadline_ms;
	until_ms = until_ms < now_ms + WAIT_MAX_MS ? until_ms : now_ms + WAIT_MAX_MS;
	hf_posix_http_wait(d->http, fds, FDS, until_ms - now_ms);
	d->node = n;
	now_ms = hf_posix_now_ms();
	if (hf_posix_http_done(d->http, &status, &body, &why)) {
		if (status == 0)
			d->log(d->ctx, why.text);
		hf_node_on_http(n, now_ms, status, body);
	}
	hf_posix_mqtt_turn(d->mqtt, hf_posix_now_ms(), fds[FD_MQTT].revents);
}
