//! Sends a snapshot of a running store as pieces, no faster than allowed.

use std::{collections::HashSet, time::Duration};

use system::clock::Stopwatch;

use super::{
    BackupError, Manifest, PartId, manifest,
    manifest::{Part, SegmentParts, Table},
    rows,
    stream::{Piece, Start},
};
use crate::store::{RawTable, StoreSnapshot};

/// Bytes of a segment in one part.
const LOG_PART_BYTES: usize = 1 << 20;
/// Rows that are read from the pages at once, in bytes.
const ROWS_BYTES: usize = 1 << 20;

/// What the receiver asks for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Parts that the receiver has; they are not sent.
    pub known: HashSet<PartId>,
    /// Limit of the bytes that are read in a second.
    pub bytes_per_second: u64,
    /// See [`Manifest::identity`].
    pub identity: String,
    /// The moment of the snapshot, in Unix seconds.
    pub at_s: i64,
}

/// Sends all pieces of a snapshot. `send` returns false if the receiver is gone.
pub fn export(
    snapshot: &StoreSnapshot<'_>,
    wanted: &Wanted,
    send: &mut dyn FnMut(Piece) -> bool,
) -> Result<(), BackupError> {
    let mut export = Export { wanted, send, throttle: Throttle { stopwatch: Stopwatch::start(), bytes: 0 } };
    export.piece(Piece::Start(Start { identity: wanted.identity.clone(), bytes: snapshot.bytes }))?;
    let mut log = Vec::new();
    for (at, segment) in snapshot.segments.iter().enumerate() {
        let bytes = snapshot.read_segment(at)?;
        let parts = bytes.chunks(LOG_PART_BYTES).map(|bytes| export.part(bytes));
        log.push(SegmentParts { name: segment.name.clone(), parts: parts.collect::<Result<_, _>>()? });
    }
    let mut tables = Vec::new();
    for table in snapshot.pages.tables()? {
        let parts = export.table(snapshot, &table)?;
        tables.push(Table { table, parts });
    }
    let Wanted { identity, at_s, .. } = wanted;
    let manifest =
        Manifest { format: manifest::FORMAT, identity: identity.clone(), at_s: *at_s, log, tables };
    export.piece(Piece::Manifest(manifest.encode()))
}

struct Export<'a> {
    wanted: &'a Wanted,
    send: &'a mut dyn FnMut(Piece) -> bool,
    throttle: Throttle,
}

impl Export<'_> {
    fn piece(&mut self, piece: Piece) -> Result<(), BackupError> {
        if (self.send)(piece) { Ok(()) } else { Err(BackupError::Stopped) }
    }

    fn part(&mut self, bytes: &[u8]) -> Result<Part, BackupError> {
        let part = Part { sha256: PartId::of(bytes), bytes: bytes.len() as u64 };
        self.throttle.pass(part.bytes, self.wanted.bytes_per_second);
        self.piece(if self.wanted.known.contains(&part.sha256) {
            Piece::Known(part.sha256, part.bytes)
        } else {
            Piece::Part(bytes.to_vec())
        })?;
        Ok(part)
    }

    fn table(&mut self, snapshot: &StoreSnapshot<'_>, table: &RawTable) -> Result<Vec<Part>, BackupError> {
        let (mut parts, mut part, mut after) = (Vec::new(), Vec::new(), None::<Vec<u8>>);
        loop {
            let found = snapshot.pages.rows(table, after.as_deref(), ROWS_BYTES)?;
            let Some((last, _)) = found.last() else { break };
            after = Some(last.clone());
            for (key, value) in &found {
                rows::put(&mut part, key, value);
                if rows::ends_part(&part, key, value) {
                    parts.push(self.part(&std::mem::take(&mut part))?);
                }
            }
        }
        if !part.is_empty() {
            parts.push(self.part(&part)?);
        }
        Ok(parts)
    }
}

/// Sleeps so that no more bytes pass in a second than allowed.
struct Throttle {
    stopwatch: Stopwatch,
    bytes: u64,
}

impl Throttle {
    fn pass(&mut self, bytes: u64, bytes_per_second: u64) {
        self.bytes += bytes;
        let due_ms = self.bytes.saturating_mul(1000) / bytes_per_second.max(1);
        let due = Duration::from_millis(due_ms);
        if let Some(early) = due.checked_sub(self.stopwatch.elapsed()) {
            std::thread::sleep(early);
        }
    }
}
