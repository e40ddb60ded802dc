//! Where an import goes: what the command line says, else what the configuration says.

use std::path::{Path, PathBuf};

use msgcube_client::Secret;
use server::config::Config;

use super::{ImportArgs, ImportError};

/// Read without being named, if it is there.
const CONFIG_DEFAULT: &str = "msgcube.toml";

/// Reads a configuration file, or says why not.
pub type ReadConfig<'a> = &'a (dyn Fn(&Path) -> Result<Config, String> + Sync);

/// A server, an account, and the key.
pub(super) struct Destination {
    pub(super) server: String,
    /// The address is the configuration's.
    pub(super) is_configured: bool,
    pub(super) appid: String,
    pub(super) admin_key: Secret,
}

impl Destination {
    /// The configuration is only read if something is missing, or if it is named.
    pub(super) fn find(args: &ImportArgs, read_config: ReadConfig<'_>) -> Result<Destination, ImportError> {
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

fn given_key(args: &ImportArgs) -> Result<Option<Secret>, ImportError> {
    let Some(path) = &args.admin_key_file else { return Ok(args.admin_key.clone()) };
    let text = std::fs::read_to_string(path)
        .map_err(|source| ImportError::KeyFile { path: path.clone(), source })?;
    Ok(Some(text.trim().into()))
}

/// Whether every file is there, before anything is sent.
pub(super) fn check_files(files: &[PathBuf]) -> Result<(), ImportError> {
    for path in files.iter().filter(|path| path.as_os_str() != "-") {
        match std::fs::metadata(path) {
            Ok(found) if found.is_dir() => return Err(ImportError::Folder(path.clone())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                // Shows in which folder it was looked for.
                let shown = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                return Err(ImportError::NoFile(shown));
            }
            // Anything else shows when it is read.
            _ => {}
        }
    }
    Ok(())
}
