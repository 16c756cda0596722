/* parts - what a reading costs the server without the network: parsing, signature, database; each in CPU time. Not a benchmark.
 * Uses: base wire seal port/openssl os db facts registry type telemetry session. */
#include "db/db.h"
#include "facts/facts.h"
#include "os/os.h"
#include "registry/registry.h"
#include "session/session.h"
#include "telemetry/telemetry.h"
#include "type/type.h"
#include "wire/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { A_TURN = 128, FILE_MAX = 1 << 26, SERVER_ID = 1 };

static const char help[] = "Usage: parts DATABASE FOLDER COUNT ID...\n"
						   "DATABASE: with these devices joined to server 1; FOLDER: what `load sign` made.\n"
						   "Takes COUNT readings of the devices in turns, as the server does, 128 a transaction.\n"
						   "Prints ns of CPU a reading: decode, verify, store.\n";

struct parts {
	struct db *db;
	struct facts facts;
	struct session_cache sessions;
	struct type_profile profile;
	struct os_buf *file; /* of each device */
	struct hf_span *left;
	size_t devices, count;
};

static int64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The payload of the PUBLISH at the start of in, and what follows it; see load_put_publish: two-byte length, no properties. */
static bool next_payload(struct hf_span *in, struct hf_span *payload)
{
	struct hf_rd r = hf_rd_of(*in);

	(void)hf_rd_be(&r, 1);
	size_t low = (size_t)hf_rd_be(&r, 1), len = (low & 127) | (size_t)hf_rd_be(&r, 1) << 7;
	struct hf_rd body = hf_rd_of(hf_rd_take(&r, len));

	(void)hf_rd_lp(&body);
	(void)hf_rd_be(&body, 3);
	*payload = hf_rd_take(&body, hf_rd_left(&body));
	*in = hf_rd_take(&r, hf_rd_left(&r));
	return low >= 128 && r.err == HF_E_OK && body.err == HF_E_OK;
}

typedef enum hf_err (*part)(struct parts *p, const struct hf_wire_msg *m, const struct hf_wire_covered *covered);

static enum hf_err only_decode(struct parts *p, const struct hf_wire_msg *m, const struct hf_wire_covered *covered)
{
	(void)p, (void)m, (void)covered;
	return HF_E_OK;
}

static enum hf_err verify(struct parts *p, const struct hf_wire_msg *m, const struct hf_wire_covered *covered)
{
	struct session *s = NULL;
	enum hf_err err = session_get(&p->sessions, m->sender_id, &s);

	return err == HF_E_OK ? hf_seal_verify(p->sessions.crypto, s->key, covered->piece, 2, m->signature) : err;
}

static enum hf_err take(struct parts *p, const struct hf_wire_msg *m, const struct hf_wire_covered *covered)
{
	struct session *s = NULL;
	int64_t now = os_now_ms();
	struct telemetry_sample sample = {m->data.data_id, m->data.data, now};
	enum hf_err err = session_get(&p->sessions, m->sender_id, &s);

	if (err == HF_E_OK)
		err = session_receive(&p->sessions, s, m, covered, now);
	if (err == HF_E_OK)
		err = db_mark(p->db);
	if (err == HF_E_OK)
		err = telemetry_store(p->db, &p->facts, m->sender_id, &p->profile, &sample);
	return err == HF_E_OK ? db_settle(p->db, true) : err;
}

static enum hf_err end_turn(struct parts *p)
{
	enum hf_err err = db_commit(p->db);

	session_turn_done(&p->sessions, err == HF_E_OK);
	facts_turn_done(&p->facts, err == HF_E_OK);
	return err;
}

/* ns a reading of decoding it and doing that; below 0: something failed. */
static double run(struct parts *p, part do_part)
{
	enum hf_err err = HF_E_OK;
	int64_t start;

	for (size_t d = 0; d < p->devices; d++)
		p->left[d] = os_buf_span(&p->file[d]);
	start = cpu_ns();
	for (size_t i = 0; i < p->count && p->devices > 0 && err == HF_E_OK; i++) {
		struct hf_wire_msg m;
		struct hf_wire_covered covered;
		struct hf_span payload;

		err = next_payload(&p->left[i % p->devices], &payload) ? hf_wire_decode(payload, &m, &covered) : HF_E_SHORT;
		if (err == HF_E_OK)
			err = do_part(p, &m, &covered);
		if (err == HF_E_OK && i % A_TURN == A_TURN - 1)
			err = end_turn(p);
	}
	if (err == HF_E_OK)
		err = end_turn(p);
	if (err != HF_E_OK)
		(void)fprintf(stderr, "parts: %s\n", hf_err_text(err));
	return err == HF_E_OK ? (double)(cpu_ns() - start) / (double)p->count : -1;
}

static bool open_parts(struct parts *p, char **word)
{
	const char *why = "";

	if (db_open(word[0], &p->db, &why) != HF_E_OK)
		return false;
	session_cache_init(&p->sessions, p->db, &p->facts, SERVER_ID);
	if (type_install(p->db, os_now_ms()) != HF_E_OK || type_get(p->db, "airmonitor", &p->profile) != HF_E_OK)
		return false;
	for (size_t d = 0; d < p->devices; d++) {
		char path[1024];

		(void)snprintf(path, sizeof path, "%s/%s.msgs", word[1], word[3 + d]);
		p->file[d] = os_buf_of(FILE_MAX);
		if (os_read_file(path, &p->file[d]) != HF_E_OK)
			return false;
	}
	return true;
}

static void close_parts(struct parts *p)
{
	for (size_t d = 0; d < p->devices; d++)
		os_buf_release(&p->file[d]);
	free(p->file);
	free(p->left);
	session_cache_release(&p->sessions);
	db_close(p->db);
}

int main(int argc, char **argv)
{
	static struct parts p;
	double decoded = -1, verified = -1, taken = -1;

	p.count = argc < 5 ? 0 : strtoul(argv[3], NULL, 10);
	if (p.count == 0) {
		(void)fputs(help, stderr);
		return 2;
	}
	os_log_level(OS_ERROR);
	p.devices = (size_t)argc - 4;
	p.file = calloc(p.devices, sizeof *p.file);
	p.left = calloc(p.devices, sizeof *p.left);
	if (p.file && p.left && open_parts(&p, argv + 1)) {
		(void)run(&p, verify); /* loads the sessions */
		decoded = run(&p, only_decode);
		verified = run(&p, verify);
		taken = run(&p, take);
	}
	close_parts(&p);
	if (decoded < 0 || verified < 0 || taken < 0)
		return 1;
	(void)printf("%.0f %.0f %.0f\n", decoded, verified - decoded, taken - verified);
	return 0;
}
