/*-------------------------------------------------------------------------
 *
 * reply.h
 *	  Responses that become messages.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_REPLY_H
#define POSTRIDER_REPLY_H

#include "postgres.h"

#include "lib/ilist.h"
#include "model.h"

/*
 * In the transaction that settles the deliveries, before their rows are
 * written: emits a message for each of them that has a reply.  Where that is not
 * possible, error_code and error of its result say why; no error is
 * raised for what is in a reply.
 */
extern void postrider_reply_emit(dlist_head *deliveries);

/* May be NULL. */
extern void postrider_reply_free(Reply *reply);

#endif							/* POSTRIDER_REPLY_H */
