/* cli, inside - what the files of holdfast doctor share. Uses: conf; jansson. */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H
#include "cli/cli.h"
#include "conf/conf.h"

enum { CLI_SOON_DAYS = 30, CLI_DAY_S = 86400 };

/* An examination under way. */
struct cli_doctor {
	const struct conf *conf;
	const char *check; /* its name */
	json_t *findings; /* {"check", "text"} */
	int64_t now_s;
};
/* Adds a finding: what is wrong, and what to do. */
void cli_doctor_find(struct cli_doctor *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The checks of doctor.def. */
#define CHECK(name, doc) void cli_doctor_##name(struct cli_doctor *d);
#define IDLE(name, doc) CHECK(name, doc)
#define LIVE(name, doc) CHECK(name, doc)
#include "cli/doctor.def"

#endif
