/* port/posix - a device on Linux: encrypted store, HTTPS, MQTT over TLS, clock, lamp, sensors. One thread, one poll.
 * Uses: base seal node port/openssl; libcurl, libmosquitto, libssl. */
#ifndef HF_POSIX_H
#define HF_POSIX_H
#include "base/base.h"
#include "node/node.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Why something was refused: a sentence for a person, lower case, no full stop. */
struct hf_posix_why {
	char text[256];
};

/* Milliseconds of a clock that never goes back and goes on while the machine sleeps. */
int64_t hf_posix_now_ms(void);

/* --- store: one encrypted file in a directory of its own ---------------------------------------------------------- */

enum { HF_POSIX_STORE_MAX = 65536 };

struct hf_posix_store;
/* Opens DIR (made with 0700 if it is not there) for this process alone. Never resets what it cannot read. Errors:
 * IO, BUSY (another process has it), KEY (store.key), ENVELOPE (store.hf is torn or was changed), VERSION, MEMORY. */
HF_NODISCARD enum hf_err hf_posix_store_open(const char *dir, struct hf_posix_why *why, struct hf_posix_store **out);
void hf_posix_store_close(struct hf_posix_store *s); /* NULL is allowed */
/* As get, put and erase of struct hf_node_env. */
HF_NODISCARD enum hf_err hf_posix_store_get(struct hf_posix_store *s, enum hf_node_item item, struct hf_wr *out);
HF_NODISCARD enum hf_err hf_posix_store_put(struct hf_posix_store *s, enum hf_node_item item, struct hf_span value);
HF_NODISCARD enum hf_err hf_posix_store_erase(struct hf_posix_store *s, enum hf_node_item item);
/* A small file beside the store, 0600, replaced as a whole and durably; removes it without error if it is not there.
 * IO. */
HF_NODISCARD enum hf_err hf_posix_store_note(struct hf_posix_store *s, const char *name, struct hf_span text);
HF_NODISCARD enum hf_err hf_posix_store_unnote(struct hf_posix_store *s, const char *name);

/* --- wishes: a word from another process to the one that has the store -------------------------------------------- */

enum { HF_POSIX_WORD_MAX = 127 };
struct hf_posix_word {
	char text[HF_POSIX_WORD_MAX + 1];
};
/* Leaves a word in DIR/wish for the process that runs on DIR, or for its next start; an older one that was not taken is
 * replaced. Waits for the answer at most wait_ms. Errors: NOT_FOUND (no device in DIR), STATE (nobody runs there: the
 * word waits), EXPIRED (somebody runs but has not answered), IO. */
HF_NODISCARD enum hf_err hf_posix_wish_leave(const char *dir, const char *word, int64_t wait_ms,
                                             struct hf_posix_word *answer);
/* The word that waits; false if there is none. It waits until it is answered. */
bool hf_posix_wish_look(const struct hf_posix_store *s, struct hf_posix_word *out);
void hf_posix_wish_answer(const struct hf_posix_store *s, const char *answer);

/* --- the whole port ----------------------------------------------------------------------------------------------- */

/* Borrowed for the call of hf_posix_device_open, but log and ctx. */
struct hf_posix_config {
	const char *server, *ca_file,
		*dir; /* https://host[:port][/e/TOKEN]; PEM of the CA of KeyEx's web certificate; store */
	unsigned keepalive_s; /* a broker that is silent for so long is asked, for twice as long gone; 0: 60 */
	unsigned broker_port; /* 0: the one that KeyEx names, else the port of the same universe, else 8883 */
	int stop_fd; /* hf_posix_device_turn returns when it is readable; -1: none */
	void *ctx;
	void (*log)(void *ctx, const char *line); /* trouble with the network, one line */
};

struct hf_posix_device;
/* Opens the store and prepares the network; does not connect. Errors: INPUT (address), those of hf_posix_store_open. */
HF_NODISCARD enum hf_err hf_posix_device_open(const struct hf_posix_config *config, struct hf_posix_why *why,
                                              struct hf_posix_device **out);
void hf_posix_device_close(struct hf_posix_device *d); /* NULL is allowed */
const struct hf_node_env *hf_posix_device_env(struct hf_posix_device *d);
struct hf_posix_store *hf_posix_device_store(struct hf_posix_device *d);
/* Waits for the network, at most until deadline_ms, and hands to n what came. Step n afterwards. */
void hf_posix_device_turn(struct hf_posix_device *d, struct hf_node *n, int64_t deadline_ms);

/* --- things of the board ------------------------------------------------------------------------------------------ */

/* Sets the lamp of a /sys/class/leds/NAME directory. Errors: IO. */
HF_NODISCARD enum hf_err hf_posix_led_set(const char *dir, bool on);
/* Reads one channel ("temp", "massconcentration_pm2p5") of an IIO device directory: in_NAME_input, or (in_NAME_raw +
 * in_NAME_offset) * in_NAME_scale, in the unit that the kernel defines for it. Errors: NOT_FOUND, IO, TEXT. */
HF_NODISCARD enum hf_err hf_posix_iio_read(const char *dir, const char *channel, double *out);

/* A recording: a CSV file whose first line names the columns; kept in memory. */
struct hf_posix_csv;
/* Errors: IO, TEXT (a cell is no number, a row too short or long), TOO_BIG (over 100,000 rows), MEMORY. */
HF_NODISCARD enum hf_err hf_posix_csv_open(const char *path, struct hf_posix_why *why, struct hf_posix_csv **out);
void hf_posix_csv_close(struct hf_posix_csv *csv); /* NULL is allowed */
size_t hf_posix_csv_rows(const struct hf_posix_csv *csv);
/* NOT_FOUND: no such column. An empty cell gives NAN. */
HF_NODISCARD enum hf_err hf_posix_csv_get(const struct hf_posix_csv *csv, size_t row, const char *column, double *out);

#ifdef __cplusplus
}
#endif
#endif
