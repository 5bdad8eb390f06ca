/*-------------------------------------------------------------------------
 *
 * model.h
 *	  The words of the design as C structs: what the outbox, the delivery
 *	  engine and the worker hand to each other.
 *
 * Data flows one way.  The outbox reads a Message and makes one Delivery for
 * each endpoint that is owed it; the delivery engine sends it and writes the
 * AttemptResult; the outbox settles the Delivery, that is, records the
 * outcome, and frees it.  Everything here lives in one worker process and is
 * touched by that process only, so there are no locks.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_MODEL_H
#define POSTRIDER_MODEL_H

#include "postgres.h"

#include "content/body.h"
#include "datatype/timestamp.h"
#include "lib/ilist.h"
#include "policy/policy.h"
#include "utils/jsonpath.h"
#include "utils/uuid.h"

/* A header to send; both strings are valid by content/header.h. */
typedef struct Header
{
	char	   *name;
	char	   *value;
} Header;

/* What the requests to an endpoint look like: outbox/request_row.h. */
typedef struct RequestShape
{
	bool		is_plain;		/* the standard body, and no templates at all */
	BodyFormat	format;
	Template   *body;			/* of BODY_TEMPLATE */
	Template   *url;			/* NULL: always the same */
	int			header_count;	/* computed headers */
	const char **header_names;
	Template  **headers;
	char	   *content_type;	/* NULL: none */
	char	   *idempotency_key;	/* name of the header for it; or NULL */
	char	   *problem;		/* a template cannot be used; or NULL */
} RequestShape;

/*
 * One message in a worker's memory, shared by its deliveries and freed with
 * the last of them (postrider_delivery_free).
 */
typedef struct Message
{
	pg_uuid_t	id;
	int			references;		/* deliveries that point here */
	bool		erased;			/* it must not be sent any more; nor may anything
								 * be written that says what was in it */
	TimestampTz expires_at;		/* DT_NOEND if it never expires */
	int			header_count;
	Header	   *headers;		/* or NULL */
	char	   *traceparent;	/* or NULL */
	char	   *key;			/* or NULL */
	int			priority;		/* policy/priority.h */
	char	   *body;			/* request body, body_length bytes; NULL if all
								 * deliveries have their own */
	Size		body_length;
	Size		memory_bytes;	/* what it counts for in the memory budget */
	MemoryContext context;		/* holds the headers; NULL if there are none */
} Message;

typedef struct Auth Auth;		/* security/auth.h */
typedef struct Signing Signing; /* security/signing.h */
typedef struct ResponseRules ResponseRules; /* content/response_rule.h */
typedef struct Lane Lane;		/* delivery/lane.h */
typedef struct KeyEntry KeyEntry;	/* delivery/key_gate.h */
typedef struct ReadChunk ReadChunk; /* outbox/progress.h */
typedef struct MappingReference MappingReference;	/* outbox/mapping_reference.h */

/* What is deferred for an endpoint: outbox/deferred.h. */
typedef struct DeferredQueue
{
	dlist_node	node;			/* in the list of those that have some */
	dlist_head	blocks;
	int			count;
	int64		taken;			/* how many have left the queue since ... */
	TimestampTz since;			/* ... the first one was deferred */
} DeferredQueue;

/*
 * An endpoint as the worker knows it.  The struct lives as long as the
 * worker or until the row is gone and nothing points here any more.  The
 * policy is replaced in place when the configuration is loaded again, so
 * nobody keeps a pointer to one of its strings across a reload.
 */
typedef struct Endpoint
{
	int32		id;				/* hash key */
	bool		deleted;		/* the row is gone */
	bool		enabled;
	uint64		version;		/* changes whenever the policy changes */

	/* policy */
	char	   *name;
	char	   *tenant;			/* or NULL */
	char	   *url;
	char	   *method;
	int			header_count;
	Header	   *headers;
	int			timeout_ms;
	int			max_attempts;
	int64		backoff_base_ms;
	int64		backoff_max_ms;
	int			schedule_length;	/* 0: use the formula */
	int64	   *schedule_ms;
	int			response_excerpt_bytes; /* of a failed attempt's response */
	char	   *reply_topic;	/* the response becomes a message; or NULL */
	RequestShape shape;			/* what a request looks like */
	char	   *proxy;			/* URL, or "none", or NULL: the general one */
	char	   *proxy_secret;	/* or NULL */
	ResponseRules *response_rules;	/* or NULL */
	char	   *batch_before;	/* of an envelope: what is before the records */
	char	   *batch_after;	/* ... and behind them; NULL if there is none */
	JsonPath   *batch_failed;	/* in the response; or NULL */
	JsonPath   *batch_error;	/* likewise */
	char	   *function;		/* called in place of a request, as ... */
	char	   *run_as;			/* ... this role; NULL: url is a URL */
	Policy		policy;			/* limits, breaker, order, batches */
	Auth	   *auth;			/* how requests authenticate; or NULL */
	Signing    *signing;		/* what they are signed with; or NULL */
	char	   *auth_problem;	/* one of both cannot be used; or NULL */
	char	   *ca_certificate; /* PEM of the only authorities to trust; or NULL */
	MemoryContext policy_context;	/* holds the strings above */

	Lane	   *lane;			/* delivery state */
	bool		overflowing;	/* slow: what comes goes to pending (lane.h) */
	bool		urgent_in_pending;	/* there may be urgent deliveries there */
	DeferredQueue deferred;
	TimestampTz pending_due_at; /* nothing in pending is due before */
} Endpoint;

