/* cli - calls to the server over HTTPS, and a sentence for whatever goes wrong. Uses: os; libcurl, jansson. */
#include "cli/cli.h"
#include "os/os.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	TOKEN_MAX = 4096,
	REPLY_MAX = 64 << 20,
	CONNECT_MS = 10000,
	REPLY_MS = 60000,
	REFUSAL_MAX = 65536,
	SILENCE_S = 120
};

void cli_json_drop(json_t **doc)
{
	json_decref(*doc);
	*doc = NULL;
}

/* A token is one word; a newline in a header would be another header. */
static enum cli_exit load_token(struct cli_api *api)
{
	OS_BUF_SCOPED text = os_buf_of(TOKEN_MAX);
	static const char head[] = "Authorization: Bearer ";

	if (!api->target.token_file[0])
		return CLI_DONE;
	if (os_read_file(api->target.token_file, &text) != HF_E_OK)
		return cli_fail(CLI_MISSING, "the token file %s cannot be read", api->target.token_file);
	const char *token = os_buf_cstr(&text);
	size_t start = strspn(token, " \t\r\n"), len = strcspn(token + start, " \t\r\n");

	if (len == 0 || token[start + len + strspn(token + start + len, " \t\r\n")] != '\0')
		return cli_fail(CLI_MISSING, "the token file %s does not hold one token", api->target.token_file);
	api->authorization = malloc(sizeof head + len);
	if (!api->authorization)
		return cli_fail(CLI_REFUSED, "out of memory");
	(void)snprintf(api->authorization, sizeof head + len, "%s%.*s", head, (int)len, token + start);
	return CLI_DONE;
}

enum cli_exit cli_api_open(const struct cli_args *a, struct cli_api *out)
{
	*out = (struct cli_api){0};
	enum cli_exit code = cli_find_server(a, &out->target);

	if (code == CLI_DONE)
		code = load_token(out);
	if (code != CLI_DONE)
		return code;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
		out->curl = curl_easy_init();
	return out->curl ? CLI_DONE : cli_fail(CLI_REFUSED, "libcurl does not start");
}

void cli_api_close(struct cli_api *api)
{
	curl_easy_cleanup(api->curl);
	if (api->authorization)
		hf_wipe(api->authorization, strlen(api->authorization));
	free(api->authorization);
	*api = (struct cli_api){0};
}

static size_t on_body(char *ptr, size_t size, size_t count, void *ctx)
{
	struct os_buf *b = ctx;

	os_buf_put(b, hf_span_of(ptr, size * count));
	return b->err == HF_E_OK ? size * count : 0;
}

static enum cli_exit fail_connect(struct cli_api *api)
{
	const char *url = api->target.url;
	long err = 0;

	(void)curl_easy_getinfo(api->curl, CURLINFO_OS_ERRNO, &err);
	if (err == ECONNREFUSED)
		return cli_fail(CLI_UNREACHABLE, "cannot reach %s: connection refused; is it running? try ./start", url);
	return cli_fail(CLI_UNREACHABLE, "cannot reach %s: %s", url, err ? strerror((int)err) : "no connection");
}

static enum cli_exit fail_transport(struct cli_api *api, CURLcode result)
{
	const char *url = api->target.url, *ca = api->target.ca;

	if (result == CURLE_ABORTED_BY_CALLBACK)
		return cli_fail(CLI_REFUSED, "stopped before the end");
	if (api->patient && result != CURLE_PEER_FAILED_VERIFICATION)
		return CLI_UNREACHABLE;
	switch ((int)result) {
	case CURLE_COULDNT_CONNECT: return fail_connect(api);
	case CURLE_COULDNT_RESOLVE_HOST:
		return cli_fail(CLI_UNREACHABLE, "cannot reach %s: there is no host of that name", url);
	case CURLE_OPERATION_TIMEDOUT: return cli_fail(CLI_UNREACHABLE, "%s does not answer in time", url);
	case CURLE_URL_MALFORMAT: return cli_fail(CLI_USAGE, "'%s' is no address", url);
	case CURLE_SSL_CACERT_BADFILE: return cli_fail(CLI_MISSING, "the CA file %s cannot be used", ca);
	case CURLE_PEER_FAILED_VERIFICATION:
		return cli_fail(
			CLI_UNREACHABLE,
			"%s shows a certificate that does not hold against %s; is that the right CA file and host name?", url,
			*ca ? ca : "the system's CAs");
	default: return cli_fail(CLI_UNREACHABLE, "cannot talk to %s: %s", url, curl_easy_strerror(result));
	}
}

