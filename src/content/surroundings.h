/*-------------------------------------------------------------------------
 *
 * surroundings.h
 *	  What surrounds the places of a template: decides how a value is escaped,
 *	  and whether one can stand there at all.
 *
 * The literal text of a template is passed from left to right.  Values are not
 * passed: they are escaped, so they change nothing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SURROUNDINGS_H
#define POSTRIDER_SURROUNDINGS_H

#include "postgres.h"

#include "content/escape.h"
#include "content/template.h"

typedef enum UrlPart
{
	URL_START,					/* scheme, or a path without one */
	URL_AUTHORITY,
	URL_PATH,
	URL_QUERY,
	URL_FRAGMENT
} UrlPart;

typedef enum XmlPart
{
	XML_TEXT,
	XML_TAG,					/* between < and >, but not in quotes */
	XML_DOUBLE_QUOTES,
	XML_SINGLE_QUOTES,
	XML_CDATA,
	XML_COMMENT,
	XML_DECLARATION				/* <? and <! */
} XmlPart;

/* So much of a JSON string is looked at to know what it is. */
#define SURROUNDINGS_STRING_BYTES 16

typedef struct Surroundings
{
	TemplateContext context;
	UrlPart		url;
	XmlPart		xml;

	/* JSON */
	bool		in_string;
	bool		escaped;		/* a backslash comes just before */
	bool		in_query;		/* after "query": */
	bool		has_block;		/* the string has a ( or { in it */
	int			string_length;	/* of string, which holds the beginning */
	char		string[SURROUNDINGS_STRING_BYTES + 1];
} Surroundings;

extern void postrider_surroundings_start(Surroundings *where, TemplateContext context);

/* Literal text. */
extern void postrider_surroundings_pass(Surroundings *where, const char *string);

/*
 * How a value is written here.  NULL, or why no value can stand here, in words that
 * go behind "has a place".
 */
extern const char *postrider_surroundings_escape(const Surroundings *where,
												 ValueEscape *escape);

#endif							/* POSTRIDER_SURROUNDINGS_H */
