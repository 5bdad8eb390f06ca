/*-------------------------------------------------------------------------
 *
 * text.h
 *	  Text from outside.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_TEXT_H
#define POSTRIDER_TEXT_H

#include "postgres.h"

/*
 * A palloc'd copy of bytes from outside that is safe to store as text: what is
 * not valid in the server encoding, and NUL, becomes "?".  length -1 means
 * NUL-terminated.
 */
extern char *postrider_text_clean(const char *bytes, int length);

#endif							/* POSTRIDER_TEXT_H */