/* The answer of a call that was refused: the server's own sentence. */
static enum cli_exit fail_status(struct cli_api *api, const json_t *doc)
{
	const char *message = json_string_value(json_object_get(doc, "message"));

	if (api->patient && (api->status >= 500 || api->status == 429))
		return CLI_UNREACHABLE;
	if (api->status == 401)
		return cli_fail(CLI_REFUSED, "%s (token file: %s)", message ? message : "a valid token is required",
		                *api->target.token_file ? api->target.token_file : "none given");
	if (message)
		return cli_fail(CLI_REFUSED, "%s", message);
	return cli_fail(CLI_REFUSED, "%s answered with HTTP status %ld; is that a Holdfast server?", api->target.url,
	                api->status);
}

static enum cli_exit perform(struct cli_api *api, struct os_buf *reply)
{
	CURLcode result = curl_easy_perform(api->curl);

	if (reply->err != HF_E_OK)
		return cli_fail(CLI_REFUSED, "the answer is too long");
	if (result != CURLE_OK)
		return fail_transport(api, result);
	(void)curl_easy_getinfo(api->curl, CURLINFO_RESPONSE_CODE, &api->status);
	return CLI_DONE;
}

static enum cli_exit take_reply(struct cli_api *api, struct os_buf *reply, json_t **out)
{
	bool good = api->status >= 200 && api->status < 300;
	json_t *doc = json_loadb((const char *)reply->ptr, reply->len, JSON_DECODE_ANY, NULL);
	enum cli_exit code = CLI_DONE;

	if (!good)
		code = fail_status(api, doc);
	else if (!doc && reply->len > 0)
		code = cli_fail(CLI_REFUSED, "%s answered with something that is no JSON; is that a Holdfast server?",
		                api->target.url);
	if (code == CLI_DONE && out)
		*out = doc ? doc : json_object();
	else
		json_decref(doc);
	return code;
}

static int on_progress(void *ctx, curl_off_t down_all, curl_off_t down, curl_off_t up_all, curl_off_t up)
{
	(void)ctx, (void)down_all, (void)down, (void)up_all, (void)up;
	return cli_stopped();
}

static void prepare(struct cli_api *api, const char *method, const char *url, long wait_ms, struct os_buf *reply)
{
	CURL *c = api->curl;

	curl_easy_reset(c);
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(c, CURLOPT_PROXY, ""); /* the token goes to the server and nowhere else */
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, REPLY_MS + wait_ms);
	curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, reply);
	if (*api->target.ca)
		curl_easy_setopt(c, CURLOPT_CAINFO, api->target.ca);
}

enum cli_exit cli_call(struct cli_api *api, const char *method, const char *path, json_t *body, long wait_ms,
                       json_t **out)
{
	OS_BUF_SCOPED reply = os_buf_of(REPLY_MAX);
	char url[CLI_PATH_MAX + sizeof api->target.url];

	if (!path) {
		json_decref(body);
		return cli_fail(CLI_USAGE, "a name is too long");
	}
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");

	(void)snprintf(url, sizeof url, "%s%s", api->target.url, path);
	prepare(api, method, url, wait_ms, &reply);
	if (api->authorization)
		headers = curl_slist_append(headers, api->authorization);
	curl_easy_setopt(api->curl, CURLOPT_HTTPHEADER, headers);
	if (text)
		curl_easy_setopt(api->curl, CURLOPT_POSTFIELDS, text);
	enum cli_exit code = perform(api, &reply);

	curl_slist_free_all(headers);
	free(text);
	json_decref(body);
	return code == CLI_DONE ? take_reply(api, &reply, out) : code;
}

