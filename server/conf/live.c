/* conf - what may change while the programs run (live.def). Uses: os. */
#include "conf/conf_internal.h"

#include <string.h>

static const bool live[CONF_ROWS] = {
#define LIVE(key) [CONF_INDEX_##key] = true,
#include "conf/live.def"
};

static bool same(const struct conf_row *row, const struct conf *a, const struct conf *b)
{
	OS_BUF_SCOPED x = os_buf_of(CONF_FILE_MAX);
	OS_BUF_SCOPED y = os_buf_of(CONF_FILE_MAX);

	conf_value_print(row, a, &x);
	conf_value_print(row, b, &y);
	return hf_span_equal(os_buf_span(&x), os_buf_span(&y));
}

void conf_renew(struct conf *c, const struct conf *fresh, conf_changed changed, void *ctx)
{
	for (size_t i = 0; i < CONF_ROWS; i++) {
		const struct conf_row *row = &conf_rows[i];

		if (same(row, c, fresh))
			continue;
		if (live[i])
			memcpy((char *)c + row->offset, (const char *)fresh + row->offset, row->size);
		if (changed)
			changed(ctx, row->key, live[i]);
	}
}
