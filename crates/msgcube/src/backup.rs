//! `msgcube backup`: asks a running server for a backup and stores it in a folder.

use std::{io, io::Write, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use clap::Args;
use http_body_util::BodyExt as _;
use i18n::{Lang, format, text};
use indicatif::ProgressBar;
use server::http::beijing_time;
use storage::{
    backup::{
        BackupError, BackupFolder, BackupSummary,
        stream::{Piece, PieceDecoder},
    },
    store::disk::RealDisk,
};

use crate::{
    admin::{AdminConnection, AdminError, ServerConfigReader},
    output::print_result,
    progress::bytes_bar,
    server_args::ServerArgs,
};

/// After this time without a byte from the server the backup is given up.
const SILENCE_MAX: Duration = Duration::from_secs(300);

/// Arguments of `msgcube backup`.
#[derive(Args, Debug)]
pub struct BackupArgs {
    /// Folder of the backup; a new one, or one with an earlier backup of this server
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// The most that the server reads per second, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    mib_per_second: u32,
    #[command(flatten)]
    server: ServerArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Why the backup failed.
#[derive(Debug, thiserror::Error)]
pub enum BackupCommandError {
    /// The server refuses, or cannot be asked.
    #[error("{0}")]
    Server(#[from] AdminError),
    /// The folder cannot be used, or the server sent no whole backup.
    #[error("{0}")]
    Backup(#[from] BackupError),
    /// Writing to standard output failed.
    #[error("{0}")]
    Output(#[from] io::Error),
}

impl BackupCommandError {
    /// The error in a language.
    pub fn in_lang(&self, lang: Lang) -> String {
        match self {
            BackupCommandError::Server(error) => error.in_lang(lang),
            other => i18n::translated(lang, &other.to_string()),
        }
    }
}

/// Makes the backup and prints its summary.
///
/// # Errors
/// See [`BackupCommandError`]. The folder then still holds the former backup.
pub async fn run(
    args: BackupArgs,
    lang: Lang,
    read_config: ServerConfigReader<'_>,
    out: &mut (dyn Write + Send),
) -> Result<(), BackupCommandError> {
    let server = AdminConnection::new(&args.server, read_config)?;
    let bar = bytes_bar(text!("checking earlier parts").in_lang(lang));
    let mut folder = tokio::task::block_in_place(|| {
        BackupFolder::open(&args.folder, Arc::new(RealDisk), &|done| bar.set_position(done))
    })?;
    bar.set_message(text!("backup").in_lang(lang));
    let summary = receive(&server, args.mib_per_second, &mut folder, &bar).await;
    bar.finish_and_clear();
    let summary = summary?;
    Ok(print_result(out, args.json, &summary, || in_words(&summary, lang))?)
}

async fn receive(
    server: &AdminConnection,
    mib_per_second: u32,
    folder: &mut BackupFolder,
    bar: &ProgressBar,
) -> Result<BackupSummary, BackupCommandError> {
    let known: Vec<u8> = folder.known().flat_map(|id| id.0).collect();
    let query = [("mib_per_second", mib_per_second.to_string())];
    let mut body = server.post_for_stream("backup", &query, Bytes::from(known)).await?;
    let mut decoder = PieceDecoder::default();
    bar.set_position(0);
    loop {
        let frame = tokio::time::timeout(SILENCE_MAX, body.frame()).await;
        let frame = frame.map_err(|_| BackupError::Stream("nothing came for 5 min"))?;
        let frame = frame.ok_or(BackupError::Stream("it ended early"))?;
        let frame = frame.map_err(|_| BackupError::Stream("the connection was lost"))?;
        decoder.push(frame.data_ref().map_or(&[][..], AsRef::as_ref));
        while let Some(piece) = decoder.next_piece()? {
            match &piece {
                Piece::Start(start) => bar.set_length(start.bytes),
                Piece::Part(bytes) => bar.inc(bytes.len() as u64),
                Piece::Known(_, bytes) => bar.inc(*bytes),
                Piece::Manifest(_) | Piece::Failed(_) => {}
            }
            if let Some(summary) = tokio::task::block_in_place(|| folder.take(piece))? {
                return Ok(summary);
            }
        }
    }
}

fn in_words(summary: &BackupSummary, lang: Lang) -> String {
    let BackupSummary { parts, new_parts, .. } = *summary;
    let (moment, size) = (beijing_time(summary.at_s), format::size(summary.bytes));
    let new_size = format::size(summary.new_bytes);
    let made = text!(
        "backup of {moment}: {parts} parts, {size}; new: {new_parts} parts, {new_size}",
        moment,
        parts,
        size,
        new_parts,
        new_size
    );
    let key = text!("The data key (data_key_file) is not in it: keep a copy of that file in another place.");
    format!("{}\n{}", made.in_lang(lang), key.in_lang(lang))
}
