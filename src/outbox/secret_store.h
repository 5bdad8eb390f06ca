/*-------------------------------------------------------------------------
 *
 * secret_store.h
 *	  Stores a new version of a secret.
 *
 * The versions before it stay in force for the time of the overlap, but not longer
 * than they would have.  The row of the secret is locked, so versions come one after
 * the other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SECRET_STORE_H
#define POSTRIDER_SECRET_STORE_H

#include "postgres.h"

/* What is stored beside the value. */
typedef struct SecretOrder
{
	const char *name;
	Datum		values[5];		/* name, expires_at, warn_before, description, tenant */
	char		nulls[7];		/* likewise, and one that is not NULL */
	Datum		overlap;		/* an interval */
	bool		keep_end;		/* expires_at stays as it is */
} SecretOrder;

/*
 * Stores the value, in the current transaction.  ereport(ERROR) if there is no key,
 * or if too many versions are in force.  The caller sees to it that no error writes
 * the value to the log, and wipes it.
 */
extern void postrider_secret_store(const SecretOrder *order, const char *value, Size length);

/* The same for a value that its server has given in place of the one before, which ends now. */
extern void postrider_secret_store_rotated(const char *name, const char *value, Size length);

#endif							/* POSTRIDER_SECRET_STORE_H */
