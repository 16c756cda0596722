/* fuzz - the part of libmicrohttpd that the http target plays itself, without sockets. Uses: libmicrohttpd's header. */
#ifndef FUZZ_HTTP_MHD_H
#define FUZZ_HTTP_MHD_H
#include "base/base.h"

#include <microhttpd.h>
#include <stdbool.h>

enum { MHD_PAIRS_MAX = 32, MHD_TEXT_MAX = 16384 };

typedef size_t (*mhd_unescape)(void *ctx, struct MHD_Connection *c, char *text);
struct mhd_pair {
	enum MHD_ValueKind kind;
	const char *name, *value;
};

/* A request, and what became of it. */
struct MHD_Connection {
	char text[MHD_TEXT_MAX]; /* the head; url, method and pairs point into it */
	const char *method, *url;
	struct mhd_pair pair[MHD_PAIRS_MAX];
	size_t pairs;
	struct hf_span body;
	void *context; /* the program's, of the socket */
	bool suspended;
	unsigned status; /* 0: no reply */
	struct hf_span reply; /* good until the response is destroyed */
	MHD_ContentReaderCallback more; /* of a reply in pieces */
	void *more_ctx;
	void (*on_reply)(struct MHD_Connection *c);
};

/* What http_start gave to MHD_start_daemon. */
struct mhd_callbacks {
	MHD_AccessHandlerCallback request;
	MHD_RequestCompletedCallback completed;
	MHD_NotifyConnectionCallback connection;
	mhd_unescape unescape;
	void *request_ctx, *completed_ctx, *connection_ctx, *unescape_ctx;
};
extern struct mhd_callbacks mhd;

/* "METHOD target", header lines, an empty line, the body; lines end with \n. False when it is no request. */
bool mhd_read(struct MHD_Connection *c, struct hf_span input);
/* Hands it over as the library does: connection, head, body in two parts, end. Then it is suspended or has its reply. */
void mhd_receive(struct MHD_Connection *c, void **slot);
/* After a resume: the reply, if there is one, all its pieces, and the end of request and connection. idle lets others work while it sleeps. */
void mhd_finish(struct MHD_Connection *c, void **slot, void (*idle)(void));

#endif
