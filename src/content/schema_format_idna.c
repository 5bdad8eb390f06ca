/*-------------------------------------------------------------------------
 *
 * schema_format_idna.c
 *	  Labels of internationalized host names: IDNA2008.
 *
 * A U-label is valid if it is in NFC, has only code points that RFC 5892
 * allows (in the context it asks for), does not begin with a combining mark,
 * has no hyphen at an end nor two in the third and fourth place, and has an
 * A-label of at most 63 characters (RFC 5891, section 4.2).  An A-label is
 * valid if it is what its U-label encodes to.  The Bidi rule of RFC 5893 is
 * answered apart, since it applies to all labels of a name or to none.
 *
 * Before that a name is mapped as UTS 46 does (section 4, steps 1 and 2): other
 * forms of a character become the usual one, what is not seen goes.  Of capital
 * letters only those of ASCII become small ones; others are refused, as RFC 5892
 * has it.
 *
 * The tables are our own (tools/unicode-table), so that the answer does not
 * depend on the version of a library, and an immutable function stays one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/unicode_norm.h"
#include "mb/pg_wchar.h"
#include "content/schema_format_internal.h"
#include "content/unicode_table.h"
#include "util/utf8.h"

/* A label of more code points has no A-label of 63 characters. */
#define LABEL_MAX 63

#define MAX_UTF8_BYTES 4
#define FULLWIDTH_STOP 0xff0e

/* A label, decoded, with what the tables say. */
typedef struct IdnaLabel
{
	pg_wchar	code[LABEL_MAX + 1];	/* ends with 0, for NFC */
	uint16		kind[LABEL_MAX];
	int			count;
} IdnaLabel;

static uint16
idna_kind(uint32 code)
{
	int			low = 0;
	int			high = postrider_idna_range_count - 1;

	/* The last range that begins at or before the code point. */
	while (low < high)
	{
		int			middle = (low + high + 1) / 2;

		if (postrider_idna_ranges[middle] >> 8 <= code)
			low = middle;
		else
			high = middle - 1;
	}
	return postrider_idna_kinds[postrider_idna_ranges[low] & 0xff];
}

/* --- Punycode, RFC 3492 ------------------------------------------------- */

#define PUNY_BASE 36
#define PUNY_TMIN 1
#define PUNY_TMAX 26

static uint32
puny_adapt(uint32 delta, uint32 count, bool first)
{
	uint32		k = 0;

	delta = first ? delta / 700 : delta / 2;
	delta += delta / count;
	for (; delta > (PUNY_BASE - PUNY_TMIN) * PUNY_TMAX / 2; k += PUNY_BASE)
		delta /= PUNY_BASE - PUNY_TMIN;
	return k + (PUNY_BASE - PUNY_TMIN + 1) * delta / (delta + 38);
}

static inline uint32
puny_threshold(uint32 k, uint32 bias)
{
	if (k <= bias + PUNY_TMIN)
		return PUNY_TMIN;
	return k >= bias + PUNY_TMAX ? PUNY_TMAX : k - bias;
}

/* Decodes what follows xn--; false if it is not Punycode. */
static bool
puny_decode(const char *name, int len, IdnaLabel *label)
{
	uint32		code = 128;
	uint32		at = 0;			/* where the next code point goes in */
	uint32		bias = 72;
	int			basic = 0;		/* characters before the last hyphen */
	int			in = 0;

	for (int i = 0; i < len; i++)
	{
		if (name[i] == '-')
			basic = i;
	}
	for (int i = 0; i < basic; i++)
		label->code[i] = pg_ascii_tolower((unsigned char) name[i]);
	label->count = basic;
	in = basic > 0 ? basic + 1 : 0;
	while (in < len)
	{
		uint32		before = at;
		uint32		weight = 1;
		uint32		count;

		for (uint32 k = PUNY_BASE;; k += PUNY_BASE)
		{
			uint32		digit;
			uint32		threshold = puny_threshold(k, bias);

			if (in == len)
				return false;
			if (format_is_digit(name[in]))
				digit = name[in] - '0' + 26;
			else if (format_is_alpha(name[in]))
				digit = pg_ascii_tolower((unsigned char) name[in]) - 'a';
			else
				return false;
			in++;
			if (digit > (PG_INT32_MAX - at) / weight)
				return false;
			at += digit * weight;
			if (digit < threshold)
				break;
			if (weight > PG_INT32_MAX / (PUNY_BASE - threshold))
				return false;
			weight *= PUNY_BASE - threshold;
		}
		count = label->count + 1;
		bias = puny_adapt(at - before, count, before == 0);
		code += at / count;
		at %= count;
		if (code > UNICODE_MAX || count > LABEL_MAX)
			return false;
		memmove(label->code + at + 1, label->code + at,
				(label->count - at) * sizeof(label->code[0]));
		label->code[at++] = code;
		label->count = count;
	}
	return true;
}

