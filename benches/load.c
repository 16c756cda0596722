/* load - the load generator: what devices, subscribers and echoes do at the broker, fast. It reads orders from stdin, a number a
 * line, and answers with times of CLOCK_MONOTONIC in ns. Not a benchmark. Uses: base wire seal port/openssl os; OpenSSL. */
#include "benches/load_mqtt.h"
#include "os/os.h"
#include "port/openssl/openssl.h"
#include "wire/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { TOKEN_LEN = 36, PACKET_IDS = 60000, MESSAGE_MAX = 1024, DEVICES_MAX = 1000, EVENTS = 64, KEY_MAX = 8192 };

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static bool complain(const char *what)
{
	(void)fprintf(stderr, "load: %s\n", what);
	return false;
}

/* The next order; false at the end of stdin. */
static bool order(unsigned *count)
{
	char line[64];
	uint64_t v = 0;

	(void)fflush(stdout);
	if (!fgets(line, sizeof line, stdin))
		return false;
	line[strcspn(line, "\n")] = 0;
	if (hf_dec_parse(hf_span_text(line), &v) != HF_E_OK || v > UINT32_MAX)
		return complain("an order must be a number");
	*count = (unsigned)v;
	return true;
}

static bool ready(void)
{
	(void)printf("ready\n");
	return fflush(stdout) == 0;
}

/* --- messages ------------------------------------------------------------------------------------------------------ */

struct author {
	uint64_t id;
	char text[HF_ID_TEXT_MAX], topic[HF_WIRE_TOPIC_MAX];
	struct hf_seal_key *key;
	uint64_t sequence;
};

static bool author_open(struct author *a, const char *folder, const char *id)
{
	char path[1024];
	OS_BUF_SCOPED pem = os_buf_of(KEY_MAX);

	*a = (struct author){0};
	(void)snprintf(path, sizeof path, "%s/%s.pem", folder, id);
	if (hf_id_parse(hf_span_text(id), &a->id) != HF_E_OK || os_read_file(path, &pem) != HF_E_OK ||
	    hf_openssl_private_pem(os_buf_span(&pem), &a->key) != HF_E_OK ||
	    hf_wire_topic_make(HF_WIRE_TOPIC_DEVICE, 0, a->id, a->topic) != HF_E_OK)
		return complain(path);
	hf_id_text(a->id, a->text);
	return true;
}

/* Signs m as a and appends it as a PUBLISH to its topic. */
static enum hf_err put_signed(struct author *a, struct hf_wire_msg *m, uint16_t packet_id, struct hf_wr *out)
{
	const struct hf_seal_crypto *crypto = hf_openssl_crypto();
	uint8_t text[MESSAGE_MAX], sig[HF_SEAL_SIGNATURE_MAX];
	struct hf_wr covered = hf_wr_of(text, sizeof text), s = hf_wr_of(sig, sizeof sig);

	m->version = HF_WIRE_V5;
	m->sender_id = a->id;
	m->sequence_id = ++a->sequence;
	enum hf_err err = hf_wire_encode(&covered, m, HF_WIRE_COVERED);
	struct hf_span piece = hf_wr_span(&covered);

	if (err == HF_E_OK)
		err = crypto->sign(crypto->ctx, a->key, &piece, 1, &s);
	m->signature = hf_wr_span(&s);
	struct hf_wr whole = hf_wr_of(text, sizeof text);

	if (err == HF_E_OK)
		err = hf_wire_encode(&whole, m, HF_WIRE_WHOLE);
	load_put_publish(out, a->topic, packet_id, hf_wr_span(&whole));
	return err != HF_E_OK ? err : out->err;
}

static enum hf_err put_reading(struct author *a, struct hf_wr *out)
{
	char token[TOKEN_LEN + 1];
	double value = (double)(a->sequence % 1000) / 10;
	struct hf_wire_msg m = {.type = HF_WIRE_DATA};

