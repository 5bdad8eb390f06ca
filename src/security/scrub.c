/*-------------------------------------------------------------------------
 *
 * scrub.c
 *	  Takes known values out of texts that came from outside; see scrub.h.
 *
 * A receiver may tell in its answer what it was sent.  There may be thousands of
 * values, so the text is walked once: the next KEY_BYTES at each position are
 * looked up among the beginnings of all forms.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/base64.h"
#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "security/scrub.h"
#include "security/secret_set.h"
#include "utils/memutils.h"

#define KEY_BYTES SCRUB_MIN_BYTES
#define BUCKETS 4096

/* Lines of a value, such as a key in PEM form, count from so many characters on. */
#define LINE_MIN_BYTES 16

/* One form of a value. */
typedef struct ScrubForm
{
	struct ScrubForm *next;		/* in its bucket */
	Size		length;
	char		text[FLEXIBLE_ARRAY_MEMBER];
} ScrubForm;

struct Scrubber
{
	MemoryContext context;
	int			count;
	ScrubForm  *buckets[BUCKETS];
};

Scrubber *
postrider_scrubber_make(MemoryContext parent)
{
	Scrubber   *scrubber = MemoryContextAllocZero(parent, sizeof(Scrubber));

	scrubber->context = parent;
	return scrubber;
}

static ScrubForm **
bucket_of(Scrubber *scrubber, const char *string)
{
	return &scrubber->buckets[hash_bytes((const unsigned char *) string, KEY_BYTES) % BUCKETS];
}

static void
add_form(Scrubber *scrubber, const char *string, Size length)
{
	ScrubForm **bucket;
	ScrubForm  *form;

	if (length < KEY_BYTES)
		return;
	bucket = bucket_of(scrubber, string);
	for (form = *bucket; form; form = form->next)
		if (form->length == length && memcmp(form->text, string, length) == 0)
			return;
	form = MemoryContextAlloc(scrubber->context, offsetof(ScrubForm, text) + length);
	form->length = length;
	memcpy(form->text, string, length);
	form->next = *bucket;
	*bucket = form;
	scrubber->count++;
}

/* Wipes and frees. */
static void
discard(char *string, Size length)
{
	explicit_bzero(string, length);
	pfree(string);
}

/* In the alphabet for URLs too, if that is another. */
static void
add_base64(Scrubber *scrubber, char *encoded, Size length)
{
	bool		differs = false;

	add_form(scrubber, encoded, length);
	for (Size i = 0; i < length; i++)
	{
		if (encoded[i] != '+' && encoded[i] != '/')
			continue;
		encoded[i] = encoded[i] == '+' ? '-' : '_';
		differs = true;
	}
	if (differs)
		add_form(scrubber, encoded, length);
}

/*
 * The characters of base64 that depend on the value alone, where "before" bytes
 * (modulo 3) precede it.
 */
static void
add_base64_at(Scrubber *scrubber, const char *value, Size length, int before)
{
	Size		total = length + before;
	char	   *bytes = palloc0(total);
	int			size = pg_b64_enc_len((int) total);
	char	   *encoded = palloc(size + 1);
	Size		first = (before * 8 + 5) / 6;
	Size		end = total * 8 / 6;

	memcpy(bytes + before, value, length);
	if (pg_b64_encode((const void *) bytes, (int) total, encoded, size) >= 0 && end > first)
		add_base64(scrubber, encoded + first, end - first);
	discard(bytes, total);
	discard(encoded, size);
}

/* As in a URL or form; with digits above 9 in either case, and a space as plus sign. */
static void
add_percent_encoded(Scrubber *scrubber, const char *value, Size length, const char *digits,
					bool form)
{
	StringInfoData out;

	initStringInfo(&out);
	for (Size i = 0; i < length; i++)
	{
		unsigned char c = (unsigned char) value[i];

		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c != '\0' && strchr("-._~", c) != NULL))
			appendStringInfoChar(&out, c);
		else if (form && c == ' ')
			appendStringInfoChar(&out, '+');
		else
		{
			appendStringInfoChar(&out, '%');
			appendStringInfoChar(&out, digits[c >> 4]);
			appendStringInfoChar(&out, digits[c & 15]);
		}
	}
	add_form(scrubber, out.data, out.len);
	discard(out.data, out.maxlen);
}

