/*-------------------------------------------------------------------------
 *
 * emit.h
 *	  Writing messages.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_EMIT_H
#define POSTRIDER_EMIT_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "outbox/append.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

/* A message about to be written; NULL where a column is to be NULL. */
typedef struct NewMessage
{
	pg_uuid_t	id;
	text	   *topic;
	text	   *endpoint;
	text	   *key;
	text	   *tenant;
	Jsonb	   *payload;
	Jsonb	   *headers;
	bool		has_deliver_at;
	bool		has_expires_at;
	TimestampTz deliver_at;
	TimestampTz expires_at;
	bool		has_priority;
	int16		priority;		/* policy/priority.h */
} NewMessage;

/*
 * Prepares this transaction for writing messages: refuses read-only
 * transactions, assigns the transaction id (which must come before the first
 * message id is taken; reader.c depends on it), and sees to it that the clock is
 * above every id of this database.  Returns an append state for the messages.
 */
extern AppendTarget *postrider_emit_begin(const char *caller);

/* Adds a message, which is copied. */
extern void postrider_emit_message(AppendTarget *state, const NewMessage *message);

/* Writes the messages and has the worker woken at commit. */
extern void postrider_emit_end(AppendTarget *state);

/* ereport(ERROR) if the payload is larger than postrider.max_payload_bytes. */
extern void postrider_payload_require_size(Jsonb *payload, const char *topic);

#endif							/* POSTRIDER_EMIT_H */
