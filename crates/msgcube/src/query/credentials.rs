//! The credentials of a query: from a configuration, a fixed token, or appid and secret.

use std::path::{Path, PathBuf};

use clap::Args;
use i18n::{Lang, text};
use msgcube_client::{Client, ClientBuilder, SecretString};

use crate::server_args::{AppidArgs, SecretFileError, ServerAddressArgs, read_secret};

/// An account from the configuration.
#[derive(Clone, Debug)]
pub struct ConfiguredAccount {
    /// Its appid.
    pub appid: String,
    /// Its secret.
    pub secret: SecretString,
    /// The base URL of msgcube according to the same configuration, if it is known.
    pub base: Option<String>,
}

/// Reads an account from a configuration file: the one with this appid, or the only account. The error is a sentence.
pub type ReadAccount<'a> = &'a dyn Fn(&Path, Option<&str>) -> Result<ConfiguredAccount, String>;

/// The server and the credentials. The first of these that is given is used: --config, --secret-file, --token, --secret;
/// otherwise `msgcube.toml`, if it exists and --server is not given.
#[derive(Args, Clone, Debug)]
pub struct CredentialArgs {
    #[command(flatten)]
    pub address: ServerAddressArgs,
    #[command(flatten)]
    pub account: AppidArgs,
    /// File with the account's secret
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// The account's secret. Other users of this machine see it in `ps`: prefer MSGCUBE_SECRET or --secret-file
    #[arg(long, env = "MSGCUBE_SECRET", hide_env_values = true, value_name = "SECRET")]
    pub secret: Option<SecretString>,
    /// An access token, used as it is. Shows up in `ps`: prefer MSGCUBE_ACCESS_TOKEN
    #[arg(long, env = "MSGCUBE_ACCESS_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub token: Option<SecretString>,
}

/// The credentials of an account.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// Appid and secret, with which a token is fetched.
    Account { appid: String, secret: SecretString },
    /// A fixed access token.
    Token(SecretString),
}

/// Why there are no credentials. For the screen use [`CredentialError::in_lang`], which adds the next step.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// None were given.
    #[error("no credentials: give --config, or --appid with MSGCUBE_SECRET or --secret-file, or a token")]
    None,
    /// The configuration cannot be used; the text says why.
    #[error("{0}")]
    Config(String),
    /// The file with the secret cannot be read.
    #[error(transparent)]
    SecretFile(#[from] SecretFileError),
}

impl CredentialError {
    /// What went wrong and what to do next.
    pub fn in_lang(&self, lang: Lang) -> String {
        match self {
            CredentialError::None => text!(
                "No credentials. Give --config msgcube.toml, or --appid with MSGCUBE_SECRET or --secret-file, or \
                 MSGCUBE_ACCESS_TOKEN."
            )
            .in_lang(lang),
            other => other.to_string(),
        }
    }
}

impl Credentials {
    /// The credentials from the command line or the configuration, and the base URL of the configuration.
    pub fn find(
        args: &CredentialArgs,
        read_account: ReadAccount<'_>,
    ) -> Result<(Credentials, Option<String>), CredentialError> {
        let is_given = args.secret_file.is_some() || args.token.is_some() || args.secret.is_some();
        // The secret of a configuration that nobody named goes to its own server only.
        let config = match &args.address.server {
            None if !is_given => args.address.existing_config(),
            _ => args.address.config.as_deref(),
        };
        if let Some(path) = config {
            let account = read_account(path, args.account.appid.as_deref());
            let ConfiguredAccount { appid, secret, base } = account.map_err(CredentialError::Config)?;
            return Ok((Credentials::Account { appid, secret }, base));
        }
        let account = |secret| Ok(Credentials::Account { appid: appid(args)?, secret });
        let credentials = match (&args.secret_file, &args.token, &args.secret) {
            (Some(path), _, _) => account(read_secret(path)?),
            (None, Some(token), _) => Ok(Credentials::Token(token.clone())),
            (None, None, Some(secret)) => account(secret.clone()),
            (None, None, None) => Err(CredentialError::None),
        };
        Ok((credentials?, None))
    }

    /// A builder for a client with these credentials.
    pub fn client(self) -> ClientBuilder {
        match self {
            Credentials::Account { appid, secret } => Client::builder(appid, secret),
            Credentials::Token(token) => Client::with_token(token),
        }
    }
}

fn appid(args: &CredentialArgs) -> Result<String, CredentialError> {
    args.account.appid.clone().ok_or(CredentialError::None)
}
