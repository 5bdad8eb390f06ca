/*-------------------------------------------------------------------------
 *
 * conversion_contact.c
 *	  Conversions of dates, telephone numbers, e-mail addresses and codes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/contact.h"
#include "content/conversion_internal.h"
#include "content/date.h"
#include "content/phone.h"
#include "content/unicode_case.h"

/*
 * Dates
 */

enum
{
	DATE_FROM, DATE_TO, DATE_ZONE, DATE_TO_ZONE
};

typedef struct DateState
{
	DateFormat *from;
	DateFormat *to;
	DateZone	zone;
	DateZone	to_zone;
} DateState;

static bool
compile_date(Conversion *conversion, char **problem)
{
	const Argument *arguments = conversion->arguments;
	DateState  *state = palloc0(sizeof(DateState));
	const char *zone = arguments[DATE_ZONE].given ? arguments[DATE_ZONE].text : "UTC";

	conversion->state = state;
	state->from = postrider_date_format_compile(arguments[DATE_FROM].given ?
												arguments[DATE_FROM].text : "iso",
												true, problem);
	if (state->from == NULL)
		return false;
	state->to = postrider_date_format_compile(arguments[DATE_TO].given ?
											  arguments[DATE_TO].text : "iso",
											  false, problem);
	return state->to != NULL &&
		postrider_date_zone_find(zone, &state->zone, problem) &&
		postrider_date_zone_find(arguments[DATE_TO_ZONE].given ?
								 arguments[DATE_TO_ZONE].text : zone,
								 &state->to_zone, problem);
}

static bool
apply_date(const Conversion *conversion, JsonbValue *value, char **problem)
{
	const DateState *state = conversion->state;
	StringInfoData result;

	initStringInfo(&result);
	if (!postrider_date_convert(value->val.string.val, value->val.string.len,
								state->from, state->to, &state->zone,
								&state->to_zone, &result, problem))
		return false;
	if (postrider_date_format_is_epoch(state->to))
	{
		value->type = jbvNumeric;
		value->val.numeric = postrider_number_from_text(result.data, result.len);
	}
	else
		postrider_value_set_string(value, &result);
	return true;
}

/*
 * People
 */

static bool
apply_email(const Conversion *conversion, JsonbValue *value, char **problem)
{
	char	   *email = postrider_email_normalize(value->val.string.val,
												  value->val.string.len, problem);

	if (email == NULL)
		return false;
	postrider_value_set_text(value, email, strlen(email));
	return true;
}

static bool
compile_phone(Conversion *conversion, char **problem)
{
	const Argument *country = &conversion->arguments[0];

	return !country->given || postrider_phone_country(country->text, problem) != NULL;
}

static bool
apply_phone(const Conversion *conversion, JsonbValue *value, char **problem)
{
	const Argument *country = &conversion->arguments[0];
	char	   *phone = postrider_phone_normalize(value->val.string.val,
												  value->val.string.len,
												  country->given ? country->text : NULL,
												  problem);

	if (phone == NULL)
		return false;
	postrider_value_set_text(value, phone, strlen(phone));
	return true;
}

/*
 * Codes
 */

static const char *const country_forms[] = {"alpha2", "alpha3", NULL};

static bool
apply_country(const Conversion *conversion, JsonbValue *value, char **problem)
{
	int			wanted = conversion->arguments[0].integer == 1 ? 3 : 2;
	const char *string = value->val.string.val;
	int			length = value->val.string.len;
	const char *code;
	const char *other;

	postrider_trim(&string, &length);
	code = postrider_text_case(string, length, CASE_UPPER, &length);
	other = postrider_country_other(code);
	if (other == NULL)
		return postrider_refuse(problem, "%s is not a code of a country in ISO 3166",
								postrider_value_show(value));
	if (length != wanted)
		code = other;
	postrider_value_set_text(value, pstrdup(code), strlen(code));
	return true;
}

static bool
apply_iban(const Conversion *conversion, JsonbValue *value, char **problem)
{
	StringInfoData clean;
	char	   *iban;
	int			length;

	initStringInfo(&clean);
	for (int i = 0; i < value->val.string.len;)
	{
		int			space = postrider_space_length(value->val.string.val + i,
												   value->val.string.len - i);

		if (space == 0)
			appendStringInfoCharMacro(&clean, value->val.string.val[i]);
		i += Max(space, 1);
	}
	iban = postrider_text_case(clean.data, clean.len, CASE_UPPER, &length);
	if (!postrider_is_iban(iban, length))
		return postrider_refuse(problem, "%s is not an IBAN",
								postrider_value_show(value));
	postrider_value_set_text(value, iban, length);
	return true;
}

const ConversionEntry postrider_contact_conversions[] = {
	{"date", INPUT_TEXT, .named_only = true,
		.arguments = {[DATE_FROM] = {"from", ARGUMENT_TEXT},
			[DATE_TO] = {"to", ARGUMENT_TEXT},
			[DATE_ZONE] = {"time_zone", ARGUMENT_TEXT},
			[DATE_TO_ZONE] = {"to_time_zone", ARGUMENT_TEXT}},
		.compile = compile_date, .apply = apply_date,
		.description = "From one format to another: iso (the default of both), date, datetime, epoch, epoch_ms or patterns of to_char; the time zone is UTC unless said",
	.example = "[\"31/12/2026 18:30\", {\"date\": {\"from\": \"DD/MM/YYYY HH24:MI\", \"to\": \"epoch_ms\", \"time_zone\": \"Europe/Paris\"}}]"},
	{"email", INPUT_TEXT, .apply = apply_email,
		.description = "Trimmed and in lower case; an error if it is no e-mail address",
	.example = "[\" Ada@Example.COM \", \"email\"]"},
	{"phone", INPUT_TEXT, .arguments = {{"default_country", ARGUMENT_TEXT}},
		.compile = compile_phone, .apply = apply_phone,
		.description = "E.164; an error if no country has such numbers. An extension is left out",
	.example = "[\"06 12 34 56 78\", {\"phone\": \"FR\"}]"},
	{"country", INPUT_TEXT,
		.arguments = {{"form", ARGUMENT_WORD, .words = country_forms}},
		.apply = apply_country,
		.description = "A code of ISO 3166 of two or three letters, as two letters unless alpha3 is said",
	.example = "[\"fra\", \"country\"]"},
	{"iban", INPUT_TEXT, .apply = apply_iban,
		.description = "Without spaces and in capitals; an error if its check digits are wrong",
	.example = "[\"fr14 2004 1010 0505 0001 3m02 606\", \"iban\"]"},
	{NULL}
};
