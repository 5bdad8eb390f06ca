/*-------------------------------------------------------------------------
 *
 * escape.h
 *	  Values written into URLs, forms, JSON, XML and headers, so that they stay
 *	  values.
 *
 * The bytes are UTF-8.  Only the output of a value is bounded, by six times
 * its length and a little: callers bound the value.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_ESCAPE_H
#define POSTRIDER_ESCAPE_H

#include "postgres.h"

#include "lib/stringinfo.h"

/* What surrounds a value, and so how it is written. */
typedef enum ValueEscape
{
	ESCAPE_NONE,				/* plain text */
	ESCAPE_PATH,				/* within a segment of a URL's path */
	ESCAPE_QUERY,				/* name or value in a URL's query */
	ESCAPE_FORM,				/* name or value in a form body */
	ESCAPE_JSON_VALUE,			/* a whole JSON value */
	ESCAPE_JSON_STRING,			/* within a JSON string */
	ESCAPE_XML,					/* XML text, or within a quoted attribute */
	ESCAPE_CDATA,				/* within a CDATA section */
	ESCAPE_HEADER				/* within the value of an HTTP header */
} ValueEscape;

/*
 * Appends a value that is text.  Returns NULL, or why the value cannot stand
 * there ("has a line break or another control character"), in which case out
 * may hold a part of it.  ESCAPE_JSON_VALUE is written as a string.
 */
extern const char *postrider_escape(StringInfo out, ValueEscape escape,
									const char *bytes, int length);

/*
 * Appends with percent-encoding: everything but letters, digits and
 * -._~ becomes %XX.
 */
extern void postrider_escape_percent(StringInfo out, const char *bytes,
									 int length);

/*
 * Appends the value of a header of a CloudEvent: space, double quote, percent
 * and all that is not printable ASCII become %XX (CloudEvents 1.0.2, HTTP
 * binding, section 3.1.3.2).
 */
extern void postrider_escape_cloudevents(StringInfo out, const char *bytes,
										 int length);

#endif							/* POSTRIDER_ESCAPE_H */