struct stream {
	struct cli_api *api;
	bool (*take)(void *ctx, const char *text, size_t len);
	void *ctx;
	struct os_buf refusal;
	bool broken; /* by take */
};

static size_t on_stream(char *ptr, size_t size, size_t count, void *ctx)
{
	struct stream *s = ctx;
	size_t len = size * count;

	(void)curl_easy_getinfo(s->api->curl, CURLINFO_RESPONSE_CODE, &s->api->status);
	if (s->api->status != 200) {
		os_buf_put(&s->refusal, hf_span_of(ptr, len));
		return s->refusal.err == HF_E_OK ? len : 0;
	}
	s->broken = !s->take(s->ctx, ptr, len);
	return s->broken ? 0 : len;
}

enum cli_exit cli_stream(struct cli_api *api, const char *path, bool (*take)(void *ctx, const char *text, size_t len),
                         void *ctx)
{
	struct stream s = {.api = api, .take = take, .ctx = ctx, .refusal = os_buf_of(REFUSAL_MAX)};
	char url[CLI_PATH_MAX + sizeof api->target.url];
	struct curl_slist *headers = api->authorization ? curl_slist_append(NULL, api->authorization) : NULL;

	(void)snprintf(url, sizeof url, "%s%s", api->target.url, path);
	prepare(api, "GET", url, 0, &s.refusal);
	curl_easy_setopt(api->curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(api->curl, CURLOPT_WRITEFUNCTION, on_stream);
	curl_easy_setopt(api->curl, CURLOPT_WRITEDATA, &s);
	curl_easy_setopt(api->curl, CURLOPT_TIMEOUT_MS, 0L);
	curl_easy_setopt(api->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(api->curl, CURLOPT_LOW_SPEED_TIME, (long)SILENCE_S);
	CURLcode result = curl_easy_perform(api->curl);
	enum cli_exit code = CLI_DONE;

	(void)curl_easy_getinfo(api->curl, CURLINFO_RESPONSE_CODE, &api->status);
	curl_slist_free_all(headers);
	if (s.broken)
		code = CLI_REFUSED;
	else if (result != CURLE_OK)
		code = fail_transport(api, result);
	else if (api->status != 200)
		code = take_reply(api, &s.refusal, NULL);
	os_buf_release(&s.refusal);
	return code;
}

enum cli_exit cli_call_once(const struct cli_args *a, const char *method, const char *path, json_t *body, json_t **out)
{
	struct cli_api api;
	enum cli_exit code = cli_api_open(a, &api);

	if (code == CLI_DONE)
		code = cli_call(&api, method, path, body, 0, out);
	else
		json_decref(body);
	cli_api_close(&api);
	return code;
}

/* Letters, digits and -._~ stay; everything else becomes %XX. */
static void put_encoded(struct hf_wr *w, const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";

	for (; *text; text++) {
		if (strchr(plain, *text)) {
			hf_wr_put(w, hf_span_of(text, 1));
			continue;
		}
		hf_wr_text(w, "%");
		hf_wr_hex(w, hf_span_of(text, 1));
	}
}

char *cli_path(char out[CLI_PATH_MAX], const char *fmt, ...)
{
	struct hf_wr w = hf_wr_of(out, CLI_PATH_MAX);
	va_list args;

	va_start(args, fmt);
	for (const char *p = fmt; *p; p++) {
		if (p[0] == '%' && p[1] == 's')
			put_encoded(&w, va_arg(args, const char *)), p++;
		else
			hf_wr_put(&w, hf_span_of(p, 1));
	}
	va_end(args);
	hf_wr_nul(&w);
	return w.err == HF_E_OK ? out : NULL;
}

void cli_query(char path[CLI_PATH_MAX], const char *name, const char *value)
{
	size_t len = strlen(path);
	struct hf_wr w = hf_wr_of(path + len, CLI_PATH_MAX - len);

	if (!value)
		return;
	hf_wr_text(&w, strchr(path, '?') ? "&" : "?");
	hf_wr_text(&w, name);
	hf_wr_text(&w, "=");
	put_encoded(&w, value);
	hf_wr_nul(&w);
	if (w.err != HF_E_OK)
		path[len] = '\0';
}
