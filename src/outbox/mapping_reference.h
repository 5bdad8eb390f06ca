/*-------------------------------------------------------------------------
 *
 * mapping_reference.h
 *	  A mapping as a subscription names it: by name, and by version or "the
 *	  newest".
 *
 * There is one reference for each name and version, for as long as the worker
 * lives, so that deliveries point to it.  What it stands for is looked up
 * again when the configuration has changed: a delivery is mapped when it comes
 * into memory, by what its subscription names at that time.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_MAPPING_REFERENCE_H
#define POSTRIDER_MAPPING_REFERENCE_H

#include "postgres.h"

#include "model.h"
#include "utils/jsonb.h"

/* No version is named: the newest one. */
#define MAPPING_NEWEST 0

struct MappingReference
{
	char	   *name;
	int32		version;		/* or MAPPING_NEWEST */

	/* private */
	struct MappingReference *next;
	bool		current;		/* looked up since the configuration changed */
	Jsonb	   *definition;		/* or NULL, then problem says why */
	const struct Mapping *mapping;
	char	   *problem;
	MemoryContext context;		/* holds these three */
};

/* The reference; NULL for a NULL name.  Runs no query. */
extern MappingReference *postrider_mapping_reference(const char *name, int32 version);

/*
 * The payload as it is to be sent.  Returns NULL and sets *problem if it
 * cannot be mapped; both are allocated in the current memory context.  To be
 * called in a transaction; the rows of the last query stay readable.
 */
extern Jsonb *postrider_mapping_reference_apply(MappingReference *reference,
												Jsonb *payload, char **problem);

/* The configuration has changed. */
extern void postrider_mapping_references_changed(void);

#endif							/* POSTRIDER_MAPPING_REFERENCE_H */
