/*-------------------------------------------------------------------------
 *
 * body.h
 *	  Bodies of requests, by the format of the endpoint.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_BODY_H
#define POSTRIDER_BODY_H

#include "postgres.h"

#include "content/template.h"
#include "lib/stringinfo.h"

typedef enum BodyFormat
{
	BODY_STANDARD_WEBHOOKS,		/* {"type", "timestamp", "data"}: envelope.h */
	BODY_CLOUDEVENTS,			/* CloudEvents 1.0.2, structured JSON */
	BODY_CLOUDEVENTS_BINARY,	/* the payload; what it is, is in headers */
	BODY_RAW,					/* the payload */
	BODY_FORM,					/* its members, as a form */
	BODY_TEMPLATE,				/* body_template */
	BODY_NONE					/* no body at all */
} BodyFormat;

/* standard-webhooks and so on; false if it is none of them. */
extern bool postrider_body_format(const char *name, BodyFormat *format);

/* Content-Type of a body, or of a batch of such; NULL if there is none. */
extern const char *postrider_body_content_type(BodyFormat format);

/*
 * Appends the body in UTF-8.  "template" is for BODY_TEMPLATE.  False, with the
 * problem, if it cannot be made of these values.
 */
extern bool postrider_body_build(BodyFormat format, const Template *template,
								 const TemplateValues *values, StringInfo out,
								 char **problem);

/* The source of all CloudEvents from this database: a URI reference. */
extern const char *postrider_body_cloudevents_source(void);

#endif							/* POSTRIDER_BODY_H */
