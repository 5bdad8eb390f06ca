/*-------------------------------------------------------------------------
 *
 * jwt.h
 *	  Signs JSON Web Tokens (RFC 7519, in the compact form of RFC 7515): what service
 *	  accounts show to token servers.
 *
 * Nothing here raises an error, except for memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_JWT_H
#define POSTRIDER_JWT_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/jsonb.h"

typedef enum JwtAlgorithm
{
	JWT_RS256,
	JWT_ES256
} JwtAlgorithm;

typedef struct JwtKey
{
	JwtAlgorithm algorithm;
	const char *pem;			/* private key, not encrypted; length bytes */
	Size		length;
	const char *key_id;			/* kid, or NULL */
} JwtKey;

/* What is claimed; NULL: not. */
typedef struct JwtClaims
{
	const char *issuer;
	const char *subject;
	const char *audience;
	const char *scope;
	TimestampTz issued_at;
	int			lifetime_s;
	const JsonbContainer *extra;	/* an object: further claims; none of the above */
} JwtClaims;

/*
 * The signed token, palloc'd, or NULL with *problem, a palloc'd clause that has nothing
 * of the key in it.
 */
extern char *postrider_jwt_sign(const JwtKey *key, const JwtClaims *claims,
								const char **problem);

#endif							/* POSTRIDER_JWT_H */