typedef enum AttemptOutcome
{
	OUTCOME_DELIVERED,
	OUTCOME_RETRY,
	OUTCOME_DEAD,
	OUTCOME_EXPIRED,
	OUTCOME_CANCELLED,
	OUTCOME_SUPERSEDED			/* a newer message of its key goes in its place */
} AttemptOutcome;

/* Response headers that a reply has at most. */
#define REPLY_HEADERS 4

/* The response of a delivered attempt, for the endpoint's reply_topic. */
typedef struct Reply
{
	char	   *body;			/* palloc'd, safe to store as text, or NULL */
	Size		length;			/* of the body as it came, as far as it is kept */
	Size		body_bytes;		/* as far as it was read */
	int			header_count;
	Header		headers[REPLY_HEADERS]; /* names are static, values palloc'd */
} Reply;

/* What came of an attempt; the strings belong to the Delivery. */
typedef struct AttemptResult
{
	AttemptOutcome outcome;
	bool		sent;			/* false: given up before a request was made */
	int			status_code;	/* 0: there was no response */
	const char *error_code;		/* static string, or NULL */
	char	   *error;			/* palloc'd sentence, or NULL */
	char	   *response;		/* palloc'd excerpt in server encoding, or NULL */
	Reply	   *reply;			/* palloc'd, or NULL */
	TimestampTz started_at;
	float		duration_ms;
	TimestampTz retry_at;		/* for OUTCOME_RETRY */
	bool		disable_endpoint;	/* the receiver said 410, or a rule did */
	bool		has_request_id; /* it went in a batch: */
	pg_uuid_t	request_id;
} AttemptResult;

/* Why a delivery waits in the table pending. */
typedef enum PendingReason
{
	PENDING_SCHEDULED,
	PENDING_RETRY,
	PENDING_OVERFLOW,
	PENDING_HELD,
	PENDING_ORDERED,			/* others of its key come first */
	PENDING_IN_FLIGHT
} PendingReason;

/* What settling a delivery means. */
typedef enum SettleKind
{
	SETTLE_ATTEMPT,				/* record result, then what follows from it */
	SETTLE_PARK					/* write a pending row, nothing was tried */
} SettleKind;

/*
 * One message owed to one endpoint, while a worker has it in memory.  At any
 * time it is in exactly one of: a lane's queue, a request in flight, the list
 * of deliveries to settle; "node" links it there.
 */
typedef struct Delivery
{
	dlist_node	node;
	dlist_node	memory_node;	/* in the worker's list of all deliveries,
								 * oldest first */
	Message    *message;
	Endpoint   *endpoint;
	MappingReference *mapping;	/* or NULL */
	char	   *body;			/* what is sent; NULL: see problem */
	Size		body_length;
	char	   *problem;		/* why it cannot be sent, or NULL ... */
	const char *problem_code;	/* ... and the error code */
	bool		owns_body;		/* it is not the message's */
	char	   *url;			/* made for this message; or NULL */
	int			header_count;	/* likewise */
	Header	   *headers;
	MemoryContext made_context; /* holds url and headers; or NULL */
	Size		memory_bytes;	/* with the message */
	ReadChunk  *chunk;			/* the part of the log that it came from; NULL
								 * if it came from pending */
	TimestampTz loaded_at;		/* when it came into memory */
	int			attempts;		/* tries before the current one */
	bool		has_pending_row;	/* there is a row in pending for it */
	bool		in_queue;		/* of its lane */
	int			batch_most;		/* goes with so many at most, and with those of
								 * which the same is true; 0: as usual */
	KeyEntry   *key_entry;		/* it is the head of its key; or NULL */

	/* set when it is handed over for settling */
	SettleKind	settle;
	AttemptResult result;
	PendingReason park_reason;
	TimestampTz park_until;
} Delivery;

#endif							/* POSTRIDER_MODEL_H */
