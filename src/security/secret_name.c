/*-------------------------------------------------------------------------
 *
 * secret_name.c
 *	  Which headers and parameters have values that nobody must see.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "security/secret_name.h"

static const char *const secret_words[] = {
	"authorization", "cookie", "credential", "key", "password", "passwd", "secret",
	"token"
};

/* ... but for these. */
static const char *const public_names[] = {
	"idempotency-key"
};

bool
postrider_is_secret_name(const char *name, Size length)
{
	for (int i = 0; i < (int) lengthof(public_names); i++)
		if (strlen(public_names[i]) == length &&
			pg_strncasecmp(name, public_names[i], length) == 0)
			return false;
	for (int i = 0; i < (int) lengthof(secret_words); i++)
	{
		Size		word = strlen(secret_words[i]);

		for (Size at = 0; at + word <= length; at++)
			if (pg_strncasecmp(name + at, secret_words[i], word) == 0)
				return true;
	}
	return false;
}
