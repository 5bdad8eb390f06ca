/*-------------------------------------------------------------------------
 *
 * secret_care.h
 *	  What is due for secrets at a certain time.
 *
 * Old versions are deleted when they retire, and messages on the topics
 * postrider.secret.expiring and postrider.secret.expired say that a secret comes to its
 * end.  When the next of these is due is found when the secrets are loaded, so that
 * nothing is asked while nothing is due.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SECRET_CARE_H
#define POSTRIDER_SECRET_CARE_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* In the current transaction: when something is due; DT_NOEND if nothing is. */
extern TimestampTz postrider_secret_care_next(void);

/* In the current transaction: does what is due, as a change of the configuration. */
extern void postrider_secret_delete_retired(void);
extern void postrider_secret_announce(void);

#endif							/* POSTRIDER_SECRET_CARE_H */
