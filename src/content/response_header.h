/*-------------------------------------------------------------------------
 *
 * response_header.h
 *	  The few headers of a response that are looked at.
 *
 * They are kept in space of a fixed size, which the caller gives, so that they can be
 * kept from within a callback of curl: nothing here but postrider_response_header_keep()
 * is called from there, and nothing allocates or raises an error.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_RESPONSE_HEADER_H
#define POSTRIDER_RESPONSE_HEADER_H

#include "postgres.h"

/* Longer names are never those that somebody looks for. */
#define RESPONSE_HEADER_NAME_MAX 128

typedef struct ResponseHeaders
{
	char	   *space;			/* name, NUL, value, NUL, and so on; names in
								 * lower case */
	int			size;			/* of the space */
	int			length;			/* of what is in use */
} ResponseHeaders;

/* One of them, both parts with a NUL at the end. */
typedef struct ResponseHeader
{
	const char *name;			/* in lower case */
	const char *value;			/* without white space around it */
	int			value_length;
} ResponseHeader;

/* Is this header (in lower case, with a NUL) looked at? */
typedef bool (*ResponseHeaderWanted) (const void *arg, const char *name);

/*
 * Keeps a header line as it came over the network, if it is wanted and there is
 * room for it: false if not.
 */
extern bool postrider_response_header_keep(ResponseHeaders *headers,
										   const char *line, Size length,
										   ResponseHeaderWanted wanted,
										   const void *arg);

/* The header that starts at *position (0 at first); false at the end. */
extern bool postrider_response_header_next(const ResponseHeaders *headers,
										   int *position, ResponseHeader *header);

#endif							/* POSTRIDER_RESPONSE_HEADER_H */
