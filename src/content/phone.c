/*-------------------------------------------------------------------------
 *
 * phone.c
 *	  Telephone numbers to E.164.
 *
 * A number is read as people write it: with spaces and other separators, a
 * "+" or the prefix that is dialled abroad, the trunk prefix of its country,
 * the "(0)" of letterheads, an extension.  It is good if a numbering plan
 * (phone_table.c) has numbers of this length that begin with this digit.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "content/contact.h"
#include "content/conversion_internal.h"
#include "content/phone.h"
#include "content/unicode_case.h"

#define MAX_DIGITS 15			/* E.164, after the plus */
#define MAX_WRITTEN 32			/* digits, prefixes included */
#define MAX_LENGTH 200			/* bytes */
#define MAX_EXTENSION 11

/* The digits of a number that is being read. */
typedef struct PhoneText
{
	char		digits[MAX_WRITTEN + 1];
	int			count;
	bool		plus;
} PhoneText;

static const PhoneCountry *
find_country(const char *country)
{
	if (pg_strcasecmp(country, "UK") == 0)
		country = "GB";
	for (int i = 0; strlen(country) == 2 && i < postrider_phone_country_count; i++)
	{
		if (pg_strcasecmp(postrider_phone_countries[i].country, country) == 0)
			return &postrider_phone_countries[i];
	}
	return NULL;
}

const PhoneCountry *
postrider_phone_country(const char *country, char **problem)
{
	const PhoneCountry *found = find_country(country);
	JsonbValue	shown;

	if (found == NULL)
	{
		postrider_value_set_text(&shown, unconstify(char *, country), strlen(country));
		(void) postrider_refuse(problem, "%s is not a country with a numbering plan; write a code of ISO 3166 such as \"FR\"",
								postrider_value_show(&shown));
	}
	return found;
}

/*
 * Reading
 */

/* A separator that may stand between digits: its bytes, or 0. */
static int
phone_separator(const char *string, int length)
{
	static const char *const hyphens[] = {
		"\xE2\x80\x90", "\xE2\x80\x91", "\xE2\x80\x92", "\xE2\x80\x93",
		"\xE2\x80\x94", "\xE2\x88\x92"
	};
	int			space = postrider_space_length(string, length);

	if (space > 0)
		return space;
	if (strchr("-.()/", *string) != NULL)
		return 1;
	for (int i = 0; length >= 3 && i < (int) lengthof(hyphens); i++)
	{
		if (memcmp(string, hyphens[i], 3) == 0)
			return 3;
	}
	return 0;
}

/* "x12", "ext. 12", ";ext=12", "#12" at the end; false if it is anything else. */
static bool
is_extension(const char *string, int length)
{
	static const char *const marks[] = {
		";ext=", "extension", "ext.", "ext", "x", "#"
	};

	for (int i = 0; i < (int) lengthof(marks); i++)
	{
		int			mark = strlen(marks[i]);

		if (length <= mark || pg_strncasecmp(string, marks[i], mark) != 0)
			continue;
		string += mark;
		length -= mark;
		postrider_trim(&string, &length);
		if (length < 1 || length > MAX_EXTENSION)
			return false;
		for (int j = 0; j < length; j++)
		{
			if (!isdigit((unsigned char) string[j]))
				return false;
		}
		return true;
	}
	return false;
}

static bool
read_phone(const char *string, int length, PhoneText *phone)
{
	phone->count = 0;
	postrider_trim(&string, &length);
	if (length > MAX_LENGTH)
		return false;
	if (length > 4 && pg_strncasecmp(string, "tel:", 4) == 0)
	{
		string += 4;
		length -= 4;
	}
	if (length > 0 && *string == '(' && length > 1 && string[1] == '+')
	{
		string++;
		length--;
	}
	phone->plus = length > 0 && *string == '+';
	string += phone->plus;
	length -= phone->plus;
	while (length > 0)
	{
		int			size = 1;

		if (isdigit((unsigned char) *string))
		{
			if (phone->count == MAX_WRITTEN)
				return false;
			phone->digits[phone->count++] = *string;
		}
		else if (phone->plus && phone->count > 0 && length > 3 &&
				 memcmp(string, "(0)", 3) == 0)
			size = 3;			/* dialled only within the country */
		else
			size = phone_separator(string, length);
		if (size == 0)
			break;
		string += size;
		length -= size;
	}
	phone->digits[phone->count] = '\0';
	return phone->count > 0 && (length == 0 || is_extension(string, length));
}

/*
 * Numbering plans
 */

static bool
is_national(const PhoneCountry *country, const char *digits)
{
	int			count = strlen(digits);

	if (count < country->least || count > country->most ||
		count + strlen(country->code) > MAX_DIGITS)
		return false;
	if (*country->first != '\0' && strchr(country->first, *digits) == NULL)
		return false;
	/* In North America the exchange does not begin with 0 or 1 either. */
	return strcmp(country->code, "1") != 0 || digits[3] >= '2';
}

