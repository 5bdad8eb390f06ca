/*-------------------------------------------------------------------------
 *
 * secret_name.h
 *	  Which headers and parameters have values that nobody must see.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SECRET_NAME_H
#define POSTRIDER_SECRET_NAME_H

#include "postgres.h"

/* By the words in the name: Authorization, X-Api-Key, access_token. */
extern bool postrider_is_secret_name(const char *name, Size length);

#endif							/* POSTRIDER_SECRET_NAME_H */
