/*-------------------------------------------------------------------------
 *
 * hide.h
 *	  Keeps statements that have a secret in them out of the server's log and
 *	  of pg_stat_activity.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_HIDE_H
#define POSTRIDER_HIDE_H

#include "postgres.h"

/* When the library is loaded. */
extern void postrider_hide_install(void);

/* The first act of a function that is given a secret. */
extern void postrider_hide_statement(void);

#endif							/* POSTRIDER_HIDE_H */
