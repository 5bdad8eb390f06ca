/*-------------------------------------------------------------------------
 *
 * certificate.h
 *	  Certificates and keys in PEM: can they be used, and if not, why?
 *
 * What is said never has anything of a key in it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_CERTIFICATE_H
#define POSTRIDER_CERTIFICATE_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* A bundle of certificates of authorities has so many bytes at most. */
#define CERTIFICATE_MAX_BYTES (128 * 1024)

/* What to do about what postrider_certificate_problem() says. */
#define CERTIFICATE_HINT \
	"Give the certificates of the authority in PEM: -----BEGIN CERTIFICATE----- and so on."

/*
 * Is it PEM with certificates only, each of which may be used at that time (0: at any)?
 * NULL, or a palloc'd clause that goes behind the name of what it is.
 */
extern char *postrider_certificate_problem(const char *pem, Size length, TimestampTz now);

/* When the first of them ends, or DT_NOEND; what cannot be read has no end. */
extern TimestampTz postrider_certificate_end(const char *pem, Size length);

/*
 * Do a client's certificate (its chain may follow) and its private key, with a passphrase
 * or NULL, fit each other and the time?  NULL, or a palloc'd clause that names them as
 * said: "certificate in secret "a" has expired on ...".
 */
extern char *postrider_certificate_pair_problem(const char *certificate, Size certificate_length,
												const char *certificate_name,
												const char *key, Size key_length,
												const char *key_name,
												const char *passphrase, TimestampTz now);

#endif							/* POSTRIDER_CERTIFICATE_H */
