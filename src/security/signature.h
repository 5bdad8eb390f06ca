/*-------------------------------------------------------------------------
 *
 * signature.h
 *	  Standard Webhooks 1.0.0 signatures, version v1 (HMAC-SHA256).
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SIGNATURE_H
#define POSTRIDER_SIGNATURE_H

#include "postgres.h"

/* "v1," and 44 characters of base64 and NUL */
#define POSTRIDER_SIGNATURE_SIZE 48

/*
 * Signs id.timestamp.body.  Writes "v1,<base64>" NUL-terminated to "result".
 * timestamp is in Unix seconds.  Returns false if OpenSSL fails; no ereport.
 */
extern bool postrider_signature_v1(const unsigned char *key, Size key_length,
								   const char *id, int64 timestamp,
								   const char *body, Size body_length,
								   char result[POSTRIDER_SIGNATURE_SIZE]);

#endif							/* POSTRIDER_SIGNATURE_H */
