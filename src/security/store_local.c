/*-------------------------------------------------------------------------
 *
 * store_local.c
 *	  Secrets in files and environment variables of the server.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guc.h"
#include "mb/pg_wchar.h"
#include "port.h"
#include "security/store.h"
#include "security/store_local.h"
#include "utils/timestamp.h"

#define MINUTE_MS INT64CONST(60000)

/* Of the name of an environment variable. */
#define NAME_BYTES "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"

static bool check_file(const SecretSource *source, const char **problem, const char **hint);
static bool is_file_permitted(const SecretSource *source, const char **problem,
							  const char **hint);
static bool check_variable(const SecretSource *source, const char **problem,
						   const char **hint);
static bool is_variable_permitted(const SecretSource *source, const char **problem,
								  const char **hint);
static char *file_place(const SecretSource *source);
static char *variable_place(const SecretSource *source);

static const SourceMember file_members[] = {
	{"path", SOURCE_TEXT, true},
	{NULL}
};

const SourceKind postrider_source_file = {
	.name = "file",
	.title = "file",
	.is_local = true,
	.refresh_ms = MINUTE_MS,
	.members = file_members,
	.check = check_file,
	.permitted = is_file_permitted,
	.place = file_place
};

static const SourceMember variable_members[] = {
	{"variable", SOURCE_TEXT, true},
	{NULL}
};

const SourceKind postrider_source_environment = {
	.name = "environment",
	.title = "environment variable",
	.is_local = true,
	.refresh_ms = MINUTE_MS,
	.members = variable_members,
	.check = check_variable,
	.permitted = is_variable_permitted,
	.place = variable_place
};

/* The next entry of a comma-separated list, without white space around it; palloc'd. */
static char *
next_entry(const char **list)
{
	const char *begin;
	Size		length;

	*list += strspn(*list, ", \t\r\n");
	if (**list == '\0')
		return NULL;
	begin = *list;
	length = strcspn(begin, ",");
	*list = begin + length;
	while (length > 0 && strchr(" \t\r\n", begin[length - 1]) != NULL)
		length--;
	return pnstrdup(begin, length);
}

/*
 * Files
 */

static char *
file_place(const SecretSource *source)
{
	return psprintf("file \"%s\"", postrider_source_value(source, "path"));
}

/* Is a path, without . and .., below a directory? */
static bool
is_below(const char *path, const char *directory)
{
	Size		length = strlen(directory);

	while (length > 1 && directory[length - 1] == '/')
		length--;
	return strncmp(path, directory, length) == 0 && path[length] == '/' &&
		path[length + 1] != '\0';
}

/* Does it have a segment that is empty, "." or ".."? */
static bool
is_odd(const char *path)
{
	while (*path == '/')
	{
		Size		length = strcspn(++path, "/");

		if (length == 0 || (length == 1 && path[0] == '.') ||
			(length == 2 && path[0] == '.' && path[1] == '.'))
			return true;
		path += length;
	}
	return *path != '\0';
}

/* Is a path, as it is written, below one of the directories? */
static bool
is_below_any(const char *path)
{
	const char *list = postrider_secret_directories;
	char	   *directory;

	while ((directory = next_entry(&list)) != NULL)
		if (is_below(path, directory))
			return true;
	return false;
}

/* Is a path without links below one of the directories, whose own links are followed? */
static bool
is_resolved_below_any(const char *resolved)
{
	const char *list = postrider_secret_directories;
	char	   *directory;
	char		real[PATH_MAX];

	while ((directory = next_entry(&list)) != NULL)
		if (realpath(directory, real) != NULL && strcmp(real, "/") != 0 &&
			is_below(resolved, real))
			return true;
	return false;
}

static bool
check_file(const SecretSource *source, const char **problem, const char **hint)
{
	const char *path = postrider_source_value(source, "path");

	if (!is_absolute_path(path) || is_odd(path) || strlen(path) >= MAXPGPATH)
	{
		*problem = "has a \"path\" that is not plain";
		*hint = "Write an absolute path without \".\" and \"..\", such as /run/secrets/crm.";
		return false;
	}
	return true;
}

