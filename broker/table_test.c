/* broker tests - rows, lines, client ids, connections, events. Uses: table, live, ring, cmocka. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/live.h"
#include "broker/ring.h"
#include "broker/table.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* --- lines --------------------------------------------------------------------------------------- */

static void lines_of_every_form(void **state)
{
	static const struct {
		const char *text;
		struct broker_line is;
	} cases[] = {
		{"put a1 device registered -", {BROKER_PUT, {0xa1, 0, HF_WIRE_R_DEVICE, HF_WIRE_S_REGISTERED}, 0}},
		{"put ffffffffffffffff device joined 5e",
	     {BROKER_PUT, {UINT64_MAX, 0x5e, HF_WIRE_R_DEVICE, HF_WIRE_S_JOINED}, 0}},
		{"put 5e server joined -", {BROKER_PUT, {0x5e, 0, HF_WIRE_R_SERVER, HF_WIRE_S_JOINED}, 0}},
		{"put 5f reference joined -", {BROKER_PUT, {0x5f, 0, HF_WIRE_R_REFERENCE, HF_WIRE_S_JOINED}, 0}},
		{"del 1", {BROKER_DEL, {1, 0, 0, 0}, 0}},
		{"revoke 1", {BROKER_REVOKE, {1, 0, 0, BROKER_REVOKED}, 0}},
		{"reset", {BROKER_RESET, {0, 0, 0, 0}, 0}},
		{"commit 18446744073709551615", {BROKER_COMMIT, {0, 0, 0, 0}, UINT64_MAX}},
		{"holdfast-table 1 7", {BROKER_TABLE_HEAD, {0, 0, 0, 0}, 7}},
		{"end 0", {BROKER_TABLE_END, {0, 0, 0, 0}, 0}},
		{"holdfast-journal 1 7", {BROKER_JOURNAL_HEAD, {0, 0, 0, 0}, 7}},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct broker_line l;

		assert_int_equal(broker_line_parse(hf_span_text(cases[i].text), &l), HF_E_OK);
		assert_int_equal(l.verb, cases[i].is.verb);
		assert_int_equal(l.row.id, cases[i].is.row.id);
		assert_int_equal(l.row.controller, cases[i].is.row.controller);
		assert_int_equal(l.row.role, cases[i].is.row.role);
		assert_int_equal(l.row.state, cases[i].is.row.state);
		assert_int_equal(l.number, cases[i].is.number);
	}
}

static const char *const malformed[] = {
	"",
	" ",
	"put",
	"put a1",
	"put a1 device",
	"put a1 device registered",
	"put a1 device registered 5e",
	"put a1 device joined -",
	"put a1 device joined",
	"put a1 device joined 5e ",
	"put a1 device joined 5e x",
	" put a1 device registered -",
	"put  a1 device registered -",
	"put a1 device registered --",
	"put a1 server registered -",
	"put a1 server joined 5e",
	"put a1 reference registered -",
	"put a1 control joined -",
	"put A1 device registered -",
	"put 0 device registered -",
	"put 0a1 device registered -",
	"put 11112222333344445 device registered -",
	"put # device registered -",
	"PUT a1 device registered -",
	"put a1 device revoked -",
	"del",
	"del a1 b2",
	"del ",
	"del\ta1",
	"revoke",
	"revoke a1\r",
	"revoke {id}",
	"revoke holdfast-control",
	"reset ",
	"reset 1",
	"commit",
	"commit ",
	"commit -1",
	"commit 18446744073709551616",
	"commit {number}",
	"holdfast-table 2 7",
	"holdfast-table 1",
	"holdfast-journal 1 x",
	"end",
	"end -0",
	"nonsense",
};

static void lines_malformed(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(malformed); i++) {
		struct broker_line l = {.number = 77};

		assert_int_equal(broker_line_parse(hf_span_text(malformed[i]), &l), HF_E_TEXT);
		assert_int_equal(l.number, 77);
	}
	struct broker_line l;

	assert_int_equal(broker_line_parse(hf_span_of("del a1\0", 7), &l), HF_E_TEXT);
	assert_int_equal(broker_line_parse(hf_span_of("del\0a1", 6), &l), HF_E_TEXT);
}

