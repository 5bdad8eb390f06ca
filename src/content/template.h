/*-------------------------------------------------------------------------
 *
 * template.h
 *	  Texts with values from a message: {{key}}, {{payload.record.email}}.
 *
 * A place is {{expression}} or {{expression|default:JSON}}.  An expression is
 *	  - a field of the message: id, topic, key, tenant, endpoint, attempt,
 *		created_at and sent_at (2026-11-23T04:40:09.123Z), the same two with
 *		_s (seconds since 1970) or _ms (milliseconds);
 *	  - payload, or payload.name.name: members of objects, and elements of
 *		arrays by number;
 *	  - a SQL/JSON path over the payload, if it starts with $;
 *	  - a JSON string, which stands for itself: {{"{{"}};
 *	  - in the envelope of a batch only: records and record_count.
 * There is no logic.
 *
 * A value that is missing, or null, is replaced by the default.  Without a
 * default it is an error; null itself can be written as a JSON value only.
 *
 * What surrounds a place decides how its value is escaped (the context, and
 * within URLs, JSON and XML the position).  Values are written in UTF-8.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_TEMPLATE_H
#define POSTRIDER_TEMPLATE_H

#include "postgres.h"

#include "content/problem.h"
#include "lib/stringinfo.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

#define POSTRIDER_TEMPLATE_MAX (1024 * 1024)
#define POSTRIDER_TEMPLATE_MAX_PLACES 1000

typedef enum TemplateContext
{
	TEMPLATE_TEXT,				/* nothing is escaped */
	TEMPLATE_URL,				/* a whole URL, or its path and query */
	TEMPLATE_PATH,				/* part of the path of a URL */
	TEMPLATE_QUERY,				/* part of the query of a URL */
	TEMPLATE_FORM,				/* application/x-www-form-urlencoded */
	TEMPLATE_JSON,
	TEMPLATE_GRAPHQL,			/* JSON whose member "query" holds no values */
	TEMPLATE_XML,
	TEMPLATE_HEADER				/* the value of an HTTP header */
} TemplateContext;

/* Finds a context by its name ("url"); false and a problem if there is none. */
extern bool postrider_template_context(const char *name,
									   TemplateContext *context,
									   Problem *problem);

/* What a template can take values from.  Strings are in the server encoding. */
typedef struct TemplateMessage
{
	const pg_uuid_t *id;		/* or NULL */
	const char *topic;			/* or NULL */
	const char *key;			/* or NULL */
	const char *tenant;			/* or NULL */
	const char *endpoint;		/* name, or NULL */
	int			attempt;		/* from 1; 0: not known */
	int64		created_ms;		/* Unix time; 0: not known */
	int64		sent_ms;		/* time of this attempt; 0: not known */
	Jsonb	   *payload;		/* or NULL */

	/* batch envelopes only */
	const char *records;		/* bytes as they shall stand there, or NULL */
	Size		records_length;
	int			record_count;
} TemplateMessage;

typedef struct Template Template;

/*
 * Compiles a template into the current memory context.  NULL and a problem
 * with its place if it cannot be used.  In the envelope of a batch the only
 * values are records, which must be there exactly once, record_count,
 * endpoint and sent_at.
 */
extern Template *postrider_template_compile(const char *source,
											TemplateContext context,
											bool batch, Problem *problem);

/*
 * Appends the text with the values of the message.  False and a problem that
 * names the place if a value is missing or cannot stand where it should, or
 * if the text is longer than max_bytes (at most 64 MB); out may then hold
 * part of it.  Leaves memory behind in the current memory context.
 *
 * absent, if not NULL, is set if the template is a single place whose value
 * is null by default: {{key|default:null}}.  Names and values of forms and
 * the like are then left out.
 */
extern bool postrider_template_render(const Template *template,
									  const TemplateMessage *message,
									  Size max_bytes, StringInfo out,
									  bool *absent, Problem *problem);

/* Does the text have no places at all? */
extern bool postrider_template_is_constant(const Template *template);

#endif							/* POSTRIDER_TEMPLATE_H */
