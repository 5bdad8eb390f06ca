/*-------------------------------------------------------------------------
 *
 * schema_value.c
 *	  Values within a jsonb, read where they are.
 *
 * Numbers are looked into as they are stored, which is done nowhere else: to
 * ask numeric.c whether 7 is an integer takes several allocations.  The layout
 * has not changed since 9.1, and cannot without breaking pg_upgrade; the
 * regression test compares with what SQL says.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/int.h"
#include "content/schema_value.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "util/compat.h"
#include "utils/builtins.h"

/* The layout of numeric */
#define HEADER_SPECIAL		0xC000
#define HEADER_SHORT		0x8000
#define LONG_NEGATIVE		0x4000
#define SHORT_NEGATIVE		0x2000
#define SHORT_WEIGHT_SIGN	0x0040
#define SHORT_WEIGHT_MASK	0x003F
#define DIGIT_BASE			10000

/* Digits that are taken into an int64: 10^16 and a power more. */
#define SMALL_DIGITS		4

typedef struct Digits
{
	bool		special;		/* NaN or infinity */
	bool		negative;
	int			weight;			/* of the first digit */
	int			count;
	const int16 *digits;
} Digits;

/*
 * Members
 */

void
postrider_value_of_container(JsonbContainer *container, Value *value)
{
	value->type = JsonContainerIsObject(container) ? TYPE_OBJECT : TYPE_ARRAY;
	value->length = JsonContainerSize(container);
	value->as.container = container;
}

void
postrider_value_of_string(const char *string, int length, Value *value)
{
	value->type = TYPE_STRING;
	value->length = length;
	value->as.string = string;
}

static inline void
read_entry(JEntry entry, char *base, uint32 offset, uint32 end, Value *value)
{
	value->length = 0;
	switch (entry & JENTRY_TYPEMASK)
	{
		case JENTRY_ISSTRING:
			value->type = TYPE_STRING;
			value->length = end - offset;
			value->as.string = base + offset;
			break;
		case JENTRY_ISNUMERIC:
			value->type = TYPE_NUMBER;
			value->as.number = (Numeric) (base + INTALIGN(offset));
			break;
		case JENTRY_ISBOOL_TRUE:
			value->type = TYPE_BOOLEAN;
			value->as.boolean = true;
			break;
		case JENTRY_ISBOOL_FALSE:
			value->type = TYPE_BOOLEAN;
			value->as.boolean = false;
			break;
		case JENTRY_ISNULL:
			value->type = TYPE_NULL;
			break;
		default:
			postrider_value_of_container((JsonbContainer *) (base + INTALIGN(offset)),
										 value);
			break;
	}
}

/* The data of a container begins after its entries. */
static inline char *
container_base(JsonbContainer *container)
{
	int			count = JsonContainerSize(container);

	return (char *) (container->children +
					 (JsonContainerIsObject(container) ? 2 * count : count));
}

static void
read_member(JsonbContainer *container, int entry, Value *value)
{
	uint32		offset = getJsonbOffset(container, entry);

	read_entry(container->children[entry], container_base(container), offset,
			   offset + getJsonbLength(container, entry), value);
}

void
postrider_value_of_jsonb(Jsonb *jsonb, Value *value)
{
	if (JB_ROOT_IS_SCALAR(jsonb))
		read_member(&jsonb->root, 0, value);
	else
		postrider_value_of_container(&jsonb->root, value);
}

void
postrider_members_start(Members *members, const Value *container)
{
	members->container = container->as.container;
	members->base = container_base(members->container);
	members->count = container->length;
	members->next = 0;
	members->key_offset = 0;
	members->value_offset = 0;
	if (container->type == TYPE_OBJECT && members->count > 0)
		members->value_offset = getJsonbOffset(members->container, members->count);
}

bool
postrider_members_next(Members *members, Value *key, Value *value)
{
	JEntry	   *entries = members->container->children;
	int			index = members->next;
	uint32		start;

	if (index >= members->count)
		return false;
	if (key != NULL)
	{
		start = members->key_offset;
		JBE_ADVANCE_OFFSET(members->key_offset, entries[index]);
		key->type = TYPE_STRING;
		key->length = members->key_offset - start;
		key->as.string = members->base + start;
		index += members->count;
	}
	start = members->value_offset;
	JBE_ADVANCE_OFFSET(members->value_offset, entries[index]);
	read_entry(entries[index], members->base, start, members->value_offset, value);
	members->next++;
	return true;
}

