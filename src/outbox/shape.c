/*-------------------------------------------------------------------------
 *
 * shape.c
 *	  What a request for one message looks like; see shape.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/body.h"
#include "content/envelope.h"
#include "content/escape.h"
#include "outbox/shape.h"
#include "util/id.h"
#include "utils/memutils.h"

#define MAX_URL_BYTES	(16 * 1024)
#define MAX_HEADER_BYTES (8 * 1024)
#define CLOUDEVENT_HEADERS 6

/* A copy in "context". */
static char *
render(const Template *template, const TemplateValues *values, MemoryContext context,
	   char **problem)
{
	StringInfoData out;

	initStringInfo(&out);
	if (!postrider_template_render(template, values, &out, problem))
		return NULL;
	return MemoryContextStrdup(context, out.data);
}

static bool
make_url(Delivery *delivery, const TemplateValues *values, char **problem)
{
	const Template *template = delivery->endpoint->shape.url;

	if (template == NULL)
		return true;
	delivery->url = render(template, values, delivery->made_context, problem);
	if (delivery->url && strlen(delivery->url) > MAX_URL_BYTES)
	{
		*problem = psprintf("the URL is longer than %d bytes", MAX_URL_BYTES);
		return false;
	}
	if (delivery->url == NULL)
		*problem = psprintf("no URL could be made: %s", *problem);
	return delivery->url != NULL;
}

static void
add_header(Delivery *delivery, const char *name, char *value)
{
	Header	   *header = &delivery->headers[delivery->header_count++];

	header->name = unconstify(char *, name);
	header->value = value;
}

static bool
make_headers(Delivery *delivery, const TemplateValues *values, char **problem)
{
	const RequestShape *shape = &delivery->endpoint->shape;

	for (int i = 0; i < shape->header_count; i++)
	{
		char	   *value = render(shape->headers[i], values, delivery->made_context, problem);

		if (value && strlen(value) > MAX_HEADER_BYTES)
		{
			*problem = psprintf("it is longer than %d bytes", MAX_HEADER_BYTES);
			value = NULL;
		}
		if (value == NULL)
		{
			*problem = psprintf("the header %s could not be made: %s", shape->header_names[i],
								*problem);
			return false;
		}

		/* The endpoint's policy may be loaded anew meanwhile. */
		add_header(delivery, MemoryContextStrdup(delivery->made_context, shape->header_names[i]),
				   value);
	}
	return true;
}

static void
add_cloudevent_header(Delivery *delivery, const char *name, const char *string)
{
	StringInfoData utf8;
	StringInfoData value;

	initStringInfo(&utf8);
	appendStringInfoString(&utf8, string);
	postrider_envelope_to_utf8(&utf8, 0);
	initStringInfo(&value);
	postrider_escape_cloudevents(&value, utf8.data, utf8.len);
	add_header(delivery, name, MemoryContextStrdup(delivery->made_context, value.data));
}

/* CloudEvents HTTP binding 1.0.2, section 3.1: binary content mode. */
static void
make_cloudevent_headers(Delivery *delivery, const TemplateValues *values)
{
	StringInfoData time;
	char		id[ID_TEXT_SIZE];

	postrider_id_text(values->id, id);
	initStringInfo(&time);
	postrider_envelope_time(&time, values->id);
	add_cloudevent_header(delivery, "ce-specversion", "1.0");
	add_cloudevent_header(delivery, "ce-id", id);
	add_cloudevent_header(delivery, "ce-source", postrider_body_cloudevents_source());
	add_cloudevent_header(delivery, "ce-type", values->topic);
	add_cloudevent_header(delivery, "ce-time", time.data);
	if (values->key && values->key[0])
		add_cloudevent_header(delivery, "ce-subject", values->key);
}

/* Room for URL and headers, if there are to be any. */
static void
make_room(Delivery *delivery, MemoryContext parent)
{
	const RequestShape *shape = &delivery->endpoint->shape;
	int			most = shape->header_count +
		(shape->format == BODY_CLOUDEVENTS_BINARY ? CLOUDEVENT_HEADERS : 0);

	if (shape->url == NULL && most == 0)
		return;
	delivery->made_context = AllocSetContextCreate(parent, "postrider url and headers",
												   ALLOCSET_SMALL_SIZES);
	if (most > 0)
		delivery->headers = MemoryContextAlloc(delivery->made_context, sizeof(Header) * most);
	delivery->memory_bytes += 1024;
}

bool
postrider_shape_apply(Delivery *delivery, const char *topic, const char *tenant,
					  Jsonb *payload, MemoryContext parent, StringInfo body, char **problem)
{
	const Endpoint *endpoint = delivery->endpoint;
	const RequestShape *shape = &endpoint->shape;
	TemplateValues values = {
		.id = &delivery->message->id,
		.topic = topic,
		.key = delivery->message->key,
		.tenant = tenant,
		.endpoint = endpoint->name,
		.payload = payload
	};

	if (shape->problem)
	{
		*problem = pstrdup(shape->problem);
		return false;
	}
	make_room(delivery, parent);
	if (!make_url(delivery, &values, problem) || !make_headers(delivery, &values, problem))
		return false;
	if (shape->format == BODY_CLOUDEVENTS_BINARY)
		make_cloudevent_headers(delivery, &values);
	if (postrider_body_build(shape->format, shape->body, &values, body, problem))
		return true;
	*problem = psprintf("no body could be made: %s", *problem);
	return false;
}