	(void)snprintf(token, sizeof token, "%08" PRIx64 "-aaaa-4bbb-8ccc-0123456789ab", a->sequence & UINT32_MAX);
	m.token = hf_span_of(token, TOKEN_LEN);
	m.data.data_id = hf_span_text("PM25");
	m.data.data = hf_span_of(&value, sizeof value);
	return put_signed(a, &m, (uint16_t)(a->sequence % PACKET_IDS + 1), out);
}

/* sign FOLDER ID COUNT */
static bool run_sign(char **word)
{
	struct author a;
	char path[1024];
	unsigned long count = strtoul(word[2], NULL, 10);

	if (!author_open(&a, word[0], word[1]))
		return false;
	(void)snprintf(path, sizeof path, "%s/%s.msgs", word[0], a.text);
	FILE *file = fopen(path, "wb");
	bool ok = file != NULL;

	for (unsigned long i = 0; i < count && ok; i++) {
		uint8_t packet[MESSAGE_MAX];
		struct hf_wr w = hf_wr_of(packet, sizeof packet);

		ok = put_reading(&a, &w) == HF_E_OK && fwrite(packet, 1, w.len, file) == w.len;
	}
	ok = file && fclose(file) == 0 && ok;
	hf_openssl_key_free(a.key);
	return ok || complain(path);
}

/* --- publish ------------------------------------------------------------------------------------------------------- */

struct device {
	struct load_link link;
	struct hf_span messages; /* what is left of its file */
	unsigned left, in_flight; /* of this order */
	bool blocked; /* the socket takes no more */
};
struct crowd {
	struct device device[DEVICES_MAX];
	unsigned count, window;
	int epoll;
};

static bool map_messages(const char *folder, const char *id, struct hf_span *out)
{
	char path[1024];
	struct stat st;

	(void)snprintf(path, sizeof path, "%s/%s.msgs", folder, id);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	void *at = fd >= 0 && fstat(fd, &st) == 0 ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;

	if (fd >= 0)
		close(fd);
	if (!at || at == MAP_FAILED)
		return complain(path);
	*out = hf_span_of(at, (size_t)st.st_size);
	return true;
}

static void watch(struct crowd *c, struct device *d, int op)
{
	struct epoll_event e = {.events = d->blocked ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = d};

	(void)epoll_ctl(c->epoll, op, d->link.fd, &e);
}

/* Bytes of the packet at the start of in. Source: MQTT 5.0, 1.5.5. */
static size_t packet_len(struct hf_span in)
{
	size_t len = 0, at = 1;

	for (unsigned shift = 0; at < in.len && at < 5; at++, shift += 7) {
		len |= (size_t)(in.ptr[at] & 127) << shift;
		if (in.ptr[at] < 128)
			break;
	}
	return at + 1 + len;
}

/* Sends while the window and the socket allow it: each message a TLS record of its own, as devices do. */
static bool push(struct crowd *c, struct device *d)
{
	bool was = d->blocked;

	d->blocked = false;
	while (d->left > 0 && d->in_flight < c->window && !d->blocked) {
		size_t len = packet_len(d->messages);

		if (len > d->messages.len)
			return complain("there are no more signed messages");
		int n = SSL_write(d->link.ssl, d->messages.ptr, (int)len);

		d->blocked = n <= 0;
		if (n <= 0 && SSL_get_error(d->link.ssl, n) != SSL_ERROR_WANT_WRITE)
			return complain("the broker hung up");
		if (n <= 0)
			continue;
		d->messages = hf_span_of(d->messages.ptr + len, d->messages.len - len);
		d->left--;
		d->in_flight++;
	}
	if (was != d->blocked)
		watch(c, d, EPOLL_CTL_MOD);
	return true;
}

/* Takes acknowledgements; how many, or below 0 when the connection is gone. */
static int heard(struct device *d)
{
	struct load_received got;
	int count = 0;

	do {
		if (!load_read(&d->link))
			return -1;
		while (load_take(&d->link, &got)) {
			if (got.kind != LOAD_PUBACK)
				continue;
			d->in_flight--;
			count++;
		}
	} while (SSL_pending(d->link.ssl) > 0);
	return count;
}

