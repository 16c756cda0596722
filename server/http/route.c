/* http - finding the route of a request. Uses: base os. */
#include "http/http_internal.h"

#include <string.h>

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

	while (path[0] == '/' && path[1] == '/') /* a base URL with a final slash gives //KeyEx/...: srup-v5 section 8 */
		path++;
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
