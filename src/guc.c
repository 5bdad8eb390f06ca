/*-------------------------------------------------------------------------
 *
 * guc.c
 *	  The settings.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "guc.h"
#include "security/guard.h"
#include "security/proxy.h"
#include "security/store_local.h"
#include "util/log_line.h"
#include "util/trace.h"
#include "utils/guc.h"

int			postrider_max_payload_bytes;
int			postrider_retention_minutes;
int			postrider_deduplication_minutes;
int			postrider_max_connections;
int			postrider_workers;
char	   *postrider_allowed_networks;
char	   *postrider_proxy;
char	   *postrider_proxy_secret;
char	   *postrider_proxy_ca_file;
char	   *postrider_no_proxy;
char	   *postrider_key_file;
char	   *postrider_secret_directories;
char	   *postrider_secret_environment;
char	   *postrider_key_command;
int			postrider_alert_interval_ms;
char	   *postrider_traceparent;
char	   *postrider_tenant;
char	   *postrider_change_reason;
int			postrider_config_history_minutes;
int			postrider_stats_minutes;
int			postrider_validation = POSTRIDER_VALIDATION_STRICT;

static const struct config_enum_entry validation_options[] = {
	{"strict", POSTRIDER_VALIDATION_STRICT, false},
	{"warn", POSTRIDER_VALIDATION_WARN, false},
	{"off", POSTRIDER_VALIDATION_OFF, false},
	{NULL, 0, false}
};

static const struct config_enum_entry log_format_options[] = {
	{"text", LOG_FORMAT_TEXT, false},
	{"json", LOG_FORMAT_JSON, false},
	{NULL, 0, false}
};

static const struct config_enum_entry log_deliveries_options[] = {
	{"off", LOG_DELIVERIES_OFF, false},
	{"failures", LOG_DELIVERIES_FAILURES, false},
	{"all", LOG_DELIVERIES_ALL, false},
	{NULL, 0, false}
};

/*
 * It mostly comes with a request from outside, and a bad header there must not fail the
 * transaction: as W3C Trace Context has it, it is as if there were none.
 */
static bool
check_traceparent(char **value, void **extra, GucSource source)
{
	if (*value == NULL || (*value)[0] == '\0' || postrider_traceparent_is_valid(*value))
		return true;
	ereport(WARNING,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("postrider.traceparent is ignored: it is no traceparent"),
			 errhint("One looks like \"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\".")));
	(*value)[0] = '\0';
	return true;
}

