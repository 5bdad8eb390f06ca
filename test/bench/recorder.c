/*-------------------------------------------------------------------------
 *
 * recorder.c
 *	  The receiver of the benchmark that records when requests arrive.
 *
 *	  recorder PORT FILE
 *
 * One process, one epoll loop, HTTP/1.1 on connections that are kept.  The
 * beginning of the path tells what is answered:
 *
 *	  /ok		200
 *	  /flaky	503 while told so, 200 otherwise
 *	  /hang		nothing, ever
 *
 * and what is done, on a connection that is closed after it:
 *
 *	  /control/fail		/flaky answers 503 from now on
 *	  /control/recover	/flaky answers 200 from now on
 *	  /control/counts	answers with the numbers of requests since the last
 *						reset: ok, flaky with 200, flaky with 503, hang
 *	  /control/reset	forgets all records
 *	  /control/write	writes the records to FILE, one request a line:
 *						kind (o, f, h), status, time of arrival, "at", "id",
 *						bytes of the body
 *
 * Times are microseconds since 1970.  A request has arrived when its last byte
 * has.  "at" (seconds since 1970) and "id" (a number) are looked for in the
 * body; they are 0 where there are none.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_PER_CALL 256
#define BUFFER_BYTES	8192

typedef struct Connection
{
	int			socket;
	size_t		used;			/* bytes in the buffer */
	char		buffer[BUFFER_BYTES];
} Connection;

typedef struct Record
{
	int64_t		arrived_us;
	int64_t		at_us;			/* from the body */
	int64_t		id;				/* from the body */
	uint32_t	body_bytes;
	uint16_t	status;			/* 0 where none is answered */
	char		kind;			/* first letter of the path */
} Record;

/* One request, within its connection's buffer. */
typedef struct Request
{
	const char *path;
	size_t		path_length;
	const char *body;
	size_t		body_length;
	size_t		total;			/* bytes, head and body */
} Request;

typedef enum ParseResult
{
	PARSE_DONE,
	PARSE_MORE,					/* it is not complete */
	PARSE_BAD
} ParseResult;

static Record *records = NULL;
static size_t record_count = 0;
static size_t record_capacity = 0;
static uint64_t count_ok,
			count_flaky_200,
			count_flaky_503,
			count_hang;
static bool failing = false;
static const char *file_name;

static void
give_up(const char *what)
{
	perror(what);
	exit(1);
}

static int64_t
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

/* The number that follows a JSON key in the body, times 1,000,000 or 1. */
static int64_t
find_number(const Request *request, const char *key, bool micro)
{
	const char *end = request->body + request->body_length;
	const char *at = memmem(request->body, request->body_length, key, strlen(key));
	int64_t		value = 0;
	int			decimals = -1;

	if (!at)
		return 0;
	for (at += strlen(key); at < end; at++)
	{
		if (*at == '.' && decimals < 0)
			decimals = 0;
		else if (*at >= '0' && *at <= '9' && decimals < 6)
		{
			value = value * 10 + (*at - '0');
			decimals += decimals >= 0;
		}
		else if (*at != ' ')
			break;
	}
	if (micro)
		for (decimals = decimals < 0 ? 0 : decimals; decimals < 6; decimals++)
			value *= 10;
	return value;
}

static void
record(const Request *request, int64_t arrived_us, int status)
{
	Record	   *new;

	if (record_count == record_capacity)
	{
		record_capacity = record_capacity ? record_capacity * 2 : 1 << 16;
		records = realloc(records, record_capacity * sizeof(Record));
		if (!records)
			give_up("realloc");
	}
	new = &records[record_count++];
	new->arrived_us = arrived_us;
	new->at_us = find_number(request, "\"at\":", true);
	new->id = find_number(request, "\"id\":", false);
	new->body_bytes = request->body_length;
	new->status = status;
	new->kind = request->path[1];
}

static void
write_records(void)
{
	FILE	   *file = fopen(file_name, "w");

	if (!file)
		give_up(file_name);
	for (size_t i = 0; i < record_count; i++)
		fprintf(file, "%c %d %lld %lld %lld %u\n", records[i].kind,
				records[i].status, (long long) records[i].arrived_us,
				(long long) records[i].at_us, (long long) records[i].id,
				records[i].body_bytes);
	if (fclose(file) != 0)
		give_up(file_name);
}

static bool
path_is(const Request *request, const char *beginning)
{
	return request->path_length >= strlen(beginning) &&
		memcmp(request->path, beginning, strlen(beginning)) == 0;
}

static bool
answer(Connection *connection, int status, const char *body, bool keep)
{
	char		text[512];
	int			length = snprintf(text, sizeof(text),
								  "HTTP/1.1 %d Told\r\nContent-Length: %zu\r\n%s\r\n%s",
								  status, strlen(body),
								  keep ? "" : "Connection: close\r\n", body);

	return send(connection->socket, text, length, MSG_NOSIGNAL) == length && keep;
}