/* Publishes count messages, equally many of each device, and waits for all acknowledgements. */
static bool publish(struct crowd *c, unsigned count)
{
	struct epoll_event ready_now[EVENTS];
	unsigned acknowledged = 0;

	for (unsigned i = 0; i < c->count; i++) {
		c->device[i].left = count / c->count + (i < count % c->count);
		if (!push(c, &c->device[i]))
			return false;
	}
	while (acknowledged < count) {
		int n = epoll_wait(c->epoll, ready_now, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			struct device *d = ready_now[i].data.ptr;
			int got = heard(d);

			if (got < 0 || !push(c, d))
				return complain("a device lost its connection");
			acknowledged += (unsigned)got;
		}
	}
	return true;
}

static bool device_open(struct crowd *c, const struct load_stage *stage, const char *folder, const char *id)
{
	struct device *d = &c->device[c->count++];
	X509 *cert = load_certify(stage, id);
	bool ok = cert && map_messages(folder, id, &d->messages) && load_connect(&d->link, stage, cert, id);

	X509_free(cert);
	if (!ok || fcntl(d->link.fd, F_SETFL, O_NONBLOCK) != 0)
		return false;
	watch(c, d, EPOLL_CTL_ADD);
	return true;
}

/* publish KEYS PORT FOLDER WINDOW ID...; an order is a count, the answer the times of the first and after the last. */
static bool run_publish(struct load_stage *stage, char **word)
{
	static struct crowd c;
	unsigned count;

	c.epoll = epoll_create1(EPOLL_CLOEXEC);
	c.window = (unsigned)strtoul(word[1], NULL, 10);
	for (char **id = word + 2; *id; id++)
		if (c.count == DEVICES_MAX || !device_open(&c, stage, word[0], *id))
			return false;
	for (bool ok = ready(); ok && order(&count);) {
		int64_t start = now_ns();

		ok = publish(&c, count);
		(void)printf("%" PRId64 " %" PRId64 "\n", start, ok ? now_ns() : 0);
	}
	return true;
}

/* --- listen, echo, device ------------------------------------------------------------------------------------------ */

static bool open_as(struct load_link *l, const struct load_stage *stage, const char *name, const char *client_id)
{
	X509 *cert = load_certify(stage, name);
	bool ok = cert && load_connect(l, stage, cert, client_id);

	X509_free(cert);
	return ok;
}

/* listen KEYS PORT NAME CLIENT-ID FILTER; an order is how many must have come since the start, the answer when they had. */
static bool run_listen(struct load_stage *stage, char **word)
{
	struct load_link l;
	struct load_received got;
	unsigned wanted, have = 0;
	bool ok = open_as(&l, stage, word[0], word[1]) && load_subscribe(&l, word[2]) && ready();

	while (ok && order(&wanted)) {
		for (; have < wanted && ok; have++)
			ok = load_wait(&l, LOAD_PUBLISH, &got);
		(void)printf("%" PRId64 "\n", now_ns());
	}
	return ok;
}

