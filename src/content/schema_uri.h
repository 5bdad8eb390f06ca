/*-------------------------------------------------------------------------
 *
 * schema_uri.h
 *	  References by RFC 3986, and JSON pointers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SCHEMA_URI_H
#define POSTRIDER_SCHEMA_URI_H

#include "postgres.h"

#include "lib/stringinfo.h"

/*
 * The reference, which has no fragment, resolved against a base; either may be
 * empty.  palloc'd.
 */
extern char *postrider_uri_resolve(const char *base, const char *reference);

/*
 * Cuts the fragment off, in place, and returns it percent-decoded, or NULL if
 * there is none.  Sets *problem if it cannot be decoded.
 */
extern char *postrider_uri_take_fragment(char *uri, const char **problem);

/* Appends a token of a JSON pointer: "/" and the escaped token. */
extern void postrider_pointer_append(StringInfo pointer, const char *token, int length);

/*
 * The next token of a JSON pointer, unescaped, palloc'd; NULL at the end or if
 * it is wrong.  *pointer is moved on; a pointer that is not "" or does not
 * begin with a slash is wrong.
 */
extern char *postrider_pointer_next(const char **pointer);

#endif							/* POSTRIDER_SCHEMA_URI_H */
