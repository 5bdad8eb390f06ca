/*-------------------------------------------------------------------------
 *
 * name.c
 *	  Names that users give to endpoints and secrets.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "outbox/name.h"

void
postrider_name_require(const char *kind, const char *name)
{
	if (name[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("name of %s must not be empty", kind)));
	if (strlen(name) > POSTRIDER_NAME_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("name of %s is too long", kind),
				 errdetail("It has %zu bytes; at most %d are allowed.",
						   strlen(name), POSTRIDER_NAME_MAX)));
	for (const char *c = name; *c; c++)
		if ((unsigned char) *c < ' ' || *c == 0x7f)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("name of %s has a control character in it", kind)));
}