static bool
is_file_permitted(const SecretSource *source, const char **problem, const char **hint)
{
	if (is_below_any(postrider_source_value(source, "path")))
		return true;
	*problem = "has a \"path\" that lies in no directory for secrets";
	*hint = "A superuser lists the directories in the setting postrider.secret_directories.";
	return false;
}


/* Nobody but its owner and their group may choose its content. */
static bool
check_open_file(int fd, const char *resolved, StoreAnswer *answer)
{
	char	   *directory = pstrdup(resolved);
	struct stat status;
	struct stat parent;

	get_parent_directory(directory);
	if (fstat(fd, &status) != 0 || stat(directory, &parent) != 0)
		postrider_store_fail(answer, false, psprintf("could not be looked at: %s", strerror(errno)));
	else if (!S_ISREG(status.st_mode))
		postrider_store_fail(answer, true, "is no regular file");
	else if (status.st_mode & S_IWOTH)
		postrider_store_fail(answer, true, "can be written by everybody");
	else if ((parent.st_mode & S_IWOTH) && !(parent.st_mode & S_ISVTX))
		postrider_store_fail(answer, true, "is in a directory that can be written by everybody");
	else
		return true;
	return false;
}

/* Takes the end of the line off, as editors and "echo" leave one. */
static void
take_content(char *content, Size length, StoreAnswer *answer)
{
	if (length > 0 && content[length - 1] == '\n')
		content[--length] = '\0';
	if (length > 0 && content[length - 1] == '\r')
		content[--length] = '\0';
	if (length == 0)
		postrider_store_fail(answer, true, "is empty");
	else if (length > SOURCE_MAX_VALUE_BYTES)
		postrider_store_fail(answer, true, psprintf("has more than %d bytes",
													SOURCE_MAX_VALUE_BYTES));
	else if (strlen(content) != length ||
			 !pg_verify_mbstr(GetDatabaseEncoding(), content, (int) length, true))
		postrider_store_fail(answer, true, "has bytes that are no text");
	else
		answer->value = pstrdup(content);
}

static void
read_open_file(int fd, StoreAnswer *answer)
{
	Size		space = SOURCE_MAX_VALUE_BYTES + 3;	/* the end of a line, and one more */
	char	   *content = palloc0(space + 1);
	Size		length = 0;
	ssize_t		got;

	while ((got = read(fd, content + length, space - length)) > 0)
		length += got;
	if (got < 0)
		postrider_store_fail(answer, false, psprintf("could not be read: %s", strerror(errno)));
	else
		take_content(content, length, answer);
	explicit_bzero(content, space);
	pfree(content);
}

static void
read_file(const SecretSource *source, StoreAnswer *answer)
{
	const char *path = postrider_source_value(source, "path");
	const char *why;
	const char *hint;
	char		resolved[PATH_MAX];
	int			fd;

	/* The settings may have changed since it was written. */
	if (!is_file_permitted(source, &why, &hint))
	{
		postrider_store_fail(answer, true, "lies in no directory of postrider.secret_directories");
		return;
	}
	if (realpath(path, resolved) == NULL)
	{
		postrider_store_fail(answer, false, errno == ENOENT ? "is missing" :
							 psprintf("could not be opened: %s", strerror(errno)));
		return;
	}
	if (!is_resolved_below_any(resolved))
	{
		postrider_store_fail(answer, true, "is a link that leads out of the directories of postrider.secret_directories");
		return;
	}
	fd = open(resolved, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC, 0);
	if (fd < 0)
	{
		postrider_store_fail(answer, false, psprintf("could not be opened: %s", strerror(errno)));
		return;
	}
	if (check_open_file(fd, resolved, answer))
		read_open_file(fd, answer);
	close(fd);
}

/*
 * Environment variables
 */

static char *
variable_place(const SecretSource *source)
{
	return psprintf("environment variable \"%s\"", postrider_source_value(source, "variable"));
}

