/*-------------------------------------------------------------------------
 *
 * conversion_number.c
 *	  Conversions of numbers and amounts of money.
 *
 * All of it is exact decimal arithmetic of the server's numeric.  Nothing is
 * guessed: "1.234" is a bit more than one unless the step says that the point
 * parts thousands.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "content/contact.h"
#include "content/conversion_internal.h"
#include "content/unicode_case.h"
#include "mb/pg_wchar.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#define MAX_DECIMALS 30

/* How a number is written. */
typedef struct NumberStyle
{
	const char *decimal;
	const char *thousands;		/* NULL: not parted */
} NumberStyle;

/*
 * Numeric, with names
 */

static Numeric
round_to(Numeric number, int digits)
{
	return DatumGetNumeric(DirectFunctionCall2(numeric_round, NumericGetDatum(number),
											   Int32GetDatum(digits)));
}

static Numeric
cut_to(Numeric number, int digits)
{
	return DatumGetNumeric(DirectFunctionCall2(numeric_trunc, NumericGetDatum(number),
											   Int32GetDatum(digits)));
}

static Numeric
multiply(Numeric a, Numeric b)
{
	return DatumGetNumeric(DirectFunctionCall2(numeric_mul, NumericGetDatum(a),
											   NumericGetDatum(b)));
}

static Numeric
add(Numeric a, Numeric b)
{
	return DatumGetNumeric(DirectFunctionCall2(numeric_add, NumericGetDatum(a),
											   NumericGetDatum(b)));
}

static int
compare(Numeric a, Numeric b)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(a),
											 NumericGetDatum(b)));
}

/* 10 to the power of an exponent of either sign */
static Numeric
power_of_ten(int exponent)
{
	char	   *string = psprintf("1e%d", exponent);

	return postrider_number_from_text(string, strlen(string));
}

static void
set_number(JsonbValue *value, Numeric number)
{
	value->type = jbvNumeric;
	value->val.numeric = number;
}

/*
 * Reading
 */

/* The bytes of a separator at string, or 0.  A space stands for all spaces. */
static int
separator_length(const char *string, int length, const char *separator)
{
	int			wanted = separator == NULL ? 0 : strlen(separator);

	if (wanted == 0)
		return 0;
	if (strcmp(separator, " ") == 0)
		return postrider_space_length(string, length);
	if (length >= wanted && memcmp(string, separator, wanted) == 0)
		return wanted;
	if (strcmp(separator, "'") == 0 && length >= 3 && memcmp(string, "\xE2\x80\x99", 3) == 0)
		return 3;
	return 0;
}

/*
 * Copies the digits before the decimal separator.  Where they are parted, the
 * last group has three digits and the others two or three, as in India.
 */
static bool
read_groups(const char **string, int *length, const NumberStyle *style,
			StringInfo plain)
{
	int			group = 0;
	int			groups = 0;

	while (*length > 0)
	{
		int			size = isdigit((unsigned char) **string) ? 0 :
			separator_length(*string, *length, style->thousands);

		if (size > 0)
		{
			if (group == 0 || group > 3 || (groups > 0 && group < 2))
				return false;
			groups++;
			group = 0;
		}
		else if (isdigit((unsigned char) **string))
		{
			appendStringInfoCharMacro(plain, **string);
			group++;
			size = 1;
		}
		else
			break;
		*string += size;
		*length -= size;
	}
	return groups == 0 || group == 3;
}

static bool
read_styled(const char *string, int length, const NumberStyle *style, Numeric *number)
{
	StringInfoData plain;
	int			size;

	if (length > 3 * CONVERSION_MAX_DIGITS)
		return false;
	initStringInfo(&plain);
	if (length > 0 && (*string == '-' || *string == '+'))
	{
		appendStringInfoChar(&plain, *string++);
		length--;
	}
	if (!read_groups(&string, &length, style, &plain))
		return false;
	size = separator_length(string, length, style->decimal);
	if (size > 0)
	{
		appendStringInfoChar(&plain, '.');
		appendBinaryStringInfo(&plain, string + size, length - size);
		length = 0;
	}
	if (length > 0 || strpbrk(plain.data, "eE") != NULL ||
		!postrider_is_number(plain.data, plain.len))
		return false;
	*number = postrider_number_from_text(plain.data, plain.len);
	return true;
}

