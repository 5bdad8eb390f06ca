/*-------------------------------------------------------------------------
 *
 * auth_mutual_tls.c
 *	  {"type": "mutual_tls", "certificate": "crm-cert", "key": "crm-key"}: a client
 *	  certificate.  All are names of secrets: the certificate, with its chain behind
 *	  it, and the private key, in PEM; "passphrase" if the key is encrypted.
 *
 * curl says little when a certificate does not fit its key, so that is looked at here,
 * once for each version of the secrets.  Connections are kept and reused only for the
 * same certificate: curl compares it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "security/auth_scheme.h"
#include "security/certificate.h"

/* After so long the times in the certificate are looked at again. */
#define CHECK_AGAIN_US (60 * USECS_PER_SEC)

typedef struct MutualTls
{
	char	   *certificate;
	char	   *key;
	char	   *passphrase;		/* or NULL */

	/* what was found to be right last */
	uint64		checked_hash;	/* of all three */
	TimestampTz checked_at;
} MutualTls;

static const char *const keys[] = {"type", "certificate", "key", "passphrase", NULL};

static void *
compile(Options *options)
{
	MutualTls  *tls = palloc0(sizeof(MutualTls));

	tls->certificate = postrider_options_required_secret(options, "certificate");
	tls->key = postrider_options_required_secret(options, "key");
	tls->passphrase = postrider_options_secret(options, "passphrase");
	return tls;
}

/* What cannot be read here is looked at when a request is made. */
static bool
fit_each_other(const void *state, AuthSecretReader read, TimestampTz now, const char **problem)
{
	const MutualTls *tls = state;
	char	   *certificate = read(tls->certificate);
	char	   *key = read(tls->key);
	char	   *passphrase = tls->passphrase ? read(tls->passphrase) : NULL;
	char	   *found = NULL;

	if (certificate != NULL && key != NULL && (tls->passphrase == NULL || passphrase != NULL))
		found = postrider_certificate_pair_problem(certificate, strlen(certificate), tls->certificate,
												   key, strlen(key), tls->key, passphrase, now);
	if (key != NULL)
		explicit_bzero(key, strlen(key));
	if (passphrase != NULL)
		explicit_bzero(passphrase, strlen(passphrase));
	*problem = found;
	return found == NULL;
}

static uint64
hash_secrets(const char *certificate, const char *key, const char *passphrase)
{
	uint64		hash = hash_bytes_extended((const unsigned char *) certificate,
										   (int) strlen(certificate), 0);

	hash = hash_bytes_extended((const unsigned char *) key, (int) strlen(key), hash);
	return passphrase == NULL ? hash :
		hash_bytes_extended((const unsigned char *) passphrase, (int) strlen(passphrase), hash);
}

static bool
apply(void *state, AuthRequest *request, const char **problem)
{
	MutualTls  *tls = state;
	Size		certificate_length;
	Size		key_length;
	Size		passphrase_length;
	const char *certificate = postrider_auth_secret(tls->certificate, request->now,
													&certificate_length, problem);
	const char *key = certificate == NULL ? NULL :
		postrider_auth_secret(tls->key, request->now, &key_length, problem);
	const char *passphrase = NULL;
	char	   *found;
	uint64		hash;

	if (key != NULL && tls->passphrase != NULL)
		passphrase = postrider_auth_secret(tls->passphrase, request->now, &passphrase_length, problem);
	if (key == NULL || (tls->passphrase != NULL && passphrase == NULL))
		return false;
	hash = hash_secrets(certificate, key, passphrase);
	if (hash != tls->checked_hash || request->now < tls->checked_at ||
		request->now - tls->checked_at > CHECK_AGAIN_US)
	{
		found = postrider_certificate_pair_problem(certificate, certificate_length, tls->certificate,
												   key, key_length, tls->key, passphrase, request->now);
		if (found != NULL)
		{
			*problem = found;
			return false;
		}
		tls->checked_hash = hash;
		tls->checked_at = request->now;
	}
	request->tls.certificate = certificate;
	request->tls.key = key;
	request->tls.passphrase = passphrase;
	return true;
}

const AuthScheme postrider_auth_mutual_tls = {
	.type = "mutual_tls",
	.stage = AUTH_STAGE_ADD,
	.keys = keys,
	.compile = compile,
	.fit_each_other = fit_each_other,
	.apply = apply
};
