//! `msgcube account` and `msgcube key`: accounts and keys of a running server, by its own interface.

mod account;
mod connection;
mod key;

use std::{io::Write, path::Path};

use clap::Args;
use comfy_table::{LineStyle, Table, TableStyle};
use serde_json::Value;

use crate::lang::Lang;
pub use account::AccountCommand;
use connection::Connection;
pub use connection::{AdminError, ConfiguredServer, ServerArgs};
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

/// Looks up the server and the key in a configuration file.
pub type ReadConfig<'a> = &'a (dyn Fn(&Path) -> Result<ConfiguredServer, String> + Sync);

/// Runs `msgcube account`.
pub async fn account(
    args: AccountArgs,
    lang: Lang,
    read_config: ReadConfig<'_>,
    out: &mut (dyn Write + Send),
) -> Result<(), AdminError> {
    let connection = Connection::new(&args.server, read_config)?;
    let answer = args.command.run(&connection).await?;
    let text = if args.server.json { machine(&answer) } else { args.command.text(&answer, lang) };
    Ok(writeln!(out, "{text}")?)
}

/// Runs `msgcube key`.
pub async fn key(
    args: KeyArgs,
    lang: Lang,
    read_config: ReadConfig<'_>,
    out: &mut (dyn Write + Send),
) -> Result<(), AdminError> {
    let connection = Connection::new(&args.server, read_config)?;
    let answer = args.command.run(&connection).await?;
    let text = if args.server.json { machine(&answer) } else { args.command.text(&answer, lang) };
    Ok(writeln!(out, "{text}")?)
}

fn machine(answer: &Value) -> String {
    answer.to_string()
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