static NumberStyle
style_of(const Argument *decimal, const Argument *thousands)
{
	NumberStyle style;

	style.decimal = decimal->given ? decimal->text : ".";
	style.thousands = thousands->given ? thousands->text : NULL;
	return style;
}

/* Does what parts a number leave it readable? */
static bool
check_style(const Argument *decimal, const Argument *thousands, char **problem)
{
	NumberStyle style = style_of(decimal, thousands);

	if (*style.decimal == '\0' || strlen(style.decimal) > 4 ||
		strpbrk(style.decimal, "0123456789+-") != NULL)
		return postrider_refuse(problem, "\"decimal\" has to be one character, such as \",\"");
	if (style.thousands != NULL && (strlen(style.thousands) > 4 ||
									strpbrk(style.thousands, "0123456789+-") != NULL))
		return postrider_refuse(problem, "\"thousands\" has to be one character, such as \".\"");
	if (style.thousands != NULL && strcmp(style.decimal, style.thousands) == 0)
		return postrider_refuse(problem, "\"decimal\" and \"thousands\" are both \"%s\"",
								style.decimal);
	return true;
}

static bool
compile_number(Conversion *conversion, char **problem)
{
	return check_style(&conversion->arguments[0], &conversion->arguments[1], problem);
}

static bool
apply_number(const Conversion *conversion, JsonbValue *value, char **problem)
{
	NumberStyle style = style_of(&conversion->arguments[0], &conversion->arguments[1]);
	const char *string = value->val.string.val;
	int			length = value->val.string.len;
	Numeric		number;

	if (value->type != jbvString ||
		(!conversion->arguments[0].given && !conversion->arguments[1].given))
		return postrider_value_to_number(value, problem);
	postrider_trim(&string, &length);
	if (!read_styled(string, length, &style, &number))
		return postrider_refuse(problem, "%s is not a number with the decimal separator \"%s\"%s",
								postrider_value_show(value), style.decimal,
								style.thousands == NULL ? "" :
								psprintf(" and \"%s\" between thousands", style.thousands));
	set_number(value, number);
	return true;
}

/*
 * Writing
 */

/* Thousands are parted from the right. */
static void
write_styled(const char *digits, const NumberStyle *style, StringInfo result)
{
	int			whole;

	if (*digits == '-')
		appendStringInfoChar(result, *digits++);
	whole = strcspn(digits, ".");
	for (int i = 0; i < whole; i++)
	{
		if (i > 0 && (whole - i) % 3 == 0 && style->thousands != NULL)
			appendStringInfoString(result, style->thousands);
		appendStringInfoChar(result, digits[i]);
	}
	if (digits[whole] == '.')
		appendStringInfo(result, "%s%s", style->decimal, digits + whole + 1);
}

static bool
compile_format_number(Conversion *conversion, char **problem)
{
	return check_style(&conversion->arguments[1], &conversion->arguments[2], problem);
}

static bool
apply_format_number(const Conversion *conversion, JsonbValue *value, char **problem)
{
	const Argument *decimals = &conversion->arguments[0];
	NumberStyle style = style_of(&conversion->arguments[1], &conversion->arguments[2]);
	Numeric		number = value->val.numeric;
	StringInfoData result;

	if (decimals->given)
		number = round_to(number, decimals->integer);
	initStringInfo(&result);
	write_styled(postrider_number_to_text(number), &style, &result);
	postrider_value_set_string(value, &result);
	return true;
}

/*
 * Money
 */

enum
{
	MONEY_FROM, MONEY_TO, MONEY_CURRENCY, MONEY_DIGITS, MONEY_DECIMAL,
	MONEY_THOUSANDS
};

static const char *const money_words[] = {"decimal", "minor", NULL};

static bool
compile_money(Conversion *conversion, char **problem)
{
	Argument   *currency = &conversion->arguments[MONEY_CURRENCY];
	Argument   *digits = &conversion->arguments[MONEY_DIGITS];

	if (currency->given && digits->given)
		return postrider_refuse(problem, "\"money\" has both \"currency\" and \"digits\"; only one can apply");
	if (!digits->given)
		digits->integer = currency->given ?
			postrider_currency_digits(currency->text) : 2;
	if (digits->integer < 0)
		return postrider_refuse(problem, "\"%s\" is not a currency with minor units; write a code of ISO 4217 such as \"EUR\"",
								currency->text);
	return check_style(&conversion->arguments[MONEY_DECIMAL],
					   &conversion->arguments[MONEY_THOUSANDS], problem);
}

