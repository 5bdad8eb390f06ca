-- Templates of requests.

create function postrider.render(template text, payload jsonb, context text default 'text',
	topic text default null, key text default null, tenant text default null,
	endpoint text default null, id uuid default null)
returns text
language c immutable parallel safe
as 'MODULE_PATHNAME', 'postrider_render';
comment on function postrider.render(text, jsonb, text, text, text, text, text, uuid) is
'The template with values of the payload, and of the message if they are given, escaped as the context demands: text, url, form, json, xml, header, or the content type of a body. So url, headers and body_template of an endpoint can be tried.';
