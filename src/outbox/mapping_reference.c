/*-------------------------------------------------------------------------
 *
 * mapping_reference.c
 *	  A mapping as a subscription names it; see mapping_reference.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/mapping.h"
#include "executor/spi.h"
#include "outbox/mapping_reference.h"
#include "outbox/mapping_table.h"
#include "utils/memutils.h"

/* There are as many as subscriptions have named since the worker started. */
static MappingReference *references = NULL;

MappingReference *
postrider_mapping_reference(const char *name, int32 version)
{
	MappingReference *reference;

	if (name == NULL)
		return NULL;
	for (reference = references; reference; reference = reference->next)
		if (reference->version == version && strcmp(reference->name, name) == 0)
			return reference;

	reference = MemoryContextAllocZero(TopMemoryContext, sizeof(MappingReference));
	reference->name = MemoryContextStrdup(TopMemoryContext, name);
	reference->version = version;
	reference->next = references;
	references = reference;
	return reference;
}

void
postrider_mapping_references_changed(void)
{
	for (MappingReference *reference = references; reference; reference = reference->next)
		reference->current = false;
}

static bool
is_same(const Jsonb *a, const Jsonb *b)
{
	return a && b && VARSIZE(a) == VARSIZE(b) && memcmp(a, b, VARSIZE(a)) == 0;
}

static char *
describe_version(const MappingReference *reference)
{
	return reference->version == MAPPING_NEWEST ? pstrdup("") :
		psprintf(" version %d", reference->version);
}

/*
 * Compiles what the table has now.  A definition in the table has been checked
 * when it was written; that one cannot be compiled all the same can be
 * the case after an upgrade.
 */
static void
compile(MappingReference *reference, MemoryContext context, Jsonb *definition)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	List	   *problems = NIL;

	reference->definition = definition;
	reference->mapping = NULL;
	reference->problem = NULL;
	if (definition == NULL)
		reference->problem = psprintf("mapping \"%s\"%s does not exist", reference->name,
									  describe_version(reference));
	else if ((reference->mapping = postrider_mapping_compile(definition, &problems)) == NULL)
		reference->problem = psprintf("mapping \"%s\"%s is wrong: %s", reference->name,
									  describe_version(reference),
									  postrider_mapping_problems_text(problems));
	MemoryContextSwitchTo(old);
}

static void
look_up(MappingReference *reference)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "postrider mapping",
												  ALLOCSET_SMALL_SIZES);
	SPITupleTable *rows = SPI_tuptable;
	Jsonb	   *definition = postrider_mapping_definition(reference->name,
														  reference->version, context);

	/* The caller may be in the middle of a result. */
	SPI_tuptable = rows;
	reference->current = true;
	if (is_same(definition, reference->definition))
	{
		MemoryContextDelete(context);
		return;
	}
	if (reference->context)
		MemoryContextDelete(reference->context);
	reference->context = context;
	compile(reference, context, definition);
}

Jsonb *
postrider_mapping_reference_apply(MappingReference *reference, Jsonb *payload,
								  char **problem)
{
	List	   *problems = NIL;
	Jsonb	   *mapped;

	if (!reference->current)
		look_up(reference);
	if (reference->mapping == NULL)
	{
		*problem = pstrdup(reference->problem);
		return NULL;
	}
	mapped = postrider_mapping_apply(reference->mapping, payload, &problems);
	if (mapped == NULL)
		*problem = psprintf("mapping \"%s\"%s: %s", reference->name,
							describe_version(reference),
							postrider_mapping_problems_text(problems));
	return mapped;
}
