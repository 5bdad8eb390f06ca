/*-------------------------------------------------------------------------
 *
 * receiver.c
 *	  An HTTP receiver that counts every message and misbehaves on command.
 *
 *	  receiver PORT LOGFILE		(port 0: any; says "port N" on stdout)
 *
 * One process, one epoll loop.  Commands come on stdin, a line each, and are
 * answered with "done":
 *
 *	  ENDPOINT MODE [ARGUMENT]
 *
 * where ENDPOINT is the first letter of the request's path, or * for all, and
 * MODE is one of
 *
 *	  ok				answers 200
 *	  status N			answers N
 *	  reset-request		resets the connection before the request is read
 *	  reset-headers		resets in the middle of the response's headers
 *	  reset-body		resets in the middle of the response's body
 *	  slow-headers		a byte of the headers every 50 ms, never the last
 *	  endless			200 with a body that does not end
 *	  hang				no answer
 *
 * and, for * only, "refuse" closes the listening socket and all connections,
 * "listen" opens it again.  End of file on stdin ends the program.
 *
 * Each request that was read to its end is a line in the log:
 *
 *	  TIME_MS ok|no ENDPOINT MESSAGE_ID KEY NUMBER
 *
 * "ok" means that the answer was a 2xx and has been written.  KEY and NUMBER
 * are the payload's members "k" and "n", or "-" and 0.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNECTIONS 8192
#define MAX_REQUEST (4 * 1024 * 1024)
#define DRIBBLE_MS 50

typedef enum Mode
{
	MODE_OK, MODE_STATUS, MODE_RESET_REQUEST, MODE_RESET_HEADERS,
	MODE_RESET_BODY, MODE_SLOW_HEADERS, MODE_ENDLESS, MODE_HANG
} Mode;

static const char *const mode_names[] = {
	"ok", "status", "reset-request", "reset-headers", "reset-body",
	"slow-headers", "endless", "hang", NULL
};

typedef struct Connection
{
	bool		open;
	Mode		doing;			/* MODE_SLOW_HEADERS or MODE_ENDLESS while at it */
	char	   *input;
	size_t		length;
	size_t		size;
} Connection;

/* By descriptor. */
static Connection connections[MAX_CONNECTIONS];

/* By the first letter of the path. */
static Mode modes[256];
static int	statuses[256];

static int	epoll_descriptor;
static int	listener = -1;
static int	port;
static FILE *requests;

static long long
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

static void
watch(int descriptor, int operation, unsigned what)
{
	struct epoll_event event = {.events = what, .data.fd = descriptor};

	if (epoll_ctl(epoll_descriptor, operation, descriptor, &event) < 0)
		die("epoll_ctl");
}

static void
start_listening(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t	length = sizeof(address);
	int			on = 1;

	address.sin_port = htons(port);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (struct sockaddr *) &address, sizeof(address)) < 0 ||
		listen(listener, 1024) < 0)
		die("listen");
	getsockname(listener, (struct sockaddr *) &address, &length);
	port = ntohs(address.sin_port);
	watch(listener, EPOLL_CTL_ADD, EPOLLIN);
}

static void
close_connection(int descriptor, bool reset)
{
	Connection *connection = &connections[descriptor];
	struct linger linger = {.l_onoff = 1, .l_linger = 0};

	if (reset)
		setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(descriptor);
	free(connection->input);
	memset(connection, 0, sizeof(*connection));
}

static void
refuse(void)
{
	if (listener >= 0)
		close(listener);
	listener = -1;
	for (int i = 0; i < MAX_CONNECTIONS; i++)
		if (connections[i].open)
			close_connection(i, true);
}

