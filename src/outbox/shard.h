/*-------------------------------------------------------------------------
 *
 * shard.h
 *	  Which endpoints are this worker's.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SHARD_H
#define POSTRIDER_SHARD_H

#include "postgres.h"

/*
 * Makes this process the worker of a shard, numbered from 0, of so many.  In
 * a transaction.  If the cursors in the database are those of another number of
 * shards, new ones are made of them.
 */
extern void postrider_shard_take(int number, int count);

extern int	postrider_shard_number(void);
extern int	postrider_shard_count(void);

extern bool postrider_shard_owns(int32 endpoint_id);

#endif							/* POSTRIDER_SHARD_H */
