-- How far each shard of workers has come. src/outbox/reader.c explains it.

create table postrider.dispatch_cursor (
	shard integer primary key,
	shards integer not null,
	database oid not null,
	snapshot pg_snapshot not null,
	floor_xid xid8 not null,
	floor_id uuid not null,
	window_snapshot pg_snapshot,
	window_floor_xid xid8,
	window_floor_id uuid,
	position uuid,
	starts integer not null default 0,
	suspect_id uuid,
	suspect_tries integer not null default 0,
	updated_at timestamptz not null default pg_catalog.now()
) with (fillfactor = 50);
comment on table postrider.dispatch_cursor is
'How far each worker has come: every message whose transaction is visible in the snapshot has been settled for the shard. Written by the worker only.';
comment on column postrider.dispatch_cursor.shard is 'Number of the shard, from 0; an endpoint belongs to shard (id modulo shards).';
comment on column postrider.dispatch_cursor.shards is 'Number of shards when the row was written.';
comment on column postrider.dispatch_cursor.database is 'The database that the row was written in: a copy of the database must not send again what is owed by the original.';
comment on column postrider.dispatch_cursor.snapshot is 'Messages of transactions visible in it are settled.';
comment on column postrider.dispatch_cursor.floor_xid is 'Transactions from this one on have only ids above floor_id.';
comment on column postrider.dispatch_cursor.floor_id is 'See floor_xid.';
comment on column postrider.dispatch_cursor.window_snapshot is 'While a large window is being read: the snapshot at its end.';
comment on column postrider.dispatch_cursor.window_floor_xid is 'The floor that goes with window_snapshot.';
comment on column postrider.dispatch_cursor.window_floor_id is 'The floor that goes with window_snapshot.';
comment on column postrider.dispatch_cursor.position is 'Messages of the window up to this id are settled.';
comment on column postrider.dispatch_cursor.starts is 'Starts of the worker since it last ran well. After three it is careful: one message at a time.';
comment on column postrider.dispatch_cursor.suspect_id is 'The message that a careful worker is handling.';
comment on column postrider.dispatch_cursor.suspect_tries is 'How often in a row the worker has taken up that message; after three it is given up.';
comment on column postrider.dispatch_cursor.updated_at is 'When the row was written.';

insert into postrider.dispatch_cursor (shard, shards, database, snapshot, floor_xid, floor_id)
select 0, 1, d.oid, '3:3:', '3', '00000000-0000-0000-0000-000000000000'
from pg_catalog.pg_database d
where d.datname operator(pg_catalog.=) pg_catalog.current_database();
