/*-------------------------------------------------------------------------
 *
 * secret_check.h
 *	  Does a secret fit what it is used for?
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SECRET_CHECK_H
#define POSTRIDER_SECRET_CHECK_H

#include "postgres.h"

#include "outbox/trigger_row.h"

/*
 * ereport(ERROR) if the endpoint's signing_secret is new and its value is no signing
 * secret.  What cannot be read here (a dump is restored without its key) passes: the
 * worker says so.
 */
extern void postrider_secret_check_endpoint(const TriggerRow *row);

/*
 * The newest value, palloc'd, or NULL if there is none in the database or it cannot be
 * read.  The caller has entered SQL, and wipes it.
 */
extern char *postrider_secret_read_newest(const char *name);

/* ereport(ERROR) if an endpoint signs with the secret and the value cannot sign. */
extern void postrider_secret_check_value(const char *name, const char *value);

#endif							/* POSTRIDER_SECRET_CHECK_H */
