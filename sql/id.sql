-- Message ids: version-7 UUIDs from the shared clock.

create function postrider.next_id() returns uuid
language c volatile strict parallel unsafe
as 'MODULE_PATHNAME', 'postrider_next_id';
comment on function postrider.next_id() is
'A new message id: a version-7 UUID, above every id that this server has given out before.';

create function postrider.id_time(id uuid) returns timestamptz
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_id_time';
comment on function postrider.id_time(uuid) is
'The time that a version-7 UUID carries, in whole milliseconds.';

create function postrider.id_floor(at timestamptz) returns uuid
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_id_floor';
comment on function postrider.id_floor(timestamptz) is
'The smallest version-7 UUID of that millisecond: the bound between ids before and from that time.';