static void lines_are_cut_at_lf(void **state)
{
	struct hf_span rest = hf_span_text("one\n\nthree"), line;
	bool ended = false;

	(void)state;
	assert_true(broker_line_next(&rest, &line, &ended) && ended && hf_span_equal(line, hf_span_text("one")));
	assert_true(broker_line_next(&rest, &line, &ended) && ended && line.len == 0);
	assert_true(broker_line_next(&rest, &line, &ended) && !ended && hf_span_equal(line, hf_span_text("three")));
	assert_false(broker_line_next(&rest, &line, &ended));
}

/* --- rows ---------------------------------------------------------------------------------------- */

/* Rows come and go at random in a table beside a plain array; both must agree all the time. */
static void rows_come_and_go(void **state)
{
	enum { IDS = 700, STEPS = 60000 };
	static struct broker_row model[IDS + 1];
	struct broker_table t;
	uint64_t x = 88172645463325252;
	size_t count = 0;

	(void)state;
	broker_table_init(&t);
	for (unsigned step = 0; step < STEPS; step++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		uint64_t id = 1 + x % IDS;
		bool there = model[id].id != 0;

		if (x >> 40 & 1) {
			model[id] =
				(struct broker_row){id, x >> 41, HF_WIRE_R_DEVICE, x >> 42 & 1 ? BROKER_REVOKED : HF_WIRE_S_JOINED};
			assert_int_equal(broker_table_put(&t, &model[id]), HF_E_OK);
			count += !there;
		} else {
			model[id] = (struct broker_row){0};
			broker_table_del(&t, id);
			count -= there;
		}
		assert_int_equal(t.count, count);
		id = 1 + (x >> 20) % IDS;
		const struct broker_row *row = broker_table_find(&t, id);

		assert_true(row ? row->id == id && row->controller == model[id].controller : model[id].id == 0);
		assert_ptr_equal(broker_table_get(&t, id), row && row->state != BROKER_REVOKED ? row : NULL);
	}
	broker_table_release(&t);
	assert_null(broker_table_find(&t, 1));
}

static void table_is_bounded(void **state)
{
	struct broker_table t;
	struct broker_row row = {.role = HF_WIRE_R_DEVICE, .state = HF_WIRE_S_REGISTERED};

	(void)state;
	broker_table_init(&t);
	assert_int_equal(broker_table_reserve(&t, BROKER_TABLE_MAX + 1), HF_E_FULL);
	assert_int_equal(broker_table_reserve(&t, SIZE_MAX), HF_E_FULL);
	for (row.id = 1; row.id <= BROKER_TABLE_MAX; row.id++)
		assert_int_equal(broker_table_put(&t, &row), HF_E_OK);
	assert_int_equal(broker_table_put(&t, &row), HF_E_FULL);
	assert_null(broker_table_get(&t, row.id));
	row.id = 5; /* a change needs no room */
	row.state = HF_WIRE_S_JOINED;
	assert_int_equal(broker_table_put(&t, &row), HF_E_OK);
	broker_table_del(&t, 5);
	row.id = BROKER_TABLE_MAX + 1;
	assert_int_equal(broker_table_put(&t, &row), HF_E_OK);
	broker_table_release(&t);
}

static void rights_follow_the_rows(void **state)
{
	static const struct broker_row rows[] = {
		{0x5e, 0, HF_WIRE_R_SERVER, HF_WIRE_S_JOINED},     {0xa1, 0x5e, HF_WIRE_R_DEVICE, HF_WIRE_S_JOINED},
		{0xa2, 0, HF_WIRE_R_DEVICE, HF_WIRE_S_REGISTERED}, {0xa3, 0x5e, HF_WIRE_R_DEVICE, BROKER_REVOKED},
		{0x5f, 0x5e, HF_WIRE_R_SERVER, HF_WIRE_S_JOINED},
	};
	static const struct {
		uint64_t id;
		bool known, controlled;
	} cases[] = {{0x5e, true, false},  {0xa1, true, true},  {0xa2, true, false},
	             {0xa3, false, false}, {0x5f, true, false}, {9, false, false}};
	struct broker_table t;
	struct hf_wire_rights rights;

	(void)state;
	broker_table_init(&t);
	rights = broker_table_rights(&t);
	assert_false(rights.known(rights.ctx, 0x5e));
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_int_equal(broker_table_put(&t, &rows[i]), HF_E_OK);
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(rights.known(rights.ctx, cases[i].id), cases[i].known);
		assert_int_equal(rights.controls(rights.ctx, 0x5e, cases[i].id), cases[i].controlled);
		assert_false(rights.controls(rights.ctx, 0x5f, cases[i].id));
		assert_false(rights.controls(rights.ctx, 0, cases[i].id));
	}
	broker_table_release(&t);
}

