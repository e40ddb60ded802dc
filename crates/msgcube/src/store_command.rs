//! `msgcube store`: prepares and examines the servers of a shared store.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use i18n::{Lang, text};
use server::{
    config::StoreConfig,
    shared_servers::{self, PrepareError, PreparedServers},
};

use crate::doctor::{self, ConfigReader, RunContext};

/// Arguments of `msgcube store`.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Make the tables of [store] in ClickHouse and PostgreSQL; what is there already stays
    Init(StoreInitArgs),
    /// Examine ClickHouse and PostgreSQL, and say what to do
    Check(StoreCheckArgs),
}

/// Arguments of `msgcube store init`.
#[derive(Args, Debug)]
pub struct StoreInitArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "msgcube.toml")]
    config: PathBuf,
}

/// Arguments of `msgcube store check`.
#[derive(Args, Debug)]
#[command(after_help = "Status 0: no problems; 1: problems.")]
pub struct StoreCheckArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "msgcube.toml")]
    config: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Why the command failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreCommandError {
    /// The configuration cannot be used.
    #[error("{0}")]
    Configuration(String),
    /// There is no `[store]`.
    #[error(
        "{} has no [store], so messages are in data_dir, which needs no preparation. docs/scaling.md says when several processes are worth it, and how to set them up",
        path.display()
    )]
    NoStore {
        /// The configuration file.
        path: PathBuf,
    },
    /// A server says why.
    #[error("{0}")]
    Prepare(#[from] PrepareError),
    /// The program was built without the servers.
    #[error("{0}")]
    Examine(#[from] server::open_store::OpenStoreError),
    /// Writing to standard output failed.
    #[error("{0}")]
    Output(#[from] io::Error),
}

/// Runs the command. Returns whether there are no problems.
///
/// # Errors
/// See [`StoreCommandError`].
pub async fn run(
    command: StoreCommand,
    context: RunContext,
    read_config: ConfigReader<'_>,
    out: &mut (dyn Write + Send),
) -> Result<bool, StoreCommandError> {
    match command {
        StoreCommand::Init(args) => {
            let store = store_of(&args.config, read_config)?;
            let prepared = shared_servers::prepare(&store).await?;
            writeln!(out, "{}", in_words(prepared, &store, context.lang))?;
            Ok(true)
        }
        StoreCommand::Check(args) => {
            let store = store_of(&args.config, read_config)?;
            let sections = doctor::servers::check(&store).await;
            Ok(doctor::print_report(&sections, args.json, &context, out)?)
        }
    }
}

fn store_of(path: &Path, read_config: ConfigReader<'_>) -> Result<StoreConfig, StoreCommandError> {
    let config = read_config(path).map_err(StoreCommandError::Configuration)?;
    config.store.ok_or_else(|| StoreCommandError::NoStore { path: path.to_owned() })
}

fn in_words(prepared: PreparedServers, store: &StoreConfig, lang: Lang) -> String {
    let (shards, database) = (prepared.shards, &store.database);
    let mut lines = vec![
        text!("ClickHouse: the tables in database {database} are there; shards: {shards}", database, shards),
        if prepared.is_new {
            text!("PostgreSQL: the tables were made")
        } else {
            text!("PostgreSQL: the tables were there already")
        },
    ];
    if store.cluster.is_none() {
        lines.push(text!(
            "There is no replication: store.cluster is not set, so messages are on one ClickHouse server and are lost with its disk."
        ));
    }
    lines.push(text!("Examine both with msgcube store check, then start each process with msgcube serve."));
    lines.iter().map(|line| line.in_lang(lang)).collect::<Vec<_>>().join("\n")
}
