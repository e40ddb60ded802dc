//! The list of a backup's parts. A file of two lines: JSON, then the SHA-256 of the first line.

use std::{collections::BTreeMap, fmt, fs, io, path::Path};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest as _, Sha256};

use super::BackupError;
use crate::store::RawTable;

/// The format of backups.
pub const FORMAT: u32 = 1;
/// The name of the file.
pub const NAME: &str = "manifest";

/// The SHA-256 of a part, and the name of its file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartId(pub [u8; 32]);

impl PartId {
    /// The id of these bytes.
    pub fn of(bytes: &[u8]) -> PartId {
        PartId(Sha256::digest(bytes).into())
    }

    /// Reads the name of a part's file.
    pub fn parse(text: &str) -> Option<PartId> {
        let mut id = [0; 32];
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        for (byte, at) in id.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
        }
        Some(PartId(id))
    }
}

impl fmt::Display for PartId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PartId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for PartId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PartId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PartId, D::Error> {
        let text = String::deserialize(deserializer)?;
        PartId::parse(&text).ok_or_else(|| D::Error::custom("not a SHA-256"))
    }
}

/// The content of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`] of the version that wrote it.
    pub format: u32,
    /// Whose data it is: the fingerprint of the data key.
    pub identity: String,
    /// The moment whose state it holds, in Unix seconds.
    pub at_s: i64,
    /// Segments of the log.
    pub log: Vec<SegmentParts>,
    /// Tables of the page file.
    pub tables: Vec<Table>,
}

/// A segment of the log, as a list of parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentParts {
    /// The name of its file.
    pub name: String,
    /// The bytes of these parts, one after the other, are the segment.
    pub parts: Vec<Part>,
}

/// A table of the page file, as a list of parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Its name and the type of its keys.
    #[serde(flatten)]
    pub table: RawTable,
    /// Each part has some of the rows, in order.
    pub parts: Vec<Part>,
}

/// A part of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its id, which is also the name of its file.
    pub sha256: PartId,
    /// Its size.
    pub bytes: u64,
}

#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}

impl Manifest {
    /// All parts and their sizes. Each part is listed once, even if it is used twice.
    pub fn parts(&self) -> BTreeMap<PartId, u64> {
        let log = self.log.iter().flat_map(|file| &file.parts);
        let parts = log.chain(self.tables.iter().flat_map(|table| &table.parts));
        parts.map(|part| (part.sha256, part.bytes)).collect()
    }

    /// The bytes of the file.
    pub fn encode(&self) -> Vec<u8> {
        let json = match serde_json::to_vec(self) {
            Ok(json) => json,
            Err(error) => unreachable!("a manifest is always JSON: {error}"),
        };
        let sum = PartId::of(&json);
        [&json, format!("\n{sum}\n").as_bytes()].concat()
    }

    /// Reads the bytes of the file at `path`.
    pub fn decode(bytes: &[u8], path: &Path) -> Result<Manifest, BackupError> {
        let damaged = || BackupError::Damaged { path: path.to_owned() };
        let text = std::str::from_utf8(bytes).map_err(|_| damaged())?;
        let (json, sum) = text.split_once('\n').ok_or_else(damaged)?;
        if sum.strip_suffix('\n').and_then(PartId::parse) != Some(PartId::of(json.as_bytes())) {
            return Err(damaged());
        }
        let found = serde_json::from_str::<FormatOnly>(json).map_err(|_| damaged())?.format;
        if found > FORMAT {
            return Err(BackupError::NewerFormat { path: path.to_owned(), found, known: FORMAT });
        }
        let manifest: Manifest = serde_json::from_str(json).map_err(|_| damaged())?;
        // They become names of files, so they must not leave the folder.
        let is_name = |name: &str| {
            name.strip_suffix(".log").is_some_and(|stem| stem.bytes().all(|byte| byte.is_ascii_digit()))
        };
        if manifest.log.iter().all(|file| is_name(&file.name)) { Ok(manifest) } else { Err(damaged()) }
    }

    /// Reads the manifest of a backup folder. None if there is none.
    pub fn read(folder: &Path) -> Result<Option<Manifest>, BackupError> {
        let path = folder.join(NAME);
        match fs::read(&path) {
            Ok(bytes) => Manifest::decode(&bytes, &path).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(BackupError::File { path, source }),
        }
    }
}
