//! Which account a query asks for, and with what: a configuration, a fixed token, or appid and secret.

use std::path::{Path, PathBuf};

use clap::Args;
use msgcube_client::{Client, ClientBuilder, Secret};

use super::QueryError;

/// An account as the configuration names it.
#[derive(Clone, Debug)]
pub struct ConfiguredAccount {
    /// Its appid.
    pub appid: String,
    /// Its secret.
    pub secret: Secret,
    /// Where msgcube listens according to the same configuration, if it can be reached there.
    pub base: Option<String>,
}

/// Reads an account from a configuration file: the one with this appid, or the only one. The error is a sentence.
pub type ReadAccount<'a> = &'a dyn Fn(&Path, Option<&str>) -> Result<ConfiguredAccount, String>;

/// Credentials on the command line. Taken in this order: --config, --secret-file, --token, --secret.
#[derive(Args, Clone, Debug)]
pub struct CredentialArgs {
    /// The account's appid
    #[arg(long, env = "MSGCUBE_APPID")]
    pub appid: Option<String>,
    /// File with the account's secret
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// The account's secret. Other users of this machine see it in `ps`: prefer MSGCUBE_SECRET or --secret-file
    #[arg(long, env = "MSGCUBE_SECRET", hide_env_values = true, value_name = "SECRET")]
    pub secret: Option<Secret>,
    /// An access token, used as it is. Shows up in `ps`: prefer MSGCUBE_ACCESS_TOKEN
    #[arg(long, env = "MSGCUBE_ACCESS_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub token: Option<Secret>,
    /// Take appid and secret from msgcube's configuration; --appid chooses among several accounts
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// A client's beginning, and the base URL that the configuration knows.
pub(super) fn builder(
    args: &CredentialArgs,
    read_account: ReadAccount<'_>,
) -> Result<(ClientBuilder, Option<String>), QueryError> {
    if let Some(path) = &args.config {
        let account = read_account(path, args.appid.as_deref()).map_err(QueryError::Config)?;
        return Ok((Client::builder(account.appid, account.secret), account.base));
    }
    let builder = match (&args.secret_file, &args.token, &args.secret) {
        (Some(path), _, _) => Client::builder(appid(args)?, secret_of(path)?),
        (None, Some(token), _) => Client::with_token(token.clone()),
        (None, None, Some(secret)) => Client::builder(appid(args)?, secret.clone()),
        (None, None, None) => return Err(QueryError::NoCredentials),
    };
    Ok((builder, None))
}

fn appid(args: &CredentialArgs) -> Result<String, QueryError> {
    args.appid.clone().ok_or(QueryError::NoCredentials)
}

fn secret_of(path: &Path) -> Result<Secret, QueryError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| QueryError::SecretFile { path: path.to_owned(), source })?;
    Ok(text.trim().into())
}
