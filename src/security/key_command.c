/*-------------------------------------------------------------------------
 *
 * key_command.c
 *	  postrider.key_command; see key_command.h.
 *
 * posix_spawn() and not fork(): a worker has threads of curl's.  The command leads a
 * process group of its own, so that what it has started can be killed with it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "miscadmin.h"
#include "portability/instr_time.h"
#include "security/key_command.h"

#define MAX_OUTPUT_BYTES (64 + POSTRIDER_MAX_KEYS * (POSTRIDER_ENCODED_KEY_BYTES + 2))
#define POLL_MS 50

extern char **environ;

/* What the command has written so far. */
typedef struct CommandOutput
{
	char		data[MAX_OUTPUT_BYTES + 2];
	int			length;
	bool		ended;			/* it has closed its output */
} CommandOutput;

static bool
start(const char *command, int output, pid_t *child)
{
	char	   *arguments[] = {"sh", "-c", unconstify(char *, command), NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t	none;
	sigset_t	all;
	int			error;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
							 POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	error = posix_spawn(child, "/bin/sh", &actions, &attributes, arguments, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	errno = error;
	return error == 0;
}

/* Reads until the end, too much, the time is over, or an interrupt. */
static void
read_output(int input, CommandOutput *output)
{
	instr_time	begin;

	INSTR_TIME_SET_CURRENT(begin);
	while (!output->ended && output->length <= MAX_OUTPUT_BYTES && !InterruptPending)
	{
		struct pollfd wanted = {.fd = input, .events = POLLIN};
		instr_time	passed;
		ssize_t		bytes;

		INSTR_TIME_SET_CURRENT(passed);
		INSTR_TIME_SUBTRACT(passed, begin);
		if (INSTR_TIME_GET_DOUBLE(passed) >= KEY_COMMAND_SECONDS)
			return;
		if (poll(&wanted, 1, POLL_MS) <= 0)
			continue;
		bytes = read(input, output->data + output->length,
					 sizeof(output->data) - 1 - output->length);
		if (bytes == 0 || (bytes < 0 && errno != EINTR && errno != EAGAIN))
			output->ended = true;
		else if (bytes > 0)
			output->length += (int) bytes;
	}
}

/* Waits for the end of the command, which is killed if it has not come to its end. */
static bool
reap(pid_t child, bool ended, int *status)
{
	bool		killed = false;

	for (int i = 0;; i++)
	{
		pid_t		result = waitpid(child, status, killed ? 0 : WNOHANG);

		if (result == child)
			return true;
		if (result < 0 && errno != EINTR)
			return false;
		/* Its output is closed: it has a moment to end by itself. */
		if (!killed && (!ended || InterruptPending || i * POLL_MS >= KEY_COMMAND_SECONDS * 1000))
		{
			(void) kill(-child, SIGKILL);
			killed = true;
		}
		else if (!killed)
			pg_usleep(i == 0 ? 1000 : POLL_MS * 1000L);
	}
}

static bool
judge(CommandOutput *output, bool reaped, int status, KeyRing *ring, char **reason)
{
	output->data[Min(output->length, MAX_OUTPUT_BYTES)] = '\0';
	if (!output->ended && output->length <= MAX_OUTPUT_BYTES)
		*reason = psprintf("postrider.key_command did not end within %d seconds",
						   KEY_COMMAND_SECONDS);
	else if (output->ended && reaped && WIFSIGNALED(status))
		*reason = psprintf("postrider.key_command was ended by signal %d", WTERMSIG(status));
	else if (output->ended && (!reaped || WEXITSTATUS(status) != 0))
		*reason = psprintf("postrider.key_command failed with exit status %d",
						   reaped ? WEXITSTATUS(status) : -1);
	else if (output->length > MAX_OUTPUT_BYTES ||
			 strlen(output->data) != (Size) output->length ||
			 !postrider_key_ring_parse(ring, output->data))
		*reason = psprintf("postrider.key_command did not print the base64 of %d bytes",
						   POSTRIDER_KEY_BYTES);
	else
		return true;
	return false;
}

bool
postrider_key_command_run(const char *command, KeyRing *ring, char **reason)
{
	CommandOutput output = {.length = 0};
	int			ends[2];
	int			status = 0;
	pid_t		child;
	bool		started;
	bool		done;

	if (pipe2(ends, O_CLOEXEC) != 0)
	{
		*reason = psprintf("could not run postrider.key_command: %s", strerror(errno));
		return false;
	}
	(void) fcntl(ends[0], F_SETFL, O_NONBLOCK);
	started = start(command, ends[1], &child);
	if (!started)
		*reason = psprintf("could not run postrider.key_command: %s", strerror(errno));
	close(ends[1]);
	if (started)
		read_output(ends[0], &output);
	close(ends[0]);
	if (!started)
		return false;
	started = reap(child, output.ended, &status);
	done = judge(&output, started, status, ring, reason);
	explicit_bzero(&output, sizeof(output));
	if (!done)
		CHECK_FOR_INTERRUPTS();
	return done;
}
