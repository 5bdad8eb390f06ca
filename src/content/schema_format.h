/*-------------------------------------------------------------------------
 *
 * schema_format.h
 *	  The formats of JSON Schema's format-assertion vocabulary.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SCHEMA_FORMAT_H
#define POSTRIDER_SCHEMA_FORMAT_H

#include "postgres.h"

/* value: UTF-8, len bytes, not zero-terminated; allocates nothing that lasts */
typedef bool (*SchemaFormatCheck) (const char *value, int len);

typedef struct SchemaFormat
{
	const char *name;			/* "email" */
	const char *noun;			/* "a valid email address", for messages */
	SchemaFormatCheck check;
} SchemaFormat;

/* The format of that name; NULL if it is not known. */
extern const SchemaFormat *postrider_schema_format_find(const char *name, int len);

/* All of them, by name: index from 0 up to the count. */
extern int	postrider_schema_format_count(void);
extern const SchemaFormat *postrider_schema_format_get(int index);

#endif							/* POSTRIDER_SCHEMA_FORMAT_H */
