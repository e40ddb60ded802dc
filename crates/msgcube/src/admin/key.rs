//! `msgcube key`.

use axum::http::Method;
use clap::Subcommand;
use i18n::Lang;
use i18n::{Text, text};
use serde_json::{Value, json};
use server::auth::api_keys::Scope;

use super::{
    connection::{AdminError, Connection},
    joined, list, moment, text,
};
use crate::table::fitted;

/// What to do with keys of the own interface.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key, shown once
    Add {
        /// What people call it
        #[arg(long, default_value = "")]
        name: String,
        /// read, read:APPID, write, write:APPID or admin; repeat it for several
        #[arg(long, required = true)]
        scope: Vec<Scope>,
        /// How long it is good for
        #[arg(long, value_name = "DAYS")]
        expires_in_days: Option<u32>,
    },
    /// List the keys, without the keys themselves
    List,
    /// End a key
    Remove {
        /// Its id, as listed, or the key itself
        id: String,
    },
}

impl KeyCommand {
    /// Asks the server.
    pub async fn run(&self, server: &Connection) -> Result<Value, AdminError> {
        match self {
            KeyCommand::Add { name, scope, expires_in_days } => {
                let body = json!({ "name": name, "scopes": scope, "expires_in_days": expires_in_days });
                server.ask(Method::POST, &["keys"], Some(body)).await
            }
            KeyCommand::List => server.ask(Method::GET, &["keys"], None).await,
            KeyCommand::Remove { id } => server.ask(Method::DELETE, &["keys", id_of(id)], None).await,
        }
    }

    /// The answer for people.
    pub fn text(&self, answer: &Value, lang: Lang, columns: usize) -> String {
        match self {
            KeyCommand::Add { .. } => {
                let note =
                    text!("Send it as: Authorization: Bearer KEY. It is not shown again.").in_lang(lang);
                format!("{}\n{note}", text(answer, "key"))
            }
            KeyCommand::List => keys(answer, lang, columns),
            KeyCommand::Remove { id } => {
                let id = id_of(id);
                text!("the key {id} has ended", id).in_lang(lang)
            }
        }
    }
}

/// Also of a whole key, or of its beginning.
fn id_of(text: &str) -> &str {
    let rest = text.strip_prefix("mk_").unwrap_or(text);
    rest.split('_').next().unwrap_or(rest)
}

fn keys(answer: &Value, lang: Lang, columns: usize) -> String {
    let header = [Text::plain("id"), text!("name"), text!("scopes"), text!("made"), text!("expires")]
        .map(|text| text.in_lang(lang));
    let rows = list(answer, "keys").map(|key| {
        let expires = match (key["expires"].as_str(), key["expired"].as_bool()) {
            (None, _) => text!("never").in_lang(lang),
            (Some(at), Some(true)) => format!("{} {}", moment(at), text!("(over)").in_lang(lang)),
            (Some(at), _) => moment(at),
        };
        let of = |name| text(key, name).to_owned();
        [of("id"), of("name"), joined(&key["scopes"]), moment(text(key, "created")), expires]
    });
    fitted(header, rows, columns).to_string()
}
