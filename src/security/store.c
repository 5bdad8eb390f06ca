/*-------------------------------------------------------------------------
 *
 * store.c
 *	  What the stores of secrets have in common; see store.h.
 *
 * Problems are in our own words: what a store says of a request may have parts of the
 * request in it.
 *
 * The value of a credential has for each version a line "number retires_at length", and
 * then so many bytes.  retires_at is in microseconds as timestamptz has them, "-" for the
 * newest.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "security/store.h"
#include "utils/timestamp.h"

/* A lease is renewed when so much of it is over. */
#define RENEW_AFTER(lease) ((lease) / 3 * 2)

bool
postrider_store_compile_kind(const SourceKind *kind, CredentialSpec *spec, List **urls,
							 const char **problem, const char **hint)
{
	SecretSource *source = postrider_secret_source_compile(kind, spec->document, problem, hint);

	if (source == NULL)
		return false;
	spec->data = source;
	spec->server = source->kind->place(source);
	spec->secrets = postrider_secret_source_secrets(source);
	spec->ca_certificate = postrider_secret_source_certificates(source);
	if (source->kind->urls != NULL)
		*urls = list_concat(*urls, source->kind->urls(source));
	return true;
}

bool
postrider_store_compile(CredentialSpec *spec, List **urls, const char **problem,
						const char **hint)
{
	return postrider_store_compile_kind(NULL, spec, urls, problem, hint);
}

CredentialState
postrider_store_secrets(const SecretSource *source, TimestampTz now,
						const char *const *names, const char **values, int count,
						CredentialRequest *request, const char **problem)
{
	for (int i = 0; i < count; i++)
	{
		const char *secret = postrider_source_value(source, names[i]);
		const SecretVersion *versions;
		int			version_count;
		SecretState state;

		values[i] = NULL;
		if (secret == NULL)
			continue;
		state = postrider_secret_find(secret, now, &versions, &version_count, problem);
		if (state == SECRET_WAITING)
			return CREDENTIAL_WAITING;
		if (state == SECRET_FAILED)
			return CREDENTIAL_FAILED;
		values[i] = pstrdup(versions[0].value);
		request->hidden = lappend(request->hidden, unconstify(char *, values[i]));
	}
	return CREDENTIAL_READY;
}

void
postrider_store_header(CredentialRequest *request, const char *name, const char *value)
{
	CredentialHeader *header = palloc(sizeof(CredentialHeader));

	header->name = name;
	header->value = value;
	request->headers = lappend(request->headers, header);
}

void
postrider_store_fail(StoreAnswer *answer, bool lasting, const char *problem)
{
	answer->value = NULL;
	answer->problem = problem;
	answer->lasting = lasting;
}

/*
 * Versions
 */

static void
add_version(StringInfo list, int32 number, TimestampTz retires_at, const char *value)
{
	if (retires_at == DT_NOEND)
		appendStringInfo(list, "%d - %zu\n", number, strlen(value));
	else
		appendStringInfo(list, "%d " INT64_FORMAT " %zu\n", number, retires_at, strlen(value));
	appendStringInfoString(list, value);
}

/* Reads one at *list, which moves behind it. */
static bool
next_version(const char **list, SecretVersion *version, TimestampTz *retires_at)
{
	const char *at = *list;
	char	   *end;
	Size		length;

	version->version = (int32) strtol(at, &end, 10);
	if (end == at || *end != ' ')
		return false;
	at = end + 1;
	*retires_at = DT_NOEND;
	if (at[0] == '-' && at[1] == ' ')
		end = unconstify(char *, at) + 1;
	else
		*retires_at = strtoll(at, &end, 10);
	if (*end != ' ')
		return false;
	at = end + 1;
	length = strtoul(at, &end, 10);
	if (end == at || *end != '\n' || strnlen(end + 1, length) < length)
		return false;
	version->length = length;
	version->value = pnstrdup(end + 1, length);
	*list = end + 1 + length;
	return true;
}

int
postrider_store_versions(const char *value, SecretVersion *versions, TimestampTz *retires_at)
{
	int			count = 0;

	memset(versions, 0, sizeof(SecretVersion) * SECRET_MAX_VERSIONS);
	while (count < SECRET_MAX_VERSIONS && *value != '\0' &&
		   next_version(&value, &versions[count], &retires_at[count]))
		count++;
	return count;
}

/* The new value, and those before as long as they overlap. */
static char *
make_versions(const SecretSource *source, const char *value, TimestampTz now,
			  const CredentialValue *old)
{
	StringInfoData list;
	SecretVersion before[SECRET_MAX_VERSIONS];
	TimestampTz retires_at[SECRET_MAX_VERSIONS];
	int			count = old ? postrider_store_versions(old->value, before, retires_at) : 0;
	bool		is_same = count > 0 && strcmp(before[0].value, value) == 0;

	initStringInfo(&list);
	add_version(&list, count == 0 ? 1 : is_same ? before[0].version : before[0].version + 1,
				DT_NOEND, value);
	for (int i = is_same ? 1 : 0; i < count; i++)
	{
		TimestampTz end = i > 0 ? retires_at[i] :
			TimestampTzPlusMilliseconds(now, source->overlap_ms);

		/* One that has come back is the newest again. */
		if (end > now && strcmp(before[i].value, value) != 0 &&
			list.len + before[i].length + 64 < CREDENTIAL_MAX_BYTES &&
			i < SECRET_MAX_VERSIONS - 1)
			add_version(&list, before[i].version, end, before[i].value);
	}
	for (int i = 0; i < count; i++)
		explicit_bzero(unconstify(char *, before[i].value), before[i].length);
	return list.data;
}

/* When it is asked again, and until when the value is used at most. */
static void
set_times(const SecretSource *source, const StoreAnswer *answer, TimestampTz now,
		  CredentialResult *result)
{
	int64		lease = answer->lease_ms > 0 ? answer->lease_ms : source->refresh_ms;
	int64		again = answer->lease_ms > 0 ?
		Min(RENEW_AFTER(answer->lease_ms), source->refresh_ms) : source->refresh_ms;

	result->renew_at = TimestampTzPlusMilliseconds(now, again);
	result->expires_at = TimestampTzPlusMilliseconds(now, lease + source->grace_ms);
	if (answer->ends_at == 0)
		return;
	result->expires_at = Min(result->expires_at, answer->ends_at);
	if (result->renew_at >= answer->ends_at)
		result->renew_at = now + (answer->ends_at - now) / 3 * 2;
}

void
postrider_store_finish(const SecretSource *source, StoreAnswer *answer, TimestampTz now,
					   const CredentialValue *old, CredentialResult *result)
{
	if (answer->value == NULL)
	{
		result->problem = pstrdup(answer->problem);
		result->lasting = answer->lasting;
		return;
	}
	result->value = make_versions(source, answer->value, now, old);
	set_times(source, answer, now, result);
	explicit_bzero(answer->value, strlen(answer->value));
	pfree(answer->value);
	answer->value = NULL;
}
