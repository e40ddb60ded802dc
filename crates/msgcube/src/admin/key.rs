//! `msgcube key`: the requests to the server, and how its answers are shown.

use axum::http::Method;
use clap::Subcommand;
use i18n::{Lang, Text, text};
use serde_json::{Value, json};
use server::auth::api_keys::Scope;

use super::{
    connection::{AdminConnection, AdminError},
    join_texts, list_field, short_time, text_field,
};
use crate::table::fitted;

/// The commands below `msgcube key`.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key, shown once
    Add {
        /// A name, for people
        #[arg(long, default_value = "")]
        name: String,
        /// read, read:APPID, write, write:APPID or admin; repeat it for several
        #[arg(long, required = true)]
        scope: Vec<Scope>,
        /// Days until it expires
        #[arg(long, value_name = "DAYS")]
        expires_in_days: Option<u32>,
    },
    /// List the keys, without the keys themselves
    List,
    /// Revoke a key
    Remove {
        /// Its id, as listed, or the key itself
        id: String,
    },
}

impl KeyCommand {
    /// Sends the request to the server and returns its answer.
    pub async fn run(&self, server: &AdminConnection) -> Result<Value, AdminError> {
        match self {
            KeyCommand::Add { name, scope, expires_in_days } => {
                let body = json!({ "name": name, "scopes": scope, "expires_in_days": expires_in_days });
                server.ask(Method::POST, &["keys"], Some(body)).await
            }
            KeyCommand::List => server.ask(Method::GET, &["keys"], None).await,
            KeyCommand::Remove { id } => server.ask(Method::DELETE, &["keys", id_of(id)], None).await,
        }
    }

    /// The answer as text for the screen.
    pub fn answer_text(&self, answer: &Value, lang: Lang, columns: usize) -> String {
        match self {
            KeyCommand::Add { .. } => {
                let note =
                    text!("Send it as: Authorization: Bearer KEY. It is not shown again.").in_lang(lang);
                format!("{}\n{note}", text_field(answer, "key"))
            }
            KeyCommand::List => keys_table(answer, lang, columns),
            KeyCommand::Remove { id } => {
                let id = id_of(id);
                text!("the key {id} is revoked", id).in_lang(lang)
            }
        }
    }
}

/// The id of a key, given as the id, as the whole key, or as its beginning.
fn id_of(text: &str) -> &str {
    let rest = text.strip_prefix("mk_").unwrap_or(text);
    rest.split('_').next().unwrap_or(rest)
}

fn keys_table(answer: &Value, lang: Lang, columns: usize) -> String {
    let header = [Text::plain("id"), text!("name"), text!("scopes"), text!("made"), text!("expires")]
        .map(|text| text.in_lang(lang));
    let rows = list_field(answer, "keys").map(|key| {
        let expires = match (key["expires"].as_str(), key["expired"].as_bool()) {
            (None, _) => text!("never").in_lang(lang),
            (Some(at), Some(true)) => format!("{} {}", short_time(at), text!("(expired)").in_lang(lang)),
            (Some(at), _) => short_time(at),
        };
        let field = |name| text_field(key, name).to_owned();
        [
            field("id"),
            field("name"),
            join_texts(&key["scopes"]),
            short_time(text_field(key, "created")),
            expires,
        ]
    });
    fitted(header, rows, columns).to_string()
}
