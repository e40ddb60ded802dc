//! `msgcube verify`: reads everything of a data folder or a backup and says what is damaged.

use std::{io, io::Write, path::PathBuf};

use clap::Args;
use i18n::{Lang, Text, format, text};
use storage::backup::{self, BackupError, FolderKind, Verified};

use crate::progress::bytes_bar;

/// `msgcube verify`
#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// A backup, or a data folder that no server uses
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Verifies and prints what was found. False: something is damaged.
///
/// # Errors
/// See [`BackupError`]: the folder could not be read.
pub fn run(args: &VerifyArgs, lang: Lang, out: &mut dyn Write) -> Result<bool, BackupError> {
    let bar = bytes_bar(text!("verify").in_lang(lang));
    let verified = backup::verify(&args.folder, &|done, all| {
        bar.set_length(all);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let verified = verified?;
    let printed = if args.json {
        serde_json::to_string(&verified).map_err(io::Error::from).and_then(|json| writeln!(out, "{json}"))
    } else {
        writeln!(out, "{}", in_words(&verified, lang))
    };
    printed.map_err(|source| BackupError::File { path: PathBuf::from("stdout"), source })?;
    Ok(verified.damages.is_empty())
}

fn in_words(verified: &Verified, lang: Lang) -> String {
    let mut lines = Vec::new();
    for damage in &verified.damages {
        let (file, what) = (damage.file.display(), Text::from_english(&damage.what));
        lines.push(text!("{file}: {what}", file, what).in_lang(lang));
        let cost = Text::from_english(&damage.cost);
        lines.push(text!("  lost with it: {cost}", cost).in_lang(lang));
    }
    let (files, size) = (verified.files, format::size(verified.bytes));
    let kind = match verified.folder {
        FolderKind::Backup => text!("backup"),
        FolderKind::DataDir => text!("data folder"),
    };
    let count = verified.damages.len();
    let result = if count == 0 {
        text!("{kind}, {files} files, {size}: nothing is damaged", kind, files, size)
    } else {
        text!("{kind}, {files} files, {size}: {count} damaged", kind, files, size, count)
    };
    lines.push(result.in_lang(lang));
    lines.join("\n")
}
