/* cli - holdfast keygen web, keygen broker: a new certificate for the key that is there. Uses: ca, port/openssl, os. */
#include "cli/keygen.h"
#include "os/os.h"
#include "port/openssl/openssl.h"

#include <stdio.h>
#include <string.h>

/* The two server certificates of a universe. chain: whoever serves it shows its CA too. */
struct server_cert {
	const char *ca_key, *ca_cert, *key, *cert;
	bool chain;
};
static const struct server_cert web = {"web_ca.key", "web_ca.crt", "web.key", "web.crt", true};
static const struct server_cert broker = {"broker_ca.key", "broker_ca.crt", "broker.key", "broker.crt", false};

/* What a renewal works on. */
struct renewal {
	const char *dir;
	struct hf_seal_key *ca_key, *key;
	X509 *ca, *old, *fresh;
	char kept[CA_HOSTS_MAX][CA_HOST_TEXT_MAX];
	const char *host[CA_HOSTS_MAX];
	size_t host_count;
};

static void renewal_drop(struct renewal *r)
{
	hf_openssl_key_free(r->ca_key);
	hf_openssl_key_free(r->key);
	ca_cert_free(r->ca);
	ca_cert_free(r->old);
	ca_cert_free(r->fresh);
}

static enum cli_exit read_key(const char *dir, const char *name, struct hf_seal_key **out)
{
	OS_BUF_SCOPED text = os_buf_of(CLI_KEY_TEXT_MAX);
	char path[CLI_PATH_MAX];

	if (cli_file(path, dir, name) != HF_E_OK || os_read_file(path, &text) != HF_E_OK)
		return cli_fail(CLI_MISSING, "%s/%s cannot be read; is %s the key folder of a universe?", dir, name, dir);
	if (hf_openssl_private_pem(os_buf_span(&text), out) != HF_E_OK)
		return cli_fail(CLI_REFUSED, "%s is damaged; restore it from the backup", path);
	return CLI_DONE;
}

static enum cli_exit read_cert(const char *dir, const char *name, X509 **out)
{
	OS_BUF_SCOPED text = os_buf_of(CLI_KEY_TEXT_MAX);
	char path[CLI_PATH_MAX];

	if (cli_file(path, dir, name) != HF_E_OK || os_read_file(path, &text) != HF_E_OK)
		return cli_fail(CLI_MISSING, "%s/%s cannot be read", dir, name);
	if (ca_cert_read(os_buf_span(&text), out) != HF_E_OK)
		return cli_fail(CLI_REFUSED, "%s is damaged; restore it from the backup", path);
	return CLI_DONE;
}

/* The names of --name, or those that the certificate has now. */
static enum cli_exit choose_hosts(const struct cli_args *a, struct renewal *r)
{
	for (size_t i = 0; i < a->name_count; i++)
		if (!ca_host_ok(a->name[i]))
			return cli_fail(CLI_USAGE, "'%s' is no host name and no IP address", a->name[i]);
	if (a->name_count > 0) {
		r->host_count = cli_keygen_hosts(a, r->host);
		return CLI_DONE;
	}
	r->host_count = ca_cert_hosts(r->old, r->kept);
	for (size_t i = 0; i < r->host_count; i++)
		r->host[i] = r->kept[i];
	return r->host_count > 0 ? CLI_DONE : cli_fail(CLI_USAGE, "the old certificate names no host: give --name HOST");
}

static enum cli_exit read_all(const struct cli_args *a, const struct server_cert *s, struct renewal *r)
{
	enum cli_exit code = read_key(r->dir, s->ca_key, &r->ca_key);

	if (code == CLI_DONE)
		code = read_cert(r->dir, s->ca_cert, &r->ca);
	if (code == CLI_DONE)
		code = read_key(r->dir, s->key, &r->key);
	if (code == CLI_DONE)
		code = read_cert(r->dir, s->cert, &r->old);
	return code == CLI_DONE ? choose_hosts(a, r) : code;
}

static enum cli_exit make_cert(struct renewal *r)
{
	struct ca_subject subject = {NULL, "Holdfast", strlen(r->host[0]) <= CLI_COMMON_NAME_MAX ? r->host[0] : "server"};
	struct ca_leaf leaf = {&subject, CA_USE_SERVER, r->host, r->host_count, CLI_LEAF_DAYS};
	struct ca_issuer issuer = {r->ca, r->ca_key};
	enum hf_err err = ca_leaf_make(&issuer, r->key, &leaf, os_now_ms() / 1000, &r->fresh);

	if (err == HF_E_EXPIRED)
		return cli_fail(CLI_REFUSED,
		                "its CA has ended: nothing can be renewed, devices have to register at a new universe");
	return err == HF_E_OK ? CLI_DONE : cli_fail(CLI_REFUSED, "no certificate was made: %s", hf_err_text(err));
}

static enum cli_exit write_cert(const struct server_cert *s, const struct renewal *r)
{
	char text[CLI_KEY_TEXT_MAX], path[CLI_PATH_MAX], ends[OS_TIME_TEXT_MAX];
	struct hf_wr w = hf_wr_of(text, sizeof text);
	enum hf_err err = ca_cert_write(r->fresh, &w);

	if (err == HF_E_OK && s->chain)
		err = ca_cert_write(r->ca, &w);
	if (err == HF_E_OK)
		err = cli_file(path, r->dir, s->cert);
	if (err == HF_E_OK)
		err = os_replace_file(path, hf_wr_span(&w), CA_PUBLIC);
	if (err != HF_E_OK)
		return cli_fail(CLI_REFUSED, "%s/%s was not written: %s", r->dir, s->cert, hf_err_text(err));
	os_time_text(ca_cert_not_after(r->fresh) * 1000, ends);
	printf("%s is good until %s, for", path, ends);
	for (size_t i = 0; i < r->host_count; i++)
		printf(" %s", r->host[i]);
	printf("\nA server that runs takes it over at SIGHUP: systemctl reload holdfastd\n");
	return CLI_DONE;
}

static enum cli_exit renew(const struct cli_args *a, const struct server_cert *s)
{
	__attribute__((cleanup(renewal_drop))) struct renewal r = {.dir = a->word[0]};
	enum cli_exit code = read_all(a, s, &r);

	if (code == CLI_DONE)
		code = make_cert(&r);
	return code == CLI_DONE ? write_cert(s, &r) : code;
}

enum cli_exit cli_keygen_web(const struct cli_args *a)
{
	return renew(a, &web);
}

enum cli_exit cli_keygen_broker(const struct cli_args *a)
{
	return renew(a, &broker);
}