static void
accept_all(void)
{
	int			descriptor;
	int			on = 1;

	while ((descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
	{
		if (descriptor >= MAX_CONNECTIONS)
		{
			close(descriptor);
			continue;
		}
		setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		connections[descriptor].open = true;
		watch(descriptor, EPOLL_CTL_ADD, EPOLLIN);
	}
}

/* Answers are small, and go out at once or not at all. */
static bool
say(int descriptor, const char *text)
{
	return send(descriptor, text, strlen(text), MSG_NOSIGNAL) == (ssize_t) strlen(text);
}

/* Copies what follows "name" up to one of "ends"; "-" if it is not there. */
static void
find(const char *text, size_t length, const char *name, const char *ends,
	 char *value, size_t size)
{
	const char *start = memmem(text, length, name, strlen(name));
	size_t		i = 0;

	strcpy(value, "-");
	if (!start)
		return;
	start += strlen(name);
	while (i < size - 1 && start + i < text + length && !strchr(ends, start[i]))
	{
		value[i] = start[i];
		i++;
	}
	value[i] = '\0';
}

static void
record(const char *head, size_t head_length, const char *body, size_t body_length,
	   char endpoint, bool ok)
{
	char		id[64];
	char		key[64];
	char		number[24];

	find(head, head_length, "webhook-id: ", "\r", id, sizeof(id));
	find(body, body_length, "\"k\": \"", "\"", key, sizeof(key));
	find(body, body_length, "\"n\": ", ",}", number, sizeof(number));
	fprintf(requests, "%lld %s %c %s %s %d\n", now_ms(), ok ? "ok" : "no",
			endpoint, id, key, atoi(number));
}

/* Returns true if the answer was a 2xx; may close the connection. */
static bool
answer(int descriptor, char endpoint)
{
	char		text[128];
	int			status = statuses[(unsigned char) endpoint];

	switch (modes[(unsigned char) endpoint])
	{
		case MODE_OK:
			return say(descriptor, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
		case MODE_STATUS:
			snprintf(text, sizeof(text), "HTTP/1.1 %d Told\r\nContent-Length: 7\r\n\r\nas told", status);
			say(descriptor, text);
			return status >= 200 && status <= 299;
		case MODE_RESET_REQUEST:
			close_connection(descriptor, true);
			return false;
		case MODE_RESET_HEADERS:
			say(descriptor, "HTTP/1.1 200 OK\r\nContent-Le");
			close_connection(descriptor, true);
			return false;
		case MODE_RESET_BODY:
			say(descriptor, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf a bo");
			close_connection(descriptor, true);
			return false;
		case MODE_SLOW_HEADERS:
			say(descriptor, "HTTP/1.1 200 OK\r\nX-Slow: ");
			connections[descriptor].doing = MODE_SLOW_HEADERS;
			return false;
		case MODE_ENDLESS:
			/* A 200 has been seen, so this is delivered. */
			connections[descriptor].doing = MODE_ENDLESS;
			watch(descriptor, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
			return say(descriptor, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n");
		case MODE_HANG:
			return false;
	}
	return false;
}

/* Takes requests out of the input, as far as they are complete. */
static void
take_requests(int descriptor)
{
	Connection *connection = &connections[descriptor];

	while (connection->open && connection->doing == MODE_OK)
	{
		char	   *end = memmem(connection->input, connection->length, "\r\n\r\n", 4);
		char	   *path = memchr(connection->input, ' ', connection->length);
		char		endpoint;
		char		text[24];
		size_t		head;
		size_t		body;
		char	   *copy;
		bool		ok;

		if (!end || !path)
			return;
		head = end + 4 - connection->input;
		endpoint = path[2];
		if (modes[(unsigned char) endpoint] == MODE_RESET_REQUEST)
		{
			close_connection(descriptor, true);
			return;
		}
		find(connection->input, head, "Content-Length: ", "\r", text, sizeof(text));
		body = atol(text);
		if (connection->length < head + body)
			return;

		copy = malloc(head + body);
		memcpy(copy, connection->input, head + body);
		memmove(connection->input, connection->input + head + body,
				connection->length - head - body);
		connection->length -= head + body;
		ok = answer(descriptor, endpoint);
		record(copy, head, copy + head, body, endpoint, ok);
		free(copy);
	}
}

static void
read_from(int descriptor)
{
	Connection *connection = &connections[descriptor];
	ssize_t		got;

	if (connection->size - connection->length < 65536)
	{
		connection->size = connection->size ? connection->size * 2 : 131072;
		connection->input = realloc(connection->input, connection->size);
	}
	got = read(descriptor, connection->input + connection->length,
			   connection->size - connection->length);
	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0 || connection->length + got > MAX_REQUEST)
	{
		close_connection(descriptor, false);
		return;
	}
	connection->length += got;
	take_requests(descriptor);
}

static void
write_without_end(int descriptor)
{
	static char chunk[65536];
	ssize_t		sent = send(descriptor, chunk, sizeof(chunk), MSG_NOSIGNAL);

	if (sent < 0 && errno != EAGAIN)
		close_connection(descriptor, false);
}

static void
dribble(void)
{
	for (int i = 0; i < MAX_CONNECTIONS; i++)
		if (connections[i].open && connections[i].doing == MODE_SLOW_HEADERS &&
			!say(i, "x"))
			close_connection(i, false);
}

static void
obey(char *line)
{
	char		endpoint;
	char		word[32];
	int			argument = 0;

	if (sscanf(line, "%c %31s %d", &endpoint, word, &argument) < 2)
		return;
	if (strcmp(word, "refuse") == 0)
		refuse();
	else if (strcmp(word, "listen") == 0 && listener < 0)
		start_listening();
	for (int mode = 0; mode_names[mode]; mode++)
	{
		if (strcmp(word, mode_names[mode]) != 0)
			continue;
		for (int i = 0; i < 256; i++)
			if (endpoint == '*' || endpoint == i)
			{
				modes[i] = mode;
				statuses[i] = argument;
			}
	}
	printf("done\n");
	fflush(stdout);
}

/* Reads what there is on stdin; false at its end. */
static bool
read_commands(void)
{
	static char input[4096];
	static size_t length = 0;
	ssize_t		got = read(0, input + length, sizeof(input) - 1 - length);
	char	   *end;

	if (got <= 0)
		return false;
	length += got;
	input[length] = '\0';
	while ((end = strchr(input, '\n')) != NULL)
	{
		*end = '\0';
		obey(input);
		length -= end + 1 - input;
		memmove(input, end + 1, length + 1);
	}
	return true;
}

int
main(int argc, char **argv)
{
	long long	dribbled_at = 0;
	bool		go_on = true;

	if (argc != 3 || !(requests = fopen(argv[2], "a")))
		die("usage: receiver PORT LOGFILE");
	port = atoi(argv[1]);
	signal(SIGPIPE, SIG_IGN);
	epoll_descriptor = epoll_create1(EPOLL_CLOEXEC);
	watch(0, EPOLL_CTL_ADD, EPOLLIN);
	start_listening();
	printf("port %d\n", port);
	fflush(stdout);

	while (go_on)
	{
		struct epoll_event events[256];
		int			count = epoll_wait(epoll_descriptor, events, 256, DRIBBLE_MS);

		for (int i = 0; i < count; i++)
		{
			int			descriptor = events[i].data.fd;

			if (descriptor == 0)
			{
				go_on = read_commands();

				/* A command may have closed what the other events are about. */
				break;
			}
			if (descriptor == listener)
				accept_all();
			else if (!connections[descriptor].open)
				continue;
			else if (events[i].events & ~EPOLLOUT)
				read_from(descriptor);
			else if (connections[descriptor].doing == MODE_ENDLESS)
				write_without_end(descriptor);
		}
		if (now_ms() - dribbled_at >= DRIBBLE_MS)
		{
			dribble();
			dribbled_at = now_ms();
		}
		fflush(requests);
	}
	return 0;
}
