/* fuzz - configuration files: what is accepted is printed, read again and printed the same. Uses: conf, os. */
#include "conf/conf.h"
#include "fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static void check(bool good)
{
	if (!good)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct conf c, again;
	static struct conf_report report;
	OS_BUF_SCOPED first = os_buf_of(CONF_FILE_MAX);
	OS_BUF_SCOPED second = os_buf_of(CONF_FILE_MAX);

	report = (struct conf_report){0};
	enum hf_err err = conf_parse(hf_span_of(data, size), "fuzz", &c, &report);

	check((err == HF_E_OK) == (report.count == 0) && report.len < sizeof report.text && !report.text[report.len]);
	if (err != HF_E_OK)
		return 0;
	/* conf_load settles what has no default; a printed file always has them. */
	memcpy(c.data_dir, "/d", 3);
	memcpy(c.keys_dir, "/k", 3);
	memcpy(c.broker_plugin, "/p", 3);
	memcpy(c.broker_ca, "/a", 3);
	memcpy(c.broker_host, "h", 2);
	conf_print(&c, &first);
	check(conf_parse(os_buf_span(&first), "printed", &again, &report) == HF_E_OK);
	conf_print(&again, &second);
	check(hf_span_equal(os_buf_span(&first), os_buf_span(&second)));
	return 0;
}
