/* conf - what keeps holdfastd from being run, all of it at once. Uses: base, os. */
#include "conf/conf_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PORT_HTTPS = 443, PORT_MQTT = 883, OTHERS_WRITE = 022, OTHERS_ANY = 077 };

enum kind { KIND_FOLDER, KIND_MADE, KIND_PRIVATE, KIND_PUBLIC, KIND_CERT, KIND_BROKER_PRIVATE, KIND_BROKER_CERT };
static const enum kind kind_of[] = {
#define PLACE(NAME, BASE, path, KIND) KIND_##KIND,
#include "conf/places.def"
};
/* What is asked of a place of each kind. */
struct demand {
	bool must_be, is_private, is_cert, for_broker;
};
static const struct demand demands[] = {
	[KIND_FOLDER] = {0},
	[KIND_MADE] = {0},
	[KIND_PRIVATE] = {.must_be = true, .is_private = true},
	[KIND_PUBLIC] = {.must_be = true},
	[KIND_CERT] = {.must_be = true, .is_cert = true},
	[KIND_BROKER_PRIVATE] = {.must_be = true, .is_private = true, .for_broker = true},
	[KIND_BROKER_CERT] = {.must_be = true, .is_cert = true, .for_broker = true},
};

unsigned conf_https_port(const struct conf *c)
{
	return (unsigned)c->port_base + PORT_HTTPS;
}

unsigned conf_mqtt_port(const struct conf *c)
{
	bool elsewhere = c->broker == CONF_BROKER_EXTERNAL && c->broker_port > 0;

	return (unsigned)(elsewhere ? c->broker_port : c->port_base + PORT_MQTT);
}

/* True when path is a folder that this process may write to. */
static bool folder_check(const char *path, struct conf_report *r)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		conf_report_add(r, "the folder %s cannot be used: %s", path, strerror(errno));
		return false;
	}
	if (!S_ISDIR(st.st_mode)) {
		conf_report_add(r, "%s is not a folder", path);
		return false;
	}
	if (st.st_mode & OTHERS_WRITE)
		conf_report_add(r, "the folder %s can be written by others (mode %03o): chmod go-w '%s'", path,
		                st.st_mode & 0777U, path);
	if (access(path, W_OK | X_OK) < 0)
		conf_report_add(r, "the folder %s cannot be written: %s; it belongs to user id %u, this is user id %u", path,
		                strerror(errno), st.st_uid, geteuid());
	return true;
}

static void private_check(const char *path, const struct stat *st, struct conf_report *r)
{
	if (st->st_mode & OTHERS_ANY)
		conf_report_add(r, "the key %s is open to others (mode %03o): chmod 600 '%s'", path, st->st_mode & 0777U, path);
	if (st->st_uid != geteuid())
		conf_report_add(r, "the key %s belongs to user id %u, this is user id %u", path, st->st_uid, geteuid());
}

static void key_place_check(const struct conf *c, enum conf_place place, int64_t now_s, struct conf_report *r)
{
	const struct demand *d = &demands[kind_of[place]];
	char path[CONF_PATH_MAX];
	struct stat st;

	if (!d->must_be || (d->for_broker && c->broker != CONF_BROKER_EMBEDDED))
		return;
	conf_place(c, place, path);
	if (stat(path, &st) < 0) {
		conf_report_add(r, "%s is missing: %s", path, strerror(errno));
		return;
	}
	if (d->is_private)
		private_check(path, &st, r);
	if (access(path, R_OK) < 0)
		conf_report_add(r, "%s cannot be read: %s", path, strerror(errno));
	else if (d->is_cert)
		conf_check_cert(path, now_s, r);
}

