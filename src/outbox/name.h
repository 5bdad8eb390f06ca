/*-------------------------------------------------------------------------
 *
 * name.h
 *	  Names that users give to endpoints and secrets.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_NAME_H
#define POSTRIDER_NAME_H

#include "postgres.h"

#define POSTRIDER_NAME_MAX 200

/*
 * ereport(ERROR) unless the name is fit to be shown in messages and logs: not
 * empty, at most POSTRIDER_NAME_MAX bytes, without control characters.  "kind"
 * is what has the name: "endpoint", "secret".
 */
extern void postrider_name_require(const char *kind, const char *name);

#endif							/* POSTRIDER_NAME_H */
