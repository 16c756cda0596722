/* os - what every server module stands on: log, clock, growing buffers, files, event loop. Uses: base; Linux. */
#ifndef OS_H
#define OS_H
#include "base/base.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- log: one line an event, on stderr ------------------------------------------------------------------------------------ */

enum os_level { OS_DEBUG, OS_INFO, OS_WARN, OS_ERROR };
enum os_event {
#define LOG(NAME, level, event, doc) OS_LOG_##NAME,
#include "os/events.def"
	OS_LOG_COUNT_
};
/* fmt gives `key=value key="value"`, with the conversions %s %.*s %d %u %zu %lld %llu %016llx. Bytes that are not
 * printable ASCII are shown as '?'. Never pass secrets or payloads. */
void os_log(enum os_event event, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same to another file. */
void os_log_to(int fd, enum os_event event, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Lines below level are not written; default OS_INFO. */
void os_log_level(enum os_level level);
/* One JSON object a line, {"time","level","event",...}, instead of text; default false. */
void os_log_json(bool json);
/* Is this event written at the level in force? For what costs something to find out. */
bool os_log_has(enum os_event event);

/* --- clocks and randomness ------------------------------------------------------------------------------------------------ */

int64_t os_now_ms(void); /* wall clock, ms since 1970 */
int64_t os_monotonic_ms(void); /* does not jump; counts through suspend */
/* Fills out; ends the process if the kernel gives no randomness, as nothing secure can go on then. */
void os_random(void *out, size_t len);
/* `2026-11-22T21:05:45Z`; outside the years 1000 to 9999 `@SECONDS`. */
enum { OS_TIME_TEXT_MAX = 32 };
void os_time_text(int64_t ms, char out[OS_TIME_TEXT_MAX]);
/* `2026-11-22T21:05:45.123Z`; "" outside those years. */
void os_time_ms_text(int64_t ms, char out[OS_TIME_TEXT_MAX]);

/* --- names of hosts --------------------------------------------------------------------------------------------------------- */

enum { OS_HOST_MAX = 256, OS_ADDRESS_MAX = 64, OS_ADDRESSES_MAX = 8 };
/* One question at a time; the owner's memory, set to zero before its first use. address: numeric, as the system orders them. */
struct os_resolve {
	struct os_resolve_request *request; /* NULL: none under way */
	size_t count;
	char address[OS_ADDRESSES_MAX][OS_ADDRESS_MAX];
};
/* Loads what asking needs; before a sandbox that lets no more code in. */
void os_resolve_prepare(void);
/* Asks for the addresses of host without waiting; what was asked before is dropped. An address is its own answer.
 * Errors: BUSY (see os_resolve_step), TOO_BIG, MEMORY. */
HF_NODISCARD enum hf_err os_resolve_start(struct os_resolve *r, const char *host);
/* Is the answer there? Errors: BUSY (not yet), NOT_FOUND (the host has no address, or nobody could be asked). */
HF_NODISCARD enum hf_err os_resolve_step(struct os_resolve *r);
void os_resolve_stop(struct os_resolve *r);

/* --- owned bytes, born with a maximum --------------------------------------------------------------------------------------- */

struct os_buf {
	uint8_t *ptr;
	size_t len, cap, max;
	enum hf_err err; /* latched: TOO_BIG (max reached), MEMORY */
};
struct os_buf os_buf_of(size_t max);
void os_buf_put(struct os_buf *b, struct hf_span s);
void os_buf_text(struct os_buf *b, const char *text);
void os_buf_format(struct os_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct hf_span os_buf_span(const struct os_buf *b);
/* NUL-terminated text of the content; "" while empty. */
const char *os_buf_cstr(struct os_buf *b);
/* Wipes and frees; b is empty afterwards. */
void os_buf_release(struct os_buf *b);
#define OS_BUF_SCOPED __attribute__((cleanup(os_buf_release))) struct os_buf

/* --- files ------------------------------------------------------------------------------------------------------------------ */

/* Appends all of a file. Errors: NOT_FOUND, IO, TOO_BIG, MEMORY. */
HF_NODISCARD enum hf_err os_read_file(const char *path, struct os_buf *out);
/* Reads all of a descriptor. Errors: IO, TOO_BIG, MEMORY. */
HF_NODISCARD enum hf_err os_read_fd(int fd, struct os_buf *out);
/* Replaces a file: temporary file beside it, fsync, rename, fsync of the folder; nobody sees half of it. Errors: IO. */
HF_NODISCARD enum hf_err os_replace_file(const char *path, struct hf_span content, unsigned mode);
/* The id that a file holds, a newline at its end is allowed. Errors: NOT_FOUND, IO, ID. */
HF_NODISCARD enum hf_err os_read_id(const char *path, uint64_t *out);

/* --- event loop ------------------------------------------------------------------------------------------------------------- */

struct os_loop;
enum { OS_READ = 1, OS_WRITE = 4 }; /* EPOLLIN, EPOLLOUT */
/* A watched descriptor; the owner's memory, set to zero before its first use. */
struct os_watch {
	int fd;
	uint32_t events;
	void (*on_ready)(struct os_watch *w, uint32_t events);
	void *ctx;
	struct os_loop *loop; /* NULL while not watched */
};
/* A timer; the owner's memory, set to zero before its first use. */
struct os_timer {
	int64_t due_ms; /* monotonic */
	void (*on_due)(struct os_timer *t);
	void *ctx;
	struct os_timer *next;
	uint64_t turn; /* in which it was set */
	bool armed;
};
struct os_loop {
	int epoll_fd;
	struct os_timer *timers; /* by due_ms, earliest first */
	uint64_t turn; /* counts */
	bool stopping;
	/* Called before the first handler and after the last one of each turn. */
	void (*turn_begin)(void *ctx);
	void (*turn_end)(void *ctx);
	void *ctx;
};
HF_NODISCARD enum hf_err os_loop_init(struct os_loop *l);
void os_loop_release(struct os_loop *l);
/* Watches w->fd for w->events, or changes what is watched. */
HF_NODISCARD enum hf_err os_watch_set(struct os_loop *l, struct os_watch *w, uint32_t events);
/* Stops watching; the descriptor stays open. Does nothing when it was not watched. */
void os_watch_clear(struct os_watch *w);
void os_timer_set(struct os_loop *l, struct os_timer *t, int64_t due_ms);
void os_timer_clear(struct os_loop *l, struct os_timer *t);
/* Turns until os_loop_stop. Errors: IO. */
HF_NODISCARD enum hf_err os_loop_run(struct os_loop *l);
void os_loop_stop(struct os_loop *l);

#endif
