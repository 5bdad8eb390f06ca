-- Tokens that are given back: as many as were taken, and no window forgets what others took.
create function test_rate_configure(limits text, now float8, fresh boolean) returns void
	language c as 'postrider_test', 'test_rate_configure';
create function test_rate_take(now float8, calls integer) returns text
	language c as 'postrider_test', 'test_rate_take';
create function test_rate_use(now float8) returns text
	language c as 'postrider_test', 'test_rate_use';
create function test_rate_next(now float8) returns float8
	language c as 'postrider_test', 'test_rate_next';
create function test_rate_put_back_many(since float8, until float8, count integer) returns void
	language c as 'postrider_test', 'test_rate_put_back_many';

-- Others take 5 at 0 s; a transaction takes 10 from 1 s to 30 s and is rolled back.
select test_rate_configure('1000 per s burst 1000, 20 per min, 100 per day', 0, true);
select test_rate_take(0, 5), test_rate_take(1, 5), test_rate_take(30, 5);
select test_rate_use(30);
select test_rate_put_back_many(1, 30, 10);
select test_rate_use(30);
select test_rate_take(30, 20);
-- What others took in between stays; the oldest go first, so that what is left counts longer.
select test_rate_configure('1000 per s burst 1000, 20 per min', 0, true);
select test_rate_take(1, 5), test_rate_take(20, 5), test_rate_take(30, 5);
select test_rate_put_back_many(1, 30, 5);
select test_rate_use(30), test_rate_use(70), test_rate_use(85), test_rate_use(95);
-- More than there is, or what has left the window, gives nothing.
select test_rate_put_back_many(1, 95, 1000);
select test_rate_use(95);
select test_rate_take(95, 3);
select test_rate_put_back_many(1, 2, 3);
select test_rate_use(95);
-- A clock that is a little behind stands still; one that was set back takes what was used with it.
select test_rate_configure('1000 per s burst 1000, 20 per min', 4000, true);
select test_rate_take(4000, 15), test_rate_next(3995), test_rate_next(400);
select test_rate_take(400, 10), test_rate_use(450), test_rate_use(470);
