/* cli - holdfast keygen universe, keygen c2. Uses: ca, port/openssl, os. */
#include "cli/keygen.h"
#include "os/os.h"
#include "port/openssl/openssl.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { SERVER_NAME_MAX = 32 };
/* The universe always answers to these too: its own processes connect that way. */
static const char *const local_names[] = {"localhost", "127.0.0.1", "::1"};
enum { LOCAL_COUNT = sizeof local_names / sizeof local_names[0] };

static int64_t now_s(void)
{
	return os_now_ms() / 1000;
}

static void key_drop(struct hf_seal_key **key)
{
	hf_openssl_key_free(*key);
}
#define KEY_SCOPED __attribute__((cleanup(key_drop))) struct hf_seal_key

static void cert_drop(X509 **cert)
{
	ca_cert_free(*cert);
}
#define CERT_SCOPED __attribute__((cleanup(cert_drop))) X509

/* The top half of a random UUIDv4. Source: srup-v5 section 6. */
static enum hf_err random_id(uint64_t *id)
{
	const struct hf_seal_crypto *c = hf_openssl_crypto();
	uint64_t v = 0;
	enum hf_err err = c->random(c->ctx, &v, sizeof v);

	*id = (v & ~UINT64_C(0xf000)) | 0x4000;
	return err;
}

static void put_id(struct cli_making *m, const char *name, uint64_t id)
{
	uint8_t text[HF_ID_TEXT_MAX + 1];
	struct hf_wr w = hf_wr_of(text, sizeof text);

	hf_wr_id(&w, id);
	hf_wr_text(&w, "\n");
	cli_making_put(m, name, hf_wr_span(&w));
}

static void put_key(struct cli_making *m, const char *name, const struct hf_seal_key *key, enum hf_openssl_form form)
{
	uint8_t text[CLI_KEY_TEXT_MAX];
	struct hf_wr w = hf_wr_of(text, sizeof text);

	if (m->err == HF_E_OK)
		m->err = hf_openssl_write(key, form, &w);
	cli_making_put(m, name, hf_wr_span(&w));
	hf_wipe(text, sizeof text);
}

/* The certificate, and the one that signed it where whoever serves it has to show both. */
static void put_cert(struct cli_making *m, const char *name, X509 *cert, X509 *above)
{
	uint8_t text[CLI_KEY_TEXT_MAX];
	struct hf_wr w = hf_wr_of(text, sizeof text);

	if (m->err == HF_E_OK)
		m->err = ca_cert_write(cert, &w);
	if (m->err == HF_E_OK && above)
		m->err = ca_cert_write(above, &w);
	cli_making_put(m, name, hf_wr_span(&w));
}

static void make_key(struct cli_making *m, enum hf_openssl_kind kind, struct hf_seal_key **key)
{
	if (m->err == HF_E_OK)
		m->err = hf_openssl_generate(kind, key);
}

/* Names of one CA and its server, and whether the server shows its CA too. */
struct pair {
	const char *ca_name, *ca_key, *ca_cert, *key, *cert;
	bool chain;
};
static const struct pair pairs[] = {
	{"Holdfast broker CA", "broker_ca.key", "broker_ca.crt", "broker.key", "broker.crt", false},
	{"Holdfast web CA", "web_ca.key", "web_ca.crt", "web.key", "web.crt", true},
};

size_t cli_keygen_hosts(const struct cli_args *a, const char *host[CA_HOSTS_MAX])
{
	size_t n = 0;

	for (; n < a->name_count; n++)
		host[n] = a->name[n];
	for (size_t i = 0; i < LOCAL_COUNT; i++) {
		bool given = false;

		for (size_t k = 0; k < a->name_count; k++)
			given |= strcmp(a->name[k], local_names[i]) == 0;
		if (!given)
			host[n++] = local_names[i];
	}
	return n;
}
_Static_assert((int)CLI_NAMES_MAX + (int)LOCAL_COUNT <= (int)CA_HOSTS_MAX, "all hosts fit into one certificate");

