/*-------------------------------------------------------------------------
 *
 * utility.h
 *	  Making room for statements that need a database for themselves.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_UTILITY_H
#define POSTRIDER_UTILITY_H

#include "postgres.h"

/* Called when the library is preloaded. */
extern void postrider_utility_install(void);

#endif							/* POSTRIDER_UTILITY_H */
