/*-------------------------------------------------------------------------
 *
 * check_named.c
 *	  Checks that need nothing but their name.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/check_internal.h"
#include "content/contact.h"
#include "content/conversion_internal.h"
#include "content/unicode_case.h"
#include "util/utf8.h"

static bool
apply_test(const Check *check, const JsonbValue *value, char **problem)
{
	JsonbValue	as_text = *value;

	if ((value->type == jbvString || value->type == jbvNumeric) &&
		postrider_value_to_text(&as_text, problem) &&
		check->entry->test(as_text.val.string.val, as_text.val.string.len))
		return true;
	return postrider_refuse(problem, "%s is not %s", postrider_value_show(value),
							check->entry->what);
}

static bool
test_ip(const char *string, int length)
{
	return postrider_is_ip(string, length, 0);
}

static bool
test_ipv4(const char *string, int length)
{
	return postrider_is_ip(string, length, 4);
}

static bool
test_ipv6(const char *string, int length)
{
	return postrider_is_ip(string, length, 6);
}

/* A whole number, as a number or as text: 12, "-12", 12.0 */
static bool
test_integer(const char *string, int length)
{
	int			i = length > 0 && *string == '-';
	int			digits = 0;

	for (; i < length && string[i] >= '0' && string[i] <= '9'; i++)
		digits++;
	if (digits == 0 || digits > CONVERSION_MAX_DIGITS)
		return false;
	if (i < length && string[i] == '.' && i + 1 < length)
	{
		for (i++; i < length && string[i] == '0'; i++)
			;
	}
	return i == length;
}

static bool
test_number(const char *string, int length)
{
	return postrider_is_number(string, length);
}

static bool
all_in(const char *string, int length, const char *more, bool letters)
{
	for (int i = 0; i < length; i++)
	{
		char		c = string[i];

		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z' && letters) &&
			(c == '\0' || strchr(more, c) == NULL))
			return false;
	}
	return length > 0;
}

static bool
test_digits(const char *string, int length)
{
	return all_in(string, length, "", false);
}

static bool
test_slug(const char *string, int length)
{
	return all_in(string, length, "-_", true);
}

static bool
test_sha256(const char *string, int length)
{
	return length == 64 && all_in(string, length, "abcdef", false);
}

static bool
test_ascii(const char *string, int length)
{
	return postrider_utf8_is_ascii(string, length);
}

static bool
test_one_line(const char *string, int length)
{
	for (int i = 0; i < length; i++)
	{
		if ((unsigned char) string[i] < ' ' || string[i] == 0x7F)
			return false;
	}
	return true;
}

static bool
test_trimmed(const char *string, int length)
{
	int			before = length;

	postrider_trim(&string, &length);
	return length == before;
}

static bool
apply_not_empty(const Check *check, const JsonbValue *value, char **problem)
{
	const char *string = value->val.string.val;
	int			length = value->val.string.len;

	if (value->type == jbvString)
		postrider_trim(&string, &length);
	if (value->type == jbvNull || (value->type == jbvString && length == 0) ||
		(value->type == jbvBinary && JsonContainerSize(value->val.binary.data) == 0))
		return postrider_refuse(problem, "%s is empty", postrider_value_show(value));
	return true;
}

static bool
apply_boolean(const Check *check, const JsonbValue *value, char **problem)
{
	return value->type == jbvBool ||
		postrider_refuse(problem, "%s is neither true nor false",
						 postrider_value_show(value));
}

#define TEST(name_, function, what_) \
	{name_, CHECK_NAMED, .test = function, .what = what_, .apply = apply_test, \
		.description = "Is it " what_ "?", .example = "\"" name_ "\""}

const CheckEntry postrider_named_checks[] = {
	{"not_empty", CHECK_NAMED, .takes_null = true, .apply = apply_not_empty,
		.description = "Not null, blank text, an empty array or an empty object",
	.example = "\"not_empty\""},
	{"boolean", CHECK_NAMED, .apply = apply_boolean,
		.description = "Is it true or false?",
	.example = "\"boolean\""},
	TEST("email", postrider_is_email, "an e-mail address"),
	TEST("url", postrider_is_url, "an address with http or https"),
	TEST("hostname", postrider_is_hostname, "a host name"),
	TEST("ip", test_ip, "an IP address"),
	TEST("ipv4", test_ipv4, "an IPv4 address"),
	TEST("ipv6", test_ipv6, "an IPv6 address"),
	TEST("uuid", postrider_is_uuid, "a UUID"),
	TEST("integer", test_integer, "a whole number"),
	TEST("number", test_number, "a number"),
	TEST("digits", test_digits, "digits alone"),
	TEST("country", postrider_is_country, "a country code of two capitals (ISO 3166)"),
	TEST("country3", postrider_is_country3, "a country code of three capitals (ISO 3166)"),
	TEST("currency", postrider_is_currency, "a currency code (ISO 4217)"),
	TEST("language", postrider_is_language, "a language code of two letters (ISO 639)"),
	TEST("locale", postrider_is_locale, "a language with or without a country, such as fr-CA"),
	TEST("iban", postrider_is_iban, "an IBAN in capitals without spaces"),
	TEST("bic", postrider_is_bic, "a BIC (ISO 9362)"),
	TEST("gtin", postrider_is_gtin, "an article number (EAN, UPC, ISBN-13) with its check digit"),
	TEST("luhn", postrider_is_luhn, "a number with the check digit of Luhn"),
	TEST("sha256", test_sha256, "a SHA-256 in lower-case hexadecimal digits"),
	TEST("slug", test_slug, "lower-case letters, digits, hyphens and underscores"),
	TEST("ascii", test_ascii, "text in ASCII"),
	TEST("one_line", test_one_line, "text without control characters"),
	TEST("trimmed", test_trimmed, "text without white space at its ends"),
	{NULL}
};
