/* session_stage - what tests of modules on the session cache share: database, cache, two keys. Included once by a test that gives
 * set_up. Uses: server_stage, server_device. */
#ifndef TESTS_SESSION_STAGE_H
#define TESTS_SESSION_STAGE_H
#include "port/openssl/openssl.h"
#include "session/session.h"
#include "tests/server_device.h"
#include "tests/server_stage.h"

static struct stage stage;
static struct session_cache cache;
static struct hf_seal_key *device_key, *other_key;

static inline int tear_down(void **state)
{
	(void)state;
	session_cache_release(&cache);
	stage_end(&stage);
	return 0;
}

static inline int load_keys(void **state)
{
	(void)state;
	device_key = vector_key("vis-a");
	other_key = vector_key("vis-b");
	return 0;
}

static inline int free_keys(void **state)
{
	(void)state;
	hf_openssl_key_free(device_key);
	hf_openssl_key_free(other_key);
	return 0;
}

#endif
