/*-------------------------------------------------------------------------
 *
 * response_header.c
 *	  The few headers of a response that are looked at; see the header.
 *
 * A header that finds no room is left out as a whole: half a number or half a
 * date would be a wrong one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/response_header.h"

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The name in lower case; false if the line has none, or a long one. */
static bool
read_name(const char *line, Size length, char *name, Size *name_length)
{
	Size		i;

	for (i = 0; i < length && line[i] != ':'; i++)
	{
		if (i >= RESPONSE_HEADER_NAME_MAX - 1 || line[i] == '\0' || is_space(line[i]))
			return false;
		name[i] = pg_ascii_tolower((unsigned char) line[i]);
	}
	name[i] = '\0';
	*name_length = i;
	return i > 0 && i < length;
}

bool
postrider_response_header_keep(ResponseHeaders *headers, const char *line, Size length,
							   ResponseHeaderWanted wanted, const void *arg)
{
	char		name[RESPONSE_HEADER_NAME_MAX];
	Size		name_length;
	char	   *next;

	if (!read_name(line, length, name, &name_length) || !wanted(arg, name))
		return false;
	line += name_length + 1;
	length -= name_length + 1;
	while (length > 0 && is_space(line[0]))
	{
		line++;
		length--;
	}
	while (length > 0 && is_space(line[length - 1]))
		length--;
	if (name_length + length + 2 > (Size) (headers->size - headers->length) ||
		memchr(line, '\0', length) != NULL)
		return false;

	next = headers->space + headers->length;
	memcpy(next, name, name_length + 1);
	next += name_length + 1;
	memcpy(next, line, length);
	next[length] = '\0';
	headers->length += name_length + length + 2;
	return true;
}

bool
postrider_response_header_next(const ResponseHeaders *headers, int *position,
							   ResponseHeader *header)
{
	if (*position >= headers->length)
		return false;
	header->name = headers->space + *position;
	header->value = header->name + strlen(header->name) + 1;
	header->value_length = strlen(header->value);
	*position += strlen(header->name) + header->value_length + 2;
	return true;
}
