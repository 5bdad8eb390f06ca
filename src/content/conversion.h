/*-------------------------------------------------------------------------
 *
 * conversion.h
 *	  Conversions and checks of single values: what "apply" and "check" of a
 *	  mapping name.  Pure functions over JsonbValues.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_CONVERSION_H
#define POSTRIDER_CONVERSION_H

#include "postgres.h"

#include "utils/jsonb.h"

typedef struct Conversion Conversion;	/* one compiled step of "apply" */
typedef struct Check Check;				/* one compiled "check" */

/*
 * Compiles one element of "apply": a string ("trim") or an object with one
 * key ({"date": {"from": "iso", "to": "epoch_ms"}}).  Returns NULL and sets
 * *problem to a sentence without a full stop ("unknown conversion \"trmi\"",
 * with candidates where one is close) if it is wrong.  Everything is
 * allocated in the current memory context; the result may outlive the input.
 */
extern Conversion *postrider_conversion_compile(const JsonbValue *step, char **problem);

/*
 * Applies it to *value in place (jbvString, jbvNumeric, jbvBool, jbvNull,
 * jbvBinary for objects and arrays).  Returns false and sets *problem
 * ("\"abc\" is not a date in the format YYYY-MM-DD") if the value does not fit; *value is then
 * undefined.  null stays null unless the conversion is made for nulls.  Allocates in the
 * current memory context.  Does not ereport but for out of memory, cancel and recursion.
 */
extern bool postrider_conversion_apply(const Conversion *conversion, JsonbValue *value, char **problem);

/* How the conversion reads in documentation: 'date(iso -> epoch_ms)'. */
extern const char *postrider_conversion_describe(const Conversion *conversion);

/* The same for "check": "email" or {"pattern": "^[A-Z]{3}$"} */
extern Check *postrider_check_compile(const JsonbValue *definition, char **problem);
extern bool postrider_check_apply(const Check *check, const JsonbValue *value, char **problem);
extern const char *postrider_check_describe(const Check *check);

#endif							/* POSTRIDER_CONVERSION_H */
