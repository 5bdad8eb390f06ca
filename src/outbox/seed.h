/*-------------------------------------------------------------------------
 *
 * seed.h
 *	  Moving the id clock above every id that a database holds.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SEED_H
#define POSTRIDER_SEED_H

/*
 * Sees to it that the id clock is above every id of this database.  Costs a
 * comparison after the first call in a process.
 */
extern void postrider_seed_clock(void);

#endif							/* POSTRIDER_SEED_H */
