/* broker - who may connect, and who may do what with which topic. Uses: wire, store, live, cert, mosquitto. */
#include "broker/broker_internal.h"
#include "broker/cert.h"

#include <string.h>

/* --- connect ------------------------------------------------------------------------------------- */

static enum broker_count reason_of(enum hf_err err)
{
	return err == HF_E_EXPIRED ? BROKER_N_EXPIRED : err == HF_E_KEY ? BROKER_N_PURPOSE : BROKER_N_NAME;
}

/* CONNECTS, or why not. id: 0 for the control identity. Only the certificate counts, whatever user name was sent. */
static enum broker_count judge(const struct broker *b, const struct mosquitto *client, char name[BROKER_NAME_MAX],
                               uint64_t *id)
{
	X509 *cert = mosquitto_client_certificate(client);
	const struct broker_row *row;
	enum hf_err err;

	if (!cert)
		return BROKER_N_NO_CERTIFICATE;
	err = broker_cert_name(cert, name);
	X509_free(cert);
	if (err != HF_E_OK)
		return reason_of(err);
	if (strcmp(name, b->control) == 0)
		return BROKER_N_CONNECTS;
	if (hf_id_parse(hf_span_text(name), id) != HF_E_OK)
		return BROKER_N_NAME;
	if (!b->store.ready)
		return BROKER_N_NO_TABLE;
	row = broker_table_get(&b->store.table, *id);
	if (!row)
		return BROKER_N_UNKNOWN;
	if (!broker_client_id_fits(row->role, *id, hf_span_text(mosquitto_client_id(client))))
		return BROKER_N_CLIENT_ID;
	return BROKER_N_CONNECTS;
}

/* After this callback the broker ends an older connection of the same client id; its will is sent before DISCONNECT. */
static void mark_replaced(struct broker *b, const struct mosquitto *by, uint64_t id)
{
	for (struct broker_live_entry *e = NULL; (e = broker_live_of(&b->live, id, e)) != NULL;)
		e->replaced |= e->client != by && strcmp(mosquitto_client_id(e->client), mosquitto_client_id(by)) == 0;
}

static enum broker_count let_in(struct broker *b, struct mosquitto *client, const char *name, uint64_t id)
{
	if (broker_live_add(&b->live, client, id) != HF_E_OK)
		return BROKER_N_BUSY;
	if (mosquitto_set_username(client, name) != MOSQ_ERR_SUCCESS) {
		broker_live_remove(&b->live, client, id);
		return BROKER_N_BUSY;
	}
	mark_replaced(b, client, id);
	b->count[BROKER_N_CONNECTS]++;
	broker_presence_on(b, broker_live_get(&b->live, client, id));
	return BROKER_N_CONNECTS;
}

int broker_on_auth(int event, void *event_data, void *userdata)
{
	struct mosquitto_evt_basic_auth *ed = event_data;
	struct broker *b = userdata;
	char name[BROKER_NAME_MAX];
	uint64_t id = 0;
	enum broker_count why;

	(void)event;
	/* After SIGHUP the broker asks again about every session, those without connection included. Rights are looked up
	 * at each use, so there is nothing to find out; a no would only spoil its list of expiring sessions. The next tick
	 * ends this, in the same turn; without ticks nobody is let in at all. */
	if (b->reloading)
		return MOSQ_ERR_SUCCESS;
	why = b->ticking ? judge(b, ed->client, name, &id) : BROKER_N_SETTINGS;
	if (why == BROKER_N_CONNECTS)
		why = let_in(b, ed->client, name, id);
	if (why == BROKER_N_CONNECTS)
		return MOSQ_ERR_SUCCESS;
	broker_refuse(b, why, ed->client, id, hf_span_text(mosquitto_client_id(ed->client)));
	return MOSQ_ERR_AUTH;
}

/* --- use ----------------------------------------------------------------------------------------- */

/* Who this connection or session is, by the user name that let_in gave it; the broker keeps it with the session. */
static bool who_is(const struct broker *b, const struct mosquitto *client, struct hf_wire_client *out)
{
	const char *name = mosquitto_client_username(client);
	const struct broker_row *row;
	uint64_t id = 0;

	if (!name)
		return false;
	if (strcmp(name, b->control) == 0) {
		*out = (struct hf_wire_client){HF_WIRE_R_CONTROL, HF_WIRE_S_JOINED, 0};
		return true;
	}
	if (hf_id_parse(hf_span_text(name), &id) != HF_E_OK)
		return false;
	row = broker_table_get(&b->store.table, id);
	if (!row)
		return false;
	*out = (struct hf_wire_client){(enum hf_wire_role)row->role, (enum hf_wire_state)row->state, id};
	return true;
}

int broker_on_disconnect(int event, void *event_data, void *userdata)
{
	const struct mosquitto_evt_disconnect *ed = event_data;
	struct broker *b = userdata;
	const char *name = mosquitto_client_username(ed->client);
	uint64_t id = 0;

	(void)event;
	/* Also called for connections that were refused, whose user name says nothing. */
	if (name && (strcmp(name, b->control) == 0 || hf_id_parse(hf_span_text(name), &id) == HF_E_OK))
		broker_presence_off(b, ed->client, id);
	return MOSQ_ERR_SUCCESS;
}

