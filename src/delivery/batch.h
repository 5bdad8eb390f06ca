/*-------------------------------------------------------------------------
 *
 * batch.h
 *	  Several messages in one request (batch_size and the like of
 *	  postrider.endpoint).
 *
 * A batch is made when it is sent: of what is in the lane then, up to batch_size
 * records and batch_bytes.  Messages with headers of their own go alone.  A
 * lane that has less waits for more until its oldest message has been in memory
 * for batch_delay; urgent messages do not wait.
 *
 * Idempotency.  A batch that is sent again may have other records in it, so
 * its webhook-id is new with every request (and is attempt.request_id); each record
 * has the id of its message, which stays the same.
 *
 * Partial failure.  batch_failed finds in the response what failed:
 *	- a number is the position of a record, from 0;
 *	- a boolean stands for the record at its place, and false means failed;
 *	- a string is a position in digits, or any string that the record has as
 *	  a value (an e-mail address, an external id, the id of the message).
 * batch_error finds the reasons, as many as there are failures.  Only records that
 * failed are tried again.
 *
 * A batch that is too large (413) or refused for what is in it (400, 422) is sent
 * again in halves, which counts as no attempt; so the record that is to blame
 * is found, and only its message dies.  After 413 later batches are smaller too,
 * for SPLIT_MEMORY_MS at least.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_BATCH_H
#define POSTRIDER_BATCH_H

#include "postgres.h"

#include "delivery/lane.h"
#include "delivery/request.h"
#include "model.h"

/* How long a size that was refused with 413 is not tried again. */
#define SPLIT_MEMORY_MS (10 * 60 * 1000)

/* When the lane may send what it has, as far as batches are concerned. */
extern TimestampTz postrider_batch_ready_at(const Lane *lane, TimestampTz now);

/* Begins a batch; then, as long as they fit, others are added. */
extern void postrider_batch_begin(Request *request, Delivery *first);
extern bool postrider_batch_takes(const Request *request, const Delivery *next, TimestampTz now);
extern void postrider_batch_add(Request *request, Delivery *next);

/* Makes the id and the body, which the request owns. */
extern void postrider_batch_write(Request *request);
extern void postrider_batch_free(Request *request);

/* Bytes of the response that are needed to say what failed. */
extern Size postrider_batch_response_bytes(const Request *request);

/* Gives all deliveries the result of the first one, strings palloc'd. */
extern void postrider_batch_copy_result(Request *request);

/*
 * Reads in the response to a batch that was taken which records failed: they
 * are retries then, with reasons.
 */
extern void postrider_batch_read(Request *request);

/*
 * Puts the deliveries back into the lane, in their order, to be sent in halves.
 * Returns how many there are.
 */
extern int	postrider_batch_split(Request *request, TimestampTz now);

/* A request has ended well: later batches may be larger again. */
extern void postrider_batch_went_well(Request *request, TimestampTz now);

#endif							/* POSTRIDER_BATCH_H */
