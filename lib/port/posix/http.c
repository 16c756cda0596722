/* port/posix - HTTPS to KeyEx: one request at a time, not blocking, its answer bounded. Uses: base; libcurl. */
#include "port/posix/posix_internal.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	BODY_MAX = 65536,
	URL_MAX_LEN = 1024,
	FDS_MAX = 4,
	CONNECT_MS = 10000,
	REQUEST_MS = 20000,
	CURL_WAIT_MAX_MS = 60000
};

struct hf_posix_http {
	CURLM *multi;
	CURL *easy; /* NULL: no request */
	struct curl_slist *headers;
	bool too_big;
	size_t len;
	char base[URL_MAX_LEN], ca_file[URL_MAX_LEN], error[CURL_ERROR_SIZE];
	uint8_t body[BODY_MAX];
};

static bool copy_text(char *out, size_t cap, const char *text)
{
	int len = snprintf(out, cap, "%s", text);

	return len > 0 && (size_t)len < cap;
}

size_t hf_posix_authority_len(const char *url)
{
	const char *host = strstr(url, "://");

	host = host ? host + 3 : url;
	return (size_t)(host - url) + strcspn(host, "/");
}

enum hf_err hf_posix_http_new(const char *base_url, const char *ca_file, struct hf_posix_why *why,
                              struct hf_posix_http **out)
{
	struct hf_posix_http *h;
	FILE *ca = fopen(ca_file, "re");

	if (!ca) {
		hf_posix_say(why, "cannot read the CA file %s", ca_file);
		return HF_E_INPUT;
	}
	(void)fclose(ca);
	if (strncmp(base_url, "https://", 8) != 0 || base_url[8] == '\0') {
		hf_posix_say(why, "the server's address must look like https://host:8443");
		return HF_E_INPUT;
	}
	h = calloc(1, sizeof *h);
	if (!h || !copy_text(h->base, sizeof h->base, base_url) || !copy_text(h->ca_file, sizeof h->ca_file, ca_file) ||
	    curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(h->multi = curl_multi_init())) {
		hf_posix_say(why, "out of memory, or an address too long");
		free(h);
		return HF_E_MEMORY;
	}
	for (size_t len = strlen(h->base); h->base[len - 1] == '/'; len--)
		h->base[len - 1] = '\0';
	*out = h;
	return HF_E_OK;
}

static void stop(struct hf_posix_http *h)
{
	if (!h->easy)
		return;
	(void)curl_multi_remove_handle(h->multi, h->easy);
	curl_easy_cleanup(h->easy);
	curl_slist_free_all(h->headers);
	h->easy = NULL;
	h->headers = NULL;
}

void hf_posix_http_free(struct hf_posix_http *h)
{
	if (!h)
		return;
	stop(h);
	(void)curl_multi_cleanup(h->multi);
	free(h);
	curl_global_cleanup();
}

static size_t take(char *bytes, size_t size, size_t count, void *ctx)
{
	struct hf_posix_http *h = ctx;
	size_t len = size * count;

	if (len > sizeof h->body - h->len) {
		h->too_big = true;
		return 0;
	}
	memcpy(h->body + h->len, bytes, len);
	h->len += len;
	return len;
}

static bool set_body(struct hf_posix_http *h, struct hf_span body)
{
	h->headers = curl_slist_append(NULL, "Content-Type: application/json");
	return h->headers && curl_easy_setopt(h->easy, CURLOPT_HTTPHEADER, h->headers) == CURLE_OK &&
	       curl_easy_setopt(h->easy, CURLOPT_POSTFIELDSIZE, (long)body.len) == CURLE_OK &&
	       curl_easy_setopt(h->easy, CURLOPT_COPYPOSTFIELDS, (const char *)body.ptr) == CURLE_OK;
}

/* What a device asks KeyEx goes there directly: no proxy, no redirect, nothing but HTTPS, no CA but the given one. */
static bool set_up(struct hf_posix_http *h, const char *url)
{
	CURL *e = h->easy;

	return curl_easy_setopt(e, CURLOPT_URL, url) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_CAINFO, h->ca_file) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_CAPATH, NULL) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_PROXY, "") == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)REQUEST_MS) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_ERRORBUFFER, h->error) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, take) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_WRITEDATA, h) == CURLE_OK;
}

enum hf_err hf_posix_http_start(struct hf_posix_http *h, const char *method, const char *path, struct hf_span body)
{
	char url[URL_MAX_LEN];
	int len = snprintf(url, sizeof url, "%s%s", h->base, path);

	if (len <= 0 || (size_t)len >= sizeof url)
		return HF_E_TOO_BIG;
	stop(h);
	h->len = 0;
	h->too_big = false;
	h->error[0] = '\0';
	h->easy = curl_easy_init();
	if (!h->easy)
		return HF_E_MEMORY;
	bool good = set_up(h, url) && (strcmp(method, "POST") != 0 || set_body(h, body)) &&
	            curl_multi_add_handle(h->multi, h->easy) == CURLM_OK;

	if (good)
		return HF_E_OK;
	stop(h);
	return HF_E_IO;
}

void hf_posix_http_wait(struct hf_posix_http *h, struct pollfd *fds, size_t count, int64_t wait_ms)
{
	struct curl_waitfd extra[FDS_MAX];
	unsigned used = 0;
	int ready = 0;

	wait_ms = wait_ms < 0 ? 0 : wait_ms > CURL_WAIT_MAX_MS ? CURL_WAIT_MAX_MS : wait_ms;
	for (size_t i = 0; i < count && used < FDS_MAX; i++)
		if (fds[i].fd >= 0)
			extra[used++] = (struct curl_waitfd){.fd = fds[i].fd,
			                                     .events = (short)((fds[i].events & POLLIN ? CURL_WAIT_POLLIN : 0) |
			                                                       (fds[i].events & POLLOUT ? CURL_WAIT_POLLOUT : 0))};
	(void)curl_multi_poll(h->multi, extra, used, (int)wait_ms, &ready);
	/* curl tells less than poll does (no error, no hang-up): ask again, without waiting. */
	if (poll(fds, (nfds_t)count, 0) < 0)
		for (size_t i = 0; i < count; i++)
			fds[i].revents = 0;
}

bool hf_posix_http_done(struct hf_posix_http *h, unsigned *status, struct hf_span *body, struct hf_posix_why *why)
{
	int running = 0, left = 0;
	long code = 0;

	if (!h->easy)
		return false;
	(void)curl_multi_perform(h->multi, &running);
	CURLMsg *msg = curl_multi_info_read(h->multi, &left);

	if (!msg || msg->msg != CURLMSG_DONE)
		return false;
	CURLcode result = msg->data.result;

	if (result == CURLE_OK)
		(void)curl_easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &code);
	else
		hf_posix_say(why, "%.*s: %s", (int)hf_posix_authority_len(h->base), h->base,
		             h->too_big    ? "the answer is too long"
		             : h->error[0] ? h->error
		                           : curl_easy_strerror(result));
	stop(h);
	*status = (unsigned)code;
	*body = hf_span_of(h->body, code != 0 ? h->len : 0);
	return true;
}