/*
 * Encodes a label into out, which has room for LABEL_MAX characters, without
 * the xn--.  Returns the length, -1 if it does not fit.
 */
static int
puny_encode(const IdnaLabel *label, char *out)
{
	uint32		code = 128;
	uint32		delta = 0;
	uint32		bias = 72;
	uint32		done = 0;
	uint32		basic;
	int			len = 0;

	for (int i = 0; i < label->count; i++)
	{
		if (label->code[i] < 128)
			out[len++] = label->code[i];
	}
	basic = done = len;
	if (basic > 0)
	{
		if (len == LABEL_MAX)
			return -1;
		out[len++] = '-';
	}
	while (done < (uint32) label->count)
	{
		uint32		next = PG_UINT32_MAX;

		for (int i = 0; i < label->count; i++)
		{
			if (label->code[i] >= code && label->code[i] < next)
				next = label->code[i];
		}
		/* At most 0x10ffff * 64: no overflow. */
		delta += (next - code) * (done + 1);
		code = next;
		for (int i = 0; i < label->count; i++)
		{
			uint32		rest = delta;

			if (label->code[i] < code)
				delta++;
			if (label->code[i] != code)
				continue;
			for (uint32 k = PUNY_BASE;; k += PUNY_BASE)
			{
				uint32		threshold = puny_threshold(k, bias);
				uint32		digit = rest;

				if (rest >= threshold)
				{
					digit = threshold + (rest - threshold) % (PUNY_BASE - threshold);
					rest = (rest - threshold) / (PUNY_BASE - threshold);
				}
				else
					rest = 0;
				if (len == LABEL_MAX)
					return -1;
				out[len++] = digit < 26 ? 'a' + digit : '0' + digit - 26;
				if (digit < threshold)
					break;
			}
			bias = puny_adapt(delta, done + 1, done == basic);
			delta = 0;
			done++;
		}
		delta++;
		code++;
	}
	return len;
}

/* --- the rules of RFC 5892, appendix A ---------------------------------- */

/* ZERO WIDTH NON-JOINER between letters that join over it. */
static bool
joins_over(const IdnaLabel *label, int at)
{
	int			i = at - 1;
	int			joining;

	while (i >= 0 && (label->kind[i] & IDNA_JOINING_MASK) == IDNA_JOINING_T)
		i--;
	if (i < 0)
		return false;
	joining = label->kind[i] & IDNA_JOINING_MASK;
	if (joining != IDNA_JOINING_L && joining != IDNA_JOINING_D)
		return false;
	i = at + 1;
	while (i < label->count && (label->kind[i] & IDNA_JOINING_MASK) == IDNA_JOINING_T)
		i++;
	if (i == label->count)
		return false;
	joining = label->kind[i] & IDNA_JOINING_MASK;
	return joining == IDNA_JOINING_R || joining == IDNA_JOINING_D;
}

/* Whether any code point of the label is from first to last. */
static bool
has_any(const IdnaLabel *label, uint32 first, uint32 last)
{
	for (int i = 0; i < label->count; i++)
	{
		if (label->code[i] >= first && label->code[i] <= last)
			return true;
	}
	return false;
}

static bool
has_kana_or_han(const IdnaLabel *label)
{
	for (int i = 0; i < label->count; i++)
	{
		int			script = label->kind[i] & IDNA_SCRIPT_MASK;

		if (script == IDNA_HIRAGANA || script == IDNA_KATAKANA || script == IDNA_HAN)
			return true;
	}
	return false;
}

