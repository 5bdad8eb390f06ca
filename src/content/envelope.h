/*-------------------------------------------------------------------------
 *
 * envelope.h
 *	  The body of a request: {"type", "timestamp", "data"}, as Standard
 *	  Webhooks 1.0.0 recommends.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_ENVELOPE_H
#define POSTRIDER_ENVELOPE_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

/*
 * Appends the body to "body".  The timestamp is the time in the id, in UTC with
 * milliseconds (2026-11-23T04:40:09.123Z); data is the payload exactly as
 * jsonb prints it, in UTF-8.  The result is the same at every attempt.  Needs
 * a transaction if the database has another encoding.
 */
extern void postrider_envelope_build(StringInfo body, const char *topic,
									 const pg_uuid_t *id, Jsonb *payload);

/* Appends the time in an id: 2026-11-23T04:40:09.123Z. */
extern void postrider_envelope_time(StringInfo out, const pg_uuid_t *id);

/*
 * Converts what is in the text from "start" on from the database's encoding to UTF-8.
 * Needs a transaction if the two differ.
 */
extern void postrider_envelope_to_utf8(StringInfo text, int start);

#endif							/* POSTRIDER_ENVELOPE_H */
