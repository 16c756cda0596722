/* api, inside - readings as the API gives them: JSON objects and lines of CSV. */
#ifndef API_READING_H
#define API_READING_H
#include "os/os.h"
#include "telemetry/telemetry.h"
#include "type/type.h"

#include <jansson.h>

enum { API_READING_PROFILES = 8 };
/* What it takes to show readings; the profiles are read as they are needed. Set type, the rest to zero. */
struct api_reading_view {
	char type[TYPE_NAME_MAX]; /* of the device, where the readings do not name theirs */
	struct type_profile *profile[API_READING_PROFILES];
	size_t next;
};
void api_reading_view_release(struct api_reading_view *v);

/* {cursor, at_ms, device, data, kind, value, unit}; a value that JSON cannot hold is hex, and its kind then says bytes. NULL: no memory. */
json_t *api_reading_json(struct api_reading_view *v, struct db *db, const struct telemetry_reading *r);
/* A line of CSV, and the one above all. Source: RFC 4180. A text that a spreadsheet would take for a formula gets a ' in front. */
void api_reading_csv(struct api_reading_view *v, struct db *db, const struct telemetry_reading *r, struct os_buf *out);
void api_reading_csv_head(struct os_buf *out);
/* The same as JSON on a line of its own. */
void api_reading_jsonl(struct api_reading_view *v, struct db *db, const struct telemetry_reading *r,
                       struct os_buf *out);

#endif
