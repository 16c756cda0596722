/* link - the outbox: a committed row is signed by the key process and leaves after a commit. A command's row goes in that commit, so
 * that it is never sent twice; an answer's row goes when the broker has it, so that it is sent at least once: a device takes the
 * same sequence id only once. What did not leave is tried until its deadline. Uses: base wire os db command session signer. */
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

/* The answer with this row that waits for its PUBACK; with row 0 a free place. */
static struct link_answer *answer_find(struct link *l, int64_t row)
{
	for (size_t i = 0; i < LINK_ANSWERS_MAX; i++)
		if (l->answer[i].row == row)
			return &l->answer[i];
	return NULL;
}

/* In the transaction before it leaves. An answer that cannot be kept in mind goes like a command. */
static enum hf_err take_off(struct link *l, const struct job *j, struct link_answer **kept)
{
	*kept = j->command ? NULL : answer_find(l, 0);
	if (*kept)
		return HF_E_OK;
	enum hf_err err = db_exec(l->s.db, DB_OUTBOX_DELETE, DB_ARGS(db_int(j->row)), NULL);

	if (err == HF_E_OK && j->command)
		err = command_sent(l->s.db, l->s.facts, j->command, j->device, os_now_ms());
	else if (err == HF_E_OK)
		facts_emit(l->s.facts, FACTS_DEVICE, j->device);
	return err;
}

static enum hf_err let_go(struct job *j, struct hf_span sig)
{
	struct link *l = j->link;
	struct link_leaving *out = &l->leaving[l->leaving_count]; /* read only when there is room */
	struct link_answer *kept = NULL;
	enum hf_err err;

	l->counts.full += l->leaving_count == LINK_LEAVING_MAX;
	if (!link_up(l) || l->leaving_count == LINK_LEAVING_MAX)
		return HF_E_UNREACHABLE;
	*out = (struct link_leaving){.message = os_buf_of(HF_WIRE_MAX)};
	err = hf_wire_topic_make(HF_WIRE_TOPIC_DEVICE, 0, j->device, out->topic);
	if (err == HF_E_OK)
		err = assemble(hf_span_of(j->message, j->len), sig, &out->message);
	if (err == HF_E_OK)
		err = take_off(l, j, &kept);
	if (err != HF_E_OK) {
		os_buf_release(&out->message);
		return err;
	}
	if (kept)
		*kept = (struct link_answer){.row = j->row, .device = j->device};
	out->answer = kept;
	l->leaving_count++;
	return HF_E_OK;
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
	if (answer_find(l, db_col_int(&r, 0))) { /* on its way already */
		l->submitted = db_col_int(&r, 0);
		return true;
	}
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

static void leave(struct link *l, struct link_leaving *out)
{
	int mid = 0;
	bool left = mosquitto_publish_v5(l->conn[LINK_OUT].m, &mid, out->topic, (int)out->message.len, out->message.ptr, 1,
	                                 false, NULL) == MOSQ_ERR_SUCCESS;

	l->counts.sent += left;
	if (left)
		os_log(OS_LOG_LINK_SENT, "topic=%s bytes=%zu", out->topic, out->message.len);
	if (out->answer && left)
		out->answer->mid = mid;
	else if (out->answer)
		*out->answer = (struct link_answer){0};
}

void link_outbox_turn_done(struct link *l, bool committed)
{
	for (size_t i = 0; i < l->leaving_count; i++) {
		struct link_leaving *out = &l->leaving[i];

		if (committed)
			leave(l, out);
		else if (out->answer)
			*out->answer = (struct link_answer){0};
		os_buf_release(&out->message);
	}
	if (!committed && l->leaving_count > 0) {
		l->resubmit = true;
		os_timer_set(l->s.loop, &l->pump, os_monotonic_ms() + RETRY_MS);
	}
	l->leaving_count = 0;
}

void link_outbox_published(struct link *l, int mid)
{
	for (size_t i = 0; i < LINK_ANSWERS_MAX; i++) {
		struct link_answer *a = &l->answer[i];

		if (a->row == 0 || a->mid != mid)
			continue;
		if (db_exec(l->s.db, DB_OUTBOX_DELETE, DB_ARGS(db_int(a->row)), NULL) == HF_E_DATABASE)
			l->failed = true;
		facts_emit(l->s.facts, FACTS_DEVICE, a->device); /* it was told something: who terminates waits for that */
		*a = (struct link_answer){0};
	}
}