static void make_pair(struct cli_making *m, const struct pair *p, const char *const *host, size_t count)
{
	KEY_SCOPED *ca_key = NULL, *key = NULL;
	CERT_SCOPED *ca = NULL, *cert = NULL;
	struct ca_subject ca_subject = {NULL, "Holdfast", p->ca_name};
	struct ca_subject subject = {NULL, "Holdfast", strlen(host[0]) <= CLI_COMMON_NAME_MAX ? host[0] : "server"};
	struct ca_leaf leaf = {&subject, CA_USE_SERVER, host, count, CLI_LEAF_DAYS};

	make_key(m, HF_OPENSSL_P256, &ca_key);
	make_key(m, HF_OPENSSL_P256, &key);
	if (m->err == HF_E_OK)
		m->err = ca_root_make(ca_key, &ca_subject, now_s(), &ca);
	struct ca_issuer issuer = {ca, ca_key};

	if (m->err == HF_E_OK)
		m->err = ca_leaf_make(&issuer, key, &leaf, now_s(), &cert);
	put_key(m, p->ca_key, ca_key, HF_OPENSSL_PRIVATE_PEM);
	put_cert(m, p->ca_cert, ca, NULL);
	put_key(m, p->key, key, HF_OPENSSL_PRIVATE_PEM);
	put_cert(m, p->cert, cert, p->chain ? ca : NULL);
}

/* What was made, for the person who asked for it. */
static void print_made(const struct cli_making *m)
{
	printf("made %s:\n", m->target);
	for (size_t i = 0; cli_keyfile_at(i); i++) {
		const struct cli_keyfile *f = cli_keyfile_at(i);

		if (f->folder == m->folder)
			printf("  %-18s %s\n", f->name, f->purpose);
	}
}

enum cli_exit cli_keygen_universe(const struct cli_args *a)
{
	const char *host[CA_HOSTS_MAX];
	size_t count = cli_keygen_hosts(a, host);
	KEY_SCOPED *keyex = NULL;
	struct cli_making m;
	uint64_t id = 0;

	for (size_t i = 0; i < a->name_count; i++)
		if (!ca_host_ok(a->name[i]))
			return cli_fail(CLI_USAGE, "'%s' is no host name and no IP address", a->name[i]);
	enum cli_exit code = cli_making_begin(&m, a->word[0], CLI_F_UNIVERSE);

	if (code != CLI_DONE)
		return code;
	m.err = random_id(&id);
	make_key(&m, HF_OPENSSL_RSA2048, &keyex);
	put_key(&m, "keyex.pem", keyex, HF_OPENSSL_PRIVATE_PEM);
	put_key(&m, "keyex_pub.pem", keyex, HF_OPENSSL_PUBLIC_PEM);
	put_id(&m, "keyex.id", id);
	for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
		make_pair(&m, &pairs[i], host, count);
	code = cli_making_end(&m);
	if (code == CLI_DONE)
		print_made(&m);
	return code;
}

/* What of a universe signs a new C2 server in. */
struct authority {
	struct hf_seal_key *keyex, *ca_key;
	X509 *ca;
};

static void authority_drop(struct authority *u)
{
	hf_openssl_key_free(u->keyex);
	hf_openssl_key_free(u->ca_key);
	ca_cert_free(u->ca);
}

static enum cli_exit read_from(const char *dir, const char *name, struct os_buf *out)
{
	char path[CLI_PATH_MAX];

	if (cli_file(path, dir, name) == HF_E_OK && os_read_file(path, out) == HF_E_OK)
		return CLI_DONE;
	return cli_fail(CLI_MISSING, "%s/%s cannot be read; make the universe first: holdfast keygen universe DIR", dir,
	                name);
}

static enum cli_exit load_authority(const char *dir, struct authority *out)
{
	OS_BUF_SCOPED keyex = os_buf_of(CLI_KEY_TEXT_MAX), key = os_buf_of(CLI_KEY_TEXT_MAX),
				  cert = os_buf_of(CLI_KEY_TEXT_MAX);
	enum cli_exit code = read_from(dir, "keyex.pem", &keyex);

