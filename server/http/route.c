/* http - finding the route of a request. Uses: base os. */
#include "http/http_internal.h"

#include <stdio.h>
#include <string.h>

void http_path_take(struct http_call *c, const char *prefix, const char *url)
{
	size_t len = prefix ? strlen(prefix) : 0;

	while (url[0] == '/' && url[1] == '/') /* a base URL with a final slash gives //KeyEx/...: srup-v5 section 8 */
		url++;
	if (len > 0 && strncmp(url, prefix, len) == 0) {
		size_t n = strcspn(url + len, "/");

		(void)snprintf(c->secret, sizeof c->secret, "%.*s", (int)(n < sizeof c->secret ? n : 0), url + len);
		url += len + n;
		while (url[0] == '/' && url[1] == '/')
			url++;
	}
	(void)snprintf(c->path, sizeof c->path, "%s", url);
}

void http_path_shown(const char *path, char out[HTTP_SHOWN_MAX])
{
	struct hf_wr w = hf_wr_of(out, HTTP_SHOWN_MAX - 1);

	while (*path) {
		size_t n = strcspn(path, "/");

		hf_wr_put(&w, n > HTTP_SEGMENT_SHOWN_MAX ? hf_span_text("...") : hf_span_of(path, n));
		path += n;
		if (*path == '/')
			hf_wr_put(&w, hf_span_of(path++, 1));
	}
	out[w.len] = '\0';
}

static size_t segment_len(const char *s)
{
	return strcspn(s, "/");
}

/* Matches path against pattern and remembers what stands in its places. */
static bool fits(const char *pattern, const char *path, struct hf_span place[HTTP_PLACES])
{
	size_t places = 0;

	for (;;) {
		size_t p = segment_len(pattern), n = segment_len(path);

		if (*pattern == '{') {
			if (n == 0 || n > HTTP_PLACE_MAX || places == HTTP_PLACES)
				return false;
			place[places++] = hf_span_of(path, n);
		} else if (p != n || memcmp(pattern, path, n) != 0) {
			return false;
		}
		pattern += p;
		path += n;
		if (*pattern == 0 || *path == 0)
			return *pattern == *path;
		pattern++;
		path++;
	}
}

enum hf_err http_route_find(const struct http_setup *s, const char *method, struct http_call *c)
{
	const char *path = c->path;
	enum hf_err err = HF_E_NOT_FOUND;

	for (size_t i = 0; i < s->route_count; i++) {
		if (!fits(s->routes[i].pattern, path, c->place))
			continue;
		if (strcmp(s->routes[i].method, method) == 0) {
			c->route = &s->routes[i];
			return HF_E_OK;
		}
		err = HF_E_UNSUPPORTED; /* there, but not with this method */
	}
	return err;
}
