-- Topics and patterns.

create function postrider.is_topic(topic text) returns boolean
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_is_topic';
comment on function postrider.is_topic(text) is
'True if the text is a topic: words of a-z, 0-9 and _ joined by dots, such as order.paid; at most 200 bytes.';

create function postrider.is_topic_pattern(pattern text) returns boolean
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_is_topic_pattern';
comment on function postrider.is_topic_pattern(text) is
'True if the text is a topic or a pattern of topics: * stands for one word, ** for any number of words, none included.';

create function postrider.topic_matches(topic text, pattern text) returns boolean
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_topic_matches_sql';
comment on function postrider.topic_matches(text, text) is
'True if the pattern covers the topic: order.* covers order.paid, order.** also order and order.line.added.';

create function postrider.filter_matches(payload jsonb, filter jsonpath) returns boolean
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_filter_matches_sql';
comment on function postrider.filter_matches(jsonb, jsonpath) is
'True if the filter of a subscription lets the payload through: a predicate must be true, any other path must find an item.';

create function postrider.check_topic() returns trigger
language c
as 'MODULE_PATHNAME', 'postrider_check_topic';
comment on function postrider.check_topic() is
'Trigger: refuses a row of postrider.topic whose name is no topic.';

create table postrider.topic (
	name text primary key,
	description text,
	created_at timestamptz not null default pg_catalog.now()
);
comment on table postrider.topic is
'Topics that somebody has described. Optional: a message may have a topic that is not listed here.';
comment on column postrider.topic.name is 'Dotted lower-case name, such as order.paid.';
comment on column postrider.topic.description is 'What the topic means, for people.';
comment on column postrider.topic.created_at is 'When the row was written.';

create trigger check_topic before insert or update on postrider.topic
	for each row execute function postrider.check_topic();