	if (code == CLI_DONE)
		code = read_from(dir, "broker_ca.key", &key);
	if (code == CLI_DONE)
		code = read_from(dir, "broker_ca.crt", &cert);
	if (code != CLI_DONE)
		return code;
	if (hf_openssl_private_pem(os_buf_span(&keyex), &out->keyex) != HF_E_OK ||
	    hf_openssl_private_pem(os_buf_span(&key), &out->ca_key) != HF_E_OK ||
	    ca_cert_read(os_buf_span(&cert), &out->ca) != HF_E_OK)
		return cli_fail(CLI_REFUSED, "keyex.pem, broker_ca.key or broker_ca.crt in %s is damaged", dir);
	return CLI_DONE;
}

static void put_token(struct cli_making *m, const struct authority *u, uint64_t id, const struct hf_seal_key *key)
{
	uint8_t text[CA_TOKEN_MAX];
	struct hf_wr w = hf_wr_of(text, sizeof text);

	if (m->err == HF_E_OK)
		m->err = ca_token_make(u->keyex, id, key, now_s() + (int64_t)CLI_TOKEN_DAYS * 86400, &w);
	hf_wr_text(&w, "\n");
	cli_making_put(m, "c2_server.stk", hf_wr_span(&w));
}

static void make_server(struct cli_making *m, const struct authority *u, uint64_t id)
{
	KEY_SCOPED *identity = NULL, *access = NULL;
	CERT_SCOPED *cert = NULL;
	char name[HF_ID_TEXT_MAX];
	struct ca_subject subject = {NULL, "Holdfast", name};
	struct ca_leaf leaf = {&subject, CA_USE_CLIENT, NULL, 0, CLI_LEAF_DAYS};
	struct ca_issuer issuer = {u->ca, u->ca_key};

	hf_id_text(id, name);
	make_key(m, HF_OPENSSL_RSA2048, &identity);
	make_key(m, HF_OPENSSL_P256, &access);
	if (m->err == HF_E_OK)
		m->err = ca_leaf_make(&issuer, access, &leaf, now_s(), &cert);
	put_key(m, "c2_server.pem", identity, HF_OPENSSL_PRIVATE_PEM);
	put_key(m, "c2_server_pub.pem", identity, HF_OPENSSL_PUBLIC_PEM);
	put_id(m, "c2_server.id", id);
	put_token(m, u, id, identity);
	put_key(m, "c2_server.key", access, HF_OPENSSL_PRIVATE_PEM);
	put_cert(m, "c2_server.crt", cert, NULL);
}

/* The folder DIR/c2 is made if it is not there. */
static enum cli_exit place_server(const char *dir, const char *name, char out[CLI_PATH_MAX])
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-_";
	char folder[CLI_PATH_MAX];
	size_t len = strlen(name);

	if (len == 0 || len > SERVER_NAME_MAX || strspn(name, letters) != len)
		return cli_fail(CLI_USAGE, "a server's name is 1 to %d of a-z, 0-9, - and _", SERVER_NAME_MAX);
	if (cli_file(folder, dir, "c2") != HF_E_OK || cli_file(out, folder, name) != HF_E_OK)
		return cli_fail(CLI_USAGE, "the name of the folder is too long");
	(void)mkdir(folder, 0700); /* if that fails, making the server's folder says why */
	return CLI_DONE;
}

enum cli_exit cli_keygen_c2(const struct cli_args *a)
{
	const char *dir = a->option[CLI_O_UNIVERSE];
	__attribute__((cleanup(authority_drop))) struct authority u = {0};
	struct cli_making m;
	char target[CLI_PATH_MAX], text[HF_ID_TEXT_MAX];
	uint64_t id = 0;

	if (!dir)
		return cli_fail(CLI_USAGE, "give --universe DIR, the folder that `holdfast keygen universe` made");
	enum cli_exit code = load_authority(dir, &u);

	if (code == CLI_DONE)
		code = place_server(dir, a->word[0], target);
	if (code == CLI_DONE)
		code = cli_making_begin(&m, target, CLI_F_C2);
	if (code != CLI_DONE)
		return code;
	m.err = random_id(&id);
	make_server(&m, &u, id);
	code = cli_making_end(&m);
	if (code != CLI_DONE)
		return code;
	hf_id_text(id, text);
	printf("C2 server %s has the id %s\n", a->word[0], text);
	print_made(&m);
	return CLI_DONE;
}