bool
postrider_value_get(const Value *object, const char *name, int length,
					Value *value)
{
	JsonbContainer *container = object->as.container;
	char	   *base = container_base(container);
	int			low = 0;
	int			high = object->length;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;
		uint32		offset = getJsonbOffset(container, middle);
		int			order = value_compare_strings(base + offset,
												  getJsonbLength(container, middle),
												  name, length);

		if (order == 0)
		{
			read_member(container, middle + object->length, value);
			return true;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

bool
postrider_value_item(const Value *array, int index, Value *value)
{
	if (index < 0 || index >= array->length)
		return false;
	read_member(array->as.container, index, value);
	return true;
}

/*
 * Order
 */

/* Two containers of the same type and length. */
static int
compare_containers(const Value *a, const Value *b)
{
	bool		is_object = a->type == TYPE_OBJECT;
	Members		a_members;
	Members		b_members;
	Value		a_key;
	Value		b_key;
	Value		a_value;
	Value		b_value;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	postrider_members_start(&a_members, a);
	postrider_members_start(&b_members, b);
	while (postrider_members_next(&a_members, is_object ? &a_key : NULL, &a_value) &&
		   postrider_members_next(&b_members, is_object ? &b_key : NULL, &b_value))
	{
		int			order = 0;

		if (is_object)
			order = value_compare_strings(a_key.as.string, a_key.length,
										  b_key.as.string, b_key.length);
		if (order == 0)
			order = postrider_value_compare(&a_value, &b_value);
		if (order != 0)
			return order;
	}
	return 0;
}

int
postrider_value_compare(const Value *a, const Value *b)
{
	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	if (a->type == TYPE_STRING)
		return value_compare_strings(a->as.string, a->length,
									 b->as.string, b->length);
	if (a->type == TYPE_NUMBER)
		return postrider_number_compare(a->as.number, b->as.number);
	if (a->type == TYPE_BOOLEAN)
		return (int) a->as.boolean - (int) b->as.boolean;
	if (a->length != b->length)
		return a->length < b->length ? -1 : 1;
	if (a->type == TYPE_NULL || a->length == 0)
		return 0;
	return compare_containers(a, b);
}

/*
 * Numbers
 */

static inline void
read_digits(Numeric number, Digits *digits)
{
	const char *data = (const char *) VARDATA(number);
	int			size = VARSIZE(number) - VARHDRSZ;
	uint16		header = *(const uint16 *) data;

	digits->special = (header & HEADER_SPECIAL) == HEADER_SPECIAL;
	if (header & HEADER_SHORT)
	{
		digits->negative = (header & SHORT_NEGATIVE) != 0;
		digits->weight = (header & SHORT_WEIGHT_SIGN) ?
			(int) (header & SHORT_WEIGHT_MASK) - (SHORT_WEIGHT_MASK + 1) :
			(int) (header & SHORT_WEIGHT_MASK);
		data += sizeof(uint16);
		size -= sizeof(uint16);
	}
	else
	{
		digits->negative = (header & HEADER_SPECIAL) == LONG_NEGATIVE;
		digits->weight = *(const int16 *) (data + sizeof(uint16));
		data += 2 * sizeof(uint16);
		size -= 2 * sizeof(uint16);
	}
	digits->count = size / (int) sizeof(int16);
	digits->digits = (const int16 *) data;
}

/* Digits are stored without zeros at the end. */
bool
postrider_number_is_integer(Numeric number)
{
	Digits		digits;

	read_digits(number, &digits);
	return !digits.special &&
		(digits.count == 0 || digits.count <= digits.weight + 1);
}

bool
postrider_number_is_positive(Numeric number)
{
	Digits		digits;

	read_digits(number, &digits);
	return !digits.special && !digits.negative && digits.count > 0;
}

/*
 * The number as mantissa times 10000 to the exponent, if it has few digits.
 */
static inline bool
read_mantissa(Numeric number, int64 *mantissa, int *exponent)
{
	Digits		digits;
	int64		result = 0;

	read_digits(number, &digits);
	if (digits.special || digits.count > SMALL_DIGITS)
		return false;
	for (int i = 0; i < digits.count; i++)
		result = result * DIGIT_BASE + digits.digits[i];
	*mantissa = digits.negative ? -result : result;
	*exponent = digits.count == 0 ? 0 : digits.weight + 1 - digits.count;
	return true;
}

static bool
raise_mantissa(int64 *mantissa, int exponent)
{
	while (exponent-- > 0)
	{
		if (pg_mul_s64_overflow(*mantissa, DIGIT_BASE, mantissa))
			return false;
	}
	return true;
}

bool
postrider_number_small(Numeric number, int64 *small)
{
	int			exponent;

	return read_mantissa(number, small, &exponent) && exponent >= 0 &&
		exponent <= SMALL_DIGITS && raise_mantissa(small, exponent);
}

int
postrider_number_compare(Numeric a, Numeric b)
{
	int64		a_small;
	int64		b_small;

	if (postrider_number_small(a, &a_small) && postrider_number_small(b, &b_small))
		return a_small < b_small ? -1 : a_small > b_small;
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(a),
											 NumericGetDatum(b)));
}

bool
postrider_number_is_multiple(Numeric a, Numeric b)
{
	int64		a_mantissa;
	int64		b_mantissa;
	int			a_exponent;
	int			b_exponent;
	Numeric		rest;
	Digits		digits;

	if (read_mantissa(a, &a_mantissa, &a_exponent) &&
		read_mantissa(b, &b_mantissa, &b_exponent))
	{
		int			difference = a_exponent - b_exponent;

		Assert(b_mantissa != 0);	/* the caller has refused it */
		if (a_mantissa == 0)
			return true;
		if (difference >= 0 && difference <= SMALL_DIGITS &&
			raise_mantissa(&a_mantissa, difference))
			return a_mantissa % b_mantissa == 0;
		if (difference < 0 && difference >= -SMALL_DIGITS &&
			raise_mantissa(&b_mantissa, -difference))
			return a_mantissa % b_mantissa == 0;
	}
	rest = DatumGetNumeric(DirectFunctionCall2(numeric_mod, NumericGetDatum(a),
											   NumericGetDatum(b)));
	read_digits(rest, &digits);
	return !digits.special && digits.count == 0;
}
