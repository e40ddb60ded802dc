//! `msgcube restore`: makes a data folder of a backup.

use std::{io, io::Write, path::PathBuf, sync::Arc};

use clap::Args;
use i18n::{Lang, format, text};
use storage::{
    backup::{self, BackupError},
    store::disk::{Disk, RealDisk},
};

use crate::{backup::moment, progress::bytes_bar};

/// `msgcube restore`
#[derive(Args, Debug)]
pub struct RestoreArgs {
    /// Folder of the backup
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// The data folder to make; it must not exist or be empty
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
    let bar = bytes_bar(text!("restore").in_lang(lang));
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let restored = backup::restore(&args.folder, &args.data_dir, &disk, &|done, all| {
        bar.set_length(all);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let restored = restored?;
    let printed = if args.json {
        serde_json::to_string(&restored).map_err(io::Error::from).and_then(|json| writeln!(out, "{json}"))
    } else {
        let (data_dir, moment) = (args.data_dir.display(), moment(restored.at_s));
        let size = format::size(restored.bytes);
        let text = text!(
            "{data_dir} is as it was at {moment} ({size}). It needs the data key of that time; the time since then will be a gap.",
            data_dir,
            moment,
            size
        );
        writeln!(out, "{}", text.in_lang(lang))
    };
    printed.map_err(|source| BackupError::File { path: PathBuf::from("stdout"), source })
}
