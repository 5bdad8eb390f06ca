/*-------------------------------------------------------------------------
 *
 * topic_schema.h
 *	  The schema of a topic: checking payloads, and finding schemas for others.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_TOPIC_SCHEMA_H
#define POSTRIDER_TOPIC_SCHEMA_H

#include "postgres.h"

#include "content/schema.h"
#include "utils/jsonb.h"

/* "postrider:topic/order.paid" is the schema of that topic. */
#define POSTRIDER_TOPIC_URI "postrider:topic/"

/*
 * Checks a payload against the schema of its topic, if the topic has one, as
 * the setting postrider.validation says: ereport(ERROR), a warning, or
 * nothing.  The schema is the newest that is committed, or that this
 * transaction wrote.
 */
extern void postrider_topic_schema_check(const char *topic, Jsonb *payload);

/*
 * The schema that "postrider:topic/NAME" or the $id of a topic's schema names,
 * in the current memory context; NULL if there is none.
 */
extern Jsonb *postrider_topic_schema_find(const char *uri);

/*
 * For the trigger on postrider.topic: refuses a schema that does not compile,
 * and, if compatible is set, one under which something is invalid that was
 * valid under the old one.  old_schema may be NULL.
 */
extern void postrider_topic_schema_require(const char *topic, Jsonb *schema,
										   Jsonb *old_schema, bool compatible);

#endif							/* POSTRIDER_TOPIC_SCHEMA_H */
