//! The credentials of a query: from a configuration, a fixed token, or appid and secret.

use std::{
    io,
    path::{Path, PathBuf},
};

use clap::Args;
use i18n::{Lang, text};
use msgcube_client::{Client, ClientBuilder, SecretString};

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

/// Arguments with credentials. The first of these that is given is used: --config, --secret-file, --token, --secret.
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
    pub secret: Option<SecretString>,
    /// An access token, used as it is. Shows up in `ps`: prefer MSGCUBE_ACCESS_TOKEN
    #[arg(long, env = "MSGCUBE_ACCESS_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub token: Option<SecretString>,
    /// Take appid and secret from msgcube's configuration; --appid chooses among several accounts
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
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
    #[error("{}: {source}", path.display())]
    SecretFile {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
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
        if let Some(path) = &args.config {
            let account = read_account(path, args.appid.as_deref()).map_err(CredentialError::Config)?;
            let ConfiguredAccount { appid, secret, base } = account;
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
    args.appid.clone().ok_or(CredentialError::None)
}

fn read_secret(path: &Path) -> Result<SecretString, CredentialError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| CredentialError::SecretFile { path: path.to_owned(), source })?;
    Ok(text.trim().into())
}
