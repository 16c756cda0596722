/* link - three connections to the broker and what ties them to the turn. Uses: everything below it; libmosquitto. */
#include "link/link_internal.h"

#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>

static void subscribe(struct link_conn *c, enum hf_wire_topic topic, int qos)
{
	char filter[HF_WIRE_TOPIC_MAX];

	if (hf_wire_topic_make(topic, c->link->s.sessions->self, 0, filter) == HF_E_OK)
		(void)mosquitto_subscribe_v5(c->m, NULL, filter, qos, 0, NULL);
}

void link_subscribe_events(struct link *l)
{
	subscribe(&l->conn[LINK_OUT], HF_WIRE_TOPIC_EVENTS, 0);
}

void link_on_up(struct link_conn *c)
{
	static const enum hf_wire_topic topics[] = {
		[LINK_DATA] = HF_WIRE_TOPIC_DEVICES, [LINK_CONTROL] = HF_WIRE_TOPIC_JOINS, [LINK_OUT] = HF_WIRE_TOPIC_EVENTS};

	if (c->role == LINK_PURGE) {
		link_purge_on_up(c->link);
		return;
	}
	subscribe(c, topics[c->role], c->role == LINK_OUT ? 0 : 1);
	if (c->role == LINK_OUT)
		link_rights_push(c->link);
}

void link_on_down(struct link_conn *c)
{
	if (c->role != LINK_OUT)
		return;
	link_presence_clear(c->link);
	link_rights_lost(c->link);
	if (c->link->purge.phase != LINK_PURGE_IDLE)
		os_timer_set(c->link->s.loop, &c->link->purge.timer, 0);
}

void link_on_message(struct link_conn *c, const char *topic, struct hf_span payload)
{
	if (c->role == LINK_OUT)
		link_presence_event(c->link, payload);
	else if (c->role != LINK_PURGE)
		link_inbound(c->link, hf_span_text(topic), payload);
}

void link_on_published(struct link_conn *c, int mid, bool taken)
{
	if (c->role != LINK_OUT)
		return;
	link_outbox_published(c->link, mid);
	link_rights_published(c->link, mid, taken);
}

static void on_facts(void *ctx, const struct facts_fact *fact, size_t count)
{
	struct link *l = ctx;

	if (!fact) { /* more than fits: look at everything */
		l->profiles_changed = true;
		if (l->conn[LINK_OUT].up)
			link_rights_push(l);
		link_outbox_pump(l);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		l->profiles_changed |= fact[i].kind == FACTS_TYPE;
		if (fact[i].kind == FACTS_RIGHTS)
			link_rights_changed(l, fact[i].device);
		if (fact[i].kind == FACTS_OUTBOX)
			link_outbox_pump(l);
	}
}

static enum hf_err open_all(struct link *l)
{
	char self[HF_ID_TEXT_MAX], name[64];
	enum hf_err err = link_tls(&l->s, l->s.self_cert_pem, &l->tls_self);

	if (err == HF_E_OK)
		err = link_tls(&l->s, l->s.control_cert_pem, &l->tls_control);
	hf_id_text(l->s.sessions->self, self);
	for (unsigned i = 0; i < LINK_CONNS; i++)
		l->conn[i] = (struct link_conn){.link = l, .role = (enum link_role)i, .watch.fd = -1};
	snprintf(name, sizeof name, "%s/data", self);
	if (err == HF_E_OK)
		err = link_conn_open(&l->conn[LINK_DATA], name, l->tls_self, false);
	snprintf(name, sizeof name, "%s/control", self);
	if (err == HF_E_OK)
		err = link_conn_open(&l->conn[LINK_CONTROL], name, l->tls_self, false);
	return err == HF_E_OK ? link_conn_open(&l->conn[LINK_OUT], SIGNER_CONTROL_NAME, l->tls_control, true) : err;
}

enum hf_err link_start(const struct link_setup *setup, struct link **out)
{
	struct link *l = calloc(1, sizeof *l);

	if (!l)
		return HF_E_MEMORY;
	l->s = *setup;
	mosquitto_lib_init();
	enum hf_err err = open_all(l);

	if (err != HF_E_OK) {
		link_stop(l);
		return err;
	}
	l->purge.timer = (struct os_timer){.on_due = link_purge_on_timer, .ctx = l};
	l->pump = (struct os_timer){.on_due = link_outbox_on_pump, .ctx = l};
	l->repush = (struct os_timer){.on_due = link_rights_on_repush, .ctx = l};
	facts_subscribe(l->s.facts, on_facts, l);
	/* Control first: before it has pushed the table nobody else is let in. */
	link_conn_connect(&l->conn[LINK_OUT]);
	link_conn_connect(&l->conn[LINK_CONTROL]);
	link_conn_connect(&l->conn[LINK_DATA]);
	*out = l;
	return HF_E_OK;
}

void link_stop(struct link *l)
{
	if (!l)
		return;
	for (unsigned i = 0; i < LINK_CONNS; i++)
		link_conn_close(&l->conn[i]);
	link_purge_stop(l);
	os_timer_clear(l->s.loop, &l->pump);
	os_timer_clear(l->s.loop, &l->repush);
	link_presence_clear(l);
	os_resolve_stop(&l->address.resolve);
	SSL_CTX_free(l->tls_self);
	SSL_CTX_free(l->tls_control);
	mosquitto_lib_cleanup();
	free(l);
}

enum hf_err link_renew(struct link *l, const char *self_cert_pem, const char *control_cert_pem)
{
	SSL_CTX *self = NULL, *control = NULL;
	enum hf_err err = link_tls(&l->s, self_cert_pem, &self);

	if (err == HF_E_OK)
		err = link_tls(&l->s, control_cert_pem, &control);
	if (err != HF_E_OK) {
		SSL_CTX_free(self);
		return err;
	}
	SSL_CTX_free(l->tls_self);
	SSL_CTX_free(l->tls_control);
	l->tls_self = self;
	l->tls_control = control;
	for (unsigned i = 0; i < LINK_CONNS; i++)
		if (mosquitto_void_option(l->conn[i].m, MOSQ_OPT_SSL_CTX, i == LINK_OUT ? control : self) != MOSQ_ERR_SUCCESS)
			err = HF_E_CRYPTO;
	return err;
}

void link_join_limits(struct link *l, const struct join_limits *joins)
{
	l->s.joins = *joins;
}

bool link_turn_failed(const struct link *l)
{
	return l->failed;
}

void link_turn_done(struct link *l, bool committed)
{
	l->failed = false;
	l->profiles_changed |= !committed; /* it may have been read from what was undone */
	link_mark_turn_done(l, committed);
	link_outbox_turn_done(l, committed);
	for (unsigned i = 0; i < LINK_CONNS; i++) {
		if (!committed)
			link_conn_restart(&l->conn[i]);
		link_conn_flush(&l->conn[i]);
		l->conn[i].has_read = false;
	}
	if (l->purge.conn.m)
		link_conn_flush(&l->purge.conn);
}

bool link_up(const struct link *l)
{
	return l->conn[LINK_OUT].up && l->table_known;
}

const struct link_counts *link_counts(const struct link *l)
{
	return &l->counts;
}
