/*-------------------------------------------------------------------------
 *
 * check.c
 *	  Checks of single values: "check" of a mapping.
 *
 * A check is a name ("email"), or an object whose keys are all to hold:
 * {"min": 1, "max": 10}.  A named check without a value of its own may stand
 * in an object with true.  To add a check is to write one function and one
 * entry.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/check_internal.h"
#include "content/conversion_internal.h"
#include "miscadmin.h"

/* Checks within "any", "all" and "not". */
#define MAX_DEPTH 10
#define MAX_CHECKS 1000

const CheckEntry *
postrider_check_entry(int position)
{
	for (const CheckEntry *entry = postrider_named_checks; entry->name != NULL; entry++)
	{
		if (position-- == 0)
			return entry;
	}
	for (const CheckEntry *entry = postrider_value_checks; entry->name != NULL; entry++)
	{
		if (position-- == 0)
			return entry;
	}
	return NULL;
}

static const char *
name_at(int position)
{
	const CheckEntry *entry = postrider_check_entry(position);

	return entry == NULL ? NULL : entry->name;
}

static const CheckEntry *
find_entry(const char *name, char **problem)
{
	const CheckEntry *entry;
	const char *closest;
	JsonbValue	shown;

	for (int i = 0; (entry = postrider_check_entry(i)) != NULL; i++)
	{
		if (strcmp(entry->name, name) == 0)
			return entry;
	}
	closest = postrider_closest_name(name, name_at);
	postrider_value_set_text(&shown, unconstify(char *, name), strlen(name));
	(void) postrider_refuse(problem, "unknown check %s%s%s%s",
							postrider_value_show(&shown),
							closest == NULL ? "" : "; did you mean \"",
							closest == NULL ? "" : closest,
							closest == NULL ? "" : "\"?");
	return NULL;
}

static Check *compile_definition(const JsonbValue *definition, int depth,
								 char **problem);

/* The list of "any" and "all", the one of "not" */
static bool
compile_inner(Check *check, const JsonbValue *argument, int depth, char **problem)
{
	JsonbContainer *list;

	if (check->entry->form == CHECK_OF_CHECK)
	{
		check->inner = compile_definition(argument, depth + 1, problem);
		return check->inner != NULL;
	}
	if (!postrider_value_is_array(argument) ||
		JsonContainerSize(argument->val.binary.data) == 0 ||
		JsonContainerSize(argument->val.binary.data) > MAX_CHECKS)
		return postrider_refuse(problem, "\"%s\" takes a list of checks, not %s",
								check->entry->name, postrider_value_show(argument));
	list = argument->val.binary.data;
	for (int i = JsonContainerSize(list) - 1; i >= 0; i--)
	{
		Check	   *inner = compile_definition(getIthJsonbValueFromContainer(list, i),
											   depth + 1, problem);
		Check	   *last = inner;

		if (inner == NULL)
			return false;

		/* One definition may be several checks: they become one of "all". */
		if (last->next != NULL)
		{
			inner = palloc0(sizeof(Check));
			inner->entry = find_entry("all", problem);
			inner->inner = last;
			inner->description = "all";
		}
		inner->next = check->inner;
		check->inner = inner;
	}
	return true;
}

static Check *
compile_one(const char *name, const JsonbValue *argument, int depth, char **problem)
{
	Check	   *check = palloc0(sizeof(Check));

	check->entry = find_entry(name, problem);
	if (check->entry == NULL)
		return NULL;
	check->description = pstrdup(name);
	if (check->entry->form == CHECK_NAMED)
	{
		if (argument == NULL || (argument->type == jbvBool && argument->val.boolean))
			return check;
		(void) postrider_refuse(problem, "the check \"%s\" takes no value; write \"%s\" alone, or true",
								name, name);
		return NULL;
	}
	if (argument == NULL && check->entry->form == CHECK_WITH_VALUE)
	{
		(void) postrider_refuse(problem, "the check \"%s\" needs a value: {\"%s\": ...}",
								name, name);
		return NULL;
	}
	if (argument == NULL && check->entry->form != CHECK_MAY_HAVE_VALUE)
	{
		(void) postrider_refuse(problem, "the check \"%s\" needs checks: {\"%s\": ...}",
								name, name);
		return NULL;
	}
	if (argument != NULL)
	{
		check->argument = postrider_value_copy(argument);
		check->has_argument = true;
		check->description = psprintf("%s(%s)", name, postrider_value_show(argument));
	}
	if (check->entry->form == CHECK_OF_CHECK || check->entry->form == CHECK_OF_CHECKS)
		return compile_inner(check, argument, depth, problem) ? check : NULL;
	if (check->entry->compile != NULL && !check->entry->compile(check, problem))
		return NULL;
	return check;
}

