/*-------------------------------------------------------------------------
 *
 * batch_row.c
 *	  Columns of postrider.endpoint on batches; see batch_row.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "content/filter.h"
#include "executor/spi.h"
#include "outbox/batch_row.h"
#include "policy/policy.h"
#include "utils/builtins.h"

static JsonPath *
read_path(TupleDesc desc, HeapTuple tuple, const char *column)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, SPI_fnumber(desc, column), desc, &isnull);

	return isnull ? NULL : DatumGetJsonPathPCopy(value);
}

void
postrider_batch_row_read(TupleDesc desc, HeapTuple tuple, Endpoint *endpoint)
{
	char	   *template = SPI_getvalue(tuple, desc, SPI_fnumber(desc, "batch_template"));
	char	   *place;

	endpoint->batch_failed = read_path(desc, tuple, "batch_failed");
	endpoint->batch_error = read_path(desc, tuple, "batch_error");
	endpoint->batch_before = endpoint->batch_after = NULL;
	if (template == NULL || (place = strstr(template, POLICY_RECORDS)) == NULL)
		return;
	endpoint->batch_before = pnstrdup(template, place - template);
	endpoint->batch_after = pstrdup(place + strlen(POLICY_RECORDS));
}

static void
require_path(const TriggerRow *row, const char *column)
{
	Datum		value;

	if (postrider_trigger_get_new(row, column, JSONPATHOID, &value) &&
		postrider_filter_has_variable(DatumGetJsonPathP(value)))
		postrider_trigger_refuse(row, column, "has a variable, and there are none",
								 "Write the value into the path.");
}

void
postrider_batch_row_require(const TriggerRow *row)
{
	bool		isnull;

	require_path(row, "batch_failed");
	require_path(row, "batch_error");
	(void) postrider_trigger_get(row, row->tuple, "batch_size", INT4OID, &isnull);
	if (!isnull && postrider_trigger_text(row, row->tuple, "reply_topic") != NULL)
		postrider_trigger_refuse(row, "reply_topic", "does not go with batches",
								 "A reply belongs to one message: set batch_size or reply_topic to NULL.");
}
