/*-------------------------------------------------------------------------
 *
 * secret_load.h
 *	  Loads the secrets into a worker's memory (security/secret_set.h).
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SECRET_LOAD_H
#define POSTRIDER_SECRET_LOAD_H

#include "postgres.h"

/*
 * Loads all secrets, in the current transaction of the worker.  What cannot be read
 * is a WARNING, and an error of the requests that need it.
 */
extern void postrider_secret_load(void);

#endif							/* POSTRIDER_SECRET_LOAD_H */