/* What follows the first of the words that digits begin with; NULL if none. */
static const char *
after_prefix(const char *digits, const char **words)
{
	while (**words != '\0')
	{
		int			length = strcspn(*words, " ");
		const char *word = *words;

		*words += length + strspn(*words + length, " ");
		if (strncmp(digits, word, length) == 0)
			return digits + length;
	}
	return NULL;
}

/* The digits without a trunk prefix that makes them good; NULL if none. */
static const char *
national_part(const PhoneCountry *country, const char *digits)
{
	const char *trunks = country->trunk;
	const char *rest;

	if (is_national(country, digits))
		return digits;
	while ((rest = after_prefix(digits, &trunks)) != NULL)
	{
		if (is_national(country, rest))
			return rest;
	}
	return NULL;
}

/* With which digit the numbers of a country begin, in words. */
static const char *
first_digits(const PhoneCountry *country)
{
	const char *first = country->first;
	size_t		count = strlen(first);

	if (count == 0)
		return "any digit";
	if (count > 2 && first[count - 1] - first[0] == (int) count - 1)
		return psprintf("%c to %c", first[0], first[count - 1]);
	return count == 1 ? first : psprintf("one of %s", first);
}

/* Digits that begin with a country code; *reason if they are no number. */
static char *
from_international(const char *digits, char **reason)
{
	const PhoneCountry *country = NULL;

	for (int i = 0; i < postrider_phone_country_count; i++)
	{
		const PhoneCountry *candidate = &postrider_phone_countries[i];
		const char *national;

		if (strncmp(digits, candidate->code, strlen(candidate->code)) != 0)
			continue;
		national = national_part(candidate, digits + strlen(candidate->code));
		if (national != NULL)
			return psprintf("+%s%s", candidate->code, national);
		if (country == NULL)
			country = candidate;
	}
	if (country == NULL)
		(void) postrider_refuse(reason, "no country has this code");
	else if (country->least == country->most)
		(void) postrider_refuse(reason, "numbers of +%s have %d digits after it, the first of them %s",
								country->code, country->least, first_digits(country));
	else
		(void) postrider_refuse(reason, "numbers of +%s have %d to %d digits after it, the first of them %s",
								country->code, country->least, country->most, first_digits(country));
	return NULL;
}

/*
 * What stands after a prefix to dial abroad: one of the country's or 00, which
 * ITU-T recommends and people write everywhere.  Where two of them lead to
 * different numbers, as 001 and 00 may, none is taken: *clear is false.
 */
static char *
after_international_prefix(const PhoneCountry *country, const char *digits,
						   bool *clear)
{
	const char *prefixes = country->international;
	const char *rest;
	char	   *ignored;
	char	   *result = NULL;

	*clear = true;
	if (strncmp(digits, "00", 2) == 0)
		result = from_international(digits + 2, &ignored);
	while ((rest = after_prefix(digits, &prefixes)) != NULL)
	{
		char	   *other = from_international(rest, &ignored);

		if (result != NULL && other != NULL && strcmp(result, other) != 0)
			*clear = false;
		if (other != NULL)
			result = other;
	}
	return result;
}

/* Digits as they are dialled or written within a country. */
static char *
from_country(const PhoneCountry *country, const char *digits, char **reason)
{
	const char *rest;
	bool		clear;
	char	   *result = after_international_prefix(country, digits, &clear);

	if (!clear)
	{
		(void) postrider_refuse(reason, "it can be read in two ways; write it with \"+\"");
		return NULL;
	}
	if (result != NULL)
		return result;
	rest = national_part(country, digits);
	if (rest != NULL)
		return psprintf("+%s%s", country->code, rest);

	/* Only the plus is missing. */
	if (strncmp(digits, country->code, strlen(country->code)) == 0 &&
		is_national(country, digits + strlen(country->code)))
		return psprintf("+%s", digits);
	(void) from_international(psprintf("%s?", country->code), reason);
	return NULL;
}

char *
postrider_phone_normalize(const char *string, int length,
						  const char *default_country, char **problem)
{
	PhoneText	phone;
	JsonbValue	shown;
	const PhoneCountry *country = NULL;
	char	   *result = NULL;
	char	   *reason = "it has other signs than digits and separators, or too many";

	postrider_value_set_text(&shown, unconstify(char *, string), length);
	if (default_country != NULL)
	{
		country = postrider_phone_country(default_country, problem);
		if (country == NULL)
			return NULL;
	}
	if (read_phone(string, length, &phone))
	{
		if (phone.plus)
			result = from_international(phone.digits, &reason);
		else if (country != NULL)
			result = from_country(country, phone.digits, &reason);
		else if (strncmp(phone.digits, "00", 2) == 0)
			result = from_international(phone.digits + 2, &reason);
		else
			reason = "it has no country code; write it with \"+\" or name a default country";
	}
	if (result == NULL)
		(void) postrider_refuse(problem, "%s is not a telephone number: %s",
								postrider_value_show(&shown), reason);
	return result;
}
