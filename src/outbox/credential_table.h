/*-------------------------------------------------------------------------
 *
 * credential_table.h
 *	  The table postrider.credential: what all workers share of credentials.
 *
 * All functions run in a transaction of the caller's.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_CREDENTIAL_TABLE_H
#define POSTRIDER_CREDENTIAL_TABLE_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "security/credential_set.h"

/* What a row says beyond what goes into the Credential. */
typedef struct CredentialLease
{
	TimestampTz until;			/* 0: nobody has it */
	int			pid;
} CredentialLease;

/*
 * Reads the rows of these Credentials that have changed since they were read last.
 * A value that cannot be decrypted is left out, with a WARNING.  Returns those that
 * have changed.
 */
extern List *postrider_credential_table_refresh(List *credentials);

/*
 * Locks the row, which is made if there is none, and reads it if it has changed; *lease
 * says whose it is.
 */
extern void postrider_credential_table_lock(Credential *credential, CredentialLease *lease);

/* Takes the lease of a row that is locked; drop_value: the value was rejected. */
extern void postrider_credential_table_take(const Credential *credential, TimestampTz until,
											bool drop_value);

/* Gives it back, with nothing said. */
extern void postrider_credential_table_give_back(const Credential *credential);

/* Stores the value that is in the Credential, with its times, and ends the lease. */
extern void postrider_credential_table_store(Credential *credential, const char *value,
											 Size length);

/* Stores the failure that is in the Credential, and ends the lease. */
extern void postrider_credential_table_fail(Credential *credential, const char *error,
											TimestampTz now);

/* The wall clock was set: moves the times of all rows. */
extern void postrider_credential_table_shift(int64 microseconds);

#endif							/* POSTRIDER_CREDENTIAL_TABLE_H */
