/*-------------------------------------------------------------------------
 *
 * html.h
 *	  HTML to text and back.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_HTML_H
#define POSTRIDER_HTML_H

#include "postgres.h"

#include "lib/stringinfo.h"

typedef struct HtmlEntity
{
	const char *name;
	uint32		code;
} HtmlEntity;

extern const HtmlEntity postrider_html_entities[];
extern const int postrider_html_entity_count;

/*
 * Appends what a reader would see of the document, as text: no tags, comments,
 * scripts or styles; entities are characters; space runs are one space, and
 * what begins a new line in a browser does so here.  The result is never
 * longer than the source.
 */
extern void postrider_html_to_text(const char *html, int length,
								   StringInfo result);

/* Appends the text with its entities replaced by what they stand for. */
extern void postrider_html_unescape(const char *html, int length,
									StringInfo result);

/* Appends text so that it can stand in HTML or XML, also in attributes. */
extern bool postrider_html_escape(const char *string, int length,
								  StringInfo result, char **problem);

#endif							/* POSTRIDER_HTML_H */
