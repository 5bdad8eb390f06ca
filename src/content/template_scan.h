/*-------------------------------------------------------------------------
 *
 * template_scan.h
 *	  What surrounds the places of a template: decides how a value is escaped.
 *
 * The scanner is fed the literal text of a template from left to right, and
 * is asked at each place.  It knows just enough of URLs, JSON and XML to tell
 * where it is.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_TEMPLATE_SCAN_H
#define POSTRIDER_TEMPLATE_SCAN_H

#include "postgres.h"

#include "content/escape.h"
#include "content/problem.h"
#include "content/template.h"

typedef enum ScanState
{
	SCAN_START,					/* URL: scheme; XML: text; JSON: between tokens */
	SCAN_AUTHORITY,				/* URL: after :// */
	SCAN_PATH,
	SCAN_QUERY,
	SCAN_FRAGMENT,
	SCAN_JSON_STRING,
	SCAN_XML_TAG,				/* between < and >, not in quotes */
	SCAN_XML_DOUBLE,			/* in an attribute in "" */
	SCAN_XML_SINGLE,			/* in an attribute in '' */
	SCAN_XML_CDATA,
	SCAN_XML_COMMENT,
	SCAN_XML_INSTRUCTION		/* <? ... ?> and <! ... > */
} ScanState;

#define SCAN_RECENT_BYTES 16

typedef struct TemplateScan
{
	TemplateContext context;
	ScanState	state;
	char		recent[SCAN_RECENT_BYTES + 1];	/* the last bytes, and NUL */
	int			recent_length;
	bool		escaped;		/* JSON: after a backslash */
	int			depth;			/* JSON: open braces and brackets */
	char		member[SCAN_RECENT_BYTES + 1];	/* JSON: beginning of the last
												 * string */
	int			member_length;
	bool		in_query;		/* GraphQL: the value of "query" */
	bool		in_declaration; /* XML: the instruction is <!, not <? */
} TemplateScan;

extern void postrider_template_scan_start(TemplateScan *scan,
										  TemplateContext context);
extern void postrider_template_scan(TemplateScan *scan, const char *bytes,
									int length);

/*
 * How a value is written here; false and a problem if none can stand here.
 */
extern bool postrider_template_scan_place(TemplateScan *scan,
										  ValueEscape *escape,
										  Problem *problem);

/* Is the template complete?  If not, false and a problem. */
extern bool postrider_template_scan_end(TemplateScan *scan, Problem *problem);

#endif							/* POSTRIDER_TEMPLATE_SCAN_H */
