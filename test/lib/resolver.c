/*
 * A resolver that a test can tell what names lead to: preloaded into a server, it
 * reads the file $TEST_NAMES at each look-up.  A line has a name and its addresses in their order:
 *
 *     hooks.example.com 127.0.0.1 127.0.0.2
 *
 * Any other name is looked up as usual.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int (*Lookup) (const char *, const char *, const struct addrinfo *, struct addrinfo **);

/* Each address is looked up as the literal that it is, and the lists are joined. */
int
getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
			struct addrinfo **result)
{
	Lookup		lookup = (Lookup) dlsym(RTLD_NEXT, "getaddrinfo");
	const char *file_name = getenv("TEST_NAMES");
	FILE	   *file = name && file_name ? fopen(file_name, "r") : NULL;
	char		line[4096];
	struct addrinfo **end = result;
	int			found = 0;

	while (file && !found && fgets(line, sizeof(line), file))
	{
		char	   *rest = NULL;
		char	   *word = strtok_r(line, " \n", &rest);

		if (!word || strcasecmp(word, name) != 0)
			continue;
		found = 1;
		*result = NULL;
		while ((word = strtok_r(NULL, " \n", &rest)) != NULL)
		{
			if (lookup(word, service, hints, end) != 0)
				continue;
			while (*end)
				end = &(*end)->ai_next;
		}
	}
	if (file)
		fclose(file);
	if (!found)
		return lookup(name, service, hints, result);
	return *result ? 0 : EAI_NONAME;
}