static void client_ids_belong_to_one_identity(void **state)
{
	static const struct {
		const char *text;
		bool device, server;
	} cases[] = {
		{"a1", true, false},
		{"SRUP Client: a1", true, false},
		{"a1/in", false, true},
		{"a1/c-2", false, true},
		{"", false, false},
		{"a", false, false},
		{"a12", false, false},
		{"A1", false, false},
		{"a1/", false, false},
		{"a1/In", false, false},
		{"a1/in/x", false, false},
		{"a1/in ", false, false},
		{"a2/in", false, false},
		{"SRUP Client: ", false, false},
		{"SRUP Client:a1", false, false},
		{"SRUP Client: a1/in", false, false},
		{"srup client: a1", false, false},
		{" a1", false, false},
		{"0a1", false, false},
		{"SRUP Client: SRUP Client: a1", false, false},
		{"a1/abcdefghijklmnopqrstuvwx", false, true},
		{"a1/abcdefghijklmnopqrstuvwxy", false, false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct hf_span text = hf_span_text(cases[i].text);

		assert_int_equal(broker_client_id_fits(HF_WIRE_R_DEVICE, 0xa1, text), cases[i].device);
		assert_int_equal(broker_client_id_fits(HF_WIRE_R_REFERENCE, 0xa1, text), cases[i].device);
		assert_int_equal(broker_client_id_fits(HF_WIRE_R_SERVER, 0xa1, text), cases[i].server);
	}
}

/* --- connections --------------------------------------------------------------------------------- */

static unsigned chain_len(struct broker_live *l, uint64_t id)
{
	unsigned n = 0;

	for (struct broker_live_entry *e = NULL; (e = broker_live_of(l, id, e)) != NULL;)
		n++;
	return n;
}

static void connections_by_identity(void **state)
{
	enum { MANY = 1000 };
	static char client[MANY];
	struct broker_live l;
	uint32_t at = 0;
	unsigned walked = 0;

	(void)state;
	broker_live_init(&l, 12345);
	assert_null(broker_live_of(&l, 1, NULL));
	broker_live_remove(&l, client, 1);
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(broker_live_add(&l, &client[i], i % 100), HF_E_OK);
	assert_int_equal(chain_len(&l, 7), MANY / 100);
	assert_ptr_equal(broker_live_get(&l, &client[107], 7)->client, &client[107]);
	assert_null(broker_live_get(&l, &client[107], 8));
	broker_live_remove(&l, &client[107], 8); /* not his: nothing happens */
	assert_int_equal(chain_len(&l, 7), MANY / 100);
	for (unsigned i = 0; i < MANY; i += 2)
		broker_live_remove(&l, &client[i], i % 100);
	while (broker_live_walk(&l, &at))
		walked++;
	assert_int_equal(walked, MANY / 2);
	assert_int_equal(chain_len(&l, 8), 0);
	assert_int_equal(chain_len(&l, 7), MANY / 100);
	for (unsigned i = 0; i < MANY; i += 2) /* the room is used again */
		assert_int_equal(broker_live_add(&l, &client[i], 8), HF_E_OK);
	assert_int_equal(chain_len(&l, 8), MANY / 2);
	assert_int_equal(l.used, MANY);
	broker_live_release(&l);
	assert_null(broker_live_of(&l, 8, NULL));
}

static void connections_are_bounded(void **state)
{
	struct broker_live l;
	char *client = malloc(BROKER_LIVE_MAX + 1);

	(void)state;
	assert_non_null(client);
	broker_live_init(&l, 0);
	for (size_t i = 0; i < BROKER_LIVE_MAX; i++)
		assert_int_equal(broker_live_add(&l, client + i, i), HF_E_OK);
	assert_int_equal(broker_live_add(&l, client + BROKER_LIVE_MAX, 1), HF_E_FULL);
	broker_live_remove(&l, client, 0);
	assert_int_equal(broker_live_add(&l, client + BROKER_LIVE_MAX, 1), HF_E_OK);
	broker_live_release(&l);
	free(client);
}

/* --- events -------------------------------------------------------------------------------------- */

static void events_as_text(void **state)
{
	static struct broker_ring r;
	char text[4 * BROKER_EVENT_TEXT_MAX + 400];
	struct hf_wr w = hf_wr_of(text, sizeof text);
	uint8_t longest[100];

	(void)state;
	broker_ring_reset(&r);
	memset(longest, 0xff, sizeof longest);
	broker_ring_put(&r, BROKER_ON, 0xa1, NULL, hf_span_text("a1"));
	broker_ring_put(&r, BROKER_OFF, UINT64_MAX, NULL, hf_span_of(NULL, 0));
	broker_ring_put(&r, BROKER_KICKED, 0xa1, NULL, hf_span_of(NULL, 0));
	broker_ring_put(&r, BROKER_REFUSED, 0, "name", hf_span_of(NULL, 0));
	broker_ring_put(&r, BROKER_REFUSED, 0xa1, "publish", hf_span_text("x"));
	broker_ring_take(&r, &w);
	hf_wr_nul(&w);
	assert_string_equal(text, "on a1 6131\noff ffffffffffffffff\nkicked a1\nrefused name - -\nrefused publish a1 78\n");
	/* The longest line fits what a line is given, and its detail was cut. */
	w = hf_wr_of(text, BROKER_EVENT_TEXT_MAX);
	broker_ring_put(&r, BROKER_REFUSED, UINT64_MAX, "no-certificate", hf_span_of(longest, sizeof longest));
	broker_ring_take(&r, &w);
	assert_int_equal(w.err, HF_E_OK);
	assert_int_equal(w.len, strlen("refused no-certificate ffffffffffffffff \n") + 2 * BROKER_DETAIL_MAX);
	assert_int_equal(r.count, 0);
}

static void events_without_presence(void **state)
{
	static struct broker_ring r;
	char text[4 * BROKER_EVENT_TEXT_MAX];
	struct hf_wr w = hf_wr_of(text, sizeof text);

	(void)state;
	broker_ring_reset(&r);
	r.first = BROKER_RING_MAX - 3; /* over the end of the array */
	for (uint64_t id = 1; id <= 6; id++)
		broker_ring_put(&r,
		                id % 3 == 0   ? BROKER_KICKED
		                : id % 3 == 1 ? BROKER_ON
		                              : BROKER_OFF,
		                id, NULL, hf_span_of(NULL, 0));
	broker_ring_forget_presence(&r);
	broker_ring_put(&r, BROKER_OFF, 7, NULL, hf_span_of(NULL, 0));
	broker_ring_take(&r, &w);
	hf_wr_nul(&w);
	assert_string_equal(text, "kicked 3\nkicked 6\noff 7\n");
}

static void events_beyond_the_ring_are_counted(void **state)
{
	static struct broker_ring r;
	static char text[64 * BROKER_RING_MAX];
	struct hf_wr w = hf_wr_of(text, sizeof text);

	(void)state;
	broker_ring_reset(&r);
	for (unsigned i = 0; i < 3; i++) { /* not from its beginning */
		broker_ring_put(&r, BROKER_OFF, 1, NULL, hf_span_of(NULL, 0));
		broker_ring_take(&r, &w);
	}
	for (uint64_t i = 1; i <= BROKER_RING_MAX + 5; i++)
		broker_ring_put(&r, BROKER_OFF, i, NULL, hf_span_of(NULL, 0));
	w = hf_wr_of(text, BROKER_EVENT_TEXT_MAX); /* room for one line: no loss is told before the rest */
	broker_ring_take(&r, &w);
	hf_wr_nul(&w);
	assert_string_equal(text, "off 1\n");
	w = hf_wr_of(text, sizeof text);
	broker_ring_take(&r, &w);
	hf_wr_nul(&w);
	assert_memory_equal(text, "off 2\noff 3\n", 12);
	assert_string_equal(text + w.len - 16, "off 1000\nlost 5\n");
	w = hf_wr_of(text, sizeof text);
	broker_ring_take(&r, &w);
	assert_int_equal(w.len, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_of_every_form),
		cmocka_unit_test(lines_malformed),
		cmocka_unit_test(lines_are_cut_at_lf),
		cmocka_unit_test(rows_come_and_go),
		cmocka_unit_test(table_is_bounded),
		cmocka_unit_test(rights_follow_the_rows),
		cmocka_unit_test(client_ids_belong_to_one_identity),
		cmocka_unit_test(connections_by_identity),
		cmocka_unit_test(connections_are_bounded),
		cmocka_unit_test(events_as_text),
		cmocka_unit_test(events_without_presence),
		cmocka_unit_test(events_beyond_the_ring_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
