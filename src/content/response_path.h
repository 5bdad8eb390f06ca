/*-------------------------------------------------------------------------
 *
 * response_path.h
 *	  SQL/JSON paths on what a receiver has answered.
 *
 * Needs no transaction, and raises no error for what may be in a response.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_RESPONSE_PATH_H
#define POSTRIDER_RESPONSE_PATH_H

#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/jsonpath.h"

/* The body as jsonb, palloc'd; NULL if it is none. */
extern Jsonb *postrider_response_json(const char *body, Size length);

/* All that the path finds, as an array; NULL if it cannot be evaluated. */
extern Jsonb *postrider_response_values(Jsonb *response, JsonPath *path);

#endif							/* POSTRIDER_RESPONSE_PATH_H */
