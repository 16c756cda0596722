/* link - the outbox: a committed row is signed by the key process, its row removed, and after that commit it leaves. So what left
 * is never sent again by itself, and what did not leave is tried until its deadline. Uses: base wire os db command session signer. */
#include "link/link_internal.h"

#include "command/command.h"

#include <stdlib.h>
#include <string.h>

enum { SIGNING_MAX = 1024, RETRY_MS = 50 };

/* A row while the signer has it. */
struct job {
	struct link *link;
	int64_t row, command;
	uint64_t device;
	size_t len;
	uint8_t message[];
};

/* Puts the signature where the message has an empty one. */
static enum hf_err assemble(struct hf_span message, struct hf_span sig, struct os_buf *out)
{
	struct hf_wire_msg m;
	struct hf_wire_covered covered;
	uint8_t len[2];
	struct hf_wr w = hf_wr_of(len, sizeof len);
	enum hf_err err = hf_wire_decode(message, &m, &covered);

	if (err != HF_E_OK)
		return err;
	hf_wr_be(&w, sig.len, 2);
	os_buf_put(out, covered.piece[0]);
	os_buf_put(out, hf_wr_span(&w));
	os_buf_put(out, sig);
	os_buf_put(out, covered.piece[1]);
	return out->err;
}

static enum hf_err let_go(struct job *j, struct hf_span sig)
{
	struct link *l = j->link;
	struct link_leaving *out = &l->leaving[l->leaving_count]; /* read only when there is room */
	enum hf_err err;

	l->counts.full += l->leaving_count == LINK_LEAVING_MAX;
	if (!link_up(l) || l->leaving_count == LINK_LEAVING_MAX)
		return HF_E_UNREACHABLE;
	*out = (struct link_leaving){.message = os_buf_of(HF_WIRE_MAX)};
	err = hf_wire_topic_make(HF_WIRE_TOPIC_DEVICE, 0, j->device, out->topic);
	if (err == HF_E_OK)
		err = assemble(hf_span_of(j->message, j->len), sig, &out->message);
	if (err == HF_E_OK)
		err = db_exec(l->s.db, DB_OUTBOX_DELETE, DB_ARGS(db_int(j->row)), NULL);
	if (err == HF_E_OK && j->command)
		err = command_sent(l->s.db, l->s.facts, j->command, j->device, os_now_ms());
	if (err != HF_E_OK)
		os_buf_release(&out->message);
	else
		l->leaving_count++;
	return err;
}

static void on_signed(void *ctx, enum hf_err err, struct hf_span sig)
{
	struct job *j = ctx;
	struct link *l = j->link;

	l->signing--;
	if (err == HF_E_OK)
		err = let_go(j, sig);
	if (err == HF_E_DATABASE)
		l->failed = true;
	if (err != HF_E_OK)
		l->resubmit = true;
	free(j);
	if (l->resubmit || l->more)
		os_timer_set(l->s.loop, &l->pump, l->resubmit ? os_monotonic_ms() + RETRY_MS : 0);
}

/* Asks for one row after the highest one asked for; false when there is none. */
static bool submit_next(struct link *l)
{
	DB_ROWS_SCOPED r = db_select(l->s.db, DB_OUTBOX_NEXT, DB_ARGS(db_int(l->submitted), db_int(os_now_ms())));

	if (!db_step(&r))
		return false;
	struct hf_span message = db_col_span(&r, 2);
	struct job *j = malloc(sizeof *j + message.len);

	if (!j)
		return false;
	*j = (struct job){l, db_col_int(&r, 0), db_col_int(&r, 3), db_col_id(&r, 1), message.len};
	memcpy(j->message, message.ptr, message.len);
	if (signer_ask(l->s.signer, SIGNER_MESSAGE, message, on_signed, j) != HF_E_OK) {
		free(j);
		l->resubmit = true;
		return false;
	}
	l->submitted = db_col_int(&r, 0);
	l->signing++;
	return true;
}

/* Rows that failed are tried from the beginning once nothing is under way, so that their order stays. */
void link_outbox_pump(struct link *l)
{
	if (l->resubmit && l->signing == 0) {
		l->resubmit = false;
		l->submitted = 0;
	}
	while (link_up(l) && !l->resubmit && l->signing < SIGNING_MAX && submit_next(l))
		continue;
	l->more = l->signing == SIGNING_MAX;
	if (l->resubmit && l->signing == 0)
		os_timer_set(l->s.loop, &l->pump, os_monotonic_ms() + RETRY_MS);
}

void link_outbox_on_pump(struct os_timer *t)
{
	link_outbox_pump(t->ctx);
}

void link_outbox_turn_done(struct link *l, bool committed)
{
	for (size_t i = 0; i < l->leaving_count; i++) {
		struct link_leaving *out = &l->leaving[i];

		if (committed && mosquitto_publish_v5(l->conn[LINK_OUT].m, NULL, out->topic, (int)out->message.len,
		                                      out->message.ptr, 1, false, NULL) == MOSQ_ERR_SUCCESS)
			l->counts.sent++;
		os_buf_release(&out->message);
	}
	if (!committed && l->leaving_count > 0) {
		l->resubmit = true;
		os_timer_set(l->s.loop, &l->pump, os_monotonic_ms() + RETRY_MS);
	}
	l->leaving_count = 0;
}
