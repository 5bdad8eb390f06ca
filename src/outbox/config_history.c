/*-------------------------------------------------------------------------
 *
 * config_history.c
 *	  Who changes the configuration, and words for sql/config_*.sql.
 *
 * The role that matters is the one that a session has taken: the user of the
 * session, or what SET ROLE made of it.  Functions that are SECURITY DEFINER,
 * ours (pause() and its like) or those of a user, do not hide it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "outbox/config_history.h"
#include "postmaster/bgworker.h"
#include "security/secret_name.h"
#include "util/sql.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/varlena.h"

PG_FUNCTION_INFO_V1(postrider_acting_role);
PG_FUNCTION_INFO_V1(postrider_is_worker);
PG_FUNCTION_INFO_V1(postrider_is_secret_name_sql);
PG_FUNCTION_INFO_V1(postrider_nearest_word);

#define MAX_WORD 40
#define MAX_DISTANCE 3

Oid			postrider_config_history_role = InvalidOid;

/* Others run background workers too, with sessions of users in them. */
static bool
in_our_worker(void)
{
	return MyBgworkerEntry != NULL &&
		strcmp(MyBgworkerEntry->bgw_library_name, "postrider") == 0;
}

static Oid
acting_role(void)
{
	if (!in_our_worker())
		return GetOuterUserId();
	return OidIsValid(postrider_config_history_role) ?
		postrider_config_history_role : postrider_owner();
}

/* SQL: postrider.acting_role() */
Datum
postrider_acting_role(PG_FUNCTION_ARGS)
{
	char	   *name = GetUserNameFromId(acting_role(), true);

	if (name == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(name));
}

/* SQL: postrider.is_worker() */
Datum
postrider_is_worker(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(in_our_worker() &&
				   !OidIsValid(postrider_config_history_role));
}

/* SQL: postrider.is_secret_name(name) */
Datum
postrider_is_secret_name_sql(PG_FUNCTION_ARGS)
{
	text	   *name = PG_GETARG_TEXT_PP(0);

	PG_RETURN_BOOL(postrider_is_secret_name(VARDATA_ANY(name),
											VARSIZE_ANY_EXHDR(name)));
}

/* SQL: postrider.nearest_word(word, candidates) */
Datum
postrider_nearest_word(PG_FUNCTION_ARGS)
{
	text	   *word = PG_GETARG_TEXT_PP(0);
	int			length = VARSIZE_ANY_EXHDR(word);
	Datum	   *candidates;
	bool	   *nulls;
	int			count;
	text	   *best = NULL;
	int			best_distance = MAX_DISTANCE + 1;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false,
					  TYPALIGN_INT, &candidates, &nulls, &count);
	for (int i = 0; i < count && length <= MAX_WORD; i++)
	{
		text	   *candidate = nulls[i] ? NULL : DatumGetTextPP(candidates[i]);
		int			size = candidate ? VARSIZE_ANY_EXHDR(candidate) : 0;
		int			distance;

		if (size < 2 || size > MAX_WORD)
			continue;
		distance = varstr_levenshtein_less_equal(VARDATA_ANY(word), length,
												 VARDATA_ANY(candidate), size,
												 1, 1, 1, best_distance, true);
		if (distance < best_distance && distance < size - 1)
		{
			best = candidate;
			best_distance = distance;
		}
	}
	if (best == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(best);
}
