-- How everything stands, as one HTML page: postrider.status_page().
--
-- The page is text that this file writes: no script, nothing from elsewhere (a
-- Content-Security-Policy in it forbids both), charts as SVG.  Everything that
-- comes from tables goes through page_text().  A section that cannot be made
-- shows its error instead; the others do not mind.  All functions run as their
-- caller, so that a page shows what its reader may see.  The small ones are called
-- thousands of times: their bodies are parsed when they are made (RETURN), so
-- they need no search_path, which would cost more than they do.

create function postrider.page_text(value text) returns text
language sql immutable parallel safe
return replace(replace(replace(replace(replace(
	regexp_replace(value, '[\x01-\x08\x0b-\x1f\x7f]', '?', 'g'),
	'&', '&amp;'), '<', '&lt;'), '>', '&gt;'), '"', '&quot;'), '''', '&#39;');
comment on function postrider.page_text(text) is
'For postrider.status_page(): text as it stands in HTML, in an attribute too.';

create function postrider.page_name(value text) returns text
language sql immutable parallel safe
return '<bdi>' || postrider.page_text(value) || '</bdi>';
comment on function postrider.page_name(text) is
'For postrider.status_page(): a name, whose direction of writing does not touch what is around it.';

create function postrider.page_count(value numeric) returns text
language sql immutable parallel safe
return case when value is null then '' when value < 10000 then to_char(value, 'FM9,990')
	when value < 999500 then to_char(value / 1e3, 'FM999.0') || ' k'
	when value < 999500000 then to_char(value / 1e6, 'FM999.0') || ' M'
	else to_char(value / 1e9, 'FM999,990.0') || ' G' end;
comment on function postrider.page_count(numeric) is
'For postrider.status_page(): a number of things, with three digits if it is large.';

create function postrider.page_duration(milliseconds double precision) returns text
language sql immutable parallel safe
return case when milliseconds is null then '' when milliseconds < 10 then to_char(milliseconds, 'FM0.0') || ' ms'
	when milliseconds < 1000 then to_char(milliseconds, 'FM990') || ' ms'
	when milliseconds < 10e3 then to_char(milliseconds / 1e3, 'FM0.0') || ' s'
	when milliseconds < 120e3 then to_char(milliseconds / 1e3, 'FM990') || ' s'
	when milliseconds < 7200e3 then to_char(milliseconds / 60e3, 'FM990') || ' min'
	when milliseconds < 172800e3 then to_char(milliseconds / 3600e3, 'FM990') || ' h'
	else to_char(milliseconds / 86400e3, 'FM999,990') || ' days' end;
comment on function postrider.page_duration(double precision) is
'For postrider.status_page(): how long, in the unit that suits it.';

create function postrider.page_age(since timestamptz) returns text
language sql stable parallel safe
return case when since is null or not isfinite(since) then ''
	else postrider.page_duration(greatest(extract(epoch from now() - since) * 1000, 0)::double precision) end;
comment on function postrider.page_age(timestamptz) is
'For postrider.status_page(): how long ago.';

-- Heights of bars as the outline of an SVG path: bar i of "height", each on top of
-- "base", both in the units of the drawing, which is "size" high.
create function postrider.page_bars(base double precision[], height double precision[], size double precision) returns text
language sql immutable parallel safe
return (select coalesce(string_agg(format('M%s %sh.8v-%sh-.8z', (h.i - 1)::numeric + 0.1,
		round((size - coalesce(base[h.i], 0))::numeric, 1), round(h.value::numeric, 1)), '' order by h.i), '')
	from unnest(height) with ordinality as h (value, i) where h.value >= 0.05);
comment on function postrider.page_bars(double precision[], double precision[], double precision) is
'For postrider.status_page(): bars of a chart, one unit apart.';

-- The next round number.
create function postrider.page_scale(value double precision) returns double precision
language sql immutable parallel safe
return (select min(f * 10 ^ floor(log(greatest(value, 1)::numeric))::double precision)
	from unnest('{1,1.5,2,3,4,5,6,8,10}'::double precision[]) f
	where f * 10 ^ floor(log(greatest(value, 1)::numeric))::double precision >= greatest(value, 1));
comment on function postrider.page_scale(double precision) is
'For postrider.status_page(): the round number at the top of a chart.';

create function postrider.page_style() returns text
language sql immutable parallel safe
return $css$
:root{color-scheme:light dark;--page:#f6f7f9;--card:#fff;--ink:#1a1d23;--soft:#5c6470;--line:#dfe3e8;
--good:#1f7a4d;--warn:#9a5b00;--bad:#b3261e;--idle:#5c6470;--sent:#2f6fc4;--again:#e0a030;--lost:#c2352b}
@media(prefers-color-scheme:dark){:root{--page:#14171c;--card:#1d2127;--ink:#e6e9ee;--soft:#9aa3b0;--line:#323943;
--good:#5cc98f;--warn:#eab454;--bad:#ff8a80;--idle:#9aa3b0;--sent:#5f9df0;--again:#eab454;--lost:#f0645a}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1280px;padding:16px;background:var(--page);color:var(--ink);font:15px/1.45 system-ui,sans-serif}
h1{font-size:22px;margin:0}h2{font-size:16px;margin:0 0 10px}
header{display:flex;flex-wrap:wrap;gap:6px 16px;align-items:baseline;margin-bottom:16px}
header p,footer{margin:0;color:var(--soft)}footer{font-size:13px;overflow-wrap:anywhere}
section{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:14px 16px;margin-bottom:16px}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:0 16px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(130px,1fr));gap:12px;margin:0}
.tiles dt{color:var(--soft);font-size:13px}.tiles dd{margin:0;font-size:22px;font-variant-numeric:tabular-nums}
table{width:100%;border-collapse:collapse}
th{text-align:left;font-weight:500;color:var(--soft);font-size:13px;padding:4px 8px;border-bottom:1px solid var(--line)}
td{padding:6px 8px;border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}
tr:last-child td{border-bottom:0}
.number{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums;overflow-wrap:normal}
.name{min-width:9em}.said{color:var(--soft);font-size:13px;min-width:14em;max-width:36em}
.state{display:inline-block;white-space:nowrap;font-weight:600}.state::before{content:"\25cf\00a0"}
.good{color:var(--good)}.warn{color:var(--warn)}.bad{color:var(--bad)}.idle{color:var(--idle)}
.soft{color:var(--soft)}small{color:var(--soft)}
pre{margin:6px 0 0;padding:8px;background:var(--page);border:1px solid var(--line);border-radius:4px;white-space:pre-wrap;overflow-wrap:anywhere;font-size:13px}
svg{display:block;width:100%}.spark{width:120px;height:22px;stroke-width:8}.chart{height:150px;border-bottom:1px solid var(--line)}
.frame{position:relative;border-top:1px dashed var(--line)}.top{position:absolute;top:2px;left:0;color:var(--soft);font-size:12px}
.axis{display:flex;justify-content:space-between;color:var(--soft);font-size:12px;padding-top:2px}
.sent{fill:var(--sent)}.again{fill:var(--again)}.lost{fill:var(--lost)}.spark .sent{stroke:var(--sent)}.spark .lost{stroke:var(--lost)}.hover{fill:transparent}
.key{display:flex;flex-wrap:wrap;gap:4px 16px;margin:8px 0 0;padding:0;list-style:none;color:var(--soft);font-size:13px}
.key svg{display:inline-block;width:10px;height:10px;margin-right:6px}
.level{display:inline-block;width:60px;height:8px;background:var(--line);border-radius:4px;overflow:hidden;vertical-align:middle}
.level i{display:block;height:100%;background:var(--sent)}.level i.full{background:var(--lost)}
summary{cursor:pointer;padding:6px 0;color:var(--soft)}
@media(max-width:820px){body{padding:10px}thead{display:none}table,tbody,tr,td{display:block}
tr{padding:8px 0;border-bottom:1px solid var(--line)}tr:last-child{border-bottom:0}
td{border:0;padding:2px 0;text-align:left!important}td:empty{display:none}.said{max-width:none}
td[data-label]:not(:empty){display:grid;grid-template-columns:8.5em 1fr;gap:8px}
td[data-label]::before{content:attr(data-label);color:var(--soft);font-size:13px}}
$css$;
comment on function postrider.page_style() is
'For postrider.status_page(): its style sheet; light and dark, wide and narrow.';

-- One row of a table; a cell is a class, a label for narrow screens, and HTML.
create function postrider.page_row(variadic cells text[]) returns text
language sql immutable parallel safe
return (select '<tr>' || string_agg(format('<td class="%s"%s>%s</td>', cells[i * 3 + 1],
		case when cells[i * 3 + 2] <> '' then format(' data-label="%s"', cells[i * 3 + 2]) end,
		coalesce('<div>' || nullif(cells[i * 3 + 3], '') || '</div>', '')), '' order by i) || '</tr>'
	from generate_series(0, cardinality(cells) / 3 - 1) i);
comment on function postrider.page_row(text[]) is
'For postrider.status_page(): a row of a table; each cell is a class, a label and HTML.';

-- A table of rows, or what to say if there are none.  A heading that begins with #
-- stands over numbers.
create function postrider.page_table(headings text[], rows text, otherwise text) returns text
language sql immutable parallel safe
return case when rows is null then format('<p class="soft">%s</p>', otherwise)
	else '<table><thead><tr>' || (select string_agg(case when h like '#%' then format('<th class="number">%s</th>', substr(h, 2))
			else format('<th>%s</th>', h) end, '' order by i)
		from unnest(headings) with ordinality as u (h, i)) || '</tr></thead><tbody>' || rows || '</tbody></table>' end;
comment on function postrider.page_table(text[], text, text) is
'For postrider.status_page(): a table.';

create function postrider.page_section_problems() returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
select '<section><h2>' || case when count(*) = 0 then 'Nothing needs a person' when count(*) = 1 then 'One thing needs a person'
			when count(*) > 50 then 'More than 50 things need a person' else count(*) || ' things need a person' end || '</h2>' ||
		coalesce(postrider.page_table('{"How bad",What,Problem,"#For"}', string_agg(postrider.page_row(
			'', '', format('<span class="state %s">%s</span>', case p.severity when 'critical' then 'bad' when 'warning' then 'warn' else 'idle' end,
				postrider.page_text(p.severity)),
			'name', 'What', postrider.page_name(p.object) || coalesce('<br><small>tenant ' || postrider.page_name(p.tenant) || '</small>', ''),
			'', '', postrider.page_text(p.problem) || coalesce('<br><span class="said">' || postrider.page_text(left(p.detail, 500)) || '</span>', '')
				|| coalesce('<pre>' || postrider.page_text(p.remedy) || '</pre>', ''),
			'number', 'For', postrider.page_age(p.since)), '' order by p.number) filter (where p.number <= 50), ''), '') || '</section>'
	from (select q.*, row_number() over (order by array_position('{critical,warning,notice}', q.severity), q.since) as number
		from postrider.problem q limit 51) p
$$;
comment on function postrider.page_section_problems() is
'For postrider.status_page(): what the view postrider.problem has.';

create function postrider.page_section_totals(since timestamptz) returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
select '<section><h2>In all</h2><dl class="tiles">' || string_agg(format('<div><dt>%s</dt><dd%s>%s</dd></div>', t.name,
		case when t.class <> '' then format(' class="%s"', t.class) end, coalesce(nullif(t.value, ''), '&ndash;')), '' order by t.number) || '</dl></section>'
	from (select sum(d.delivered) as delivered, sum(d.retried) as retried, sum(d.dead + d.expired) as lost
		from postrider.delivery_stats d where d.minute >= page_section_totals.since) d,
	lateral (select sum(m.messages) as messages from postrider.message_stats m where m.minute >= page_section_totals.since) m,
	lateral (select count(*) as endpoints, count(*) filter (where e.enabled) as enabled from postrider.endpoint e) e,
	lateral (values
		(1, 'Messages', '', postrider.page_count(coalesce(m.messages, 0))),
		(2, 'Delivered', '', postrider.page_count(coalesce(d.delivered, 0))),
		(3, 'Tried again', case when d.retried > 0 then 'warn' else '' end, postrider.page_count(coalesce(d.retried, 0))),
		(4, 'Given up', case when d.lost > 0 then 'bad' else '' end, postrider.page_count(coalesce(d.lost, 0))),
		(5, 'Endpoints', '', postrider.page_count(e.enabled) || case when e.enabled < e.endpoints then format('<small> of %s</small>', postrider.page_count(e.endpoints)) else '' end)
	) as t (number, name, class, value)
$$;
comment on function postrider.page_section_totals(timestamptz) is
'For postrider.status_page(): the sums.';

create function postrider.page_section_flow(since timestamptz, step interval, bars integer) returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
	-- Added up before they are joined: with the policy of the table in between no index would serve a join.
	with counted as (
		select floor(extract(epoch from d.minute - since) / extract(epoch from step))::integer as i,
			sum(d.delivered)::double precision as delivered, sum(d.retried)::double precision as retried, sum(d.dead + d.expired)::double precision as lost
		from postrider.delivery_stats d where d.minute >= since group by 1),
	bucket as (
		select b.i, coalesce(c.delivered, 0) as delivered, coalesce(c.retried, 0) as retried, coalesce(c.lost, 0) as lost
		from generate_series(0, bars - 1) b (i) left join counted c on c.i = b.i),
	top as (select postrider.page_scale(max(delivered + retried + lost)) as y from bucket),
	drawn as (
		select array_agg(delivered / y * 150 order by i) as sent, array_agg(retried / y * 150 order by i) as again,
			array_agg(lost / y * 150 order by i) as lost, array_agg((delivered + retried) / y * 150 order by i) as below_lost,
			string_agg(format('<rect class="hover" x="%s" y="0" width="1" height="150"><title>%s: %s delivered, %s tried again, %s given up</title></rect>', i,
				to_char(since + i * step, 'YYYY-MM-DD HH24:MI'), delivered, retried, lost), '' order by i) filter (where delivered + retried + lost > 0) as hover,
			bool_or(delivered + retried + lost > 0) as active
		from bucket, top)
	select '<section><h2>Flow, per ' || case when step = '1 minute' then 'minute' else extract(epoch from step)::integer / 60 || ' minutes' end || '</h2>' ||
		case when active then format('<div class="frame"><span class="top">%s</span>', postrider.page_count(y::numeric)) ||
			format('<svg class="chart" viewBox="0 0 %s 150" preserveAspectRatio="none" role="img" aria-label="Deliveries over time">', bars) ||
			format('<path class="sent" d="%s"/><path class="again" d="%s"/><path class="lost" d="%s"/>%s</svg></div>', postrider.page_bars('{}', sent, 150),
				postrider.page_bars(sent, again, 150), postrider.page_bars(below_lost, drawn.lost, 150), hover) ||
			'<div class="axis">' || (select string_agg(format('<span>%s</span>',
				to_char(since + step * bars * q / 4.0, case when step * bars > '20 hours' then 'Mon DD HH24:MI' else 'HH24:MI' end)), '' order by q)
				from generate_series(0, 4) q) || '</div><ul class="key">' ||
			(select string_agg(format('<li><svg viewBox="0 0 1 1"><rect class="%s" width="1" height="1"/></svg>%s</li>', k.class, k.name), '' order by k.number)
				from (values (1, 'sent', 'delivered'), (2, 'again', 'failed, to be tried again'), (3, 'lost', 'given up')) k (number, class, name)) || '</ul>'
		else '<p class="soft">Nothing was delivered, and nothing failed.</p>' end || '</section>'
	from drawn, top
$$;
comment on function postrider.page_section_flow(timestamptz, interval, integer) is
'For postrider.status_page(): the chart of deliveries over time.';

-- Counts of a histogram by the buckets of postrider.duration_buckets().
create function postrider.page_histogram(title text, counts bigint[]) returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
	with bucket as (
		select b.i, coalesce(counts[b.i], 0) as count, b.bound, lag(b.bound) over (order by b.i) as below
		from unnest(postrider.duration_buckets() || null::real) with ordinality as b (bound, i)),
	drawn as (
		select count(*) as bars, array_agg(count * 150.0::double precision / greatest(max, 1) order by i) as height,
			string_agg(format('<rect class="hover" x="%s" y="0" width="1" height="150"><title>%s: %s</title></rect>', i - 1,
				case when bound is null then 'more than ' || postrider.page_duration(below) else 'up to ' || postrider.page_duration(bound) end, count), '' order by i) as hover,
			array_agg(postrider.page_duration(bound) order by i) as labels, sum(count) as total
		from bucket, (select max(count) from bucket) m group by max)
	select format('<section><h2>%s</h2>', title) || case when total > 0 then
			format('<div class="frame"><svg class="chart" viewBox="0 0 %s 150" preserveAspectRatio="none" role="img" aria-label="%s">', bars, title) ||
			format('<path class="sent" d="%s"/>%s</svg></div>', postrider.page_bars('{}', height, 150), hover) ||
			'<div class="axis">' || (select string_agg(format('<span>%s</span>', labels[l.at]), '' order by l.at)
				from (select distinct 1 + (bars - 2) * q / 4 as at from generate_series(0, 4) q) l) || format('<span>more</span></div><p class="soft">Of %s: half within %s, 95 %% within %s, 99 %% within %s.</p>',
				postrider.page_count(total), postrider.page_duration(postrider.percentile(counts, 0.5)),
				postrider.page_duration(postrider.percentile(counts, 0.95)), postrider.page_duration(postrider.percentile(counts, 0.99)))
		else '<p class="soft">Nothing to show yet.</p>' end || '</section>'
	from drawn
$$;
comment on function postrider.page_histogram(text, bigint[]) is
'For postrider.status_page(): a histogram of times.';

create function postrider.page_section_latency(since timestamptz) returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
	select '<div class="pair">' || postrider.page_histogram('From emit to delivered', postrider.sum_counts(d.latency_counts)) ||
		postrider.page_histogram('How long requests take', postrider.sum_counts(d.duration_counts)) || '</div>'
	from postrider.delivery_stats d where d.minute >= since
$$;
comment on function postrider.page_section_latency(timestamptz) is
'For postrider.status_page(): histograms of latency and of the duration of requests.';

create function postrider.page_section_workers() returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
select '<section><h2>Workers</h2>' || postrider.page_table('{Worker,State,#For,#Behind,"#Messages behind",#Queued,"#In flight","Last error"}',
		string_agg(postrider.page_row('', 'Worker', w.shard::text,
			'', 'State', format('<span class="state %s">%s</span>', case w.state when 'running' then 'good' else 'bad' end, postrider.page_text(w.state)),
			'number', 'For', postrider.page_age(w.state_since),
			'number', 'Behind', postrider.page_duration(extract(epoch from w.lag)::double precision * 1000),
			'number', 'Messages behind', postrider.page_count(w.lag_messages),
			'number', 'Queued', postrider.page_count(w.queued), 'number', 'In flight', postrider.page_count(w.in_flight),
			'said', 'Last error', postrider.page_text(left(w.last_error, 200)) || coalesce(format(' (%s ago)', postrider.page_age(w.last_error_at)), '')), '' order by w.shard),
		'There is no worker for this database. Is postrider in shared_preload_libraries?') || '</section>'
	from postrider.worker w
$$;
comment on function postrider.page_section_workers() is
'For postrider.status_page(): the workers.';

-- The endpoints in trouble first; when there are many, those that are well are folded away.
create function postrider.page_section_endpoints(since timestamptz, step interval, bars integer) returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
	with bucket as (
		select d.endpoint_id, floor(extract(epoch from d.minute - since) / extract(epoch from step))::integer as i,
			sum(d.delivered)::double precision as delivered, sum(d.retried + d.dead + d.expired)::double precision as failed
		from postrider.delivery_stats d where d.minute >= since group by 1, 2),
	total as (
		select endpoint_id, sum(delivered) as delivered, sum(failed) as failed, max(delivered + failed) as top from bucket group by endpoint_id),
	-- Strokes, ten units apart and up to 100 high: there are many of them, and so they are short.
	spark as (
		select h.endpoint_id, string_agg(concat('M', h.i * 10 + 5, ' 100v-', h.sent), '' order by h.i) filter (where h.sent > 0) as sent,
			string_agg(concat('M', h.i * 10 + 5, ' ', 100 - h.sent, 'v-', h.failed), '' order by h.i) filter (where h.failed > 0) as failed
		from (select b.endpoint_id, b.i, (b.delivered / t.top * 100)::integer as sent, (b.failed / t.top * 100)::integer as failed
			from bucket b join total t on t.endpoint_id = b.endpoint_id where t.top > 0) h
		group by h.endpoint_id),
	line as (
		select h.state <> 'ok' as trouble, h.waiting > 0 as waits, h.endpoint, postrider.page_row(
			'name', '', '<b>' || postrider.page_name(h.endpoint) || '</b>' || coalesce('<br><small>tenant ' || postrider.page_name(h.tenant) || '</small>', ''),
			'', 'State', format('<span class="state %s">%s</span>', case h.state when 'ok' then 'good' when 'open' then 'bad' when 'failing' then 'bad'
				when 'disabled' then 'bad' when 'unknown' then 'idle' else 'warn' end, postrider.page_text(h.state)),
			'', 'Flow', coalesce(format('<svg class="spark" viewBox="0 0 %s0 100" preserveAspectRatio="none" role="img" aria-label="%s delivered, %s failed"><path class="sent" d="%s"/><path class="lost" d="%s"/></svg>',
				bars, t.delivered, t.failed, s.sent, s.failed), ''),
			'number', 'Delivered', postrider.page_count(t.delivered::numeric),
			'number', 'Success', to_char(t.delivered * 100 / nullif(t.delivered + t.failed, 0), 'FM990.0') || ' %',
			'number', 'p50 / p99', postrider.page_duration(h.p50_ms_1h) || coalesce(nullif(' / ' || postrider.page_duration(h.p99_ms_1h), ' / '), ''),
			'number', 'In flight', case when h.in_flight > 0 then postrider.page_count(h.in_flight) end,
			'number', 'Waiting', case when h.waiting > 1000 then '&gt; 1000' when h.waiting > 0 then postrider.page_count(h.waiting) end
				|| coalesce(nullif(format('<br><small>%s</small>', postrider.page_age(h.oldest_waiting_at)), '<br><small></small>'), ''),
			'number', 'Limit used', case when h.rate_used_share is not null then format('<span class="level" title="%1$s %%"><i%2$s style="width:%1$s%%"></i></span>',
				round(least(h.rate_used_share, 1)::numeric * 100), case when h.rate_used_share >= 0.9 then ' class="full"' end) end,
			'said', 'Says', postrider.page_text(left(coalesce(h.reason, case when h.last_error_at > now() - interval '1 hour' then h.last_error end), 200))) as html
		from postrider.endpoint_health h join postrider.endpoint e on e.name = h.endpoint
			left join total t on t.endpoint_id = e.id left join spark s on s.endpoint_id = e.id),
	ranked as (
		select *, trouble or waits or row_number() over (order by not trouble, not waits, endpoint) <= 50 as shown from line),
	parts as (
		select string_agg(html, '' order by not trouble, not waits, endpoint) filter (where shown) as shown,
			string_agg(html, '' order by endpoint) filter (where not shown) as folded, count(*) filter (where not shown) as more
		from ranked)
	select '<section><h2>Endpoints</h2>' || postrider.page_table(head, shown, 'There is no endpoint yet. One is made with<br><code>INSERT INTO postrider.endpoint (name, url) VALUES (&hellip;)</code>') ||
		case when more > 0 then format('<details><summary>%s more that are well</summary>%s</details>', more, postrider.page_table(head, folded, '')) else '' end || '</section>'
	from parts, (select '{Endpoint,State,Flow,#Delivered,#Success,"#p50 / p99","#In flight",#Waiting,"#Limit used",Says}'::text[] as head) h
$$;
comment on function postrider.page_section_endpoints(timestamptz, interval, integer) is
'For postrider.status_page(): the endpoints.';

create function postrider.page_section_waiting() returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
select '<section><h2>What waits, and why</h2>' || postrider.page_table('{Endpoint,Why,#Deliveries,"#Oldest since","#Next in"}',
		string_agg(postrider.page_row('name', '', postrider.page_name(w.endpoint),
			'', 'Why', case w.reason when 'scheduled' then 'for a later time' when 'retry' then 'failed, to be tried again' when 'overflow' then 'the endpoint takes less than comes'
				when 'held' then 'the endpoint is paused or disabled' when 'ordered' then 'an earlier one with the same key must go first'
				when 'replay' then 'sent again by replay()' when 'in_flight' then 'at hand' else postrider.page_text(w.reason) end,
			'number', 'Deliveries', case when w.count > 200 then '&gt; 200' else w.count::text end,
			'number', 'Oldest since', postrider.page_age(w.oldest), 'number', 'Next in',
			case when w.due_at > now() then postrider.page_duration(extract(epoch from w.due_at - now())::double precision * 1000) end),
			'' order by w.oldest, w.endpoint, w.reason), 'Nothing waits.') || '</section>'
	from (select e.name as endpoint, p.reason, count(*) as count, min(postrider.id_time(p.message_id)) as oldest,
			min(p.due_at) filter (where isfinite(p.due_at)) as due_at
		from postrider.endpoint e cross join lateral (
			select q.reason, q.message_id, q.due_at from postrider.pending q where q.endpoint_id = e.id order by q.due_at limit 201) p
		group by e.name, p.reason order by 4, 1, 2 limit 50) w
$$;
comment on function postrider.page_section_waiting() is
'For postrider.status_page(): what is in postrider.pending.';

create function postrider.page_section_dead_letters() returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
select '<section><h2>Dead letters</h2>' || postrider.page_table('{Endpoint,Reason,"#Dead letters","#Newest, ago",Error}',
		string_agg(postrider.page_row('name', '', postrider.page_name(d.endpoint),
			'', 'Reason', postrider.page_text(concat_ws(', ', d.reason, 'status ' || d.status_code, d.error_code)),
			'number', 'Dead letters', case when d.dead_letters > 1000 then '&gt; 1000' else d.dead_letters::text end,
			'number', 'Newest, ago', postrider.page_age(d.newest_at),
			'said', 'Error', postrider.page_text(left(d.error, 200))), '' order by d.newest_at desc, d.endpoint), 'There are none.') || '</section>'
	from (select * from postrider.dead_letter_summary order by newest_at desc limit 50) d
$$;
comment on function postrider.page_section_dead_letters() is
'For postrider.status_page(): dead letters by endpoint and reason.';

create function postrider.page_section_topics(since timestamptz) returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
select '<section><h2>Topics</h2>' || postrider.page_table('{Topic,#Messages,#Bytes,"#Newest, ago"}',
		string_agg(postrider.page_row('name', '', postrider.page_name(t.topic), 'number', 'Messages', postrider.page_count(t.messages),
			'number', 'Bytes', postrider.page_count(t.bytes), 'number', 'Newest, ago', postrider.page_age(t.newest)), '' order by t.messages desc, t.topic),
		'No message was read.') || '</section>'
	from (select m.topic, sum(m.messages) as messages, sum(m.bytes) as bytes, max(m.minute) as newest
		from postrider.message_stats m where m.minute >= page_section_topics.since group by m.topic order by 2 desc, 1 limit 30) t
$$;
comment on function postrider.page_section_topics(timestamptz) is
'For postrider.status_page(): the topics with the most messages.';

-- Of tables that grow a part by the index, whatever statistics say; and plans that run once are not compiled.
create function postrider.status_page(period interval default '1 hour') returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
	minutes constant integer := ceil(extract(epoch from period) / 60);
	step interval;
	bars integer;
	since timestamptz;
	body text := '';
	section text;
	call text;
begin
	if period is null or minutes < 10 or minutes > 14 * 24 * 60 then
		raise invalid_parameter_value using message = 'period of the status page must be from 10 minutes to 14 days',
			hint = 'Run SELECT postrider.status_page(''1 day'').';
	end if;
	step := make_interval(mins => ceil(minutes / 60.0)::integer);
	bars := ceil(minutes / ceil(minutes / 60.0))::integer;
	since := date_trunc('minute', now()) + interval '1 minute' - step * bars;

	foreach call in array array['problems()', 'totals($1)', 'flow($1, $2, $3)', 'endpoints($1, $2, $3)', 'waiting()', 'dead_letters()',
		'latency($1)', 'topics($1)', 'workers()']
	loop
		-- Whatever is broken, the rest of the page is wanted most then.
		begin
			execute 'select postrider.page_section_' || call into strict section using since, step, bars;
		exception when others then
			section := format('<section><h2>%s</h2><p class="bad">This part cannot be shown: %s</p></section>',
				initcap(replace(split_part(call, '(', 1), '_', ' ')), postrider.page_text(sqlerrm));
		end;
		body := body || section || E'\n';
	end loop;

	return concat(E'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
		'<meta http-equiv="Content-Security-Policy" content="default-src ''none''; style-src ''unsafe-inline''">',
		'<title>postrider: ', postrider.page_text(current_database()), '</title><style>', postrider.page_style(), E'</style></head><body>\n',
		'<header><h1>postrider</h1><p>Database ', postrider.page_name(current_database()), ', ', to_char(now(), 'YYYY-MM-DD HH24:MI:SS TZ'),
		', the last ', case when minutes % 1440 = 0 and minutes > 1440 then minutes / 1440 || ' days' when minutes % 60 = 0 and minutes > 60 then minutes / 60 || ' hours'
			when minutes = 60 then 'hour' when minutes = 1440 then '24 hours' else minutes || ' minutes' end, E'</p></header>\n<main>', body, E'</main>\n<footer>',
		postrider.page_text(format('As %s sees it, in %s.', current_user,
			postrider.page_duration(extract(epoch from clock_timestamp() - statement_timestamp())::double precision * 1000))), E'</footer></body></html>\n');
end
$$;
comment on function postrider.status_page(interval) is
'How everything stands, as one HTML page for the last hour (or another period, up to 14 days): psql -Atc ''select postrider.status_page()'' > status.html. It shows what its caller may see.';
