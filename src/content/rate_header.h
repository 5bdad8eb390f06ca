/*-------------------------------------------------------------------------
 *
 * rate_header.h
 *	  What response headers say about the receiver's rate limit.
 *
 * There is a draft of a standard (draft-ietf-httpapi-ratelimit-headers), of which
 * several versions are in use, and there are the X-RateLimit-* headers, about whose
 * Reset there is no agreement: seconds from now, seconds or milliseconds since
 * 1970, or a date.  The size of the number tells which it is.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_RATE_HEADER_H
#define POSTRIDER_RATE_HEADER_H

#include "postgres.h"

/* The value of a response header, or NULL. */
typedef const char *(*HeaderLookup) (void *arg, const char *name);

/* What is not known is -1. */
typedef struct RateHeader
{
	int64		remaining;		/* calls left ... */
	int64		wait_ms;		/* ... until the end of so much time from now */
} RateHeader;

/* Longer times are not believed. */
#define RATE_HEADER_MAX_WAIT_MS (INT64CONST(32) * 24 * 3600 * 1000)

/* unix_ms: now, in milliseconds since 1970 */
extern RateHeader postrider_rate_header_read(HeaderLookup find, void *arg, int64 unix_ms);

/* Might the name of this header line matter?  For a callback of curl. */
extern bool postrider_rate_header_concerns(const char *line, Size length);

/*
 * A time as it stands in a header or a body, in the unit that says how it is
 * meant; -1 if it is none.
 */
typedef enum WaitUnit
{
	WAIT_SECONDS,
	WAIT_MILLISECONDS,
	WAIT_MINUTES,
	WAIT_EPOCH,					/* seconds since 1970 */
	WAIT_EPOCH_MS,
	WAIT_HTTP_DATE,
	WAIT_ANY					/* seconds, epoch, epoch_ms or http_date */
} WaitUnit;

extern int64 postrider_wait_ms(const char *value, WaitUnit unit, int64 unix_ms);

#endif							/* POSTRIDER_RATE_HEADER_H */
