/*-------------------------------------------------------------------------
 *
 * intake.h
 *	  From rows to Messages and Deliveries in memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_INTAKE_H
#define POSTRIDER_INTAKE_H

#include "postgres.h"

#include "model.h"
#include "utils/jsonb.h"

/* Memory that one reading may fill with bodies. */
#define INTAKE_MAX_BYTES (8 * 1024 * 1024)

/* Called with +bytes and -bytes as messages come and go. */
extern void (*postrider_intake_account) (int64 bytes);

/* A row of a message while deliveries are made of it. */
typedef struct MessageRow
{
	pg_uuid_t	id;
	uint64		row;			/* in the result of the last query */
	int			first;			/* number of the column topic */
	int			tenant_column;
	char	   *topic;
	char	   *tenant;			/* or NULL */
	Jsonb	   *payload;
	bool		erased;			/* set by the caller: its data is gone, so that
								 * the delivery only ends as cancelled */
	Message    *message;		/* NULL until there is a delivery */
	Size		bytes;			/* memory that its deliveries take */
} MessageRow;

/*
 * Begins with a row of the last query whose columns, from "first" on, are:
 * topic, payload, headers, expires_at, traceparent, key, priority; tenant is in
 * the column of that number.
 */
extern void postrider_intake_begin(MessageRow *source, const pg_uuid_t *id,
								   uint64 row, int first, int tenant);

/* The priority in this column, a smallint that may be NULL. */
extern int	postrider_intake_priority(uint64 row, int column);

/*
 * Makes a delivery of the row, mapped if there is a mapping, and appends it to
 * the list.
 */
extern Delivery *postrider_delivery_make(MessageRow *source, Endpoint *endpoint,
										 MappingReference *mapping, dlist_head *list);

/* Frees a delivery, and its message with the last one. */
extern void postrider_delivery_free(Delivery *delivery);

/* All deliveries in memory by memory_node, oldest first. */
extern dlist_head *postrider_deliveries(void);

#endif							/* POSTRIDER_INTAKE_H */
