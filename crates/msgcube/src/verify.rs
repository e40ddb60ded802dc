//! `msgcube verify`: reads all of a data folder or a backup, and says what is damaged.

use std::{io::Write, path::PathBuf};

use clap::Args;
use i18n::{Lang, Text, format, text};
use storage::backup::{self, BackupError, FolderKind, Verified};

use crate::{output::print_result, progress::with_bytes_bar};

/// Arguments of `msgcube verify`.
#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// A backup, or a data folder that no server is using
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Verifies and prints the result. Returns whether nothing is damaged.
///
/// # Errors
/// See [`BackupError`]: the folder could not be read.
pub fn run(args: &VerifyArgs, lang: Lang, out: &mut dyn Write) -> Result<bool, BackupError> {
    let verified =
        with_bytes_bar(text!("verify").in_lang(lang), |progress| backup::verify(&args.folder, progress))?;
    print_result(out, args.json, &verified, || in_words(&verified, lang))
        .map_err(|source| BackupError::File { path: PathBuf::from("stdout"), source })?;
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
