//! The progress of an import, in `FILE.msgcube-import` beside the imported file. Losing it costs time but changes no
//! figure: a line that is sent again is not counted again.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::summary::LineCounts;

/// The saved progress. It is used only for the same file, server and account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The file and where it was sent.
    #[serde(flatten)]
    pub target: Target,
    /// Lines that the server has made durable or rejected.
    pub lines_done: u64,
    /// Counts of these lines.
    pub totals: LineCounts,
}

/// A file at the time of the import, and where it was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Base URL of the server.
    pub server: String,
    /// The account's appid.
    pub appid: String,
    /// Size of the file in bytes, before decompression.
    pub size_bytes: u64,
    /// Time of the last change in nanoseconds since 1970. A text, because many JSON readers turn numbers into floats.
    pub modified_ns: String,
}

impl Target {
    /// The file in its present state.
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

/// The path of the progress file for an imported file.
pub fn progress_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(".msgcube-import");
    name.into()
}

/// Loads the progress. None: there is no file, it is for another target, or it cannot be read.
pub fn load(path: &Path, target: &Target) -> Option<Progress> {
    let text = fs::read(progress_path(path)).ok()?;
    let progress: Progress = serde_json::from_slice(&text).ok()?;
    (progress.target == *target).then_some(progress)
}

/// Replaces the progress file atomically.
pub fn save(path: &Path, progress: &Progress) -> io::Result<()> {
    let place = progress_path(path);
    let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = NamedTempFile::new_in(folder)?;
    serde_json::to_writer(temporary.as_file(), progress)?;
    temporary.as_file().sync_all()?;
    temporary.persist(&place)?;
    Ok(())
}

/// Removes the progress file, if there is one.
pub fn remove(path: &Path) {
    let _ = fs::remove_file(progress_path(path));
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
        let totals = LineCounts { accepted: 1, ..LineCounts::default() };
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
        fs::write(progress_path(&file), "{\"server\":").unwrap();
        assert_eq!(load(&file, &Target::of(&file, "http://s", "wx1").unwrap()), None);
    }
}
