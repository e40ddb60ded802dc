//! The server, account and key of an import, from the command line or else from the configuration.

use std::path::{Path, PathBuf};

use msgcube_client::{SecretString, http::Address};
use server::config::Config;

use super::{ImportArgs, ImportError};

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
        let given_key = args.server.given_key()?;
        let (address, appid) = (&args.server.address, &args.account.appid);
        let is_complete = address.server.is_some() && appid.is_some() && given_key.is_some();
        let path = if is_complete { address.config.as_deref() } else { address.existing_config() };
        let config = path.map(read_config).transpose().map_err(ImportError::Config)?;
        let configured_key = || config.as_ref()?.admin_key.as_ref().map(|key| key.reveal().into());
        let appid = match (appid, &config) {
            (Some(appid), _) => appid.clone(),
            (None, Some(config)) => config.account(None).map_err(ImportError::Config)?.appid.clone(),
            (None, None) => return Err(ImportError::NoAppid),
        };
        let server =
            address.server.as_ref().map(Address::uri_text).or_else(|| config.as_ref().map(Config::own_url));
        Ok(Destination {
            server: server.ok_or(ImportError::NoServer)?,
            is_configured: address.server.is_none(),
            appid,
            admin_key: given_key.or_else(configured_key).ok_or(ImportError::NoKey)?,
        })
    }
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
