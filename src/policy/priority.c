/*-------------------------------------------------------------------------
 *
 * priority.c
 *	  Which of several waiting lines is served next.
 *
 * The highest line goes first, but each line below gets its share: it is due
 * when it has been passed over share[level] times in a row.  So under endless
 * load from above, bulk still gets every 17th turn and normal every 9th.
 *
 * A message that finds its own and all higher lines empty when it
 * comes never waits behind a lower one: when the highest line was empty
 * after the last choice, it is served first, even if another is due.  Were that
 * all, critical messages that come one by one, each just when the last one has
 * gone, would starve the others; so it holds only until a line has been passed over
 * twice as often.
 *
 * Bounds (checked in test/sql/policy.sql): while it waits, a line is
 * served at least once in 2 * share + PRIORITY_LEVELS choices, which is below
 * PRIORITY_PATIENCE; and the highest line gets at least 3 of 5 turns.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "policy/priority.h"

static const int share[PRIORITY_LEVELS] = {
	[PRIORITY_BULK] = 16,
	[PRIORITY_NORMAL] = 8,
	[PRIORITY_HIGH] = 4,
	[PRIORITY_CRITICAL] = 0		/* nothing goes before it */
};

static int
highest(const int *waiting)
{
	for (int level = PRIORITY_LEVELS - 1; level >= 0; level--)
		if (waiting[level] > 0)
			return level;
	return -1;
}

int
postrider_priority_peek(const PriorityState *state, const int *waiting)
{
	int			top = highest(waiting);
	int			patience = top >= 0 && !state->was_waiting[top] ? 2 : 1;
	int			chosen = top;
	double		worst = patience;

	for (int level = 0; level < top; level++)
	{
		double		overdue = (double) state->passed[level] / share[level];

		if (waiting[level] > 0 && overdue >= worst)
		{
			chosen = level;
			worst = overdue;
		}
	}
	return chosen;
}

int
postrider_priority_choose(PriorityState *state, const int *waiting)
{
	int			chosen = postrider_priority_peek(state, waiting);

	for (int level = 0; level < PRIORITY_LEVELS; level++)
	{
		int			left = waiting[level] - (level == chosen);

		state->was_waiting[level] = left > 0;
		if (level == chosen || waiting[level] == 0)
			state->passed[level] = 0;
		else
			state->passed[level]++;
	}
	return chosen;
}

bool
postrider_priority_from_name(const char *name, int *priority)
{
	static const char *const names[PRIORITY_LEVELS] = {
		[PRIORITY_BULK] = "bulk",
		[PRIORITY_NORMAL] = "normal",
		[PRIORITY_HIGH] = "high",
		[PRIORITY_CRITICAL] = "critical"
	};

	for (int level = 0; level < PRIORITY_LEVELS; level++)
	{
		if (strcmp(name, names[level]) != 0)
			continue;
		*priority = level;
		return true;
	}
	return false;
}
