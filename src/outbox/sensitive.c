/*-------------------------------------------------------------------------
 *
 * sensitive.c
 *	  Sensitive fields in a worker's memory.
 *
 * A receiver may repeat in its answer what it was sent, and a mapping or a function
 * quotes the value that it cannot use.  So a message of a topic that has sensitive
 * fields brings their values along (outbox/intake.c), and they are taken out of what
 * is kept of an attempt before anybody sees it (delivery/result_mask.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/mask.h"
#include "content/topic.h"
#include "outbox/sensitive.h"
#include "util/sql.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonpath.h"
#include "utils/memutils.h"

static SqlStatement select_fields = {
	.text = "select f.topic, f.path from postrider.sensitive_field f order by f.topic, f.path"
};

typedef struct SensitiveField
{
	char	   *topic;			/* pattern */
	MaskPath   *path;
} SensitiveField;

static MemoryContext field_context = NULL;
static SensitiveField *fields = NULL;
static int	field_count = 0;

void
postrider_sensitive_load(void)
{
	uint64		count = postrider_sql_run(&select_fields, NULL, NULL, 0);
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "postrider sensitive fields",
												  ALLOCSET_SMALL_SIZES);
	SensitiveField *loaded = MemoryContextAllocZero(context, sizeof(SensitiveField) * (count + 1));
	int			kept = 0;
	MemoryContext old = MemoryContextSwitchTo(context);

	for (uint64 row = 0; row < count; row++)
	{
		char	   *path = postrider_sql_text(row, 1, context);
		const char *problem;

		loaded[kept].topic = postrider_sql_text(row, 0, context);
		loaded[kept].path =
			postrider_mask_path_compile(DatumGetJsonPathP(DirectFunctionCall1(jsonpath_in,
																			  CStringGetDatum(path))),
										&problem);
		/* The trigger refuses what cannot be used. */
		if (loaded[kept].path != NULL)
			kept++;
	}
	MemoryContextSwitchTo(old);
	if (field_context)
		MemoryContextDelete(field_context);
	field_context = context;
	fields = loaded;
	field_count = kept;
}

bool
postrider_sensitive_exist(void)
{
	return field_count > 0;
}

List *
postrider_sensitive_values(const char *topic, Jsonb *payload)
{
	List	   *paths = NIL;
	List	   *values;

	for (int i = 0; i < field_count; i++)
		if (postrider_topic_matches(topic, fields[i].topic))
			paths = lappend(paths, fields[i].path);
	if (paths == NIL)
		return NIL;
	values = postrider_mask_values(payload, paths);
	list_free(paths);
	return values;
}
