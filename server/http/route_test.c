/* http tests - which route a request finds. Uses: http, cmocka. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/http_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct http_route routes[] = {
	{.method = "GET", .pattern = "/healthz"},
	{.method = "GET", .pattern = "/api/devices"},
	{.method = "GET", .pattern = "/api/devices/{id}"},
	{.method = "POST", .pattern = "/api/devices/{id}/revoke"},
	{.method = "DELETE", .pattern = "/api/devices/{id}"},
	{.method = "GET", .pattern = "/a/{x}/b/{y}"},
	{.method = "POST", .pattern = "/KeyEx/register/c2/"},
	{.method = "GET", .pattern = "/"},
};
static const struct http_setup setup = {.routes = routes, .route_count = sizeof routes / sizeof routes[0]};
static struct http_call call;

static enum hf_err find(const char *method, const char *path)
{
	call.route = NULL;
	memset(call.place, 0, sizeof call.place);
	(void)snprintf(call.path, sizeof call.path, "%s", path);
	return http_route_find(&setup, method, &call);
}

struct route_case {
	const char *method, *path;
	int route; /* or -1 not found, -2 another method */
	const char *first, *second;
};

static void routes_found(void **state)
{
	static const struct route_case cases[] = {
		{"GET", "/healthz", 0, NULL, NULL},
		{"GET", "/", 7, NULL, NULL},
		{"GET", "/api/devices", 1, NULL, NULL},
		{"GET", "/api/devices/d1", 2, "d1", NULL},
		{"DELETE", "/api/devices/d1", 4, "d1", NULL},
		{"POST", "/api/devices/d1/revoke", 3, "d1", NULL},
		{"GET", "/a/1/b/22", 5, "1", "22"},
		{"POST", "/KeyEx/register/c2/", 6, NULL, NULL},
		{"POST", "//KeyEx/register/c2/", 6, NULL, NULL}, /* a base URL with a final slash */
		{"GET", "/api/devices/..", 2, "..", NULL}, /* a place is a value, never a path */
		{"GET", "/api/devices/{id}", 2, "{id}", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct route_case *c = &cases[i];

		assert_int_equal(find(c->method, c->path), HF_E_OK);
		assert_ptr_equal(call.route, &routes[c->route]);
		if (c->first)
			assert_true(hf_span_equal(call.place[0], hf_span_text(c->first)));
		if (c->second)
			assert_true(hf_span_equal(call.place[1], hf_span_text(c->second)));
	}
}

static void W3_paths_that_are_no_route(void **state)
{
	static const struct route_case cases[] = {
		{"GET", "", -1, NULL, NULL},
		{"GET", "healthz", -1, NULL, NULL},
		{"GET", "/healthz/", -1, NULL, NULL},
		{"GET", "/healthz/x", -1, NULL, NULL},
		{"GET", "/healthzz", -1, NULL, NULL},
		{"GET", "/health", -1, NULL, NULL},
		{"GET", "/api/devices/", -1, NULL, NULL},
		{"GET", "/api//devices", -1, NULL, NULL},
		{"POST", "/api/devices//revoke", -1, NULL, NULL},
		{"POST", "/api/devices/d1/../d2/revoke", -1, NULL, NULL},
		{"GET", "/../etc/passwd", -1, NULL, NULL},
		{"GET", "/API/devices", -1, NULL, NULL},
		{"GET", "/api/devices/d1/", -1, NULL, NULL},
		{"GET", "/a//b/2", -1, NULL, NULL},
		{"GET", "/a/1/b/", -1, NULL, NULL},
		{"POST", "/KeyEx/register/c2", -1, NULL, NULL},
		{"POST", "/healthz", -2, NULL, NULL},
		{"get", "/healthz", -2, NULL, NULL},
		{"", "/healthz", -2, NULL, NULL},
		{"GET", "/api/devices/d1/revoke", -2, NULL, NULL},
		{"PATCH", "/api/devices/d1", -2, NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(find(cases[i].method, cases[i].path),
		                 cases[i].route == -1 ? HF_E_NOT_FOUND : HF_E_UNSUPPORTED);
		assert_null(call.route);
	}
}

static void W3_place_that_is_too_long(void **state)
{
	char path[400] = "/api/devices/";

	(void)state;
	memset(path + 13, 'a', HTTP_PLACE_MAX);
	assert_int_equal(find("GET", path), HF_E_OK);
	assert_int_equal(call.place[0].len, HTTP_PLACE_MAX);
	path[13 + HTTP_PLACE_MAX] = 'a';
	assert_int_equal(find("GET", path), HF_E_NOT_FOUND);
}

static void errors_as_json(void **state)
{
	OS_BUF_SCOPED out = os_buf_of(1000);

	(void)state;
	http_error_body(&out, HF_E_DENIED, NULL);
	assert_string_equal(os_buf_cstr(&out), "{\"error\":\"DENIED\",\"message\":\"you may not do that\"}\n");
	os_buf_release(&out);
	http_error_body(&out, HF_E_INPUT, "a \"quote\", \\ and\na line");
	assert_string_equal(os_buf_cstr(&out),
	                    "{\"error\":\"INPUT\",\"message\":\"a \\u0022quote\\u0022, \\u005c and\\u000aa line\"}\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(routes_found),
		cmocka_unit_test(W3_paths_that_are_no_route),
		cmocka_unit_test(W3_place_that_is_too_long),
		cmocka_unit_test(errors_as_json),
	};

	return cmocka_run_group_tests_name("http routes", tests, NULL, NULL);
}
