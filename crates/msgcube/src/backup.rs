//! `msgcube backup`: asks a running server for a backup and keeps it in a folder.

use std::{io, io::Write, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use clap::Args;
use counting::BEIJING_OFFSET_S;
use http_body_util::BodyExt as _;
use i18n::{Lang, format, text};
use indicatif::ProgressBar;
use jiff::{Timestamp, tz::Offset};
use storage::{
    backup::{
        BackupError, BackupFolder, BackupSummary,
        stream::{Piece, PieceDecoder},
    },
    store::disk::RealDisk,
};

use crate::{
    admin::{AdminConnection, AdminError, ServerArgs, ServerConfigReader},
    progress::bytes_bar,
};

/// A server that sends nothing for this long is given up.
const SILENCE_MAX: Duration = Duration::from_secs(300);

/// `msgcube backup`
#[derive(Args, Debug)]
pub struct BackupArgs {
    /// Folder of the backup; a new one, or one with an earlier backup of this server
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// How much the server reads in a second at most, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    mib_per_second: u32,
    #[command(flatten)]
    server: ServerArgs,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupCommandError {
    /// The server, or the way to it.
    #[error("{0}")]
    Server(#[from] AdminError),
    /// The folder.
    #[error("{0}")]
    Backup(#[from] BackupError),
    /// Standard output is closed.
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

/// Makes the backup and prints what it came to.
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
    if args.server.json {
        let json = serde_json::to_string(&summary).map_err(io::Error::from)?;
        writeln!(out, "{json}")?;
    } else {
        writeln!(out, "{}", in_words(&summary).in_lang(lang))?;
        let key =
            text!("The data key (data_key_file) is not in it: keep a copy of that file in another place.");
        writeln!(out, "{}", key.in_lang(lang))?;
    }
    Ok(())
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

fn in_words(summary: &BackupSummary) -> i18n::Text {
    let BackupSummary { parts, new_parts, .. } = *summary;
    let (moment, size) = (moment(summary.at_s), format::size(summary.bytes));
    let new_size = format::size(summary.new_bytes);
    text!(
        "backup of {moment}: {parts} parts, {size}; new: {new_parts} parts, {new_size}",
        moment,
        parts,
        size,
        new_parts,
        new_size
    )
}

/// Unix seconds as Beijing time.
pub fn moment(unix_s: i64) -> String {
    let offset = i32::try_from(BEIJING_OFFSET_S).ok().and_then(|seconds| Offset::from_seconds(seconds).ok());
    match Timestamp::from_second(unix_s) {
        Ok(moment) => moment.display_with_offset(offset.unwrap_or(Offset::UTC)).to_string(),
        Err(_) => unix_s.to_string(),
    }
}
