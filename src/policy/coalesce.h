/*-------------------------------------------------------------------------
 *
 * coalesce.h
 *	  Which message is the newest of its key among those that wait.
 *
 * One Coalescer for each endpoint that has coalesce = true, in the memory of
 * one process.  The caller composes the key, so that messages that must not
 * replace each other (of another tenant) have other keys.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_COALESCE_H
#define POSTRIDER_COALESCE_H

#include "postgres.h"

#include "policy/key.h"
#include "utils/uuid.h"

typedef struct Coalescer Coalescer;

/* A message that waits, and what the caller knows it by. */
typedef struct CoalesceWaiting
{
	pg_uuid_t	id;
	void	   *item;
} CoalesceWaiting;

typedef enum CoalesceAnswer
{
	COALESCE_WAITS,				/* it waits, and no other one of its key */
	COALESCE_REPLACES,			/* it waits in place of *superseded, which is
								 * to be ended as superseded */
	COALESCE_SUPERSEDED,		/* a newer one waits: end this one */
	COALESCE_FULL				/* there is no room to remember it: let it
								 * wait; it is sent whatever comes after it */
} CoalesceAnswer;

/* At most so many keys, and so many bytes of them. */
extern Coalescer *postrider_coalescer_create(MemoryContext parent,
											 int max_keys, Size max_bytes);
extern void postrider_coalescer_free(Coalescer *coalescer);

/*
 * A message is to wait: a new one, or one that has failed and would be tried
 * again.  The key is copied.
 */
extern CoalesceAnswer postrider_coalescer_offer(Coalescer *coalescer,
												KeyBytes key,
												const pg_uuid_t *id, void *item,
												CoalesceWaiting *superseded);

/*
 * A message no longer waits: it is being sent, or has ended.  False if it was
 * not the one that is remembered, which changes nothing.
 */
extern bool postrider_coalescer_take(Coalescer *coalescer, KeyBytes key,
									 const pg_uuid_t *id);

/* Keys for which a message waits. */
extern int	postrider_coalescer_count(const Coalescer *coalescer);

#endif							/* POSTRIDER_COALESCE_H */
