//! The `curl` commands that stand beside figures and give the same numbers.

use axum::http::request::Parts;
use msgcube_client::http::Address;

use super::viewer::{Viewer, host};
use crate::http::state::App;

/// Makes commands for one viewer.
#[derive(Clone, Debug)]
pub struct CurlCommands {
    /// Such as `https://msgcube.example`. None: the viewer has no key that a command could use, or the address is not
    /// known.
    base: Option<String>,
}

impl CurlCommands {
    /// For the viewer of this request.
    pub fn new(app: &App, viewer: &Viewer, parts: &Parts) -> CurlCommands {
        let config = app.config.get();
        let configured = config.ui_origin().map(Address::origin);
        let asked = || {
            let scheme = if app.tls.get().is_some() { "https" } else { "http" };
            // Anything else could end the quotes of the command.
            let is_plain = |character: char| character.is_ascii_alphanumeric() || ".:-[]".contains(character);
            host(parts).filter(|host| host.chars().all(is_plain)).map(|host| format!("{scheme}://{host}"))
        };
        let base = configured.or_else(asked);
        CurlCommands { base: base.filter(|_| viewer.share.is_none()) }
    }

    /// The command for a path below `/v1` with its query. Empty if there is none. The path must be encoded, so that it
    /// holds no quote.
    pub fn of(&self, path: &str) -> String {
        let Some(base) = &self.base else { return String::new() };
        format!("curl -H \"Authorization: Bearer $MSGCUBE_KEY\" '{base}{path}'")
    }
}