/* The contextual rule of the code point at that place. */
static bool
context_allows(const IdnaLabel *label, int at)
{
	uint32		code = label->code[at];
	uint16		before = at > 0 ? label->kind[at - 1] : 0;
	uint16		after = at + 1 < label->count ? label->kind[at + 1] : 0;

	switch (code)
	{
		case 0x200c:			/* ZERO WIDTH NON-JOINER */
			return (before & IDNA_VIRAMA) != 0 || joins_over(label, at);
		case 0x200d:			/* ZERO WIDTH JOINER */
			return (before & IDNA_VIRAMA) != 0;
		case 0x00b7:			/* MIDDLE DOT */
			return at > 0 && at + 1 < label->count &&
				label->code[at - 1] == 'l' && label->code[at + 1] == 'l';
		case 0x0375:			/* GREEK LOWER NUMERAL SIGN (KERAIA) */
			return (after & IDNA_SCRIPT_MASK) == IDNA_GREEK;
		case 0x05f3:			/* HEBREW PUNCTUATION GERESH */
		case 0x05f4:			/* HEBREW PUNCTUATION GERSHAYIM */
			return (before & IDNA_SCRIPT_MASK) == IDNA_HEBREW;
		case 0x30fb:			/* KATAKANA MIDDLE DOT */
			return has_kana_or_han(label);
		default:
			if (code >= 0x0660 && code <= 0x0669)
				return !has_any(label, 0x06f0, 0x06f9);
			return code >= 0x06f0 && code <= 0x06f9 && !has_any(label, 0x0660, 0x0669);
	}
}

/* --- the Bidi rule, RFC 5893, section 2 --------------------------------- */

#define BIDI_BIT(class) (1 << ((class) >> 4))

/* POSTRIDER_LABEL_RTL and POSTRIDER_LABEL_NOT_BIDI as they apply. */
static int
bidi_flags(const IdnaLabel *label)
{
	const int	neutral = BIDI_BIT(IDNA_BIDI_EN) | BIDI_BIT(IDNA_BIDI_ES) |
		BIDI_BIT(IDNA_BIDI_CS) | BIDI_BIT(IDNA_BIDI_ET) | BIDI_BIT(IDNA_BIDI_ON) |
		BIDI_BIT(IDNA_BIDI_BN) | BIDI_BIT(IDNA_BIDI_NSM);
	const int	right = BIDI_BIT(IDNA_BIDI_R) | BIDI_BIT(IDNA_BIDI_AL);
	const int	numbers = BIDI_BIT(IDNA_BIDI_AN) | BIDI_BIT(IDNA_BIDI_EN);
	int			seen = 0;
	int			last = 0;
	int			first = BIDI_BIT(label->kind[0] & IDNA_BIDI_MASK);
	int			flags = 0;
	bool		good;

	for (int i = 0; i < label->count; i++)
	{
		int			bit = BIDI_BIT(label->kind[i] & IDNA_BIDI_MASK);

		seen |= bit;
		if (bit != BIDI_BIT(IDNA_BIDI_NSM))
			last = bit;
	}
	if (seen & (right | BIDI_BIT(IDNA_BIDI_AN)))
		flags |= POSTRIDER_LABEL_RTL;
	if (first & right)
		good = (seen & ~(right | BIDI_BIT(IDNA_BIDI_AN) | neutral)) == 0 &&
			(last & (right | numbers)) != 0 &&
			(seen & numbers) != numbers;
	else if (first == BIDI_BIT(IDNA_BIDI_L))
		good = (seen & ~(BIDI_BIT(IDNA_BIDI_L) | neutral)) == 0 &&
			(last & (BIDI_BIT(IDNA_BIDI_L) | BIDI_BIT(IDNA_BIDI_EN))) != 0;
	else
		good = false;
	return good ? flags : flags | POSTRIDER_LABEL_NOT_BIDI;
}

/* --- labels ------------------------------------------------------------- */

static bool
is_nfc(const IdnaLabel *label)
{
	pg_wchar   *normal;
	bool		result;

	switch (unicode_is_normalized_quickcheck(UNICODE_NFC, label->code))
	{
		case UNICODE_NORM_QC_YES:
			return true;
		case UNICODE_NORM_QC_NO:
			return false;
		default:
			break;
	}
	normal = unicode_normalize(UNICODE_NFC, label->code);
	result = true;
	for (int i = 0; result && i <= label->count; i++)
		result = normal[i] == label->code[i];
	pfree(normal);
	return result;
}

