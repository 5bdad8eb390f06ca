/*-------------------------------------------------------------------------
 *
 * iso.c
 *	  Codes and numbers that standards define: countries, currencies,
 *	  languages, bank accounts, articles, cards.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/contact.h"

/* The lengths in the IBAN registry of SWIFT. */
static const struct
{
	char		country[3];
	uint8		length;
}			iban_lengths[] = {
	{"AD", 24}, {"AE", 23}, {"AL", 28}, {"AT", 20}, {"AZ", 28}, {"BA", 20},
	{"BE", 16}, {"BG", 22}, {"BH", 22}, {"BI", 27}, {"BR", 29}, {"BY", 28},
	{"CH", 21}, {"CR", 22}, {"CY", 28}, {"CZ", 24}, {"DE", 22}, {"DJ", 27},
	{"DK", 18}, {"DO", 28}, {"EE", 20}, {"EG", 29}, {"ES", 24}, {"FI", 18},
	{"FK", 18}, {"FO", 18}, {"FR", 27}, {"GB", 22}, {"GE", 22}, {"GI", 23},
	{"GL", 18}, {"GR", 27}, {"GT", 28}, {"HN", 28}, {"HR", 21}, {"HU", 28},
	{"IE", 22}, {"IL", 23}, {"IQ", 23}, {"IS", 26}, {"IT", 27}, {"JO", 30},
	{"KW", 30}, {"KZ", 20}, {"LB", 28}, {"LC", 32}, {"LI", 21}, {"LT", 20},
	{"LU", 20}, {"LV", 21}, {"LY", 25}, {"MC", 27}, {"MD", 24}, {"ME", 22},
	{"MK", 19}, {"MN", 20}, {"MR", 27}, {"MT", 31}, {"MU", 30}, {"NI", 28},
	{"NL", 18}, {"NO", 15}, {"OM", 23}, {"PK", 24}, {"PL", 28}, {"PS", 29},
	{"PT", 25}, {"QA", 29}, {"RO", 24}, {"RS", 22}, {"RU", 33}, {"SA", 24},
	{"SC", 31}, {"SD", 18}, {"SE", 24}, {"SI", 19}, {"SK", 24}, {"SM", 27},
	{"SO", 23}, {"ST", 25}, {"SV", 28}, {"TL", 23}, {"TN", 24}, {"TR", 26},
	{"UA", 29}, {"VA", 22}, {"VG", 24}, {"XK", 20}, {"YE", 30}
};

static bool
is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static const IsoCountry *
find_country(const char *string, int length)
{
	int			low = 0;
	int			high = postrider_iso_country_count - 1;

	while (length == 2 && low <= high)
	{
		int			middle = (low + high) / 2;
		int			order = memcmp(string, postrider_iso_countries[middle].two, 2);

		if (order == 0)
			return &postrider_iso_countries[middle];
		if (order < 0)
			high = middle - 1;
		else
			low = middle + 1;
	}
	for (int i = 0; length == 3 && i < postrider_iso_country_count; i++)
	{
		if (memcmp(string, postrider_iso_countries[i].three, 3) == 0)
			return &postrider_iso_countries[i];
	}
	return NULL;
}

bool
postrider_is_country(const char *string, int length)
{
	return length == 2 && find_country(string, length) != NULL;
}

bool
postrider_is_country3(const char *string, int length)
{
	return length == 3 && find_country(string, length) != NULL;
}

const char *
postrider_country_other(const char *code)
{
	const IsoCountry *country = find_country(code, strlen(code));

	if (country == NULL)
		return NULL;
	return code[2] == '\0' ? country->three : country->two;
}

static const IsoCurrency *
find_currency(const char *string, int length)
{
	for (int i = 0; length == 3 && i < postrider_iso_currency_count; i++)
	{
		if (memcmp(string, postrider_iso_currencies[i].code, 3) == 0)
			return &postrider_iso_currencies[i];
	}
	return NULL;
}

bool
postrider_is_currency(const char *string, int length)
{
	return find_currency(string, length) != NULL;
}

int
postrider_currency_digits(const char *code)
{
	const IsoCurrency *currency = find_currency(code, strlen(code));

	return currency == NULL ? -1 : currency->digits;
}

bool
postrider_is_language(const char *string, int length)
{
	for (int i = 0; length == 2 && i < postrider_iso_language_count; i++)
	{
		if (memcmp(string, postrider_iso_languages[i], 2) == 0)
			return true;
	}
	return false;
}

/* "fr", "fr-CA", "zh-Hant", "zh-Hant-TW"; also with "_" */
bool
postrider_is_locale(const char *string, int length)
{
	if (!postrider_is_language(string, Min(length, 2)))
		return false;
	string += 2;
	length -= 2;
	if (length >= 5 && (*string == '-' || *string == '_') && is_upper(string[1]) &&
		(length == 5 || string[5] == *string))
	{
		for (int i = 2; i < 5; i++)
		{
			if (string[i] < 'a' || string[i] > 'z')
				return false;
		}
		string += 5;
		length -= 5;
	}
	return length == 0 || (length == 3 && (*string == '-' || *string == '_') &&
						   postrider_is_country(string + 1, 2));
}

static int
iban_length(const char *country)
{
	for (int i = 0; i < (int) lengthof(iban_lengths); i++)
	{
		if (memcmp(country, iban_lengths[i].country, 2) == 0)
			return iban_lengths[i].length;
	}
	return -1;
}

/* The electronic form: no spaces, capitals.  The remainder by 97 must be 1. */
bool
postrider_is_iban(const char *string, int length)
{
	int			remainder = 0;

	if (length < 5 || iban_length(string) != length || !is_digit(string[2]) ||
		!is_digit(string[3]))
		return false;
	for (int i = 0; i < length; i++)
	{
		char		c = string[(i + 4) % length];

		if (is_digit(c))
			remainder = (remainder * 10 + (c - '0')) % 97;
		else if (is_upper(c))
			remainder = (remainder * 100 + (c - 'A' + 10)) % 97;
		else
			return false;
	}
	return remainder == 1;
}

/* ISO 9362: bank, country, place, and a branch where there is one. */
bool
postrider_is_bic(const char *string, int length)
{
	if (length != 8 && length != 11)
		return false;
	for (int i = 0; i < length; i++)
	{
		if (!is_upper(string[i]) && !((i < 4 || i > 5) && is_digit(string[i])))
			return false;
	}
	return postrider_is_country(string + 4, 2) || memcmp(string + 4, "XK", 2) == 0;
}

/* The numbers of articles, with their check digit: EAN, UPC, ISBN-13. */
bool
postrider_is_gtin(const char *string, int length)
{
	int			sum = 0;

	if (length != 8 && length != 12 && length != 13 && length != 14)
		return false;
	for (int i = 0; i < length; i++)
	{
		if (!is_digit(string[i]))
			return false;
		sum += (string[i] - '0') * ((length - i) % 2 == 0 ? 3 : 1);
	}
	return sum % 10 == 0;
}

/* Numbers of cards and others that end with the digit of Luhn. */
bool
postrider_is_luhn(const char *string, int length)
{
	int			sum = 0;

	if (length < 2 || length > 30)
		return false;
	for (int i = 0; i < length; i++)
	{
		int			digit = string[i] - '0';

		if (!is_digit(string[i]))
			return false;
		if ((length - i) % 2 == 0)
			digit = digit * 2 > 9 ? digit * 2 - 9 : digit * 2;
		sum += digit;
	}
	return sum % 10 == 0;
}
