/*-------------------------------------------------------------------------
 *
 * priority.h
 *	  Which of several waiting lines is served next: a pure chooser.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_PRIORITY_H
#define POSTRIDER_PRIORITY_H

#include "postgres.h"

/* Values of postrider.message.priority; a higher one goes first. */
#define PRIORITY_BULK		0
#define PRIORITY_NORMAL		1	/* the default */
#define PRIORITY_HIGH		2
#define PRIORITY_CRITICAL	3
#define PRIORITY_LEVELS		4

/* bulk, normal, high, critical; false if it is none of them. */
extern bool postrider_priority_from_name(const char *name, int *priority);

/* All zeros is a state in which nobody has waited yet.  No pointers. */
typedef struct PriorityState
{
	int32		passed[PRIORITY_LEVELS];	/* choices that passed over a line
											 * that was waiting */
	bool		was_waiting[PRIORITY_LEVELS];	/* after the last choice */
} PriorityState;

/* A line is served at least once in so many choices while it waits. */
#define PRIORITY_PATIENCE	64

/*
 * Chooses a level, of those whose count of waiting messages is not 0; -1 if
 * there is none.  The caller serves one message of it.
 */
extern int	postrider_priority_choose(PriorityState *state,
									  const int *waiting);

/* Which level would be chosen; nothing changes. */
extern int	postrider_priority_peek(const PriorityState *state,
									const int *waiting);

#endif							/* POSTRIDER_PRIORITY_H */
