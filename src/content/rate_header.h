/*-------------------------------------------------------------------------
 *
 * rate_header.h
 *	  What a receiver says in its headers about the rate at which it may be
 *	  called: pure functions.
 *
 * Times are in microseconds since PostgreSQL's epoch; the time of now is an
 * argument.  rate_header.c lists the headers that are read.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_RATE_HEADER_H
#define POSTRIDER_RATE_HEADER_H

#include "postgres.h"

#include "content/response_header.h"

/* -1 for what is not said. */
typedef struct RateHint
{
	int64		limit;			/* calls in the window */
	int64		remaining;		/* of them are left ... */
	int64		reset_at_us;	/* ... until then */
	int64		retry_at_us;	/* no calls before */
} RateHint;

/* Is this a header (in lower case) that postrider_rate_headers_read() looks at? */
extern bool postrider_rate_header_is_one(const char *name);

/*
 * What all headers together say; of several limits, the one that leaves the
 * least room.
 */
extern void postrider_rate_headers_read(const ResponseHeaders *headers, int64 now_us,
										RateHint *hint);

#endif							/* POSTRIDER_RATE_HEADER_H */
