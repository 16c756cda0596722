/* conf - holdfast.conf, where things lie, and what to check before a start. Uses: base, os; libcrypto, /proc. */
#ifndef CONF_H
#define CONF_H
#include "base/base.h"
#include "os/os.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CONF_PATH_MAX = 1024, CONF_TEXT_MAX = 256, CONF_FILE_MAX = 65536, CONF_LINE_MAX = 1200, CONF_REPORT_MAX = 8192 };

/* The words of all ENUM keys: CONF_BROKER_EMBEDDED, CONF_SANDBOX_OFF, ... */
enum conf_word {
#define WORD(key, NAME, text) CONF_##NAME,
#include "conf/words.def"
};

#define CONF_FIELD_HOSTS(key) char key[CONF_TEXT_MAX];
#define CONF_FIELD_ADDRESS(key) char key[CONF_TEXT_MAX];
#define CONF_FIELD_LABEL(key) char key[CONF_TEXT_MAX];
#define CONF_FIELD_PATH(key) char key[CONF_PATH_MAX];
#define CONF_FIELD_INT(key) int64_t key;
#define CONF_FIELD_ENUM(key) enum conf_word key;

/* The configuration in force: one field for each row of config.def, checked against its limits. Paths are absolute. */
struct conf {
	char file[CONF_PATH_MAX]; /* where it was read from */
#define CONF(key, KIND, fallback, min, max, doc) CONF_FIELD_##KIND(key)
#include "conf/config.def"
};

/* What is wrong: whole sentences, each ended by a newline, NUL-terminated. Those without room are counted only. */
struct conf_report {
	size_t count, len;
	char text[CONF_REPORT_MAX];
};
/* Adds a sentence. */
void conf_report_add(struct conf_report *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Reads `key = value` lines; missing keys get their defaults. Derives no path. The report names file and line.
 * Errors: INPUT, with every problem in r; out is untouched then. */
HF_NODISCARD enum hf_err conf_parse(struct hf_span text, const char *file, struct conf *out, struct conf_report *r);
/* Reads a file, then HOLDFAST_PORT_BASE from the environment, then derives the paths.
 * Errors: NOT_FOUND, IO, TOO_BIG, INPUT; out is untouched then. */
HF_NODISCARD enum hf_err conf_load(const char *file, struct conf *out, struct conf_report *r);
/* The configuration as a valid file: every key with its doc, its default and the value in force. */
void conf_print(const struct conf *c, struct os_buf *out);

/* Is told of each key whose value differs; live: the new one is in force. */
typedef void (*conf_changed)(void *ctx, const char *key, bool live);
/* Takes over from fresh what may change while running (live.def), and tells of every difference. changed may be NULL. */
void conf_renew(struct conf *c, const struct conf *fresh, conf_changed changed, void *ctx);

/* All that keeps c from being run, at once: folders, permissions, keys, certificates by the clock now_s (seconds since
 * 1970), broker, ports with their owners. Ports are not looked at while a holdfastd of this data folder runs.
 * Errors: MISSING, with every problem in r. */
HF_NODISCARD enum hf_err conf_check(const struct conf *c, int64_t now_s, struct conf_report *r);

/* Only the certificates by the clock. Errors: EXPIRED, with a sentence in r for each that is not good. */
HF_NODISCARD enum hf_err conf_check_certs(const struct conf *c, int64_t now_s, struct conf_report *r);
/* When the first certificate of a PEM file ends, seconds since 1970; 0: there is none. */
int64_t conf_cert_end(const char *path);

/* Where things lie: CONF_PLACE_DB, ... (places.def). */
enum conf_place {
#define PLACE(NAME, BASE, path, KIND) CONF_PLACE_##NAME,
#include "conf/places.def"
	CONF_PLACE_COUNT_
};
/* The absolute path of a place; always NUL-terminated, and never cut short for a conf that conf_load made. */
void conf_place(const struct conf *c, enum conf_place place, char out[CONF_PATH_MAX]);
/* Makes the folders (0700) of places.def that are not there. Errors: IO, with a sentence in r. */
HF_NODISCARD enum hf_err conf_make_folders(const struct conf *c, struct conf_report *r);

/* Ports derived from port_base; an external broker may have one of its own. */
unsigned conf_https_port(const struct conf *c);
unsigned conf_mqtt_port(const struct conf *c);
/* Somebody listens on this port at this address or at all addresses. Opens no socket: reads /proc/net. */
bool conf_port_taken(const char *address, unsigned port);
/* Who: "mosquitto (process 123)", or as much as can be found out. */
void conf_port_owner(const char *address, unsigned port, char out[CONF_TEXT_MAX]);

/* mosquitto's configuration for the broker that holdfastd runs. as_root: it stays user root (which has no capabilities
 * then). */
void conf_broker_embedded(const struct conf *c, bool as_root, struct os_buf *out);
/* The same for a broker on another machine, with all of its files in folder; comments say which to copy from where. */
void conf_broker_external(const struct conf *c, const char *folder, struct os_buf *out);

/* The process that holds the lock (F_OFD_SETLK) of run/holdfastd.pid; 0 when none does, -1 when it cannot be named. */
long conf_running(const struct conf *c);

#endif
