/*-------------------------------------------------------------------------
 *
 * secrets.h
 *	  Has what is due for secrets done when it is (outbox/secret_care.h).
 *
 * For the worker of the first shard only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SECRETS_H
#define POSTRIDER_SECRETS_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* The configuration has been loaded; in its transaction. */
extern void postrider_secrets_loaded(void);

/* When there is something to do, and doing it. */
extern TimestampTz postrider_secrets_due(void);
extern void postrider_secrets_care(TimestampTz now);

#endif							/* POSTRIDER_SECRETS_H */
