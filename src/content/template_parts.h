/*-------------------------------------------------------------------------
 *
 * template_parts.h
 *	  A compiled template, as template.c makes it and template_render.c reads
 *	  it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_TEMPLATE_PARTS_H
#define POSTRIDER_TEMPLATE_PARTS_H

#include "postgres.h"

#include "content/escape.h"
#include "content/template.h"
#include "utils/jsonpath.h"

typedef enum FieldKind
{
	FIELD_ID,
	FIELD_TOPIC,
	FIELD_KEY,
	FIELD_TENANT,
	FIELD_ENDPOINT,
	FIELD_ATTEMPT,
	FIELD_CREATED_AT,
	FIELD_CREATED_AT_S,
	FIELD_CREATED_AT_MS,
	FIELD_SENT_AT,
	FIELD_SENT_AT_S,
	FIELD_SENT_AT_MS,
	FIELD_RECORDS,
	FIELD_RECORD_COUNT,
	FIELD_PAYLOAD,				/* by steps, or all of it */
	FIELD_PATH,					/* a SQL/JSON path over the payload */
	FIELD_LITERAL				/* its default is its value */
} FieldKind;

/* Literal text and the place after it; the last part has no place. */
typedef struct TemplatePart
{
	char	   *literal;		/* UTF-8 */
	int			literal_length;
	bool		has_place;
	char	   *expression;		/* as it was written, for messages */
	FieldKind	field;
	int			step_count;		/* FIELD_PAYLOAD */
	char	  **steps;
	JsonPath   *path;			/* FIELD_PATH */
	Jsonb	   *fallback;		/* the default, or NULL */
	ValueEscape escape;
} TemplatePart;

struct Template
{
	TemplateContext context;
	int			part_count;
	TemplatePart *parts;
};

#endif							/* POSTRIDER_TEMPLATE_PARTS_H */
