/*-------------------------------------------------------------------------
 *
 * contact.h
 *	  Addresses and numbers of people and things: e-mail, URL, IBAN and the
 *	  like.  Pure tests of texts, which need not end with NUL.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_CONTACT_H
#define POSTRIDER_CONTACT_H

#include "postgres.h"

extern bool postrider_is_email(const char *string, int length);
extern bool postrider_is_url(const char *string, int length);
extern bool postrider_is_hostname(const char *string, int length);
extern bool postrider_is_uuid(const char *string, int length);

/* version 4, 6, or 0 for either */
extern bool postrider_is_ip(const char *string, int length, int version);
extern bool postrider_is_iban(const char *string, int length);
extern bool postrider_is_bic(const char *string, int length);
extern bool postrider_is_gtin(const char *string, int length);
extern bool postrider_is_luhn(const char *string, int length);

/* Codes in capitals, languages in lower case, as the standards write them. */
extern bool postrider_is_country(const char *string, int length);
extern bool postrider_is_country3(const char *string, int length);
extern bool postrider_is_currency(const char *string, int length);
extern bool postrider_is_language(const char *string, int length);
extern bool postrider_is_locale(const char *string, int length);

/* The digits after the point that ISO 4217 gives a currency, or -1. */
extern int	postrider_currency_digits(const char *code);

/* The country code of two letters for one of three, and back; or NULL. */
extern const char *postrider_country_other(const char *code);

/* Trimmed and in lower case; NULL with *problem if it is no address. */
extern char *postrider_email_normalize(const char *string, int length,
									   char **problem);

/* Trimmed and in lower case; *length is changed. */
extern char *postrider_identifier_clean(const char *string, int *length);

/* SHA-256 of that in hexadecimal digits; NULL with *problem. */
extern char *postrider_identifier_hash(const char *string, int length,
									   char **problem);

/* iso_table.c; sorted */
typedef struct IsoCountry
{
	char		two[3];
	char		three[4];
} IsoCountry;

typedef struct IsoCurrency
{
	char		code[4];
	int			digits;
} IsoCurrency;

extern const IsoCountry postrider_iso_countries[];
extern const int postrider_iso_country_count;
extern const IsoCurrency postrider_iso_currencies[];
extern const int postrider_iso_currency_count;
extern const char postrider_iso_languages[][3];
extern const int postrider_iso_language_count;

#endif							/* POSTRIDER_CONTACT_H */
