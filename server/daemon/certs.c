/* daemon - what the log says of our own certificates: which are not good by the clock, which end soon. Uses: conf os. */
#include "daemon/daemon.h"

#include <string.h>

enum { SOON_DAYS = 30, DAY_S = 86400 };

/* A line for each that is not good: they were before the start, but time goes on. */
static void tell_bad(const struct conf *c, int64_t now_s)
{
	static struct conf_report r;

	r = (struct conf_report){0};
	if (conf_check_certs(c, now_s, &r) == HF_E_OK)
		return;
	for (const char *line = r.text; *line;) {
		int len = (int)strcspn(line, "\n");

		os_log(OS_LOG_CERTIFICATE_BAD, "why=\"%.*s\"", len, line);
		line += len + (line[len] == '\n');
	}
}

void daemon_certs_tell(const struct conf *c)
{
	static const enum conf_place ours[] = {CONF_PLACE_WEB_CERT, CONF_PLACE_WEB_CA_CERT, CONF_PLACE_BROKER_CERT,
	                                       CONF_PLACE_BROKER_CA_CERT};
	int64_t now_s = os_now_ms() / 1000;

	tell_bad(c, now_s);
	for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
		char path[CONF_PATH_MAX];

		conf_place(c, ours[i], path);
		int64_t end_s = conf_cert_end(path);

		if (end_s > now_s && end_s - now_s < (int64_t)SOON_DAYS * DAY_S)
			os_log(OS_LOG_CERTIFICATE_ENDS, "file=%s days=%lld", path, (long long)((end_s - now_s) / DAY_S));
	}
}
