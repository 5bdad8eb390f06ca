/*-------------------------------------------------------------------------
 *
 * proxy.c
 *	  Through which proxy a connection goes; see proxy.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "guc.h"
#include "security/proxy.h"

/* Longer names are not in the DNS. */
#define MAX_HOST_BYTES 256

static bool
is_set(const char *setting)
{
	return setting != NULL && setting[0] != '\0';
}

bool
postrider_proxy_find(const char *url, const char *own, const char *own_secret, Proxy *proxy)
{
	char		host[MAX_HOST_BYTES];

	if (own != NULL && strcmp(own, PROXY_NONE) == 0)
		return false;
	if (own == NULL && !is_set(postrider_proxy))
		return false;
	if (is_set(postrider_no_proxy) && postrider_guard_host(url, host, sizeof(host)) &&
		postrider_guard_host_listed(host, postrider_no_proxy))
		return false;

	/* The credentials for one proxy are never shown to another. */
	if (own != NULL)
	{
		proxy->url = own;
		proxy->secret = own_secret;
	}
	else
	{
		proxy->url = postrider_proxy;
		proxy->secret = is_set(postrider_proxy_secret) ? postrider_proxy_secret : NULL;
	}
	return true;
}

bool
postrider_proxy_check(const char *url, UrlProblem *problem)
{
	return strcmp(url, PROXY_NONE) == 0 ||
		postrider_guard_check_url(url, URL_PROXY, problem);
}

/*
 * Whether its address may be dialled is seen when it is: allowed_networks may come
 * behind it in the same file.  The value is not in the message, because a
 * password may be.
 */
bool
postrider_proxy_check_setting(char **newval, void **extra, GucSource source)
{
	UrlProblem	problem;

	if (!is_set(*newval) || postrider_guard_check_url(*newval, URL_PROXY, &problem) ||
		problem.sqlstate == ERRCODE_INSUFFICIENT_PRIVILEGE)
		return true;
	GUC_check_errmsg("invalid value for parameter \"%s\"", "postrider.proxy");
	GUC_check_errdetail("%s.", problem.message);
	if (problem.hint)
		GUC_check_errhint("%s", problem.hint);
	return false;
}

bool
postrider_proxy_check_exceptions(char **newval, void **extra, GucSource source)
{
	const char *entry = NULL;
	const char *problem = NULL;

	if (!is_set(*newval) || postrider_guard_check_hosts(*newval, &entry, &problem))
		return true;
	GUC_check_errdetail("\"%s\" %s.", entry, problem);
	GUC_check_errhint("Write for example 'example.com, 10.1.0.0/16'.");
	return false;
}
