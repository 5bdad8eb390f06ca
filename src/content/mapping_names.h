/*-------------------------------------------------------------------------
 *
 * mapping_names.h
 *	  How alike the names of two fields are.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_MAPPING_NAMES_H
#define POSTRIDER_MAPPING_NAMES_H

#include "postgres.h"

/* A name as words: lower case, split at camelCase, synonyms made one. */
typedef struct FieldName
{
	char	   *text;			/* words joined by _ */
	int			word_count;
	char	  **words;
} FieldName;

/* Longer names are cut; only the first words of a very long one count. */
extern FieldName *postrider_field_name(const char *name);

/* From 0, nothing in common, to 1, the same. */
extern double postrider_field_name_likeness(const FieldName *a,
											const FieldName *b);

#endif							/* POSTRIDER_MAPPING_NAMES_H */
