/* http tests - which route a request finds. Uses: http, cmocka. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/http_internal.h"

#include <arpa/inet.h>
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
	http_path_take(&call, "/e/", path);
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

struct path_case {
	const char *url, *secret, *path;
};

/* What stands behind /e/ is no part of the path: neither routes nor logs see it. */
static void K6_token_is_taken_out_of_the_path(void **state)
{
	static const struct path_case cases[] = {
		{"/e/hfe_12/KeyEx/register/status", "hfe_12", "/KeyEx/register/status"},
		{"//e/hfe_12//KeyEx/x", "hfe_12", "/KeyEx/x"},
		{"/e/hfe_12", "hfe_12", ""},
		{"/e/hfe_12/", "hfe_12", "/"},
		{"/e//KeyEx", "", "/KeyEx"},
		{"/e/", "", ""},
		{"/e", "", "/e"},
		{"/ee/a/b", "", "/ee/a/b"},
		{"/KeyEx/e/a", "", "/KeyEx/e/a"},
		{"////KeyEx", "", "/KeyEx"},
		{"", "", ""},
	};
	char url[HTTP_PLACE_MAX + 20] = "/e/";

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		memset(&call, 0, sizeof call);
		http_path_take(&call, "/e/", cases[i].url);
		assert_string_equal(call.secret, cases[i].secret);
		assert_string_equal(call.path, cases[i].path);
	}
	memset(url + 3, 'a', HTTP_PLACE_MAX + 1); /* no token is that long */
	http_path_take(&call, "/e/", url);
	assert_string_equal(call.secret, "");
	assert_string_equal(call.path, "");
}

/* A token that was put where none belongs does not reach the log either. */
static void K6_long_words_are_not_logged(void **state)
{
	char shown[HTTP_SHOWN_MAX], path[512] = "/";

	(void)state;
	http_path_shown("/KeyEx/hfe_0123456789abcdef0123456789abcdef01234567/x//", shown);
	assert_string_equal(shown, "/KeyEx/.../x//");
	http_path_shown("/api/v1/devices/0123456789abcdef", shown);
	assert_string_equal(shown, "/api/v1/devices/0123456789abcdef");
	for (size_t i = 0; i < sizeof path - 1; i++)
		path[i] = i % 2 ? 'a' : '/';
	http_path_shown(path, shown);
	assert_int_equal(strlen(shown), sizeof path - 1);
}

static struct http_counts counts;

static uint64_t address(const char *text)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

	if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
		return http_address_of((const struct sockaddr *)&v4);
	assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
	return http_address_of((const struct sockaddr *)&v6);
}

static void K6_one_address_one_number(void **state)
{
	(void)state;
	assert_true(address("192.0.2.1") == address("::ffff:192.0.2.1"));
	assert_true(address("192.0.2.1") != address("192.0.2.2"));
	assert_true(address("2001:db8:1:2::1") == address("2001:db8:1:2:ffff:ffff:ffff:ffff"));
	assert_true(address("2001:db8:1:2::1") != address("2001:db8:1:3::1"));
	assert_true(address("::1") != address("127.0.0.1"));
}

static void W3_connections_of_one_address(void **state)
{
	struct os_loop loop;
	struct http_conns conns = {.loop = &loop, .request_ms = 1000, .address_max = 2, .counts = &counts};

	(void)state;
	assert_int_equal(os_loop_init(&loop), HF_E_OK);
	assert_true(http_conn_fits(&conns, 1));
	struct http_conn *first = http_conn_add(&conns, 1, -1), *second = http_conn_add(&conns, 1, -1);

	assert_false(http_conn_fits(&conns, 1));
	assert_int_equal(counts.crowded, 1);
	assert_true(http_conn_fits(&conns, 2));
	http_conn_remove(&conns, first);
	assert_true(http_conn_fits(&conns, 1));
	http_conn_remove(&conns, second);
	os_timer_clear(&loop, &conns.timer);
	os_loop_release(&loop);
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
		cmocka_unit_test(K6_token_is_taken_out_of_the_path),
		cmocka_unit_test(K6_long_words_are_not_logged),
		cmocka_unit_test(K6_one_address_one_number),
		cmocka_unit_test(W3_connections_of_one_address),
		cmocka_unit_test(errors_as_json),
	};

	return cmocka_run_group_tests_name("http routes", tests, NULL, NULL);
}