static bool
control(Connection *connection, const Request *request)
{
	char		counts[128] = "";

	if (path_is(request, "/control/fail"))
		failing = true;
	else if (path_is(request, "/control/recover"))
		failing = false;
	else if (path_is(request, "/control/write"))
		write_records();
	else if (path_is(request, "/control/counts"))
		snprintf(counts, sizeof(counts), "%llu %llu %llu %llu",
				 (unsigned long long) count_ok,
				 (unsigned long long) count_flaky_200,
				 (unsigned long long) count_flaky_503,
				 (unsigned long long) count_hang);
	else if (path_is(request, "/control/reset"))
	{
		record_count = 0;
		count_ok = count_flaky_200 = count_flaky_503 = count_hang = 0;
	}
	else
		return answer(connection, 404, "", false);
	return answer(connection, 200, counts, false);
}

/* Returns false if the connection is to be closed. */
static bool
serve(Connection *connection, const Request *request)
{
	int64_t		arrived_us = now_us();

	if (path_is(request, "/control/"))
		return control(connection, request);
	if (path_is(request, "/hang"))
	{
		count_hang++;
		record(request, arrived_us, 0);
		return true;
	}
	if (path_is(request, "/flaky") && failing)
	{
		count_flaky_503++;
		record(request, arrived_us, 503);
		return answer(connection, 503, "", true);
	}
	if (path_is(request, "/flaky"))
		count_flaky_200++;
	else
		count_ok++;
	record(request, arrived_us, 200);
	return answer(connection, 200, "", true);
}

/* Finds the next request in a connection's buffer. */
static ParseResult
parse(const char *data, size_t length, Request *request)
{
	const char *head_end = memmem(data, length, "\r\n\r\n", 4);
	const char *path;
	const char *path_end;
	const char *line;

	if (!head_end)
		return PARSE_MORE;
	path = memchr(data, ' ', head_end - data);
	path_end = path ? memchr(path + 1, ' ', head_end - path - 1) : NULL;
	if (!path_end || path[1] != '/')
		return PARSE_BAD;
	request->path = path + 1;
	request->path_length = path_end - path - 1;
	request->body = head_end + 4;
	request->body_length = 0;
	for (line = data; (line = memmem(line, head_end - line, "\r\n", 2)); )
	{
		line += 2;
		if (strncasecmp(line, "content-length:", 15) == 0)
			request->body_length = strtoul(line + 15, NULL, 10);
	}
	request->total = request->body - data + request->body_length;
	return request->total <= length ? PARSE_DONE : PARSE_MORE;
}

/* Reads what has come and serves it; false if the connection has ended. */
static bool
receive(Connection *connection)
{
	size_t		done = 0;
	Request		request;
	ParseResult parsed;
	ssize_t		got = recv(connection->socket, connection->buffer + connection->used,
						   BUFFER_BYTES - connection->used, 0);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (got <= 0)
		return false;
	connection->used += got;
	while ((parsed = parse(connection->buffer + done, connection->used - done,
						   &request)) == PARSE_DONE)
	{
		done += request.total;
		if (!serve(connection, &request))
			return false;
	}
	connection->used -= done;
	memmove(connection->buffer, connection->buffer + done, connection->used);
	return parsed == PARSE_MORE && connection->used < BUFFER_BYTES;
}

static void
take_connections(int listener, int epoll_descriptor)
{
	int			socket;

	while ((socket = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0)
	{
		struct epoll_event event = {.events = EPOLLIN};
		Connection *connection = malloc(sizeof(Connection));
		int			on = 1;

		if (!connection)
			give_up("malloc");
		connection->socket = socket;
		connection->used = 0;
		event.data.ptr = connection;
		setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		if (epoll_ctl(epoll_descriptor, EPOLL_CTL_ADD, socket, &event) != 0)
			give_up("epoll_ctl");
	}
	if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
		give_up("accept4");
}

static int
start_listening(int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	int			listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int			on = 1;

	address.sin_port = htons(port);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (struct sockaddr *) &address, sizeof(address)) != 0 ||
		listen(listener, 4096) != 0)
		give_up("listen");
	return listener;
}

int
main(int argc, char **argv)
{
	struct rlimit files;
	struct epoll_event event = {.events = EPOLLIN};
	struct epoll_event events[EVENTS_PER_CALL];
	int			listener;
	int			epoll_descriptor = epoll_create1(0);

	if (argc != 3)
	{
		fprintf(stderr, "usage: recorder PORT FILE\n");
		return 1;
	}
	file_name = argv[2];
	signal(SIGPIPE, SIG_IGN);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);

	listener = start_listening(atoi(argv[1]));
	event.data.ptr = NULL;
	if (epoll_ctl(epoll_descriptor, EPOLL_CTL_ADD, listener, &event) != 0)
		give_up("epoll_ctl");
	for (;;)
	{
		int			count = epoll_wait(epoll_descriptor, events, EVENTS_PER_CALL, -1);

		for (int i = 0; i < count; i++)
		{
			Connection *connection = events[i].data.ptr;

			if (!connection)
				take_connections(listener, epoll_descriptor);
			else if (!receive(connection))
			{
				close(connection->socket);
				free(connection);
			}
		}
	}
}