static void keys_check(const struct conf *c, int64_t now_s, struct conf_report *r)
{
	char c2[CONF_PATH_MAX];
	struct stat st;

	if (stat(c->keys_dir, &st) < 0) {
		conf_report_add(r, "there are no keys in %s (%s): make them with `holdfast keygen universe '%s'`", c->keys_dir,
		                strerror(errno), c->keys_dir);
		return;
	}
	if (st.st_mode & OTHERS_ANY)
		conf_report_add(r, "the keys' folder %s is open to others (mode %03o): chmod 700 '%s'", c->keys_dir,
		                st.st_mode & 0777U, c->keys_dir);
	conf_place(c, CONF_PLACE_C2_DIR, c2);
	if (stat(c2, &st) < 0)
		conf_report_add(
			r, "there are no keys for the C2 server in %s: make them with `holdfast keygen c2 %s --universe '%s'`", c2,
			c->c2, c->keys_dir);
	for (size_t i = 0; i < CONF_PLACE_COUNT_; i++)
		key_place_check(c, (enum conf_place)i, now_s, r);
}

enum hf_err conf_check_certs(const struct conf *c, int64_t now_s, struct conf_report *r)
{
	char path[CONF_PATH_MAX];
	size_t problems = r->count;

	for (size_t i = 0; i < CONF_PLACE_COUNT_; i++) {
		const struct demand *d = &demands[kind_of[i]];

		conf_place(c, (enum conf_place)i, path);
		if (d->is_cert && (!d->for_broker || c->broker == CONF_BROKER_EMBEDDED))
			conf_check_cert(path, now_s, r);
	}
	return r->count > problems ? HF_E_EXPIRED : HF_E_OK;
}

static void folders_check(const struct conf *c, struct conf_report *r)
{
	char path[CONF_PATH_MAX];
	struct stat st;

	if (!folder_check(c->data_dir, r))
		return;
	for (size_t i = 0; i < CONF_PLACE_COUNT_; i++) {
		conf_place(c, (enum conf_place)i, path);
		if (kind_of[i] == KIND_FOLDER && stat(path, &st) == 0)
			(void)folder_check(path, r);
	}
}

static void embedded_check(const struct conf *c, struct conf_report *r)
{
	if (access(c->broker_program, X_OK) < 0)
		conf_report_add(r, "the broker %s cannot be run (%s): apt-get install mosquitto, or set broker_program",
		                c->broker_program, strerror(errno));
	if (access(c->broker_plugin, R_OK) < 0)
		conf_report_add(r, "the broker's plugin %s cannot be read (%s): build it, or set broker_plugin",
		                c->broker_plugin, strerror(errno));
}

static void external_check(const struct conf *c, int64_t now_s, struct conf_report *r)
{
	char own[CONF_PATH_MAX];

	if (strchr(c->broker_host, ' '))
		conf_report_add(r, "broker_host \"%s\" is more than one name: name the one host on which the broker runs",
		                c->broker_host);
	conf_place(c, CONF_PLACE_BROKER_CA_CERT, own);
	if (strcmp(c->broker_ca, own) == 0)
		return; /* one of the keys' files */
	if (access(c->broker_ca, R_OK) < 0)
		conf_report_add(r, "broker_ca %s cannot be read: %s", c->broker_ca, strerror(errno));
	else
		conf_check_cert(c->broker_ca, now_s, r);
}

static void port_check(const struct conf *c, unsigned port, const char *what, struct conf_report *r)
{
	char owner[CONF_TEXT_MAX];

	if (!conf_port_taken(c->listen, port))
		return;
	conf_port_owner(c->listen, port, owner);
	conf_report_add(r, "port %u, needed for %s, is taken by %s: stop it, or set HOLDFAST_PORT_BASE or port_base", port,
	                what, owner);
}

enum hf_err conf_check(const struct conf *c, int64_t now_s, struct conf_report *r)
{
	size_t problems = r->count;

	folders_check(c, r);
	keys_check(c, now_s, r);
	if (c->broker == CONF_BROKER_EMBEDDED)
		embedded_check(c, r);
	else
		external_check(c, now_s, r);
	if (conf_running(c) == 0) {
		port_check(c, conf_https_port(c), "HTTPS", r);
		if (c->broker == CONF_BROKER_EMBEDDED)
			port_check(c, conf_mqtt_port(c), "MQTT", r);
	}
	return r->count > problems ? HF_E_MISSING : HF_E_OK;
}
