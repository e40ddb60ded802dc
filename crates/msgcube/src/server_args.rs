//! Options of all commands that ask a server: which server, with which key, for which account.

use std::{
    io,
    path::{Path, PathBuf},
};

use clap::Args;
use msgcube_client::{SecretString, http::Address};

/// The configuration that is read if none is named.
const CONFIG: &str = "msgcube.toml";

/// Which server to ask.
#[derive(Args, Clone, Debug, Default)]
pub struct ServerAddressArgs {
    /// msgcube's configuration, which gives address and keys; by default msgcube.toml in this folder
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the server listens, such as http://127.0.0.1:8060, if not at the configuration's address
    #[arg(long, global = true, value_name = "URL", aliases = ["base", "target"], value_parser = Address::parse_base)]
    pub server: Option<Address>,
}

/// Which server to ask, with which key.
#[derive(Args, Clone, Debug, Default)]
pub struct ServerArgs {
    #[command(flatten)]
    pub address: ServerAddressArgs,
    /// The admin key, or a key of `msgcube key add`. Shows up in `ps`: prefer MSGCUBE_ADMIN_KEY or --key-file
    #[arg(
        long,
        global = true,
        alias = "admin-key",
        env = "MSGCUBE_ADMIN_KEY",
        hide_env_values = true,
        value_name = "KEY"
    )]
    pub key: Option<SecretString>,
    /// File with that key
    #[arg(long, global = true, alias = "admin-key-file", value_name = "FILE")]
    pub key_file: Option<PathBuf>,
}

/// Which account.
#[derive(Args, Clone, Debug, Default)]
pub struct AppidArgs {
    /// The account's appid; needed if the configuration has several accounts, or none is read
    #[arg(long, env = "MSGCUBE_APPID")]
    pub appid: Option<String>,
}

/// A file with a secret that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct SecretFileError {
    /// The file.
    pub path: PathBuf,
    /// The cause.
    pub source: io::Error,
}

impl ServerAddressArgs {
    /// The configuration that is named, otherwise `msgcube.toml` in this folder, whether it exists or not.
    pub fn config_path(&self) -> &Path {
        self.config.as_deref().unwrap_or(Path::new(CONFIG))
    }

    /// The configuration that is named, otherwise `msgcube.toml` in this folder if it exists.
    pub fn existing_config(&self) -> Option<&Path> {
        let unnamed = || Some(Path::new(CONFIG)).filter(|path| path.exists());
        self.config.as_deref().or_else(unnamed)
    }
}

impl ServerArgs {
    /// The key of the command line. The file takes precedence, because the other may come from the environment.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn given_key(&self) -> Result<Option<SecretString>, SecretFileError> {
        match &self.key_file {
            Some(path) => Ok(Some(read_secret(path)?)),
            None => Ok(self.key.clone()),
        }
    }
}

/// Reads a file with a secret, without spaces and line breaks around it.
///
/// # Errors
/// The file cannot be read.
pub fn read_secret(path: &Path) -> Result<SecretString, SecretFileError> {
    let read = std::fs::read_to_string(path);
    let text = read.map_err(|source| SecretFileError { path: path.to_owned(), source })?;
    Ok(text.trim().into())
}
