/*-------------------------------------------------------------------------
 *
 * phone.h
 *	  Telephone numbers to E.164.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_PHONE_H
#define POSTRIDER_PHONE_H

#include "postgres.h"

/* What the numbering plan of a country says. */
typedef struct PhoneCountry
{
	char		country[3];		/* ISO 3166 */
	const char *code;			/* after the plus */
	const char *trunk;			/* before national numbers, not dialled from
								 * abroad; "" if there is none */
	const char *international;	/* prefixes to dial abroad, parted by spaces */
	uint8		least;			/* digits of a national number without trunk */
	uint8		most;
	const char *first;			/* what its first digit may be; "" is all */
} PhoneCountry;

extern const PhoneCountry postrider_phone_countries[];
extern const int postrider_phone_country_count;

/*
 * The number as E.164 ("+33612345678") or NULL with *problem.  default_country
 * is a code of ISO 3166 for numbers without a country code, or NULL.  An
 * extension is checked and left out.
 */
extern char *postrider_phone_normalize(const char *string, int length,
									   const char *default_country, char **problem);

/* Is there a numbering plan for it?  NULL with *problem if not. */
extern const PhoneCountry *postrider_phone_country(const char *country, char **problem);

#endif							/* POSTRIDER_PHONE_H */
