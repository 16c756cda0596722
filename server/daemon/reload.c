/* daemon - SIGHUP: the parent reads the configuration again and hands the server what changed, as the server can neither read
 * holdfast.conf nor the web key. Uses: os, conf. */
#include "daemon/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PEM_MAX = 65536, NEWS_FDS = 2 };

void daemon_log_settings(const struct conf *c)
{
	static const struct {
		enum conf_word word;
		enum os_level level;
	} levels[] = {{CONF_LOG_DEBUG, OS_DEBUG},
	              {CONF_LOG_INFO, OS_INFO},
	              {CONF_LOG_WARN, OS_WARN},
	              {CONF_LOG_ERROR, OS_ERROR}};

	for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++)
		if (levels[i].word == c->log_level)
			os_log_level(levels[i].level);
	os_log_json(c->log_format == CONF_LOG_JSON);
}

/* --- the parent's side ------------------------------------------------------------------------------------------------------ */

static void on_changed(void *ctx, const char *key, bool live)
{
	(void)ctx;
	os_log(live ? OS_LOG_CONFIG_TAKEN : OS_LOG_CONFIG_WAITS, "key=%s", key);
}

static void log_report(const struct conf_report *r)
{
	for (const char *line = r->text; *line;) {
		int len = (int)strcspn(line, "\n");

		os_log(OS_LOG_CONFIG_REFUSED, "why=\"%.*s\"", len, line);
		line += len + (line[len] == '\n');
	}
}

bool daemon_reload_conf(struct conf *c)
{
	static struct conf fresh;
	static struct conf_report r;

	r = (struct conf_report){0};
	if (conf_load(c->file, &fresh, &r) != HF_E_OK || conf_check(&fresh, os_now_ms() / 1000, &r) != HF_E_OK) {
		log_report(&r);
		return false;
	}
	conf_renew(c, &fresh, on_changed, NULL);
	daemon_log_settings(c);
	return true;
}

static int place_open(const struct conf *c, enum conf_place place)
{
	char path[CONF_PATH_MAX];

	conf_place(c, place, path);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static bool send_with(int fd, struct hf_span text, const int fds[NEWS_FDS])
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * NEWS_FDS)];
		struct cmsghdr align;
	} control = {{0}};
	struct iovec part = {(void *)(uintptr_t)text.ptr, text.len};
	struct msghdr m = {.msg_iov = &part,
	                   .msg_iovlen = 1,
	                   .msg_control = control.bytes,
	                   .msg_controllen = sizeof control.bytes};
	struct cmsghdr *head = CMSG_FIRSTHDR(&m);

	*head = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
	                         .cmsg_type = SCM_RIGHTS,
	                         .cmsg_len = CMSG_LEN(sizeof(int) * NEWS_FDS)};
	memcpy(CMSG_DATA(head), fds, sizeof(int) * NEWS_FDS);
	return sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)text.len;
}

void daemon_news_send(int fd, const struct conf *c)
{
	const int fds[NEWS_FDS] = {place_open(c, CONF_PLACE_WEB_KEY), place_open(c, CONF_PLACE_WEB_CERT)};
	OS_BUF_SCOPED text = os_buf_of(CONF_FILE_MAX);

	conf_print(c, &text);
	if (text.err != HF_E_OK || fds[0] < 0 || fds[1] < 0 || !send_with(fd, os_buf_span(&text), fds))
		os_log(OS_LOG_CONFIG_REFUSED, "why=\"the server could not be told: %s\"", strerror(errno));
	for (size_t i = 0; i < NEWS_FDS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* --- the server's side ------------------------------------------------------------------------------------------------------ */

/* Takes the descriptors out of a message; false when there are not exactly NEWS_FDS. */
static bool take_fds(struct msghdr *m, int fds[NEWS_FDS])
{
	const struct cmsghdr *head = CMSG_FIRSTHDR(m);

	if (!head || head->cmsg_type != SCM_RIGHTS || head->cmsg_len != CMSG_LEN(sizeof(int) * NEWS_FDS))
		return false;
	memcpy(fds, CMSG_DATA(head), sizeof(int) * NEWS_FDS);
	return true;
}

static enum hf_err read_pem(int fd, struct os_buf *out)
{
	*out = os_buf_of(PEM_MAX);
	enum hf_err err = os_read_fd(fd, out);

	close(fd);
	return err;
}

enum hf_err daemon_news_take(int fd, struct conf *c, struct daemon_news *out)
{
	static struct conf fresh;
	static struct conf_report r;
	static char text[CONF_FILE_MAX];
	union {
		char bytes[CMSG_SPACE(sizeof(int) * NEWS_FDS)];
		struct cmsghdr align;
	} control;
	struct iovec part = {text, sizeof text};
	struct msghdr m = {.msg_iov = &part,
	                   .msg_iovlen = 1,
	                   .msg_control = control.bytes,
	                   .msg_controllen = sizeof control.bytes};
	int fds[NEWS_FDS];
	ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n <= 0)
		return n < 0 && errno == EAGAIN ? HF_E_NOT_FOUND : HF_E_IO;
	if (!take_fds(&m, fds))
		return HF_E_INPUT;
	*out = (struct daemon_news){0};
	enum hf_err key = read_pem(fds[0], &out->web_key), cert = read_pem(fds[1], &out->web_cert);

	r = (struct conf_report){0};
	enum hf_err err = conf_parse(hf_span_of(text, (size_t)n), c->file, &fresh, &r);

	if (err == HF_E_OK)
		conf_renew(c, &fresh, NULL, NULL);
	return err != HF_E_OK ? err : key != HF_E_OK ? key : cert;
}
