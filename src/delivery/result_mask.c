/*-------------------------------------------------------------------------
 *
 * result_mask.c
 *	  Sensitive values in what is kept of an attempt; see result_mask.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/mask.h"
#include "delivery/result_mask.h"
#include "utils/memutils.h"

static void
mask(char **string, List *values)
{
	MemoryContext old;
	char	   *masked;

	if (*string == NULL)
		return;
	old = MemoryContextSwitchTo(GetMemoryChunkContext(*string));
	masked = postrider_mask_text(*string, values);
	MemoryContextSwitchTo(old);
	if (masked == NULL)
		return;
	pfree(*string);
	*string = masked;
}

void
postrider_result_mask(AttemptResult *result, const Message *message)
{
	if (message->sensitive == NIL)
		return;
	mask(&result->error, message->sensitive);
	mask(&result->response, message->sensitive);
}

void
postrider_result_mask_request(AttemptResult *result, Request *request)
{
	dlist_iter	iter;

	if (request->batch_count == 0)
	{
		postrider_result_mask(result, request->delivery->message);
		return;
	}
	dlist_foreach(iter, &request->batch)
		postrider_result_mask(result, dlist_container(Delivery, node, iter.cur)->message);
}
