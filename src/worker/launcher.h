/*-------------------------------------------------------------------------
 *
 * launcher.h
 *	  The background worker that starts the workers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_LAUNCHER_H
#define POSTRIDER_LAUNCHER_H

#include "postgres.h"

/* Called when the library is preloaded. */
extern void postrider_launcher_register(void);

#endif							/* POSTRIDER_LAUNCHER_H */