/* echo KEYS PORT REFERENCE DEVICE PAYLOAD-LEN; an order is a count of round trips, the answer their times in one line. */
static bool run_echo(struct load_stage *stage, char **word)
{
	struct load_link here, there;
	struct load_received got;
	char there_topic[256], here_topic[256], here_filter[256];
	uint8_t packet[LOAD_PACKET_MAX];
	static const uint8_t payload[MESSAGE_MAX];
	size_t len = strtoul(word[2], NULL, 10);
	unsigned count;

	(void)snprintf(there_topic, sizeof there_topic, "SRUP/%s", word[1]);
	(void)snprintf(here_topic, sizeof here_topic, "SRUP/servers/%s/%s", word[0], word[1]);
	(void)snprintf(here_filter, sizeof here_filter, "SRUP/servers/%s/#", word[0]);
	bool ok = len <= sizeof payload && open_as(&here, stage, word[0], word[0]) &&
	          open_as(&there, stage, word[1], word[1]) && load_subscribe(&here, here_filter) &&
	          load_subscribe(&there, there_topic) && ready();

	while (ok && order(&count)) {
		for (unsigned i = 0; i < count && ok; i++) {
			struct hf_wr out = hf_wr_of(packet, sizeof packet), back;
			int64_t start = now_ns();

			load_put_publish(&out, there_topic, (uint16_t)(i % PACKET_IDS + 1), hf_span_of(payload, len));
			ok = load_send(&here, hf_wr_span(&out)) && load_wait(&there, LOAD_PUBLISH, &got);
			back = hf_wr_of(packet, sizeof packet);
			load_put_publish(&back, here_topic, (uint16_t)(i % PACKET_IDS + 1), hf_span_of(payload, len));
			ok = ok && load_send(&there, hf_wr_span(&back)) && load_wait(&here, LOAD_PUBLISH, &got);
			(void)printf("%" PRId64 " ", now_ns() - start);
		}
		(void)printf("\n");
	}
	return ok;
}

/* device KEYS PORT FOLDER ID: does every ACTION at once and says so; a line with the time of each. */
static bool run_device(struct load_stage *stage, char **word)
{
	struct load_link l;
	struct load_received got;
	struct author a;
	uint16_t packet_id = 0;

	if (!author_open(&a, word[0], word[1]) || !open_as(&l, stage, a.text, a.text) || !load_subscribe(&l, a.topic) ||
	    !ready())
		return false;
	while (load_wait(&l, LOAD_PUBLISH, &got)) {
		int64_t at = now_ns();
		uint8_t packet[MESSAGE_MAX];
		struct hf_wr w = hf_wr_of(packet, sizeof packet);
		struct hf_wire_msg m, answer = {.type = HF_WIRE_RESPONSE};

		if (hf_wire_decode(got.payload, &m, NULL) != HF_E_OK || m.type != HF_WIRE_ACTION)
			continue; /* its own answer comes back on this topic */
		packet_id = (uint16_t)(packet_id % PACKET_IDS + 1);
		a.sequence = m.sequence_id > a.sequence ? m.sequence_id : a.sequence;
		answer.token = m.token;
		answer.response.status = HF_WIRE_ACTION_OK;
		if (put_signed(&a, &answer, packet_id, &w) != HF_E_OK || !load_send(&l, hf_wr_span(&w)))
			return complain("no answer");
		(void)printf("%" PRId64 "\n", at);
		(void)fflush(stdout);
	}
	return true;
}

/* Signs a moderated join request and publishes it. */
static bool ask_to_join(struct load_link *l, struct author *a, uint64_t server)
{
	uint8_t packet[MESSAGE_MAX];
	struct hf_wr w = hf_wr_of(packet, sizeof packet);
	struct hf_wire_msg m = {.type = HF_WIRE_HM_JOIN_REQ, .token = hf_span_text("0b1b2b3b-aaaa-4bbb-8ccc-0123456789ab")};

	return hf_wire_topic_make(HF_WIRE_TOPIC_JOIN, server, a->id, a->topic) == HF_E_OK &&
	       put_signed(a, &m, (uint16_t)(a->sequence % PACKET_IDS + 1), &w) == HF_E_OK && load_send(l, hf_wr_span(&w));
}

/* join KEYS PORT FOLDER SERVER ID...: an order n makes device n, counted round, ask to join; the answer is n of it, its sequence id
 * and the time by the wall clock in ms, just before it was signed. */
