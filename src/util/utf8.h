/*-------------------------------------------------------------------------
 *
 * utf8.h
 *	  Reading and writing UTF-8, whatever the server encoding is.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_UTF8_H
#define POSTRIDER_UTF8_H

#include "postgres.h"

#define POSTRIDER_UTF8_BAD 0xFFFFFFFF

/*
 * The code point at *at, which is before end; *at moves behind it.  Bytes that
 * are not UTF-8 give POSTRIDER_UTF8_BAD each, so that nothing reads past end.
 */
static inline uint32
postrider_utf8_next(const char **at, const char *end)
{
	const unsigned char *s = (const unsigned char *) *at;
	Size		rest = end - *at;
	uint32		code = s[0];
	int			more;

	*at += 1;
	if (code < 0x80)
		return code;
	if (code >= 0xc2 && code <= 0xdf)
		more = 1, code &= 0x1f;
	else if (code >= 0xe0 && code <= 0xef)
		more = 2, code &= 0x0f;
	else if (code >= 0xf0 && code <= 0xf4)
		more = 3, code &= 0x07;
	else
		return POSTRIDER_UTF8_BAD;
	if (rest <= (Size) more)
		return POSTRIDER_UTF8_BAD;
	for (int i = 1; i <= more; i++)
	{
		if ((s[i] & 0xc0) != 0x80)
			return POSTRIDER_UTF8_BAD;
		code = (code << 6) | (s[i] & 0x3f);
	}
	*at += more;
	return code;
}

static inline bool
postrider_utf8_is_ascii(const char *string, Size length)
{
	for (Size i = 0; i < length; i++)
	{
		if (IS_HIGHBIT_SET(string[i]))
			return false;
	}
	return true;
}

#endif							/* POSTRIDER_UTF8_H */