void
postrider_guc_define(void)
{
	DefineCustomIntVariable("postrider.max_payload_bytes",
							"Largest payload that a message may have, as jsonb stores it.",
							NULL,
							&postrider_max_payload_bytes,
							1024 * 1024, 1, 256 * 1024 * 1024,
							PGC_SUSET, GUC_UNIT_BYTE,
							NULL, NULL, NULL);
	DefineCustomIntVariable("postrider.retention",
							"How long messages and attempts are kept.",
							"Whole days are dropped; what is still owed is kept in any case.",
							&postrider_retention_minutes,
							7 * 24 * 60, 24 * 60, INT_MAX / 60,
							PGC_SIGHUP, GUC_UNIT_MIN,
							NULL, NULL, NULL);
	DefineCustomIntVariable("postrider.stats_retention",
							"How long statistics are kept.",
							"Older rows of postrider.delivery_stats and postrider.message_stats are deleted by the worker.",
							&postrider_stats_minutes,
							14 * 24 * 60, 24 * 60, INT_MAX / 60,
							PGC_SIGHUP, GUC_UNIT_MIN,
							NULL, NULL, NULL);
	DefineCustomIntVariable("postrider.config_history_retention",
							"How long changes of the configuration are kept; -1: for ever.",
							"What is older can be deleted from postrider.config_history, and is by the worker.",
							&postrider_config_history_minutes,
							-1, -1, INT_MAX / 60,
							PGC_SIGHUP, GUC_UNIT_MIN,
							NULL, NULL, NULL);
	DefineCustomStringVariable("postrider.change_reason",
							   "Why the configuration is changed, for postrider.config_history.",
							   "SET LOCAL it for a transaction.",
							   &postrider_change_reason,
							   "",
							   PGC_USERSET, 0,
							   NULL, NULL, NULL);
	DefineCustomIntVariable("postrider.deduplication_period",
							"How long a deduplication key is remembered.",
							NULL,
							&postrider_deduplication_minutes,
							24 * 60, 1, INT_MAX / 60,
							PGC_SUSET, GUC_UNIT_MIN,
							NULL, NULL, NULL);
	DefineCustomIntVariable("postrider.max_connections",
							"Most requests that one worker has in flight at the same time.",
							"Endpoints share them fairly; each has its own max_in_flight besides.",
							&postrider_max_connections,
							1000, 1, 10000,
							PGC_SIGHUP, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("postrider.workers",
							"Number of workers for each database.",
							"Each has a part of the endpoints.",
							&postrider_workers,
							1, 1, POSTRIDER_MAX_WORKERS,
							PGC_SIGHUP, 0,
							NULL, NULL, NULL);
	DefineCustomStringVariable("postrider.allowed_networks",
							   "Networks that requests may reach although they are loopback, private or reserved.",
							   "A comma-separated list, such as '10.1.0.0/16, ::1/128'.",
							   &postrider_allowed_networks,
							   "",
							   PGC_SIGHUP, GUC_LIST_INPUT,
							   postrider_guard_check_networks,
							   postrider_guard_assign_networks,
							   NULL);
	DefineCustomStringVariable("postrider.proxy",
							   "Proxy for all connections but those of endpoints with a proxy of their own.",
							   "A URL such as 'http://proxy.example.com:3128', https or socks5h, without user and password.",
							   &postrider_proxy,
							   "",
							   PGC_SIGHUP, 0,
							   postrider_proxy_check_setting, NULL, NULL);
	DefineCustomStringVariable("postrider.proxy_secret",
							   "Name of the secret that holds user:password for postrider.proxy.",
							   "Each database has a secret of this name.",
							   &postrider_proxy_secret,
							   "",
							   PGC_SIGHUP, 0,
							   NULL, NULL, NULL);
	DefineCustomStringVariable("postrider.proxy_ca_file",
							   "File with the certificates that https proxies are verified by; empty: those of the system.",
							   NULL,
							   &postrider_proxy_ca_file,
							   "",
							   PGC_SIGHUP, 0,
							   NULL, NULL, NULL);
	DefineCustomStringVariable("postrider.no_proxy",
							   "Hosts that are reached without any proxy.",
							   "A comma-separated list of names (with all below them), addresses and networks.",
							   &postrider_no_proxy,
							   "",
							   PGC_SIGHUP, GUC_LIST_INPUT,
							   postrider_proxy_check_exceptions, NULL, NULL);
	DefineCustomStringVariable("postrider.key_file",
							   "File with the key that encrypts secrets; made if there is none.",
							   "A path relative to the data directory, or an absolute one.",
							   &postrider_key_file,
							   "postrider.key",
							   PGC_SIGHUP, GUC_SUPERUSER_ONLY,
							   NULL, NULL, NULL);
	DefineCustomStringVariable("postrider.secret_directories",
							   "Directories with files that secrets may be read from.",
							   "A comma-separated list of absolute paths.",
							   &postrider_secret_directories,
							   "/run/secrets, /var/run/secrets",
							   PGC_SIGHUP, GUC_LIST_INPUT | GUC_SUPERUSER_ONLY,
							   postrider_store_check_directories, NULL, NULL);
	DefineCustomStringVariable("postrider.secret_environment",
							   "Environment variables of the server that secrets may be read from.",
							   "A comma-separated list of names; * stands for any characters.",
							   &postrider_secret_environment,
							   "POSTRIDER_SECRET_*",
							   PGC_SIGHUP, GUC_LIST_INPUT | GUC_SUPERUSER_ONLY,
							   postrider_store_check_environment, NULL, NULL);
	DefineCustomStringVariable("postrider.key_command",
							   "Command that prints the key that encrypts secrets, in place of postrider.key_file.",
							   "Run by /bin/sh, once until the settings are loaded again.",
							   &postrider_key_command,
							   "",
							   PGC_SIGHUP, GUC_SUPERUSER_ONLY,
							   NULL, NULL, NULL);

	DefineCustomStringVariable("postrider.traceparent",
							   "W3C trace context of messages that are emitted from now on.",
							   "SET LOCAL it for a transaction; each attempt to deliver becomes a span of its trace.",
							   &postrider_traceparent,
							   "",
							   PGC_USERSET, 0,
							   check_traceparent, NULL, NULL);

	/*
	 * PGC_SUSET: who is bound cannot get out.  In front of a pool of connections
	 * that changes it with each transaction, GRANT SET ON PARAMETER.
	 */
	DefineCustomStringVariable("postrider.tenant",
							   "The tenant that the session is bound to: it sees and changes only what belongs to it.",
							   "Empty: it is not bound, and sees all that its role may. Set by a superuser, with ALTER ROLE ... SET, or by a role that was granted SET on it.",
							   &postrider_tenant,
							   "",
							   PGC_SUSET, 0,
							   NULL, NULL, NULL);

	/*
	 * PGC_SUSET: a role that emits cannot take the check away from itself.
	 * ALTER DATABASE and ALTER ROLE ... SET work, and GRANT SET ON PARAMETER.
	 */
	DefineCustomEnumVariable("postrider.validation",
							 "What becomes of a payload that does not match the schema of its topic.",
							 "strict: the emit fails; warn: it is sent with a warning; off: it is not checked.",
							 &postrider_validation,
							 POSTRIDER_VALIDATION_STRICT, validation_options,
							 PGC_SUSET, 0,
							 NULL, NULL, NULL);
	DefineCustomEnumVariable("postrider.log_format",
							 "How postrider's lines in the server's log are written.",
							 "text: key=value; json: an object.",
							 &postrider_log_format,
							 LOG_FORMAT_TEXT, log_format_options,
							 PGC_SIGHUP, 0,
							 NULL, NULL, NULL);
	DefineCustomEnumVariable("postrider.log_deliveries",
							 "Which attempts at deliveries are logged, a line each.",
							 "off, failures or all. Each of them is in postrider.attempt in any case.",
							 &postrider_log_deliveries,
							 LOG_DELIVERIES_OFF, log_deliveries_options,
							 PGC_SIGHUP, 0,
							 NULL, NULL, NULL);
	DefineCustomIntVariable("postrider.alert_interval",
							"How often the rows of postrider.alert are looked at; 0: never.",
							"The worker looks only while there is one that is enabled.",
							&postrider_alert_interval_ms,
							15 * 1000, 0, 24 * 60 * 60 * 1000,
							PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);
	MarkGUCPrefixReserved("postrider");
}
