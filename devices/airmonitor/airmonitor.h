/* airmonitor - a city air sensor on Linux: samples, alarm, lamp. Uses: base node port/posix. */
#ifndef AIRMONITOR_H
#define AIRMONITOR_H
#include "base/base.h"
#include "node/node.h"
#include "port/posix/posix.h"

/* --- alarm.c: the rule, pure -------------------------------------------------------------------------------------- */

/* Raised by two samples in a row at or above the limit, cleared by two below four fifths of it. All zero: quiet. */
struct airmonitor_alarm {
	bool raised;
	unsigned run;
};
/* Takes one sample, µg/m³; NAN changes nothing. Returns whether the alarm changed. */
bool airmonitor_alarm_step(struct airmonitor_alarm *a, double pm25, double limit);

/* --- settings.c: what the server may set -------------------------------------------------------------------------- */

struct airmonitor_settings {
	double pm25_limit; /* µg/m³, over 0 to 10000 */
	int64_t interval_ms; /* 100 to 86,400,000 */
};
/* Changes s when the value is in range. Errors: NOT_FOUND (no such setting), INPUT (size or range). */
HF_NODISCARD enum hf_err airmonitor_settings_take(struct airmonitor_settings *s, struct hf_span data_id,
                                                  struct hf_span data);
enum { AIRMONITOR_SETTINGS_LEN = 17 };
void airmonitor_settings_encode(const struct airmonitor_settings *s, struct hf_wr *out);
/* Errors: VERSION, INPUT; then s is unchanged. */
HF_NODISCARD enum hf_err airmonitor_settings_decode(struct airmonitor_settings *s, struct hf_span in);
/* DATA bodies as SRUP has them: little-endian. Source: srup-v5 section 2.1. */
void airmonitor_put_double(struct hf_wr *w, double v);
void airmonitor_put_int32(struct hf_wr *w, int32_t v);

/* --- sensors.c ---------------------------------------------------------------------------------------------------- */

/* What is measured, in the order of the rows in sensors.c. */
enum { AIRMONITOR_PM25, AIRMONITOR_SERIES_MAX = 4 };
struct airmonitor_sensors {
	const char *iio; /* device directory, or NULL */
	struct hf_posix_csv *replay; /* recording, or NULL */
	size_t row;
};
const char *airmonitor_series(unsigned i);
/* One sample of every series, NAN where there is none. A recording goes on by a row and begins again at its end. */
void airmonitor_sensors_read(struct airmonitor_sensors *s, double out[AIRMONITOR_SERIES_MAX]);

/* --- options.c ---------------------------------------------------------------------------------------------------- */

struct airmonitor_options {
	char address[512]; /* what server points at */
	const char *server, *ca, *data, *type, *replay, *iio, *led, *keyex_key;
	const char *wish; /* resign, deregister or rejoin: that is all there is to do; NULL: run */
	unsigned broker_port, keepalive_s;
	int64_t interval_ms;
	enum hf_node_join join;
};
/* 0: go on; otherwise the exit status plus 1 (help, version or a mistake, which is printed). */
/* Whatever path the server's address has is blotted out in argv: it may hold an enrolment token, and everybody can read the
 * arguments of a process. */
int airmonitor_options_read(int argc, char **argv, struct airmonitor_options *out);

/* --- wish.c: what an operator wishes ------------------------------------------------------------------------------ */

/* Leaves options->wish for the process that runs on options->data and prints what it says. Returns the exit status. */
int airmonitor_wish_leave(const struct airmonitor_options *options);
/* Does what is wished, if anything is, and answers. Called now and then by the process that runs. */
void airmonitor_wish_take(struct hf_posix_store *store, struct hf_node *node);

/* --- app.c: the program ------------------------------------------------------------------------------------------- */

/* Runs until stop_fd is readable. Returns the exit status. */
int airmonitor_run(const struct airmonitor_options *options, int stop_fd);
#endif
