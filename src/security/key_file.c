/*-------------------------------------------------------------------------
 *
 * key_file.c
 *	  The file with the keys that encrypt secrets.
 *
 * The file appears complete or not at all: the key is written to a file of
 * another name, synced, and linked to the final name, which fails if that is
 * taken.  So processes that race agree on one key, and a crash leaves no half
 * of one.  It is replaced the same way, by rename.
 *
 * Nothing here raises errors: a worker reads the key outside of any statement
 * and has to say, for each endpoint, why it cannot sign.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guc.h"
#include "miscadmin.h"
#include "port.h"
#include "security/key_file.h"
#include "storage/fd.h"

#define MAX_FILE_BYTES (64 + POSTRIDER_MAX_KEYS * (POSTRIDER_ENCODED_KEY_BYTES + 2))

char *
postrider_key_file_path(void)
{
	if (is_absolute_path(postrider_key_file))
		return pstrdup(postrider_key_file);
	return psprintf("%s/%s", DataDir, postrider_key_file);
}

bool
postrider_key_file_exists(void)
{
	char	   *path = postrider_key_file_path();
	struct stat status;
	bool		exists = stat(path, &status) == 0 || errno != ENOENT;

	pfree(path);
	return exists;
}

static bool
fail(char **reason, const char *what, const char *path)
{
	*reason = psprintf("could not %s key file \"%s\": %s", what, path,
					   strerror(errno));
	return false;
}

static bool
check_file(int fd, const char *path, char **reason)
{
	struct stat status;
	mode_t		forbidden = S_IRWXG | S_IRWXO;

	if (fstat(fd, &status) != 0)
		return fail(reason, "stat", path);
	if (!S_ISREG(status.st_mode))
	{
		*reason = psprintf("key file \"%s\" is not a regular file", path);
		return false;
	}
	if (status.st_uid != geteuid() && status.st_uid != 0)
	{
		*reason = psprintf("key file \"%s\" must be owned by the database user or root",
						   path);
		return false;
	}
	if (status.st_uid == 0 && geteuid() != 0)
		forbidden = S_IWGRP | S_IXGRP | S_IRWXO;
	if (status.st_mode & forbidden)
	{
		*reason = psprintf("key file \"%s\" must not be accessible by group or others; run chmod 600 on it",
						   path);
		return false;
	}
	return true;
}

bool
postrider_key_file_read(KeyRing *ring, char **reason)
{
	char	   *path = postrider_key_file_path();
	char		content[MAX_FILE_BYTES + 1];
	ssize_t		length = 0;
	bool		done;
	int			fd;

	/* Not to wait for ever should it be a pipe. */
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0);
	if (fd < 0)
		return fail(reason, "open", path);

	done = check_file(fd, path, reason);
	if (done)
	{
		length = read(fd, content, sizeof(content));
		if (length < 0)
			done = fail(reason, "read", path);
	}
	close(fd);

	if (done)
	{
		content[Min(length, MAX_FILE_BYTES)] = '\0';
		done = length <= MAX_FILE_BYTES &&
			strlen(content) == (Size) length && postrider_key_ring_parse(ring, content);
		if (!done)
			*reason = psprintf("key file \"%s\" does not have the base64 of %d bytes in it",
							   path, POSTRIDER_KEY_BYTES);
		explicit_bzero(content, sizeof(content));
	}
	pfree(path);
	return done;
}

static bool
write_all(int fd, const char *data, int length)
{
	while (length > 0)
	{
		ssize_t		written = write(fd, data, length);

		if (written < 0)
		{
			if (errno == EINTR)
				continue;
			return false;
		}
		data += written;
		length -= written;
	}
	return true;
}

/* Writes a line to a new file, safely on disk when it returns. */
static bool
write_file(const char *path, const char *line, char **reason)
{
	bool		done;
	int			fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return fail(reason, "create", path);
	done = write_all(fd, line, (int) strlen(line)) && pg_fsync(fd) == 0;
	if (!done)
		(void) fail(reason, "write", path);
	close(fd);
	return done;
}

/* Writes the keys to a file of another name, safely on disk when it returns. */
static bool
write_temporary(const char *path, const KeyRing *ring, char **reason)
{
	char		content[MAX_FILE_BYTES];
	bool		done;

	postrider_key_ring_print(ring, content);
	(void) unlink(path);		/* left by a crash of a process of our number */
	done = write_file(path, content, reason);
	explicit_bzero(content, sizeof(content));
	if (!done)
		(void) unlink(path);
	return done;
}

/*
 * The key must not be lost by a crash that the secrets survive.
 */
static bool
sync_directory(const char *path, char **reason)
{
	char	   *directory = pstrdup(path);
	bool		done;

	get_parent_directory(directory);
	done = fsync_fname_ext(directory, true, false, LOG) == 0;
	if (!done)
		(void) fail(reason, "sync the directory of", path);
	pfree(directory);
	return done;
}

bool
postrider_key_file_make(char **reason)
{
	char	   *path = postrider_key_file_path();
	char	   *temporary = psprintf("%s.%d.tmp", path, (int) getpid());
	KeyRing		ring = {0};
	bool		done = postrider_key_ring_add(&ring, reason) &&
		write_temporary(temporary, &ring, reason);

	postrider_key_ring_wipe(&ring);
	if (done && link(temporary, path) != 0 && errno != EEXIST)
		done = fail(reason, "create", path);
	(void) unlink(temporary);

	/* Whoever lost the race syncs too, for it may commit before the winner has. */
	done = done && sync_directory(path, reason);
	pfree(path);
	pfree(temporary);
	return done;
}

/* The file that is meant, where the path has symbolic links. */
static char *
real_path(char *path)
{
	char	   *resolved = realpath(path, NULL);
	char	   *result = resolved ? pstrdup(resolved) : path;

	free(resolved);
	return result;
}

bool
postrider_key_file_replace(const KeyRing *ring, char **reason)
{
	char	   *path = real_path(postrider_key_file_path());
	char	   *temporary = psprintf("%s.%d.tmp", path, (int) getpid());
	bool		done = write_temporary(temporary, ring, reason);

	if (done && rename(temporary, path) != 0)
	{
		done = fail(reason, "replace", path);
		(void) unlink(temporary);
	}
	done = done && sync_directory(path, reason);
	pfree(path);
	pfree(temporary);
	return done;
}