static void kick(void *ctx, uint64_t id)
{
	struct broker *b = ctx;
	char name[HF_ID_TEXT_MAX];

	if (!broker_live_of(&b->live, id, NULL))
		return;
	hf_id_text(id, name);
	b->count[BROKER_N_KICKS]++;
	broker_ring_put(&b->ring, BROKER_KICKED, id, NULL, hf_span_of(NULL, 0));
	(void)mosquitto_kick_client_by_username(name, false);
}

/* The payload is applied here and not in the CONTROL callback: after that one the broker's PUBACK says success whatever
 * came of it, after a denial it says 0x87. MQTT 3.1.1 has no such answer: there the connection ends without PUBACK. */
static int change_table(struct broker *b, const struct mosquitto_evt_acl_check *ed)
{
	uint64_t before = b->store.generation;
	enum hf_err err = HF_E_INPUT;

	if (ed->qos == 1)
		err = broker_store_apply(&b->store, hf_span_of(ed->payload, ed->payloadlen), kick, b);
	if (b->store.generation != before)
		mosquitto_log_printf(MOSQ_LOG_NOTICE, "holdfast table_committed generation=%llu rows=%zu",
		                     (unsigned long long)b->store.generation, b->store.table.count);
	if (err == HF_E_OK) {
		b->count[BROKER_N_CHANGES]++;
		return MOSQ_ERR_SUCCESS;
	}
	broker_refuse(b, BROKER_N_CONTROL, ed->client, 0, hf_span_text(hf_err_name(err)));
	return mosquitto_client_protocol_version(ed->client) == 5 ? MOSQ_ERR_ACL_DENIED : MOSQ_ERR_PROTOCOL;
}

/* What the control identity does beyond what the topic rules allow it like anybody. */
static int control(struct broker *b, const struct mosquitto_evt_acl_check *ed)
{
	enum hf_wire_topic topic;
	uint64_t server, device;

	if (hf_wire_topic_parse(hf_span_text(ed->topic), &topic, &server, &device) != HF_E_OK)
		return MOSQ_ERR_ACL_DENIED;
	if (topic == HF_WIRE_TOPIC_TABLE && ed->access == MOSQ_ACL_WRITE)
		return change_table(b, ed);
	if (topic == HF_WIRE_TOPIC_EVENTS && ed->access == MOSQ_ACL_SUBSCRIBE)
		broker_presence_begin(b, ed->client);
	return MOSQ_ERR_SUCCESS;
}

static const struct {
	uint8_t verb, why;
} accesses[] = {
	[MOSQ_ACL_READ] = {HF_WIRE_V_RECEIVE, BROKER_N_UNHEARD},
	[MOSQ_ACL_WRITE] = {HF_WIRE_V_PUBLISH, BROKER_N_PUBLISH},
	[MOSQ_ACL_SUBSCRIBE] = {HF_WIRE_V_SUBSCRIBE, BROKER_N_SUBSCRIBE},
};

/* A will is checked like a publish, but when its connection has ended or another one takes its place. */
static bool is_will(struct broker *b, const struct mosquitto *client, uint64_t id)
{
	const struct broker_live_entry *entry = broker_live_get(&b->live, client, id);

	return !entry || entry->replaced;
}

static int deny(struct broker *b, enum broker_count why, const struct mosquitto_evt_acl_check *ed, uint64_t id)
{
	if (why == BROKER_N_UNHEARD)
		b->count[why]++;
	else
		broker_refuse(b, why, ed->client, id, hf_span_text(ed->topic));
	return MOSQ_ERR_ACL_DENIED;
}

int broker_on_acl(int event, void *event_data, void *userdata)
{
	const struct mosquitto_evt_acl_check *ed = event_data;
	struct broker *b = userdata;
	struct hf_wire_rights rights = broker_table_rights(&b->store.table);
	struct hf_wire_client c = {HF_WIRE_R_DEVICE, HF_WIRE_S_REGISTERED, 0};
	enum broker_count why;

	(void)event;
	if (ed->access == MOSQ_ACL_UNSUBSCRIBE)
		return MOSQ_ERR_SUCCESS;
	if (ed->access < MOSQ_ACL_READ || ed->access > MOSQ_ACL_SUBSCRIBE || accesses[ed->access].verb == 0)
		return MOSQ_ERR_ACL_DENIED;
	why = (enum broker_count)accesses[ed->access].why;
	if (!who_is(b, ed->client, &c))
		return deny(b, why, ed, 0);
	if (ed->access == MOSQ_ACL_WRITE && ed->retain)
		return deny(b, BROKER_N_RETAINED, ed, c.self);
	if (ed->access == MOSQ_ACL_WRITE && is_will(b, ed->client, c.self))
		return deny(b, BROKER_N_WILL, ed, c.self);
	/* The broker bounds what waits for a client only where acknowledgements count it. */
	if (ed->access != MOSQ_ACL_READ && ed->qos != 1 && c.role == HF_WIRE_R_DEVICE)
		return deny(b, BROKER_N_QOS, ed, c.self);
	if (!hf_wire_topic_allows(&c, &rights, (enum hf_wire_verb)accesses[ed->access].verb, hf_span_text(ed->topic)))
		return deny(b, why, ed, c.self);
	return c.role == HF_WIRE_R_CONTROL ? control(b, ed) : MOSQ_ERR_SUCCESS;
}
