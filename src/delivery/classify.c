/*-------------------------------------------------------------------------
 *
 * classify.c
 *	  What the end of a request means for the delivery.
 *
 * The table is in section 7 of the design: 2xx delivered; 408, 425, 429, 5xx
 * and everything that fails below HTTP may pass and is tried again; 3xx is
 * never followed (Standard Webhooks) and, like other 4xx, will not pass by
 * itself; 410 says that the endpoint is gone for good.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "delivery/classify.h"
#include "util/text.h"

/* error_code needs strings that live for ever; one per status. */
static const char *
status_error_code(long status)
{
	static char codes[1000][sizeof("http_999")];

	if (status < 100 || status > 999)
		return "http";
	if (codes[status][0] == '\0')
		snprintf(codes[status], sizeof(codes[status]), "http_%ld", status);
	return codes[status];
}

static void
classify_status(long status, AttemptResult *result)
{
	result->status_code = (int) status;
	if (status >= 200 && status <= 299)
	{
		result->outcome = OUTCOME_DELIVERED;
		return;
	}
	result->error_code = status_error_code(status);
	if (status == 408 || status == 425 || status == 429 || status >= 500)
	{
		result->outcome = OUTCOME_RETRY;
		result->error = psprintf("the receiver answered with status %ld", status);
	}
	else if (status == 410)
	{
		result->outcome = OUTCOME_DEAD;
		result->disable_endpoint = true;
		result->error = pstrdup("the receiver answered with status 410: the endpoint is gone");
	}
	else if (status >= 300 && status <= 399)
	{
		result->outcome = OUTCOME_DEAD;
		result->error = psprintf("the receiver answered with status %ld, and redirects are not followed", status);
	}
	else
	{
		result->outcome = OUTCOME_DEAD;
		result->error = psprintf("the receiver refused the message with status %ld", status);
	}
}

static const char *
transport_error_code(CURLcode code)
{
	switch (code)
	{
		case CURLE_OPERATION_TIMEDOUT:
			return "timeout";
		case CURLE_COULDNT_RESOLVE_HOST:
		case CURLE_COULDNT_RESOLVE_PROXY:
			return "dns";
		case CURLE_COULDNT_CONNECT:
			return "connect";
		case CURLE_SSL_CONNECT_ERROR:
		case CURLE_PEER_FAILED_VERIFICATION:
		case CURLE_SSL_CERTPROBLEM:
		case CURLE_SSL_CIPHER:
		case CURLE_SSL_CACERT_BADFILE:
		case CURLE_SSL_ISSUER_ERROR:
			return "tls";
		case CURLE_GOT_NOTHING:
		case CURLE_SEND_ERROR:
		case CURLE_RECV_ERROR:
		case CURLE_PARTIAL_FILE:
		case CURLE_HTTP2:
		case CURLE_HTTP2_STREAM:
			return "reset";
		case CURLE_WEIRD_SERVER_REPLY:
		case CURLE_UNSUPPORTED_PROTOCOL:
			return "protocol";
		default:
			return "network";
	}
}

/* No message is to blame for that: it is tried again. */
static void
classify_proxy(const RequestEnd *end, AttemptResult *result)
{
	result->error_code = "proxy";
	if (end->address_refused)
		result->error = psprintf("the proxy %s has an address in %s, which postrider.allowed_networks does not list",
								 end->proxy, end->refusal);
	else if (end->proxy_status == 407)
		result->error = psprintf("the proxy %s wants other credentials (status 407)", end->proxy);
	else if (end->proxy_status > 0)
		result->error = psprintf("the proxy %s did not connect to the receiver: it answered with status %ld",
								 end->proxy, end->proxy_status);
	else
		result->error = psprintf("the proxy %s did not connect to the receiver: %s", end->proxy,
								 postrider_text_clean(end->detail[0] ? end->detail :
													  curl_easy_strerror(end->code), -1));
}

bool
postrider_is_whole_answer(const RequestEnd *end)
{
	return end->headers_complete &&
		(end->code == CURLE_OK || (end->response_cut && end->status > 0));
}

void
postrider_classify(const RequestEnd *end, AttemptResult *result)
{
	result->sent = true;
	if (postrider_is_whole_answer(end))
	{
		classify_status(end->status, result);
		return;
	}
	if (end->address_refused && !end->proxy[0])
	{
		result->outcome = OUTCOME_DEAD;
		result->error_code = "address_refused";
		result->error = pstrdup("the URL leads to a loopback, private or reserved address that postrider.allowed_networks does not list");
		return;
	}
	result->outcome = OUTCOME_RETRY;
	result->status_code = (int) end->status;
	if (end->address_refused || end->proxy_failed)
	{
		classify_proxy(end, result);
		return;
	}
	if (end->code == CURLE_OK)
	{
		result->error_code = "reset";
		result->error = pstrdup("the connection was closed in the middle of the response");
		return;
	}
	result->error_code = end->response_cut ? "protocol" : transport_error_code(end->code);
	result->error = postrider_text_clean(end->detail[0] ? end->detail :
										 curl_easy_strerror(end->code), -1);
	if (end->proxy[0])
		result->error = psprintf("%s (through the proxy %s)", result->error, end->proxy);
}

bool
postrider_error_may_quote_data(const char *error_code)
{
	static const char *const plain[] = {
		"timeout", "dns", "connect", "tls", "reset", "protocol", "network",
		"address_refused", "proxy", "secret", "token", "cancelled", "superseded",
		"expired", "message_gone", "endpoint_gone", "rule_retry", "rule_dead",
		"rule_throttle", "rule_disable", "rule_refresh_token", "rule_split_batch",
		"batch_response"
	};

	if (strncmp(error_code, "http", 4) == 0)
		return false;
	for (Size i = 0; i < lengthof(plain); i++)
		if (strcmp(error_code, plain[i]) == 0)
			return false;
	return true;
}
