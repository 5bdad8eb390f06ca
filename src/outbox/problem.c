/*-------------------------------------------------------------------------
 *
 * problem.c
 *	  SQL: what the view postrider.problem cannot see by SQL alone.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "security/certificate.h"
#include "security/key_file.h"
#include "security/key_ring.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(postrider_key_file_status);
PG_FUNCTION_INFO_V1(postrider_certificate_end_sql);

static Datum
ids_of(const KeyRing *ring)
{
	Datum		ids[POSTRIDER_MAX_KEYS];

	for (int i = 0; i < ring->count; i++)
	{
		bytea	   *id = palloc(VARHDRSZ + POSTRIDER_KEY_ID_BYTES);

		SET_VARSIZE(id, VARHDRSZ + POSTRIDER_KEY_ID_BYTES);
		memcpy(VARDATA(id), ring->ids[i], POSTRIDER_KEY_ID_BYTES);
		ids[i] = PointerGetDatum(id);
	}
	return PointerGetDatum(construct_array(ids, ring->count, BYTEAOID, -1, false,
										   TYPALIGN_INT));
}

/*
 * SQL: postrider.key_file_status(): (problem, ids of the keys).  NULL if the keys are
 * from postrider.key_command, which nobody should run only to look.
 */
Datum
postrider_key_file_status(PG_FUNCTION_ARGS)
{
	KeyRing		ring = {.count = 0};
	char	   *problem = NULL;
	Datum		values[2] = {0};
	bool		nulls[2] = {true, true};
	TupleDesc	descriptor;

	if (postrider_key_ring_is_command())
		PG_RETURN_NULL();
	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (postrider_key_file_read(&ring, &problem))
	{
		values[1] = ids_of(&ring);
		nulls[1] = false;
	}
	else
	{
		values[0] = CStringGetTextDatum(problem);
		nulls[0] = false;
	}
	postrider_key_ring_wipe(&ring);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values,
													  nulls)));
}

/* SQL: postrider.certificate_end(pem): when the first certificate in it ends. */
Datum
postrider_certificate_end_sql(PG_FUNCTION_ARGS)
{
	char	   *pem = text_to_cstring(PG_GETARG_TEXT_PP(0));
	TimestampTz end = postrider_certificate_end(pem, strlen(pem));

	if (end == DT_NOEND)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(end);
}
