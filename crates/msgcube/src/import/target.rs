//! The server, account and key of an import, from the command line or else from the configuration.

use std::path::{Path, PathBuf};

use msgcube_client::SecretString;
use server::config::Config;

use super::{ImportArgs, ImportError};

/// The configuration that is read by default, if it exists.
const CONFIG_DEFAULT: &str = "msgcube.toml";

/// Reads a configuration file. The error is a sentence.
pub type ImportConfigReader<'a> = &'a (dyn Fn(&Path) -> Result<Config, String> + Sync);

/// Where an import sends to.
pub(super) struct Destination {
    pub(super) server: String,
    /// The address comes from the configuration.
    pub(super) is_configured: bool,
    pub(super) appid: String,
    pub(super) admin_key: SecretString,
}

impl Destination {
    /// Reads the configuration only if `--config` names it or an argument is missing.
    pub(super) fn find(
        args: &ImportArgs,
        read_config: ImportConfigReader<'_>,
    ) -> Result<Destination, ImportError> {
        let given_key = given_key(args)?;
        let is_complete = args.server.is_some() && args.appid.is_some() && given_key.is_some();
        let unnamed = || Some(PathBuf::from(CONFIG_DEFAULT)).filter(|path| !is_complete && path.exists());
        let config = match args.config.clone().or_else(unnamed) {
            Some(path) => Some(read_config(&path).map_err(ImportError::Config)?),
            None => None,
        };
        let configured_key = || config.as_ref()?.admin_key.as_ref().map(|key| key.reveal().into());
        let appid = match (&args.appid, &config) {
            (Some(appid), _) => appid.clone(),
            (None, Some(config)) => config.account(None).map_err(ImportError::Config)?.appid.clone(),
            (None, None) => return Err(ImportError::NoAppid),
        };
        let server = args.server.clone().or_else(|| config.as_ref().map(Config::own_url));
        Ok(Destination {
            server: server.ok_or(ImportError::NoServer)?,
            is_configured: args.server.is_none(),
            appid,
            admin_key: given_key.or_else(configured_key).ok_or(ImportError::NoKey)?,
        })
    }
}

fn given_key(args: &ImportArgs) -> Result<Option<SecretString>, ImportError> {
    let Some(path) = &args.admin_key_file else { return Ok(args.admin_key.clone()) };
    let text = std::fs::read_to_string(path)
        .map_err(|source| ImportError::KeyFile { path: path.clone(), source })?;
    Ok(Some(text.trim().into()))
}

/// Checks that every file exists, before anything is sent.
pub(super) fn check_files(files: &[PathBuf]) -> Result<(), ImportError> {
    for path in files.iter().filter(|path| path.as_os_str() != "-") {
        match std::fs::metadata(path) {
            Ok(found) if found.is_dir() => return Err(ImportError::Folder(path.clone())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                // The absolute path shows the folder.
                let shown = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                return Err(ImportError::NoFile(shown));
            }
            // Other errors appear when the file is read.
            _ => {}
        }
    }
    Ok(())
}