/* "*" stands for any characters, and there is nothing else that is special. */
static bool
matches(const char *name, const char *pattern)
{
	for (; *pattern && *pattern != '*'; name++, pattern++)
		if (*name != *pattern)
			return false;
	if (*pattern == '\0')
		return *name == '\0';
	while (pattern[1] == '*')
		pattern++;
	for (;; name++)
	{
		if (matches(name, pattern + 1))
			return true;
		if (*name == '\0')
			return false;
	}
}

static bool
check_variable(const SecretSource *source, const char **problem, const char **hint)
{
	const char *name = postrider_source_value(source, "variable");

	if (strspn(name, NAME_BYTES) == strlen(name))
		return true;
	*problem = "has a \"variable\" that is no name of one";
	*hint = "Write it as in POSTRIDER_SECRET_CRM.";
	return false;
}

static bool
is_variable_permitted(const SecretSource *source, const char **problem, const char **hint)
{
	const char *name = postrider_source_value(source, "variable");
	const char *list = postrider_secret_environment;
	char	   *pattern;

	while ((pattern = next_entry(&list)) != NULL)
		if (matches(name, pattern))
			return true;
	*problem = "has a \"variable\" that is not for secrets";
	*hint = "A superuser lists the names, with * for any characters, in the setting postrider.secret_environment.";
	return false;
}

static void
read_variable(const SecretSource *source, StoreAnswer *answer)
{
	const char *name = postrider_source_value(source, "variable");
	const char *why;
	const char *hint;
	const char *found;

	if (!is_variable_permitted(source, &why, &hint))
		postrider_store_fail(answer, true, "is not in postrider.secret_environment");
	else if ((found = getenv(name)) == NULL)
		postrider_store_fail(answer, true, "is not set in the environment of the server");
	else if (found[0] == '\0')
		postrider_store_fail(answer, true, "is empty");
	else if (strlen(found) > SOURCE_MAX_VALUE_BYTES)
		postrider_store_fail(answer, true, psprintf("has more than %d bytes",
													SOURCE_MAX_VALUE_BYTES));
	else if (!pg_verify_mbstr(GetDatabaseEncoding(), found, (int) strlen(found), true))
		postrider_store_fail(answer, true, "has bytes that are no text");
	else
		answer->value = pstrdup(found);
}

/*
 * The kinds of credentials
 */

static void
read_locally(const CredentialSpec *spec, TimestampTz now, const CredentialValue *old,
			 CredentialResult *result)
{
	const SecretSource *source = spec->data;
	StoreAnswer answer = {0};

	if (source->kind == &postrider_source_file)
		read_file(source, &answer);
	else
		read_variable(source, &answer);
	postrider_store_finish(source, &answer, now, old, result);
}

const CredentialKind postrider_store_file = {
	.name = "store_file",
	.noun = "file",
	.error_code = "secret",
	.compile = postrider_store_compile,
	.read_locally = read_locally
};

const CredentialKind postrider_store_environment = {
	.name = "store_environment",
	.noun = "environment",
	.error_code = "secret",
	.compile = postrider_store_compile,
	.read_locally = read_locally
};

/*
 * Settings
 */

bool
postrider_store_check_directories(char **newval, void **extra, GucSource source)
{
	const char *list = *newval ? *newval : "";
	char	   *directory;

	while ((directory = next_entry(&list)) != NULL)
	{
		if (is_absolute_path(directory) && strcmp(directory, "/") != 0)
			continue;
		GUC_check_errdetail("\"%s\" is no absolute path of a directory.", directory);
		return false;
	}
	return true;
}

bool
postrider_store_check_environment(char **newval, void **extra, GucSource source)
{
	const char *list = *newval ? *newval : "";
	char	   *pattern;

	while ((pattern = next_entry(&list)) != NULL)
	{
		if (strspn(pattern, NAME_BYTES "*") == strlen(pattern))
			continue;
		GUC_check_errdetail("\"%s\" is no name of a variable, with or without *.", pattern);
		return false;
	}
	return true;
}
