/*-------------------------------------------------------------------------
 *
 * http_time.h
 *	  Times as they are written in HTTP.
 *
 * All times are milliseconds since 1970, UTC.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_HTTP_TIME_H
#define POSTRIDER_HTTP_TIME_H

#include "postgres.h"

/*
 * Reads an HTTP date in any of its three forms (RFC 9110 section 5.6.7), or a
 * time of RFC 3339 with a zone ("2026-11-23T04:40:09.123Z").  False if the
 * string is neither, as a whole.
 */
extern bool postrider_http_time_parse(const char *string, int64 *unix_ms);

/* Writes 2026-11-23T04:40:09.123Z; years 0 to 9999. */
#define POSTRIDER_ISO_TIME_SIZE 32
extern void postrider_http_time_iso(int64 unix_ms, char *result);

#endif							/* POSTRIDER_HTTP_TIME_H */