static bool run_join(struct load_stage *stage, char **word)
{
	static struct load_link l[DEVICES_MAX];
	static struct author a[DEVICES_MAX];
	unsigned count = 0, n;
	uint64_t server = 0;
	bool ok = hf_id_parse(hf_span_text(word[1]), &server) == HF_E_OK;

	for (char **id = word + 2; *id && ok; id++, count++)
		ok = count < DEVICES_MAX && author_open(&a[count], word[0], *id) && open_as(&l[count], stage, *id, *id);
	for (ok = ok && count > 0 && ready(); ok && order(&n);) {
		int64_t at_ms = os_now_ms();

		n %= count;
		ok = ask_to_join(&l[n], &a[n], server);
		(void)printf("%u %" PRIu64 " %" PRId64 "\n", n, a[n].sequence, at_ms);
	}
	return ok;
}

/* --- connect, hold ------------------------------------------------------------------------------------------------- */

/* connect KEYS PORT ID; an order is a count of connects, one after the other; the answer the times before and after. */
static bool run_connect(struct load_stage *stage, char **word)
{
	X509 *cert = load_certify(stage, word[0]);
	unsigned count;
	bool ok = cert && ready();

	while (ok && order(&count)) {
		int64_t start = now_ns();
		struct load_link l;

		for (unsigned i = 0; i < count && ok; i++) {
			ok = load_connect(&l, stage, cert, word[0]);
			load_close(&l);
		}
		(void)printf("%" PRId64 " %" PRId64 "\n", start, now_ns());
	}
	X509_free(cert);
	return ok;
}

/* hold KEYS PORT ID: an order is how many more to connect, beginning with this id; each subscribes and stays. */
static bool run_hold(struct load_stage *stage, char **word)
{
	uint64_t id = 0;
	unsigned count;
	bool ok = hf_id_parse(hf_span_text(word[0]), &id) == HF_E_OK && ready();

	while (ok && order(&count)) {
		int64_t start = now_ns();

		for (unsigned i = 0; i < count && ok; i++, id++) {
			char text[HF_ID_TEXT_MAX], topic[HF_WIRE_TOPIC_MAX];
			struct load_link l = {.fd = -1};

			hf_id_text(id, text);
			ok = hf_wire_topic_make(HF_WIRE_TOPIC_DEVICE, 0, id, topic) == HF_E_OK && open_as(&l, stage, text, text) &&
			     load_subscribe(&l, topic);
			free(l.in); /* the rest stays open until this process ends */
		}
		(void)printf("%" PRId64 " %" PRId64 "\n", start, now_ns());
	}
	return ok;
}

/* --- main ---------------------------------------------------------------------------------------------------------- */

static const struct command {
	const char *name, *words;
	int count; /* of words; below 0: that many or more */
	bool (*run)(struct load_stage *stage, char **word);
} commands[] = {
	{"publish", "FOLDER WINDOW ID...", -3, run_publish},
	{"listen", "NAME CLIENT-ID FILTER", 3, run_listen},
	{"echo", "REFERENCE DEVICE PAYLOAD-LEN", 3, run_echo},
	{"device", "FOLDER ID", 2, run_device},
	{"join", "FOLDER SERVER ID...", -3, run_join},
	{"connect", "ID", 1, run_connect},
	{"hold", "ID", 1, run_hold},
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static int usage(void)
{
	(void)fprintf(stderr, "Usage: load sign FOLDER ID COUNT\n");
	for (size_t i = 0; i < COMMANDS; i++)
		(void)fprintf(stderr, "       load %s KEYS PORT %s\n", commands[i].name, commands[i].words);
	return 2;
}

int main(int argc, char **argv)
{
	struct load_stage stage = {0};

	os_log_level(OS_ERROR);
	if (argc == 5 && strcmp(argv[1], "sign") == 0)
		return run_sign(argv + 2) ? 0 : 1;
	for (size_t i = 0; i < COMMANDS && argc >= 4; i++) {
		const struct command *c = &commands[i];
		int words = argc - 4;

		if (strcmp(argv[1], c->name) != 0 || (c->count < 0 ? words < -c->count : words != c->count))
			continue;
		bool ok = load_stage_open(&stage, argv[2], (unsigned)strtoul(argv[3], NULL, 10)) && c->run(&stage, argv + 4);

		load_stage_close(&stage);
		return ok ? 0 : 1;
	}
	return usage();
}