/* Moves past a code of three letters or a sign such as that of the euro. */
static void
strip_currency(const char **string, int *length)
{
	postrider_trim(string, length);
	while (*length > 0 && !isdigit((unsigned char) **string) &&
		   strchr("+-.,", **string) == NULL)
	{
		int			size = pg_mblen(*string);

		*string += size;
		*length -= size;
	}
	while (*length > 0 && !isdigit((unsigned char) (*string)[*length - 1]))
		(*length)--;
}

/* What is around the number has to be a sign or a code of a currency. */
static bool
is_currency_text(const char *string, int length)
{
	static const char *const signs[] = {
		"€", "$", "£", "¥", "₽", "₴", "₺", "₹", "₩", "₪", "₫", "₦", "₱", "฿",
		"zł", "Kč", "kr", "kr.", "R$", "lei", "лв", "лв.", "Ft", "Fr.", "CHF",
		"US$", "руб.", "руб", NULL
	};

	postrider_trim(&string, &length);
	if (length == 0 || postrider_is_currency(string, length))
		return true;
	for (int i = 0; signs[i] != NULL; i++)
	{
		if ((int) strlen(signs[i]) == length && memcmp(signs[i], string, length) == 0)
			return true;
	}
	return false;
}

static bool
read_money(const Conversion *conversion, JsonbValue *value, Numeric *amount)
{
	NumberStyle style = style_of(&conversion->arguments[MONEY_DECIMAL],
								 &conversion->arguments[MONEY_THOUSANDS]);
	const char *string = value->val.string.val;
	const char *end = string + value->val.string.len;
	int			length = value->val.string.len;
	bool		minus = length > 0 && *string == '-';
	const char *start = string + minus;

	string += minus;
	length -= minus;
	strip_currency(&string, &length);
	if (minus && length > 0 && (*string == '-' || *string == '+'))
		return false;
	if (!is_currency_text(start, string - start) ||
		!is_currency_text(string + length, end - string - length) ||
		!read_styled(string, length, &style, amount))
		return false;
	if (minus)
		*amount = multiply(*amount, int64_to_numeric(-1));
	return true;
}

static bool
apply_money(const Conversion *conversion, JsonbValue *value, char **problem)
{
	const Argument *arguments = conversion->arguments;
	int			digits = arguments[MONEY_DIGITS].integer;
	bool		from_minor = arguments[MONEY_FROM].integer == 1;
	bool		to_minor = arguments[MONEY_TO].integer == 1;
	Numeric		amount;
	Numeric		exact;

	if (value->type == jbvString)
	{
		if (!read_money(conversion, value, &amount))
			return postrider_refuse(problem, "%s is not an amount of money",
									postrider_value_show(value));
	}
	else if (postrider_value_to_number(value, problem))
		amount = value->val.numeric;
	else
		return false;

	if (from_minor && compare(amount, cut_to(amount, 0)) != 0)
		return postrider_refuse(problem, "%s is not a whole number of minor units",
								postrider_value_show(value));
	if (from_minor)
		amount = multiply(amount, power_of_ten(-digits));
	exact = round_to(amount, digits);
	if (compare(exact, amount) != 0)
		return postrider_refuse(problem, "%s has more than %d digits after the point; round it before",
								postrider_value_show(value), digits);
	if (to_minor)
		exact = round_to(multiply(exact, power_of_ten(digits)), 0);
	set_number(value, exact);
	return true;
}

/*
 * Arithmetic
 */

static const char *const round_words[] = {"nearest", "down", "up", NULL};

static bool
apply_round(const Conversion *conversion, JsonbValue *value, char **problem)
{
	int			digits = conversion->arguments[0].integer;
	int			mode = conversion->arguments[1].integer;
	Numeric		number = value->val.numeric;
	Numeric		cut = cut_to(number, digits);
	int			order = compare(number, cut);

	if (mode == 0)
		cut = round_to(number, digits);
	else if (mode == 2 && order != 0)
		cut = add(cut, order > 0 ? power_of_ten(-digits) :
				  multiply(power_of_ten(-digits), int64_to_numeric(-1)));
	set_number(value, cut);
	return true;
}

static bool
apply_multiply(const Conversion *conversion, JsonbValue *value, char **problem)
{
	set_number(value, multiply(value->val.numeric,
							   conversion->arguments[0].value.val.numeric));
	return true;
}

