/*-------------------------------------------------------------------------
 *
 * request_row.c
 *	  What requests look like, in rows of postrider.endpoint; see request_row.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "content/header.h"
#include "executor/spi.h"
#include "outbox/function_row.h"
#include "outbox/request_row.h"
#include "security/guard.h"
#include "security/proxy.h"
#include "util/log_line.h"
#include "utils/builtins.h"

#define MAX_CONTENT_TYPE_BYTES 200
#define MAX_HEADER_NAME_BYTES 100

/* What the columns say, as text; NULL for NULL. */
typedef struct RequestColumns
{
	const char *url;
	const char *method;
	const char *format;
	const char *body_template;
	const char *content_type;
	const char *idempotency_key;
	bool		in_batches;
	int			header_count;
	Header	   *headers;
} RequestColumns;

/* What is wrong, in words that go behind the column's name. */
typedef struct RequestProblem
{
	const char *column;
	const char *problem;
	const char *hint;			/* or NULL */
} RequestProblem;

static const char fields_hint[] = POSTRIDER_TEMPLATE_HINT;

static bool
refuse(RequestProblem *problem, const char *column, const char *what, const char *hint)
{
	problem->column = column;
	problem->problem = what;
	problem->hint = hint;
	return false;
}

static bool
has_no_body(const char *method)
{
	return strcmp(method, "GET") == 0;
}

static bool
make_format(const RequestColumns *columns, RequestShape *shape, RequestProblem *problem)
{
	shape->format = has_no_body(columns->method) || strcmp(columns->method, "DELETE") == 0 ?
		BODY_NONE : BODY_STANDARD_WEBHOOKS;
	if (columns->body_template)
		shape->format = BODY_TEMPLATE;
	if (columns->format && !postrider_body_format(columns->format, &shape->format))
		return refuse(problem, "format", psprintf("is no format: \"%s\"", columns->format),
					  "Use standard-webhooks, cloudevents, cloudevents-binary, raw, form, template or none.");
	if (shape->format == BODY_TEMPLATE && columns->body_template == NULL)
		return refuse(problem, "format", "needs a body_template", NULL);
	if (shape->format != BODY_TEMPLATE && columns->body_template != NULL)
		return refuse(problem, "body_template", "is for format = 'template' only",
					  "Set format to 'template', or body_template to NULL.");
	if (has_no_body(columns->method) && shape->format != BODY_NONE)
		return refuse(problem, columns->body_template ? "body_template" : "format",
					  "makes a body, and a GET request has none",
					  "Put values into the url: https://example.com/hit?order={{$.id}}.");
	return true;
}

