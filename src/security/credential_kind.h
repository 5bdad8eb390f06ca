/*-------------------------------------------------------------------------
 *
 * credential_kind.h
 *	  The kinds of credentials, one file each: a new one is declared here and gets a row
 *	  in the table of credential.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_CREDENTIAL_KIND_H
#define POSTRIDER_CREDENTIAL_KIND_H

#include "security/credential.h"

extern const CredentialKind postrider_token_client_credentials;
extern const CredentialKind postrider_token_refresh;
extern const CredentialKind postrider_token_jwt_bearer;
extern const CredentialKind postrider_store_vault;
extern const CredentialKind postrider_store_vault_token;
extern const CredentialKind postrider_store_aws;
extern const CredentialKind postrider_store_azure;
extern const CredentialKind postrider_store_file;
extern const CredentialKind postrider_store_environment;

#endif							/* POSTRIDER_CREDENTIAL_KIND_H */
