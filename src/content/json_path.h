/*-------------------------------------------------------------------------
 *
 * json_path.h
 *	  SQL/JSON paths as users write them, and on JSON from outside.
 *
 * Needs no transaction, and raises no error for what may be in the text or the
 * JSON.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_JSON_PATH_H
#define POSTRIDER_JSON_PATH_H

#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/jsonpath.h"

/* NULL, with the problem in words to go behind a name, if it is none. */
extern JsonPath *postrider_json_path_parse(const char *string, char **problem);

/* Bytes from outside as jsonb, palloc'd; NULL if they are none. */
extern Jsonb *postrider_json_read(const char *bytes, Size length);

/* All that the path finds, as an array; NULL if it cannot be evaluated. */
extern Jsonb *postrider_json_path_values(Jsonb *value, JsonPath *path);

#endif							/* POSTRIDER_JSON_PATH_H */