/* Looks up the kinds of a decoded label, and whether it is a U-label. */
static bool
is_u_label(IdnaLabel *label)
{
	bool		ascii = true;

	for (int i = 0; i < label->count; i++)
	{
		label->kind[i] = idna_kind(label->code[i]);
		if ((label->kind[i] & (IDNA_VALID | IDNA_CONTEXT)) == 0)
			return false;
		if (label->code[i] >= 128)
			ascii = false;
	}
	if (ascii || (label->kind[0] & IDNA_MARK) ||
		label->code[0] == '-' || label->code[label->count - 1] == '-' ||
		(label->count >= 4 && label->code[2] == '-' && label->code[3] == '-'))
		return false;
	for (int i = 0; i < label->count; i++)
	{
		if ((label->kind[i] & IDNA_CONTEXT) && !context_allows(label, i))
			return false;
	}
	label->code[label->count] = 0;
	return is_nfc(label);
}

/* Decodes UTF-8; false if it is not, or is too long for a label. */
static bool
decode_utf8(const char *name, int len, IdnaLabel *label)
{
	const char *end = name + len;

	label->count = 0;
	while (name < end)
	{
		uint32		code = postrider_utf8_next(&name, end);

		if (code == POSTRIDER_UTF8_BAD || label->count == LABEL_MAX)
			return false;
		label->code[label->count++] = code;
	}
	return label->count > 0;
}

int
postrider_idna_check_label(const char *name, int len, int *ascii_len)
{
	IdnaLabel	label;
	char		ascii[LABEL_MAX];
	int			puny_len;
	bool		encoded = len >= 4 && pg_strncasecmp(name, "xn--", 4) == 0;

	if (encoded)
	{
		if (len == 4 || len > LABEL_MAX || !puny_decode(name + 4, len - 4, &label))
			return 0;
	}
	else if (!decode_utf8(name, len, &label))
		return 0;
	if (!is_u_label(&label))
		return 0;
	puny_len = puny_encode(&label, ascii);
	if (puny_len < 0 || puny_len + 4 > LABEL_MAX)
		return 0;
	if (encoded &&
		(puny_len != len - 4 || pg_strncasecmp(name + 4, ascii, puny_len) != 0))
		return 0;
	*ascii_len = puny_len + 4;
	return POSTRIDER_LABEL_VALID | bidi_flags(&label);
}

/* --- mapping, UTS 46 ---------------------------------------------------- */

/* What the table of UTS 46 calls ignored. */
static bool
is_ignored(uint32 code)
{
	return code == 0x00ad || code == 0x034f || (code >= 0x180b && code <= 0x180d) ||
		code == 0x180f || code == 0x200b || code == 0x2060 || code == 0x2064 ||
		(code >= 0xfe00 && code <= 0xfe0f) || code == 0xfeff ||
		(code >= 0x1bca0 && code <= 0x1bca3) || (code >= 0xe0100 && code <= 0xe01ef);
}

/* The code points that count, ended by 0; false if there are too many, or it is no UTF-8. */
static bool
decode_name(const char *name, int len, pg_wchar *codes, int most)
{
	const char *end = name + len;
	int			count = 0;

	while (name < end)
	{
		uint32		code = postrider_utf8_next(&name, end);

		if (code == POSTRIDER_UTF8_BAD || code == 0)
			return false;
		if (is_ignored(code))
			continue;
		if (count == most)
			return false;
		codes[count++] = code;
	}
	codes[count] = 0;
	return true;
}

/* Full stops; other characters that have one in them are not allowed. */
static int
count_stops(const pg_wchar *codes)
{
	int			count = 0;

	for (; *codes != 0; codes++)
		count += *codes == '.' || *codes == FULLWIDTH_STOP;
	return count;
}

static char *
encode_name(const pg_wchar *codes)
{
	unsigned char *result;
	unsigned char *end;
	int			count = 0;

	while (codes[count] != 0)
		count++;
	end = result = palloc(count * MAX_UTF8_BYTES + 1);
	for (int i = 0; i < count; i++)
	{
		unicode_to_utf8(codes[i] < 128 ? pg_ascii_tolower(codes[i]) : codes[i], end);
		end += pg_utf_mblen(end);
	}
	*end = '\0';
	return (char *) result;
}

char *
postrider_idna_map(const char *name, int len, int most)
{
	pg_wchar   *codes = palloc((most + 1) * sizeof(pg_wchar));
	char	   *result = NULL;

	if (decode_name(name, len, codes, most))
	{
		pg_wchar   *normal = unicode_normalize(UNICODE_NFKC, codes);

		if (count_stops(normal) == count_stops(codes))
			result = encode_name(normal);
		pfree(normal);
	}
	pfree(codes);
	return result;
}
