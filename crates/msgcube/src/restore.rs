//! `msgcube restore`: makes a data folder from a backup.

use std::{io::Write, path::PathBuf, sync::Arc};

use clap::Args;
use i18n::{Lang, format, text};
use server::http::beijing_time;
use storage::{
    backup::{self, BackupError},
    store::disk::{Disk, RealDisk},
};

use crate::{output::print_result, progress::with_bytes_bar};

/// Arguments of `msgcube restore`.
#[derive(Args, Debug)]
pub struct RestoreArgs {
    /// Folder of the backup
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// The data folder to make; it must be empty or not exist yet
    #[arg(long, value_name = "NEW")]
    data_dir: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Restores and prints what was restored.
///
/// # Errors
/// See [`BackupError`]. The data folder is then as it was before.
pub fn run(args: &RestoreArgs, lang: Lang, out: &mut dyn Write) -> Result<(), BackupError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let restored = with_bytes_bar(text!("restore").in_lang(lang), |progress| {
        backup::restore(&args.folder, &args.data_dir, &disk, progress)
    })?;
    let in_words = || {
        let (data_dir, moment) = (args.data_dir.display(), beijing_time(restored.at_s));
        let size = format::size(restored.bytes);
        text!(
            "{data_dir} is as it was at {moment} ({size}). It needs the data key of that time; the time since then will be a gap.",
            data_dir,
            moment,
            size
        )
        .in_lang(lang)
    };
    print_result(out, args.json, &restored, in_words)
        .map_err(|source| BackupError::File { path: PathBuf::from("stdout"), source })
}
