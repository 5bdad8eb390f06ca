/*-------------------------------------------------------------------------
 *
 * template_functions.c
 *	  Templates in SQL: to try one before an endpoint gets it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/surroundings.h"
#include "content/template.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/uuid.h"

PG_FUNCTION_INFO_V1(postrider_render);

static TemplateContext
context_of(const char *name)
{
	static const char *const names[] = {
		[TEMPLATE_TEXT] = "text",
		[TEMPLATE_URL] = "url",
		[TEMPLATE_FORM] = "form",
		[TEMPLATE_JSON] = "json",
		[TEMPLATE_XML] = "xml",
		[TEMPLATE_HEADER] = "header"
	};

	for (int i = 0; i < (int) lengthof(names); i++)
		if (strcmp(names[i], name) == 0)
			return (TemplateContext) i;
	if (strchr(name, '/') != NULL)
		return postrider_template_context(name);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("there is no context \"%s\" of a template", name),
			 errhint("Use text, url, form, json, xml or header, or a content type such as \"application/soap+xml\".")));
}

static char *
text_argument(FunctionCallInfo fcinfo, int number)
{
	return PG_ARGISNULL(number) ? NULL :
		text_to_cstring(PG_GETARG_TEXT_PP(number));
}

/* SQL: postrider.render(template, payload, context, topic, key, tenant, endpoint, id) */
Datum
postrider_render(PG_FUNCTION_ARGS)
{
	TemplateValues values = {0};
	StringInfoData out;
	Template   *template;
	TemplateContext context;
	char	   *problem;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(2))
		PG_RETURN_NULL();
	context = context_of(text_argument(fcinfo, 2));
	template = postrider_template_compile(text_argument(fcinfo, 0), context, &problem);
	if (template == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the template %s", problem),
				 errhint("%s", POSTRIDER_TEMPLATE_HINT)));
	values.payload = PG_ARGISNULL(1) ? NULL : PG_GETARG_JSONB_P(1);
	values.topic = text_argument(fcinfo, 3);
	values.key = text_argument(fcinfo, 4);
	values.tenant = text_argument(fcinfo, 5);
	values.endpoint = text_argument(fcinfo, 6);
	values.id = PG_ARGISNULL(7) ? NULL : PG_GETARG_UUID_P(7);
	initStringInfo(&out);
	if (!postrider_template_render(template, &values, &out, &problem))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("%s", problem)));
	PG_RETURN_TEXT_P(cstring_to_text(pg_any_to_server(out.data, out.len, PG_UTF8)));
}
