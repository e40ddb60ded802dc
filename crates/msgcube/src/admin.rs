//! `msgcube account`, `msgcube key` and `msgcube reload`: change accounts, API keys and settings of a running server
//! through its admin API.

mod account;
mod connection;
mod key;
mod reload;

use std::{io::Write, path::Path};

pub use account::AccountCommand;
use clap::Args;
pub use connection::{AdminConnection, AdminError, ConfiguredServer, NO_MSGCUBE, client_of_server};
use i18n::Lang;
pub use key::KeyCommand;
use serde_json::Value;

use crate::server_args::ServerArgs;

/// Arguments of `msgcube account`.
#[derive(Args, Debug)]
pub struct AccountArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Print the server's answer as JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: AccountCommand,
}

/// Arguments of `msgcube key`.
#[derive(Args, Debug)]
pub struct KeyArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Print the server's answer as JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: KeyCommand,
}

/// Arguments of `msgcube reload`.
#[derive(Args, Debug)]
pub struct ReloadArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Print the server's answer as JSON
    #[arg(long, global = true)]
    json: bool,
}

/// Reads the server's address and the admin key from a configuration file. The error is a sentence.
pub type ServerConfigReader<'a> = &'a (dyn Fn(&Path) -> Result<ConfiguredServer, String> + Sync);

/// A command for a running server.
enum AdminCommand {
    Account(AccountCommand),
    Key(KeyCommand),
    Reload,
}

impl AdminCommand {
    async fn run(&self, server: &AdminConnection, lang: Lang) -> Result<Value, AdminError> {
        match self {
            AdminCommand::Account(command) => command.run(server, lang).await,
            AdminCommand::Key(command) => command.run(server).await,
            AdminCommand::Reload => reload::run(server).await,
        }
    }

    fn answer_text(&self, answer: &Value, lang: Lang, columns: usize) -> String {
        match self {
            AdminCommand::Account(command) => command.answer_text(answer, lang, columns),
            AdminCommand::Key(command) => command.answer_text(answer, lang, columns),
            AdminCommand::Reload => reload::answer_text(answer, lang),
        }
    }
}

/// Runs `msgcube account`. `columns` is the width of the terminal.
pub async fn account(
    args: AccountArgs,
    lang: Lang,
    columns: usize,
    read_config: ServerConfigReader<'_>,
    out: &mut (dyn Write + Send),
) -> Result<(), AdminError> {
    run(&args.server, args.json, AdminCommand::Account(args.command), lang, columns, read_config, out).await
}

/// Runs `msgcube key`. `columns` is the width of the terminal.
pub async fn key(
    args: KeyArgs,
    lang: Lang,
    columns: usize,
    read_config: ServerConfigReader<'_>,
    out: &mut (dyn Write + Send),
) -> Result<(), AdminError> {
    run(&args.server, args.json, AdminCommand::Key(args.command), lang, columns, read_config, out).await
}

/// Runs `msgcube reload`.
pub async fn reload(
    args: ReloadArgs,
    lang: Lang,
    columns: usize,
    read_config: ServerConfigReader<'_>,
    out: &mut (dyn Write + Send),
) -> Result<(), AdminError> {
    run(&args.server, args.json, AdminCommand::Reload, lang, columns, read_config, out).await
}

async fn run(
    server: &ServerArgs,
    json: bool,
    command: AdminCommand,
    lang: Lang,
    columns: usize,
    read_config: ServerConfigReader<'_>,
    out: &mut (dyn Write + Send),
) -> Result<(), AdminError> {
    let answer = command.run(&AdminConnection::new(server, read_config)?, lang).await?;
    let text = if json { answer.to_string() } else { command.answer_text(&answer, lang, columns) };
    Ok(writeln!(out, "{text}")?)
}

/// A text field of an answer; empty if it is missing.
fn text_field<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// The texts of a list, separated by commas.
fn join_texts(value: &Value) -> String {
    let texts = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    texts.collect::<Vec<_>>().join(", ")
}

/// Turns a time as the server writes it, `2026-11-01T05:00:00+08:00`, into Beijing time to the minute.
fn short_time(text: &str) -> String {
    let minute = text.get(..16).filter(|_| text.ends_with("+08:00"));
    minute.map_or_else(|| text.to_owned(), |minute| minute.replacen('T', " ", 1))
}

fn list_field<'a>(answer: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    answer[name].as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use unicode_width::UnicodeWidthStr as _;

    use super::*;
    use crate::table::COLUMNS;

    fn fits(text: &str) {
        assert!(text.lines().all(|line| line.width() <= COLUMNS), "{text}");
        assert!(!text.contains('\x1b') && text.contains("\\u001b[2J"), "{text}");
    }

    #[test]
    fn tables_fit_and_show_no_control_characters_whatever_the_names() {
        let (long, name) = ("x".repeat(128), "gh_\x1b[2J公众号".repeat(20));
        let keys = json!({ "keys": [{
            "id": "0123456789abcdef", "name": name, "scopes": [format!("read:{long}"), format!("write:{long}")],
            "created": "2026-11-01T05:00:00+08:00", "expires": "2026-11-02T05:00:00+08:00", "expired": true,
        }] });
        let coverage = json!({ "since": "2026-11-01T05:00:00+08:00", "gaps": [["a", "b"]] });
        let platform = json!({ "component": long, "status": "pending", "original_id": name });
        let accounts =
            json!({ "accounts": [{ "appid": long, "coverage": coverage, "platforms": [platform] }] });
        let account =
            json!({ "appid": long, "original_id": name, "platforms": [platform], "coverage": coverage });
        for lang in [Lang::En, Lang::Zh] {
            let listed = KeyCommand::List.answer_text(&keys, lang, COLUMNS);
            fits(&listed);
            fits(&AccountCommand::List.answer_text(&accounts, lang, COLUMNS));
            fits(&AccountCommand::Show { appid: long.clone() }.answer_text(&account, lang, COLUMNS));
        }
    }

    #[test]
    fn short_names_stay_on_one_line_with_times_to_the_minute() {
        let keys = json!({ "keys": [{
            "id": "0123456789abcdef", "name": "grafana", "scopes": ["read"],
            "created": "2026-11-01T05:00:59+08:00", "expires": "2027-11-02T05:00:00+08:00", "expired": true,
        }] });
        let text = KeyCommand::List.answer_text(&keys, Lang::En, COLUMNS);
        let line = text.lines().find(|line| line.contains("grafana")).unwrap();
        assert!(line.contains("0123456789abcdef") && line.contains("2026-11-01 05:00"), "{text}");
        assert_eq!(short_time("2026-11-01T05:00:59Z"), "2026-11-01T05:00:59Z");
    }
}