/* As in a JSON string; some writers escape the slash too. */
static void
add_json(Scrubber *scrubber, const char *value, Size length, bool slashes)
{
	StringInfoData out;

	initStringInfo(&out);
	for (Size i = 0; i < length; i++)
	{
		char		c = value[i];

		if (c == '\n')
			appendStringInfoString(&out, "\\n");
		else if (c == '\r')
			appendStringInfoString(&out, "\\r");
		else if (c == '\t')
			appendStringInfoString(&out, "\\t");
		else
		{
			if (c == '"' || c == '\\' || (slashes && c == '/'))
				appendStringInfoChar(&out, '\\');
			appendStringInfoChar(&out, c);
		}
	}
	add_form(scrubber, out.data, out.len);
	discard(out.data, out.maxlen);
}

/* The value and its forms, but for its lines. */
static void
add_whole(Scrubber *scrubber, const char *value, Size length)
{
	add_form(scrubber, value, length);
	for (int before = 0; before < 3; before++)
		add_base64_at(scrubber, value, length, before);
	add_percent_encoded(scrubber, value, length, "0123456789ABCDEF", false);
	add_percent_encoded(scrubber, value, length, "0123456789abcdef", false);
	add_percent_encoded(scrubber, value, length, "0123456789ABCDEF", true);
	add_json(scrubber, value, length, false);
	add_json(scrubber, value, length, true);
}

/* The parts of a value that are as good as the whole. */
void
postrider_scrubber_add(Scrubber *scrubber, const char *value, Size length)
{
	const char *line = value;
	const char *end = value + length;

	if (length < SCRUB_MIN_BYTES)
		return;
	add_whole(scrubber, value, length);
	if (length > 6 && (memcmp(value, "whsec_", 6) == 0))
		add_whole(scrubber, value + 6, length - 6);
	if (memchr(value, '\n', length) == NULL)
		return;
	while (line < end)
	{
		const char *feed = memchr(line, '\n', end - line);
		const char *stop = feed ? feed : end;
		Size		line_length = stop - line;

		if (line_length > 0 && line[line_length - 1] == '\r')
			line_length--;
		if (line_length >= LINE_MIN_BYTES && memcmp(line, "-----", 5) != 0)
			add_whole(scrubber, line, line_length);
		line = stop + 1;
	}
}

/* The longest form that begins here, or NULL; the end of the text may cut it off. */
static const ScrubForm *
find_form(Scrubber *scrubber, const char *string, Size length)
{
	const ScrubForm *found = NULL;

	if (length < KEY_BYTES)
		return NULL;
	for (const ScrubForm *form = *bucket_of(scrubber, string); form; form = form->next)
		if ((found == NULL || form->length > found->length) &&
			memcmp(form->text, string, Min(form->length, length)) == 0)
			found = form;
	return found;
}

Size
postrider_scrub(Scrubber *scrubber, char *string, Size length)
{
	Size		to = 0;
	Size		from = 0;

	if (scrubber->count == 0)
		return length;
	while (from < length)
	{
		const ScrubForm *form = find_form(scrubber, string + from, length - from);

		if (form == NULL)
		{
			string[to++] = string[from++];
			continue;
		}
		from += Min(form->length, length - from);
		memcpy(string + to, "***", 3);
		to += 3;
	}
	return to;
}

void
postrider_scrubber_wipe(Scrubber *scrubber)
{
	for (int i = 0; i < BUCKETS; i++)
		for (ScrubForm *form = scrubber->buckets[i]; form; form = form->next)
			explicit_bzero(form->text, form->length);
}
