//! `msgcube account`, `msgcube key` and `msgcube reload`: accounts, keys and settings of a running server, by its own
//! interface.

mod account;
mod connection;
mod key;
mod reload;

use std::{io::Write, path::Path};

use clap::Args;
use comfy_table::{LineStyle, Table, TableStyle};
use serde_json::Value;

use crate::lang::Lang;
pub use account::AccountCommand;
pub use connection::{
    AdminError, ConfiguredServer, Connection, NO_MSGCUBE, ServerArgs, client_of_server, read_file,
};
pub use key::KeyCommand;

/// `msgcube account`
#[derive(Args, Debug)]
pub struct AccountArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(subcommand)]
    command: AccountCommand,
}

/// `msgcube key`
#[derive(Args, Debug)]
pub struct KeyArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(subcommand)]
    command: KeyCommand,
}

/// `msgcube reload`
#[derive(Args, Debug)]
pub struct ReloadArgs {
    #[command(flatten)]
    server: ServerArgs,
}

/// Looks up the server and the key in a configuration file.
pub type ReadConfig<'a> = &'a (dyn Fn(&Path) -> Result<ConfiguredServer, String> + Sync);

/// What is asked of a server.
enum Asked {
    Account(AccountCommand),
    Key(KeyCommand),
    Reload,
}

impl Asked {
    async fn run(&self, server: &Connection) -> Result<Value, AdminError> {
        match self {
            Asked::Account(command) => command.run(server).await,
            Asked::Key(command) => command.run(server).await,
            Asked::Reload => reload::run(server).await,
        }
    }

    fn text(&self, answer: &Value, lang: Lang) -> String {
        match self {
            Asked::Account(command) => command.text(answer, lang),
            Asked::Key(command) => command.text(answer, lang),
            Asked::Reload => reload::shown(answer, lang),
        }
    }
}

/// Runs `msgcube account`.
pub async fn account(
    args: AccountArgs,
    lang: Lang,
    read_config: ReadConfig<'_>,
    out: &mut (dyn Write + Send),
) -> Result<(), AdminError> {
    run(&args.server, Asked::Account(args.command), lang, read_config, out).await
}

/// Runs `msgcube key`.
pub async fn key(
    args: KeyArgs,
    lang: Lang,
    read_config: ReadConfig<'_>,
    out: &mut (dyn Write + Send),
) -> Result<(), AdminError> {
    run(&args.server, Asked::Key(args.command), lang, read_config, out).await
}

/// Runs `msgcube reload`.
pub async fn reload(
    args: ReloadArgs,
    lang: Lang,
    read_config: ReadConfig<'_>,
    out: &mut (dyn Write + Send),
) -> Result<(), AdminError> {
    run(&args.server, Asked::Reload, lang, read_config, out).await
}

async fn run(
    server: &ServerArgs,
    asked: Asked,
    lang: Lang,
    read_config: ReadConfig<'_>,
    out: &mut (dyn Write + Send),
) -> Result<(), AdminError> {
    let answer = asked.run(&Connection::new(server, read_config)?).await?;
    let text = if server.json { answer.to_string() } else { asked.text(&answer, lang) };
    Ok(writeln!(out, "{text}")?)
}

/// One line under the header, nothing else.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(STYLE);
    table.set_header(header);
    table.add_rows(rows);
    table.to_string()
}

/// A text of an answer; nothing if it is not there.
fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// The texts of a list, behind one another.
fn joined(value: &Value) -> String {
    let texts = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    texts.collect::<Vec<_>>().join(", ")
}

fn list<'a>(answer: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    answer[name].as_array().into_iter().flatten()
}
