/*-------------------------------------------------------------------------
 *
 * certificate.c
 *	  Certificates and keys in PEM; see certificate.h.
 *
 * OpenSSL's own words about PEM help nobody, so each thing that can be wrong is
 * looked for, and its queue of errors is left empty, for libpq and the server
 * look there too.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "security/certificate.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#define UNIX_EPOCH_S \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY)
#define NAME_BYTES 200

/* Asked for the passphrase of a key. */
static int
give_passphrase(char *buffer, int size, int writing, void *arg)
{
	const char *passphrase = arg;
	Size		length;

	if (passphrase == NULL)
		return -1;				/* without this OpenSSL would ask the terminal */
	length = strlen(passphrase);
	if (length > (Size) size)
		return -1;
	memcpy(buffer, passphrase, length);
	return (int) length;
}

/* The day of a time in a certificate. */
static char *
format_day(const ASN1_TIME *time)
{
	struct tm	parts;

	if (ASN1_TIME_to_tm(time, &parts) != 1)
		return pstrdup("an unknown day");
	return psprintf("%04d-%02d-%02d", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
}

/* Its subject, as printable ASCII. */
static char *
subject_of(const X509 *certificate)
{
	char		name[NAME_BYTES];

	if (X509_NAME_oneline(X509_get_subject_name(certificate), name, sizeof(name)) == NULL)
		return pstrdup("");
	for (char *c = name; *c; c++)
		if ((unsigned char) *c < ' ' || (unsigned char) *c > '~')
			*c = '?';
	return pstrdup(name);
}

/* NULL if it may be used at that time, else a clause. */
static char *
time_problem(const X509 *certificate, TimestampTz now)
{
	time_t		unix_time = (time_t) (now / USECS_PER_SEC + UNIX_EPOCH_S);

	if (X509_cmp_time(X509_get0_notAfter(certificate), &unix_time) < 0)
		return psprintf("has expired on %s", format_day(X509_get0_notAfter(certificate)));
	if (X509_cmp_time(X509_get0_notBefore(certificate), &unix_time) > 0)
		return psprintf("is not valid before %s", format_day(X509_get0_notBefore(certificate)));
	return NULL;
}

static bool
has_private_key(const char *pem)
{
	return strstr(pem, "PRIVATE KEY-----") != NULL;
}

char *
postrider_certificate_problem(const char *pem, Size length, TimestampTz now)
{
	BIO		   *bio;
	X509	   *certificate;
	char	   *problem = NULL;
	int			count = 0;

	if (length > CERTIFICATE_MAX_BYTES)
		return psprintf("has more than %d bytes", CERTIFICATE_MAX_BYTES);
	if (has_private_key(pem))
		return pstrdup("has a private key in it, which nobody else should have");
	bio = BIO_new_mem_buf(pem, (int) length);
	while (problem == NULL && bio != NULL &&
		   (certificate = PEM_read_bio_X509(bio, NULL, give_passphrase, NULL)) != NULL)
	{
		char	   *reason = now == 0 ? NULL : time_problem(certificate, now);

		if (reason != NULL)
			problem = psprintf("has a certificate that %s: %s", reason, subject_of(certificate));
		X509_free(certificate);
		count++;
	}
	BIO_free(bio);

	/* At the end of the text there is no line that begins another one. */
	if (problem == NULL && count > 0 &&
		ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		problem = psprintf("has a certificate that cannot be read after %d that can", count);
	ERR_clear_error();
	if (problem == NULL && count == 0)
		problem = pstrdup("has no certificate in it that can be read");
	return problem;
}

TimestampTz
postrider_certificate_end(const char *pem, Size length)
{
	BIO		   *bio = BIO_new_mem_buf(pem, (int) Min(length, CERTIFICATE_MAX_BYTES));
	X509	   *certificate;
	TimestampTz end = DT_NOEND;

	while (bio != NULL &&
		   (certificate = PEM_read_bio_X509(bio, NULL, give_passphrase, NULL)) != NULL)
	{
		struct tm	parts;

		if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &parts) == 1)
		{
			int64		day = date2j(parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday) -
				POSTGRES_EPOCH_JDATE;

			end = Min(end, (day * SECS_PER_DAY + parts.tm_hour * SECS_PER_HOUR +
							parts.tm_min * SECS_PER_MINUTE + parts.tm_sec) * USECS_PER_SEC);
		}
		X509_free(certificate);
	}
	BIO_free(bio);
	ERR_clear_error();
	return end;
}

static EVP_PKEY *
read_key(const char *key, Size length, const char *passphrase)
{
	BIO		   *bio = BIO_new_mem_buf(key, (int) length);
	EVP_PKEY   *result = NULL;

	if (bio != NULL)
		result = PEM_read_bio_PrivateKey(bio, NULL, give_passphrase,
										 unconstify(char *, passphrase));
	BIO_free(bio);
	return result;
}

static char *
key_problem(const char *key, const char *key_name, const char *passphrase)
{
	if (!has_private_key(key))
		return psprintf("secret \"%s\" has no private key in PEM in it", key_name);
	if (strstr(key, "ENCRYPTED") != NULL && passphrase == NULL)
		return psprintf("the private key in secret \"%s\" is encrypted, and no passphrase is given",
						key_name);
	if (strstr(key, "ENCRYPTED") != NULL)
		return psprintf("the private key in secret \"%s\" cannot be read: is the passphrase right?",
						key_name);
	return psprintf("the private key in secret \"%s\" cannot be read", key_name);
}

char *
postrider_certificate_pair_problem(const char *certificate, Size certificate_length,
								   const char *certificate_name,
								   const char *key, Size key_length, const char *key_name,
								   const char *passphrase, TimestampTz now)
{
	BIO		   *bio = BIO_new_mem_buf(certificate, (int) certificate_length);
	X509	   *leaf = bio ? PEM_read_bio_X509(bio, NULL, give_passphrase, NULL) : NULL;
	EVP_PKEY   *private = leaf ? read_key(key, key_length, passphrase) : NULL;
	char	   *reason = leaf ? time_problem(leaf, now) : NULL;
	char	   *problem = NULL;

	if (leaf == NULL)
		problem = psprintf("secret \"%s\" has no certificate in PEM in it", certificate_name);
	else if (reason != NULL)
		problem = psprintf("the certificate in secret \"%s\" %s: %s", certificate_name, reason,
						   subject_of(leaf));
	else if (private == NULL)
		problem = key_problem(key, key_name, passphrase);
	else if (X509_check_private_key(leaf, private) != 1)
		problem = psprintf("the certificate in secret \"%s\" does not fit the private key in secret \"%s\"",
						   certificate_name, key_name);
	BIO_free(bio);
	X509_free(leaf);
	EVP_PKEY_free(private);
	ERR_clear_error();
	return problem;
}
