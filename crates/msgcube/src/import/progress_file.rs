//! How far an import came, beside the file it reads: `FILE.msgcube-import`. Losing it costs time, never figures,
//! because sending a line again counts nothing.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::summary::Totals;

/// What is kept. It counts only for the same file at the same server and account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What was imported where.
    #[serde(flatten)]
    pub target: Target,
    /// Lines that the server has made durable or refused.
    pub lines_done: u64,
    /// Figures of these lines.
    pub totals: Totals,
}

/// A file as it was, and where it goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Base URL of the server.
    pub server: String,
    /// The account.
    pub appid: String,
    /// Size of the file, packed if it is.
    pub size_bytes: u64,
    /// Time of its last change, nanoseconds since 1970; as text, since JSON numbers are floats to many.
    pub modified_ns: String,
}

impl Target {
    /// The file as it is now.
    pub fn of(path: &Path, server: &str, appid: &str) -> io::Result<Target> {
        let metadata = fs::metadata(path)?;
        let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Target {
            server: server.to_owned(),
            appid: appid.to_owned(),
            size_bytes: metadata.len(),
            modified_ns: modified.as_nanos().to_string(),
        })
    }
}

/// Where the progress of a file is kept.
pub fn place(path: &Path) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(".msgcube-import");
    name.into()
}

/// What is kept for this target; none if there is nothing, or it is of another one or unreadable.
pub fn load(path: &Path, target: &Target) -> Option<Progress> {
    let text = fs::read(place(path)).ok()?;
    let progress: Progress = serde_json::from_slice(&text).ok()?;
    (progress.target == *target).then_some(progress)
}

/// Replaces what is kept, at once or not at all.
pub fn save(path: &Path, progress: &Progress) -> io::Result<()> {
    let place = place(path);
    let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = NamedTempFile::new_in(folder)?;
    serde_json::to_writer(temporary.as_file(), progress)?;
    temporary.as_file().sync_all()?;
    temporary.persist(&place)?;
    Ok(())
}

/// Forgets what is kept. Nothing kept is as good.
pub fn remove(path: &Path) {
    let _ = fs::remove_file(place(path));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_found_again_for_the_same_file_and_target_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("export.ndjson");
        fs::write(&file, "{}\n").unwrap();
        let target = Target::of(&file, "http://s", "wx1").unwrap();
        let totals = Totals { accepted: 1, ..Totals::default() };
        let progress = Progress { target: target.clone(), lines_done: 20_000, totals };
        assert_eq!(load(&file, &target), None);
        save(&file, &progress).unwrap();
        save(&file, &progress).unwrap();
        assert_eq!(load(&file, &target), Some(progress));
        assert_eq!(load(&file, &Target { appid: "wx2".into(), ..target.clone() }), None);
        fs::write(&file, "{}\n{}\n").unwrap();
        assert_eq!(load(&file, &Target::of(&file, "http://s", "wx1").unwrap()), None);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no temporary file stays");
        remove(&file);
        assert_eq!(load(&file, &target), None);
    }

    #[test]
    fn a_damaged_progress_file_counts_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("export.ndjson");
        fs::write(&file, "{}\n").unwrap();
        fs::write(place(&file), "{\"server\":").unwrap();
        assert_eq!(load(&file, &Target::of(&file, "http://s", "wx1").unwrap()), None);
    }
}