static Check *
compile_object(JsonbContainer *object, int depth, char **problem)
{
	Check	   *first = NULL;
	Check	  **last = &first;
	JsonbIterator *iterator = JsonbIteratorInit(object);
	JsonbIteratorToken token;
	JsonbValue	item;
	char	   *name = NULL;

	while ((token = JsonbIteratorNext(&iterator, &item, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			name = pnstrdup(item.val.string.val, item.val.string.len);
		else if (token == WJB_VALUE)
		{
			Assert(name != NULL);
			*last = compile_one(name, &item, depth, problem);
			if (*last == NULL)
				return NULL;
			last = &(*last)->next;
		}
	}
	if (first == NULL)
		(void) postrider_refuse(problem, "a check is an object without keys; write what to check");
	return first;
}

static Check *
compile_definition(const JsonbValue *definition, int depth, char **problem)
{
	if (depth > MAX_DEPTH)
	{
		(void) postrider_refuse(problem, "checks are nested more than %d levels deep",
								MAX_DEPTH);
		return NULL;
	}
	if (definition->type == jbvString)
		return compile_one(pnstrdup(definition->val.string.val,
									definition->val.string.len),
						   NULL, depth, problem);
	if (definition->type == jbvBinary &&
		JsonContainerIsObject(definition->val.binary.data))
		return compile_object(definition->val.binary.data, depth, problem);
	(void) postrider_refuse(problem, "a check is a name or an object, such as \"email\" or {\"min\": 1}, not %s",
							postrider_value_show(definition));
	return NULL;
}

Check *
postrider_check_compile(const JsonbValue *definition, char **problem)
{
	Check	   *check = compile_definition(definition, 0, problem);
	StringInfoData description;

	if (check == NULL || check->next == NULL)
		return check;
	initStringInfo(&description);
	for (Check *one = check; one != NULL; one = one->next)
		appendStringInfo(&description, "%s%s", one == check ? "" : ", ", one->description);
	check->whole_description = description.data;
	return check;
}

static bool
apply_one(const Check *check, const JsonbValue *value, char **problem)
{
	char	   *ignored;

	switch (check->entry->form)
	{
		case CHECK_OF_CHECK:
			if (!postrider_check_apply(check->inner, value, &ignored))
				return true;
			return postrider_refuse(problem, "%s is what it must not be: %s",
									postrider_value_show(value),
									postrider_check_describe(check->inner));
		case CHECK_OF_CHECKS:
			if (check->entry->all)
				return postrider_check_apply(check->inner, value, problem);
			Assert(check->inner != NULL);
			for (const Check *inner = check->inner; inner != NULL; inner = inner->next)
			{
				if (apply_one(inner, value, problem))
					return true;
			}
			return postrider_refuse(problem, "%s passes none of the checks; the last says: %s",
									postrider_value_show(value), *problem);
		default:
			return check->entry->apply(check, value, problem);
	}
}

/* Null passes but for "not_empty" and the like: whether it may be, "required" says. */
bool
postrider_check_apply(const Check *check, const JsonbValue *value, char **problem)
{
	CHECK_FOR_INTERRUPTS();
	for (; check != NULL; check = check->next)
	{
		if (value->type == jbvNull && !check->entry->takes_null)
			continue;
		if (!apply_one(check, value, problem))
			return false;
	}
	return true;
}

const char *
postrider_check_describe(const Check *check)
{
	return check->whole_description != NULL ? check->whole_description :
		check->description;
}
