/*-------------------------------------------------------------------------
 *
 * mapping_names.c
 *	  How alike the names of two fields are.
 *
 * CompanyName, account_name and organisation mean the same.  Names are split
 * into words, known phrases are replaced by one that stands for all of their
 * kind, and what remains is compared by words and by letters.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/mapping_names.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/varlena.h"

#define MAX_NAME_BYTES 128
#define MAX_WORDS 16

/* The first of each line stands for the others. */
static const char *const synonyms[][12] = {
	{"email", "email_address", "e_mail", "e_mail_address", "mail", "mail_address", NULL},
	{"company", "company_name", "account", "account_name", "organization", "organization_name", "organisation", "organisation_name", "org", "firm", "business", NULL},
	{"phone", "phone_number", "tel", "telephone", "telephone_number", "mobile", "mobile_number", "mobile_phone", "cell", "cell_phone", NULL},
	{"first_name", "given_name", "forename", "firstname", "fname", NULL},
	{"last_name", "family_name", "surname", "lastname", "lname", NULL},
	{"full_name", "fullname", "display_name", "name", NULL},
	{"created_at", "created", "creation_date", "creation_time", "create_date", "date_created", "signed_up", "signed_up_at", "registered_at", "createdate", NULL},
	{"updated_at", "updated", "modified", "modified_at", "last_modified", "changed_at", "date_modified", "last_updated", NULL},
	{"postal_code", "zip", "zipcode", "zip_code", "postcode", "post_code", "plz", NULL},
	{"street", "street_address", "address_line1", "address_line_1", "address1", "address_1", "line1", NULL},
	{"city", "town", "locality", NULL},
	{"state", "province", "region", "county", NULL},
	{"country", "country_code", "country_name", "nation", NULL},
	{"quantity", "qty", "count", "pieces", NULL},
	{"price", "unit_price", "price_each", NULL},
	{"amount", "total", "total_amount", "sum", "value", NULL},
	{"currency", "currency_code", NULL},
	{"id", "identifier", "uid", NULL},
	{"website", "web_site", "url", "homepage", "web", "domain", NULL},
	{"birthday", "birth_date", "birthdate", "date_of_birth", "dob", "born", NULL},
	{"description", "descr", "desc", "comment", "comments", "note", "notes", "remarks", NULL},
	{"status", "stage", NULL},
	{"customer", "client", "buyer", "contact", NULL},
	{"product", "item", "article", NULL},
	{"sku", "product_code", "item_number", "article_number", "part_number", NULL},
	{"job_title", "title", "role", NULL},
	{"gender", "sex", NULL},
	{"language", "lang", "locale", NULL},
	{"metadata", "meta", "meta_data", "attributes", NULL},
	{"vat_id", "vat", "vat_number", "tax_id", "tax_number", NULL},
	{"active", "is_active", "enabled", "is_enabled", NULL},
	{"number", "no", "nr", "num", NULL}
};

static bool
is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool
is_separator(char c)
{
	return strchr("_-. /:", c) != NULL;
}

/* Lower case of ASCII is enough to compare; other letters stay. */
static int
split_words(const char *name, char **words)
{
	int			count = 0;
	int			length = pg_mbcliplen(name, strlen(name), MAX_NAME_BYTES);
	StringInfoData word;

	initStringInfo(&word);
	for (int i = 0; i <= length; i++)
	{
		char		c = i < length ? name[i] : '_';
		bool		starts = is_upper(c) && i > 0 &&
		(!is_upper(name[i - 1]) ||
		 (i + 1 < length && name[i + 1] >= 'a' && name[i + 1] <= 'z'));

		if ((is_separator(c) || starts) && word.len > 0)
		{
			if (count == MAX_WORDS)
				return count;
			words[count++] = pstrdup(word.data);
			resetStringInfo(&word);
		}
		if (!is_separator(c))
			appendStringInfoChar(&word, pg_ascii_tolower(c));
	}
	return count;
}

static char *
join(char **words, int count)
{
	StringInfoData joined;

	initStringInfo(&joined);
	for (int i = 0; i < count; i++)
		appendStringInfo(&joined, "%s%s", i > 0 ? "_" : "", words[i]);
	return joined.data;
}

/* What the phrase is called here, or NULL if it is not known. */
static const char *
canonical(const char *phrase)
{
	for (int i = 0; i < (int) lengthof(synonyms); i++)
	{
		for (int j = 0; j < (int) lengthof(synonyms[i]); j++)
		{
			if (synonyms[i][j] == NULL)
				break;
			if (strcmp(synonyms[i][j], phrase) == 0)
				return synonyms[i][0];
		}
	}
	return NULL;
}

FieldName *
postrider_field_name(const char *name)
{
	FieldName  *result = palloc0(sizeof(FieldName));
	char	   *words[MAX_WORDS];
	int			count = split_words(name, words);
	int			i = 0;

	result->words = palloc((MAX_WORDS + 1) * sizeof(char *));
	while (i < count)
	{
		const char *known = NULL;
		int			length;

		/* The longest phrase that is known. */
		for (length = Min(3, count - i); length > 0; length--)
		{
			known = canonical(join(&words[i], length));
			if (known != NULL)
				break;
		}
		if (known == NULL)
			length = 1;
		result->words[result->word_count++] = known ? pstrdup(known) : words[i];
		i += length;
	}
	result->text = join(result->words, result->word_count);
	return result;
}

/* Twice the words in common, of all words. */
static double
likeness_of_words(const FieldName *a, const FieldName *b)
{
	int			common = 0;

	if (a->word_count + b->word_count == 0)
		return 0;
	for (int i = 0; i < a->word_count; i++)
	{
		for (int j = 0; j < b->word_count; j++)
		{
			if (strcmp(a->words[i], b->words[j]) == 0)
			{
				common++;
				break;
			}
		}
	}
	return Min(1.0, 2.0 * common / (a->word_count + b->word_count));
}

static double
likeness_of_letters(const char *a, const char *b)
{
	int			longest = Max(strlen(a), strlen(b));
	int			limit = longest / 2;
	int			distance;

	/* In short words a letter makes another word. */
	if (longest < 4)
		return strcmp(a, b) == 0;
	distance = varstr_levenshtein_less_equal(a, strlen(a), b, strlen(b), 1, 1,
											 1, limit, true);
	return distance > limit ? 0 : 1.0 - (double) distance / longest;
}

double
postrider_field_name_likeness(const FieldName *a, const FieldName *b)
{
	double		words;

	if (a->word_count == 0 || b->word_count == 0)
		return 0;
	if (strcmp(a->text, b->text) == 0)
		return 1;
	words = likeness_of_words(a, b);
	/* Never quite the same. */
	return Min(0.95, Max(words, likeness_of_letters(a->text, b->text)));
}
