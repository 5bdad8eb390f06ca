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

/*
 * Makes a message of the row of the last query whose columns, from
 * "first" on, are: topic, payload, headers, expires_at, traceparent.
 */
extern Message *postrider_message_make(const pg_uuid_t *id, uint64 row, int first);

/* Makes a delivery and appends it to the list. */
extern Delivery *postrider_delivery_make(Message *message, Endpoint *endpoint,
										 dlist_head *list);

/* Frees a delivery, and its message with the last one. */
extern void postrider_delivery_free(Delivery *delivery);

/* All deliveries in memory by memory_node, oldest first. */
extern dlist_head *postrider_deliveries(void);

#endif							/* POSTRIDER_INTAKE_H */
