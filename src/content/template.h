/*-------------------------------------------------------------------------
 *
 * template.h
 *	  Texts with values from a message: URLs, headers and bodies of requests.
 *
 * A place is {{expression}} or {{expression|default:JSON}}.  An expression is
 *	  - id, topic, key, tenant, endpoint, or created_at (2026-11-23T04:40:09.123Z),
 *		created_at_s, created_at_ms (since 1970);
 *	  - an SQL/JSON path into the payload (into what the mapping made of it, if there
 *		is one): {{$.customer.email}}; the first value that it finds counts;
 *	  - a JSON string, which stands for itself: {{"{{"}}.
 * There is no logic.  A value that is missing or null is replaced by the default; if
 * there is none, the text cannot be made.
 *
 * Where a place stands decides how its value is escaped: in the path or the query of
 * a URL, in a form, as a JSON value or within a JSON string, in XML or a CDATA
 * section, in a header.  So a value stays a value.  Where that cannot be had there
 * can be no place: surroundings.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_TEMPLATE_H
#define POSTRIDER_TEMPLATE_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

#define TEMPLATE_MAX_BYTES	(1024 * 1024)
#define TEMPLATE_MAX_PLACES 1000
#define TEMPLATE_MAX_RESULT_BYTES (64 * 1024 * 1024)	/* and one value more */

/* What a place can be, for hints. */
#define POSTRIDER_TEMPLATE_HINT \
	"Places are {{id}}, {{topic}}, {{key}}, {{tenant}}, {{endpoint}}, {{created_at}}, and paths into the payload such as {{$.order.id}} or {{$.name|default:\"\"}}."

typedef enum TemplateContext
{
	TEMPLATE_TEXT,				/* nothing is escaped */
	TEMPLATE_URL,
	TEMPLATE_FORM,				/* application/x-www-form-urlencoded */
	TEMPLATE_JSON,
	TEMPLATE_XML,
	TEMPLATE_HEADER				/* the value of an HTTP header */
} TemplateContext;

/* What a template takes values from; strings are in the server encoding. */
typedef struct TemplateValues
{
	const pg_uuid_t *id;		/* or NULL */
	const char *topic;			/* or NULL */
	const char *key;			/* or NULL */
	const char *tenant;			/* or NULL */
	const char *endpoint;		/* or NULL */
	Jsonb	   *payload;		/* or NULL */
} TemplateValues;

typedef struct Template Template;

/* Has it any place at all? */
extern bool postrider_template_has_places(const char *source);

/*
 * Compiles it in CurrentMemoryContext.  NULL, with the problem in words to go behind
 * a name, if it cannot be used.
 */
extern Template *postrider_template_compile(const char *source, TemplateContext context,
											char **problem);

/*
 * Appends the text in UTF-8.  False, with the problem, if a value is missing or cannot
 * stand where it should.  Leaves memory behind in CurrentMemoryContext.
 */
extern bool postrider_template_render(const Template *template, const TemplateValues *values,
									  StringInfo out, char **problem);

/* The context of a body of this media type. */
extern TemplateContext postrider_template_context(const char *content_type);

#endif							/* POSTRIDER_TEMPLATE_H */
