/* Stand-in until the conversions are merged. */
#include "postgres.h"

#include "content/conversion.h"

struct Conversion
{
	char	   *name;
};
struct Check
{
	char	   *name;
};

Conversion *
postrider_conversion_compile(const JsonbValue *step, char **problem)
{
	Conversion *c = palloc(sizeof(*c));

	if (step->type != jbvString)
	{
		*problem = "not here yet";
		return NULL;
	}
	c->name = pnstrdup(step->val.string.val, step->val.string.len);
	if (strcmp(c->name, "trim") != 0 && strcmp(c->name, "lower") != 0)
	{
		*problem = psprintf("unknown conversion \"%s\"", c->name);
		return NULL;
	}
	return c;
}

bool
postrider_conversion_apply(const Conversion *c, JsonbValue *value, char **problem)
{
	char	   *s;

	if (value->type != jbvString)
		return true;
	s = pnstrdup(value->val.string.val, value->val.string.len);
	if (c->name[0] == 'l')
		for (char *p = s; *p; p++)
			*p = pg_tolower(*p);
	value->val.string.val = s;
	return true;
}

const char *
postrider_conversion_describe(const Conversion *c)
{
	return c->name;
}

Check *
postrider_check_compile(const JsonbValue *definition, char **problem)
{
	Check	   *c = palloc(sizeof(*c));

	if (definition->type != jbvString)
	{
		*problem = "not here yet";
		return NULL;
	}
	c->name = pnstrdup(definition->val.string.val, definition->val.string.len);
	return c;
}

bool
postrider_check_apply(const Check *c, const JsonbValue *value, char **problem)
{
	if (value->type == jbvString && memchr(value->val.string.val, '@', value->val.string.len))
		return true;
	*problem = psprintf("is no %s", c->name);
	return false;
}

const char *
postrider_check_describe(const Check *c)
{
	return c->name;
}