static bool
is_token(const char *name)
{
	return name[0] && strlen(name) <= MAX_HEADER_NAME_BYTES &&
		strspn(name, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == strlen(name);
}

static bool
make_content_type(const RequestColumns *columns, RequestShape *shape, RequestProblem *problem)
{
	const char *given = columns->content_type;

	if (given == NULL)
		given = postrider_body_content_type(shape->format);
	else if (shape->format == BODY_NONE)
		return refuse(problem, "content_type", "is for requests with a body", NULL);
	else if (strchr(given, '/') == NULL || strlen(given) > MAX_CONTENT_TYPE_BYTES)
		return refuse(problem, "content_type", "is no media type",
					  "Write, for example, 'text/xml; charset=utf-8'.");
	for (const char *c = given; c && *c; c++)
		if ((unsigned char) *c < ' ' || (unsigned char) *c > '~')
			return refuse(problem, "content_type", "has characters that a header cannot have", NULL);
	shape->content_type = given ? pstrdup(given) : NULL;
	if (columns->idempotency_key && !is_token(columns->idempotency_key))
		return refuse(problem, "idempotency_key", "is no name of a header",
					  "Write, for example, 'Idempotency-Key'.");
	shape->idempotency_key = columns->idempotency_key ? pstrdup(columns->idempotency_key) : NULL;
	return true;
}

/* Values of messages go into the path and the query, so that the host is what was checked. */
static bool
is_in_path(const char *url)
{
	const char *place = strstr(url, "{{");
	const char *authority = strstr(url, "://");

	if (authority == NULL)
		return false;
	authority += 3;
	return place > authority + strcspn(authority, "/?");
}

static bool
make_url(const RequestColumns *columns, RequestShape *shape, RequestProblem *problem)
{
	char	   *what;

	if (!postrider_template_has_places(columns->url))
		return true;
	if (!is_in_path(columns->url))
		return refuse(problem, "url", "has a place in its host",
					  "Values of messages can stand in the path and in the query.");
	shape->url = postrider_template_compile(columns->url, TEMPLATE_URL, &what);
	return shape->url != NULL || refuse(problem, "url", what, fields_hint);
}

static bool
make_headers(const RequestColumns *columns, RequestShape *shape, RequestProblem *problem)
{
	shape->header_names = palloc(sizeof(char *) * (columns->header_count + 1));
	shape->headers = palloc(sizeof(Template *) * (columns->header_count + 1));
	for (int i = 0; i < columns->header_count; i++)
	{
		const Header *header = &columns->headers[i];
		Template   *template;
		char	   *what;

		if (!postrider_template_has_places(header->value))
			continue;
		template = postrider_template_compile(header->value, TEMPLATE_HEADER, &what);
		if (template == NULL)
			return refuse(problem, "headers", psprintf("has a header \"%s\" that %s", header->name, what),
						  fields_hint);
		shape->header_names[shape->header_count] = header->name;
		shape->headers[shape->header_count++] = template;
	}
	return true;
}

static bool
make_body(const RequestColumns *columns, RequestShape *shape, RequestProblem *problem)
{
	char	   *what;

	if (shape->format != BODY_TEMPLATE)
		return true;
	for (int i = 0; i < columns->header_count; i++)
		if (pg_strcasecmp(columns->headers[i].name, "Content-Type") == 0)
			return refuse(problem, "headers", "has a Content-Type beside a body_template",
						  "Set content_type instead: it decides how values in the body are escaped.");
	shape->body = postrider_template_compile(columns->body_template,
											 postrider_template_context(shape->content_type),
											 &what);
	return shape->body != NULL || refuse(problem, "body_template", what, fields_hint);
}

/* A batch is one request, so nothing but the records can depend on messages. */
static bool
check_batch(const RequestColumns *columns, const RequestShape *shape, RequestProblem *problem)
{
	if (!columns->in_batches)
		return true;
	if (shape->url || shape->header_count > 0)
		return refuse(problem, shape->url ? "url" : "headers",
					  "has values of a message in it, which does not go with batches",
					  "Set batch_size to NULL.");
	if (shape->format != BODY_STANDARD_WEBHOOKS && shape->format != BODY_CLOUDEVENTS &&
		shape->format != BODY_RAW)
		return refuse(problem, "format", "does not go with batches",
					  "Records of batches can be standard-webhooks, cloudevents or raw; a mapping gives raw ones any shape.");
	return true;
}

static bool
make_shape(const RequestColumns *columns, RequestShape *shape, RequestProblem *problem)
{
	memset(shape, 0, sizeof(*shape));
	if (!make_format(columns, shape, problem) ||
		!make_content_type(columns, shape, problem) ||
		!make_url(columns, shape, problem) ||
		!make_headers(columns, shape, problem) ||
		!make_body(columns, shape, problem) ||
		!check_batch(columns, shape, problem))
		return false;
	shape->is_plain = shape->format == BODY_STANDARD_WEBHOOKS && !shape->url &&
		shape->header_count == 0;
	return true;
}

/* Takes the computed headers out of those that are always the same. */
static void
keep_constant_headers(Endpoint *endpoint)
{
	int			kept = 0;

	for (int i = 0; i < endpoint->header_count; i++)
		if (!postrider_template_has_places(endpoint->headers[i].value))
			endpoint->headers[kept++] = endpoint->headers[i];
	endpoint->header_count = kept;
}

static char *
get_text(TupleDesc desc, HeapTuple tuple, const char *column)
{
	return SPI_getvalue(tuple, desc, SPI_fnumber(desc, column));
}

void
postrider_request_row_read(TupleDesc desc, HeapTuple tuple, Endpoint *endpoint)
{
	RequestColumns columns = {
		.url = endpoint->url,
		.method = endpoint->method,
		.format = get_text(desc, tuple, "format"),
		.body_template = get_text(desc, tuple, "body_template"),
		.content_type = get_text(desc, tuple, "content_type"),
		.idempotency_key = get_text(desc, tuple, "idempotency_key"),
		.in_batches = get_text(desc, tuple, "batch_size") != NULL,
		.header_count = endpoint->header_count,
		.headers = endpoint->headers
	};
	RequestProblem problem;

	if (!make_shape(&columns, &endpoint->shape, &problem))
	{
		/* Possible only if the trigger was disabled. */
		endpoint->shape.is_plain = false;
		endpoint->shape.problem = psprintf("%s of endpoint \"%s\" %s", problem.column,
										   endpoint->name, problem.problem);
		postrider_log_endpoint_problem(endpoint->name, problem.column, problem.problem,
									   "requests to the endpoint cannot be sent");
	}
	keep_constant_headers(endpoint);
	endpoint->proxy = get_text(desc, tuple, "proxy");
	endpoint->proxy_secret = get_text(desc, tuple, "proxy_secret");
}

/* The URL with something in its places, for the check of what it leads to. */
static char *
fill_places(const char *url)
{
	char	   *filled = pstrdup(url);
	char	   *place;
	char	   *end;

	while ((place = strstr(filled, "{{")) != NULL)
	{
		end = strstr(place, "}}");
		if (end == NULL)
			break;
		*place = 'x';
		memmove(place + 1, end + 2, strlen(end + 2) + 1);
	}
	return filled;
}

static void
require_proxy(const TriggerRow *row)
{
	char	   *proxy = postrider_trigger_new_text(row, "proxy");
	UrlProblem	problem;

	if (postrider_trigger_new_text(row, "proxy_secret") != NULL &&
		postrider_trigger_text(row, row->tuple, "proxy") == NULL)
		postrider_trigger_refuse(row, "proxy_secret", "is for a proxy of its own",
								 "Set proxy too. The general proxy has the setting postrider.proxy_secret.");
	if (proxy == NULL || postrider_proxy_check(proxy, &problem))
		return;
	ereport(ERROR,
			(errcode(problem.sqlstate),
			 errmsg("proxy of endpoint \"%s\" cannot be used: %s", row->endpoint, problem.message),
			 problem.detail ? errdetail("%s", problem.detail) : 0,
			 problem.hint ? errhint("%s", problem.hint) : 0));
}

/* Would a proxy be asked for it?  Then by a name that it may be asked for. */
static void
require_target(const TriggerRow *row, const char *url)
{
	Proxy		proxy;
	UrlProblem	problem;

	postrider_guard_require_url(url);
	if (!postrider_proxy_find(url, postrider_trigger_text(row, row->tuple, "proxy"), NULL, &proxy) ||
		postrider_guard_check_url(url, URL_TARGET_OF_PROXY, &problem))
		return;
	ereport(ERROR,
			(errcode(problem.sqlstate),
			 errmsg("%s", problem.message),
			 problem.detail ? errdetail("%s", problem.detail) : 0,
			 problem.hint ? errhint("%s", problem.hint) : 0));
}

void
postrider_request_row_require_url(const TriggerRow *row)
{
	char	   *url = postrider_trigger_text(row, row->tuple, "url");

	if (url != NULL && postrider_function_of_url(url) == NULL &&
		(postrider_trigger_new_text(row, "url") || postrider_trigger_new_text(row, "proxy")))
		require_target(row, fill_places(url));
	require_proxy(row);
}

void
postrider_request_row_require(const TriggerRow *row)
{
	Datum		headers;
	bool		isnull;
	RequestColumns columns = {
		.url = postrider_trigger_text(row, row->tuple, "url"),
		.method = postrider_trigger_text(row, row->tuple, "method"),
		.format = postrider_trigger_text(row, row->tuple, "format"),
		.body_template = postrider_trigger_text(row, row->tuple, "body_template"),
		.content_type = postrider_trigger_text(row, row->tuple, "content_type"),
		.idempotency_key = postrider_trigger_text(row, row->tuple, "idempotency_key")
	};
	RequestShape shape;
	RequestProblem problem;

	if (columns.method == NULL || columns.url == NULL)
		return;					/* the table's constraints say so */
	if (strcmp(columns.method, "POST") != 0 && strcmp(columns.method, "PUT") != 0 &&
		strcmp(columns.method, "PATCH") != 0 && strcmp(columns.method, "GET") != 0 &&
		strcmp(columns.method, "DELETE") != 0)
		postrider_trigger_refuse(row, "method", "is not supported",
								 "Use POST, PUT, PATCH, GET or DELETE.");
	headers = postrider_trigger_get(row, row->tuple, "headers", JSONBOID, &isnull);
	if (!isnull)
		columns.header_count = postrider_headers_unpack(DatumGetJsonbP(headers), &columns.headers);
	(void) postrider_trigger_get(row, row->tuple, "batch_size", INT4OID, &isnull);
	columns.in_batches = !isnull;
	if (!make_shape(&columns, &shape, &problem))
		postrider_trigger_refuse(row, problem.column, problem.problem, problem.hint);
}