static bool
apply_add(const Conversion *conversion, JsonbValue *value, char **problem)
{
	set_number(value, add(value->val.numeric,
						  conversion->arguments[0].value.val.numeric));
	return true;
}

static bool
compile_divide(Conversion *conversion, char **problem)
{
	if (compare(conversion->arguments[0].value.val.numeric, int64_to_numeric(0)) == 0)
		return postrider_refuse(problem, "\"by\" of \"divide\" is 0");
	return true;
}

/* A quotient has sixteen digits or more; zeros at the end tell nothing. */
static bool
apply_divide(const Conversion *conversion, JsonbValue *value, char **problem)
{
	Datum		quotient = DirectFunctionCall2(numeric_div,
											   NumericGetDatum(value->val.numeric),
											   NumericGetDatum(conversion->arguments[0].value.val.numeric));

	set_number(value, DatumGetNumeric(DirectFunctionCall1(numeric_trim_scale, quotient)));
	return true;
}

static bool
apply_abs(const Conversion *conversion, JsonbValue *value, char **problem)
{
	set_number(value, DatumGetNumeric(DirectFunctionCall1(numeric_abs,
														  NumericGetDatum(value->val.numeric))));
	return true;
}

const ConversionEntry postrider_number_conversions[] = {
	{"number", INPUT_ANY, .named_only = true,
		.arguments = {{"decimal", ARGUMENT_TEXT}, {"thousands", ARGUMENT_TEXT}},
		.compile = compile_number, .apply = apply_number,
		.description = "Text becomes a number; a space as thousands stands for every kind of space",
	.example = "[\"1.234,56\", {\"number\": {\"decimal\": \",\", \"thousands\": \".\"}}]"},
	{"format_number", INPUT_NUMBER,
		.arguments = {{"decimals", ARGUMENT_INTEGER, false, 0, MAX_DECIMALS},
			{"decimal", ARGUMENT_TEXT}, {"thousands", ARGUMENT_TEXT}},
		.compile = compile_format_number, .apply = apply_format_number,
		.description = "A number becomes text, rounded to so many decimals",
	.example = "[1234.5, {\"format_number\": {\"decimals\": 2, \"decimal\": \",\", \"thousands\": \" \"}}]"},
	{"money", INPUT_ANY, .named_only = true,
		.arguments = {[MONEY_FROM] = {"from", ARGUMENT_WORD, true, .words = money_words},
			[MONEY_TO] = {"to", ARGUMENT_WORD, true, .words = money_words},
			[MONEY_CURRENCY] = {"currency", ARGUMENT_TEXT},
			[MONEY_DIGITS] = {"digits", ARGUMENT_INTEGER, false, 0, 6},
			[MONEY_DECIMAL] = {"decimal", ARGUMENT_TEXT},
			[MONEY_THOUSANDS] = {"thousands", ARGUMENT_TEXT}},
		.compile = compile_money, .apply = apply_money,
		.description = "Between decimal amounts and minor units such as cents; 2 digits unless a currency or digits say otherwise",
	.example = "[\"12.50 EUR\", {\"money\": {\"from\": \"decimal\", \"to\": \"minor\", \"currency\": \"EUR\"}}]"},
	{"round", INPUT_NUMBER,
		.arguments = {{"digits", ARGUMENT_INTEGER, false, -MAX_DECIMALS, MAX_DECIMALS},
			{"mode", ARGUMENT_WORD, .words = round_words}},
		.apply = apply_round,
		.description = "To so many digits after the point, 0 if nothing else is said; nearest, or down or up by size",
	.example = "[2.345, {\"round\": 2}]"},
	{"multiply", INPUT_NUMBER, .arguments = {{"by", ARGUMENT_NUMBER, true}},
		.apply = apply_multiply, .description = "Times a number",
	.example = "[2.5, {\"multiply\": 100}]"},
	{"divide", INPUT_NUMBER, .arguments = {{"by", ARGUMENT_NUMBER, true}},
		.compile = compile_divide, .apply = apply_divide,
		.description = "By a number; follow it with round",
	.example = "[1250, {\"divide\": 1000}]"},
	{"add", INPUT_NUMBER, .arguments = {{"number", ARGUMENT_NUMBER, true}},
		.apply = apply_add, .description = "Plus a number",
	.example = "[5, {\"add\": -1}]"},
	{"abs", INPUT_NUMBER, .apply = apply_abs,
		.description = "Without its sign",
	.example = "[-5, \"abs\"]"},
	{NULL}
};
