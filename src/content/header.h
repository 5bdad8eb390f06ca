/*-------------------------------------------------------------------------
 *
 * header.h
 *	  HTTP headers given by users as a JSON object of strings.
 *
 * Names are tokens of RFC 9110 section 5.6.2.  Values must not hold CR, LF,
 * NUL or other control characters but tab (RFC 9110 section 5.5).  Headers
 * that the sender itself answers for are refused: Host, Content-Length,
 * Transfer-Encoding, Connection, Proxy-Connection, Keep-Alive, TE, Trailer,
 * Upgrade, HTTP2-Settings, Expect and everything that starts with "webhook-".
 * So is a name given twice in different case.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_HEADER_H
#define POSTRIDER_HEADER_H

#include "postgres.h"

#include "model.h"
#include "utils/jsonb.h"

/*
 * Checks a headers object; ereport(ERROR) with the header's name if it cannot
 * be sent.  At most 100 headers and 16 kB altogether.
 */
extern void postrider_headers_require(Jsonb *headers);

/*
 * Unpacks a headers object that has been checked into an array palloc'd in
 * the current memory context; returns the number of headers.  Headers that
 * would not pass the check (rows written behind our back) are left out.  NULL
 * counts as no headers.
 */
extern int	postrider_headers_unpack(Jsonb *headers, Header **result);

#endif							/* POSTRIDER_HEADER_H */
