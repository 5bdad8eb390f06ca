/*-------------------------------------------------------------------------
 *
 * text.c
 *	  Text from outside.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "util/text.h"

char *
postrider_text_clean(const char *bytes, int length)
{
	int			encoding = GetDatabaseEncoding();
	char	   *result;
	char	   *out;

	if (length < 0)
		length = strlen(bytes);
	out = result = palloc(length + 1);
	while (length > 0)
	{
		int			size = pg_encoding_verifymbchar(encoding, bytes, length);

		if (size <= 0 || *bytes == '\0')
		{
			*out++ = '?';
			size = 1;
		}
		else
		{
			memcpy(out, bytes, size);
			out += size;
		}
		bytes += size;
		length -= size;
	}
	*out = '\0';
	return result;
}
