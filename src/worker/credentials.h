/*-------------------------------------------------------------------------
 *
 * credentials.h
 *	  Fetches the credentials that somebody has asked for.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_CREDENTIALS_H
#define POSTRIDER_CREDENTIALS_H

#include "postgres.h"

#include <curl/curl.h>

#include "datatype/timestamp.h"

/*
 * Does all that can be done without waiting: begins fetches, in this multi handle, and
 * stores what they have brought.  True if there are values or failures that were not
 * there before: then whoever waits should ask again.  refresh, if not NULL, loads the
 * configuration if it has changed; it is called between transactions.
 */
extern bool postrider_credentials_run(CURLM *multi, TimestampTz now, void (*refresh) (void));

/* Only reads what is in the table of those that somebody has asked for. */
extern void postrider_credentials_load(void);

/*
 * The same, if another process has changed the table.  To be called between reading
 * messages and sending them: a message that was emitted after renew_credential() must
 * not be sent with the value that was thrown away.
 */
extern void postrider_credentials_refresh_if_told(void);

/* Only stores what fetches have brought, and begins none. */
extern void postrider_credentials_finish(TimestampTz now);

/* When it should be called again; DT_NOEND if nothing is to be expected. */
extern TimestampTz postrider_credentials_due(void);

/*
 * The configuration was loaded: failures of which the secrets have changed are
 * forgotten.  True if there were any.
 */
extern bool postrider_credentials_look_at_secrets(TimestampTz now);

#endif							/* POSTRIDER_CREDENTIALS_H */
