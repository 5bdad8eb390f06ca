/*-------------------------------------------------------------------------
 *
 * guard_test.c
 *	  The guard at the moment that counts: when curl is about to dial.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "delivery/connection.h"
#include "fmgr.h"
#include "guc.h"
#include "libpq/pqsignal.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(test_dial);
PG_FUNCTION_INFO_V1(test_listed);
PG_FUNCTION_INFO_V1(test_hosts);
PG_FUNCTION_INFO_V1(test_proxy);

/* Stand in for the settings of src/guc.c. */
char	   *postrider_proxy = NULL;
char	   *postrider_proxy_secret = NULL;
char	   *postrider_proxy_ca_file = NULL;
char	   *postrider_no_proxy = NULL;

static size_t
ignore(char *data, size_t size, size_t count, void *arg)
{
	return size * count;
}

/*
 * test_dial(url text, proxy text) returns text: what becomes of a request to the URL that
 * nobody has checked before.  "refused", with the reason; "dialled"; or that curl
 * does not take it for a URL.
 */
Datum
test_dial(PG_FUNCTION_ARGS)
{
	char	   *url = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Proxy		proxy = {0};
	Connection	connection;
	CURL	   *easy = curl_easy_init();
	CURLcode	code;
	const char *problem;
	char	   *result;
	sigset_t	old_mask;

	if (!PG_ARGISNULL(1))
		proxy.url = text_to_cstring(PG_GETARG_TEXT_PP(1));
	postrider_connection_set_up(easy, &connection, proxy.url ? &proxy : NULL);
	if (!postrider_connection_set_url(easy, &connection, url, &problem))
	{
		curl_easy_cleanup(easy);
		PG_RETURN_TEXT_P(cstring_to_text(psprintf("not asked of the proxy: %s", problem)));
	}
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, 2000L);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, ignore);

	/* curl resolves names in a thread: engine.c. */
	sigprocmask(SIG_SETMASK, &BlockSig, &old_mask);
	code = curl_easy_perform(easy);
	sigprocmask(SIG_SETMASK, &old_mask, NULL);
	if (connection.dialled)
		result = "dialled";
	else if (connection.refusal)
		result = psprintf(postrider_connection_refused(&connection, code) ? "refused: %s" :
						  "refused by mistake: %s", connection.refusal);
	else if (code == CURLE_COULDNT_RESOLVE_HOST)
		result = "no such name";
	else
		result = code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL ||
			code == CURLE_BAD_FUNCTION_ARGUMENT ? "no URL" : psprintf("error %d", code);
	curl_easy_cleanup(easy);
	PG_RETURN_TEXT_P(cstring_to_text(result));
}

/* test_listed(host text, list text) returns boolean */
Datum
test_listed(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(postrider_guard_host_listed(text_to_cstring(PG_GETARG_TEXT_PP(0)),
											   text_to_cstring(PG_GETARG_TEXT_PP(1))));
}

/* test_hosts(list text) returns text: what is wrong with it, or NULL */
Datum
test_hosts(PG_FUNCTION_ARGS)
{
	const char *entry;
	const char *problem;

	if (postrider_guard_check_hosts(text_to_cstring(PG_GETARG_TEXT_PP(0)), &entry, &problem))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(psprintf("\"%s\" %s", entry, problem)));
}

/* test_proxy(url text, own text, general text, exceptions text) returns text: which one */
Datum
test_proxy(PG_FUNCTION_ARGS)
{
	char	   *own = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	Proxy		proxy;

	postrider_proxy = PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2));
	postrider_no_proxy = PG_ARGISNULL(3) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(3));
	postrider_proxy_secret = "general";
	if (!postrider_proxy_find(text_to_cstring(PG_GETARG_TEXT_PP(0)), own, "own", &proxy))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(psprintf("%s with secret %s", proxy.url, proxy.secret)));
}
