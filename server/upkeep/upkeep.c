/* upkeep - the clock and the disk are looked at; alerts and events tell. Uses: base os conf db facts audit alert. */
#include "upkeep/upkeep.h"

#include "alert/alert.h"
#include "audit/audit.h"

#include <stdio.h>
#include <sys/statvfs.h>

enum { DISK_EVERY_MS = 10 * 1000, NOTE_EVERY_MS = 3600 * 1000 };
static const char trusted[] = "clock_ms", disk_alert[] = "disk-space";

enum hf_err upkeep_init(struct upkeep *u, int64_t now_ms, int64_t mono_ms)
{
	int64_t last = now_ms;
	enum hf_err err = db_get_int(u->db, DB_SETTING_GET, DB_ARGS(db_text(trusted)), now_ms, &last);

	upkeep_clock_init(&u->clock, last, now_ms, mono_ms);
	u->place = u->before = (struct upkeep_place){.key = INT64_MIN};
	u->disk_free_bytes = -1;
	if (u->clock.doubted)
		os_log(OS_LOG_CLOCK_DOUBTED, "off_s=%lld", (long long)((now_ms - last) / 1000));
	return err;
}

static enum hf_err tell_jump(struct upkeep *u, int64_t jump_ms)
{
	char text[96];

	u->clock_jumps++;
	(void)snprintf(text, sizeof text, "the clock was set %s by %lld s%s", jump_ms < 0 ? "back" : "forward",
	               (long long)(jump_ms < 0 ? -(jump_ms / 1000) : jump_ms / 1000),
	               u->clock.doubted ? "; nothing is removed by age for now" : "");
	os_log(OS_LOG_CLOCK_JUMPED, "by_s=%lld doubted=%d", (long long)(jump_ms / 1000), u->clock.doubted);
	return audit_record(u->db, "server", "clock.jumped", 0, text);
}

static int64_t free_bytes(const struct conf *c)
{
	char path[CONF_PATH_MAX];
	struct statvfs v;

	conf_place(c, CONF_PLACE_DB_DIR, path);
	return statvfs(path, &v) == 0 ? (int64_t)v.f_bavail * (int64_t)v.f_frsize : -1;
}

enum hf_err upkeep_room(struct upkeep *u, int64_t bytes)
{
	int64_t reserve = u->conf->disk_reserve_mb * 1024 * 1024;
	bool was = u->disk_low;

	u->disk_free_bytes = bytes;
	if (bytes < 0)
		return HF_E_OK;
	u->disk_low = bytes < (was ? reserve + reserve / 4 : reserve); /* not to and fro */
	if (was == u->disk_low)
		return HF_E_OK;
	os_log(u->disk_low ? OS_LOG_DISK_LOW : OS_LOG_DISK_ROOM, "free_mb=%lld reserve_mb=%lld",
	       (long long)(bytes / 1024 / 1024), (long long)u->conf->disk_reserve_mb);
	if (!u->disk_low)
		return alert_clear_kind(u->db, u->facts, 0, disk_alert, "server");
	return alert_raise(u->db, u->facts, 0, disk_alert,
	                   "the disk of the database is nearly full: make room, or keep readings for a shorter time");
}

/* When the server was sure of the time: after a restart it is compared with that. */
static enum hf_err note(struct upkeep *u, int64_t mono_ms)
{
	if (u->clock.doubted || mono_ms < u->next_note_ms)
		return HF_E_OK;
	u->next_note_ms = mono_ms + NOTE_EVERY_MS;
	return db_exec(u->db, DB_SETTING_PUT, DB_ARGS(db_text(trusted), db_int(u->clock.trusted_wall_ms)), NULL);
}

enum hf_err upkeep_tick(struct upkeep *u, int64_t now_ms, int64_t mono_ms, bool *jumped)
{
	int64_t jump = upkeep_clock_look(&u->clock, now_ms, mono_ms);
	enum hf_err err = jump ? tell_jump(u, jump) : HF_E_OK;

	*jumped = jump != 0;
	if (err == HF_E_OK)
		err = note(u, mono_ms);
	if (err != HF_E_OK || mono_ms < u->next_disk_ms)
		return err;
	u->next_disk_ms = mono_ms + DISK_EVERY_MS;
	return upkeep_room(u, free_bytes(u->conf));
}
