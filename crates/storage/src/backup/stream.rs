//! The pieces in which a server sends a backup: a byte for the kind, four for the length, then the payload.

use serde::{Deserialize, Serialize};

use super::{BackupError, PartId};

/// Limit of the payload of a received piece.
const PIECE_BYTES_MAX: usize = 1 << 30;
const HEADER_BYTES: usize = 5;

const START: u8 = 1;
const PART: u8 = 2;
const KNOWN: u8 = 3;
const MANIFEST: u8 = 4;
const FAILED: u8 = 5;

/// A piece of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// The first piece.
    Start(Start),
    /// A part that the receiver does not have.
    Part(Vec<u8>),
    /// A part that the receiver has, and its size in bytes.
    Known(PartId, u64),
    /// The last piece: the bytes of the manifest.
    Manifest(Vec<u8>),
    /// The last piece if the backup failed: the reason.
    Failed(String),
}

/// What the receiver must know first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// See [`super::Manifest::identity`].
    pub identity: String,
    /// About how many bytes will be read.
    pub bytes: u64,
}

impl Piece {
    /// The bytes to send.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, payload) = match self {
            Piece::Start(start) => (START, serde_json::to_vec(start).unwrap_or_default()),
            Piece::Part(bytes) => return framed(PART, bytes),
            Piece::Known(id, bytes) => (KNOWN, [&id.0[..], &bytes.to_le_bytes()].concat()),
            Piece::Manifest(bytes) => return framed(MANIFEST, bytes),
            Piece::Failed(text) => return framed(FAILED, text.as_bytes()),
        };
        framed(kind, &payload)
    }

    fn decode(kind: u8, payload: &[u8]) -> Option<Piece> {
        Some(match kind {
            START => Piece::Start(serde_json::from_slice(payload).ok()?),
            PART => Piece::Part(payload.to_vec()),
            KNOWN => {
                let (id, bytes) = payload.split_at_checked(32)?;
                Piece::Known(PartId(id.try_into().ok()?), u64::from_le_bytes(bytes.try_into().ok()?))
            }
            MANIFEST => Piece::Manifest(payload.to_vec()),
            FAILED => Piece::Failed(String::from_utf8_lossy(payload).into_owned()),
            _ => return None,
        })
    }
}

fn framed(kind: u8, payload: &[u8]) -> Vec<u8> {
    let Ok(length) = u32::try_from(payload.len()) else { unreachable!("no value of the store is so long") };
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
    bytes.push(kind);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// Splits received bytes into pieces.
#[derive(Debug, Default)]
pub struct PieceDecoder(Vec<u8>);

impl PieceDecoder {
    /// Adds received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next piece. None if it has not arrived completely.
    pub fn next_piece(&mut self) -> Result<Option<Piece>, BackupError> {
        let Some((header, rest)) = self.0.split_at_checked(HEADER_BYTES) else { return Ok(None) };
        let length = u32::from_le_bytes([header[1], header[2], header[3], header[4]]) as usize;
        if length > PIECE_BYTES_MAX {
            return Err(BackupError::Stream("a piece is too long"));
        }
        let Some(payload) = rest.get(..length) else { return Ok(None) };
        let piece = Piece::decode(header[0], payload);
        self.0.drain(..HEADER_BYTES + length);
        piece.map(Some).ok_or(BackupError::Stream("a piece cannot be read"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_arrive_whole_however_their_bytes_are_cut() {
        let id = PartId::of(b"x");
        let pieces = [
            Piece::Start(Start { identity: "a".to_owned(), bytes: 5 }),
            Piece::Part(vec![7; 300]),
            Piece::Known(id, 9),
            Piece::Failed("why".to_owned()),
            Piece::Manifest(b"m".to_vec()),
        ];
        let bytes: Vec<u8> = pieces.iter().flat_map(Piece::encode).collect();
        for step in [1, 7, 1000] {
            let (mut decoder, mut found) = (PieceDecoder::default(), Vec::new());
            for some in bytes.chunks(step) {
                decoder.push(some);
                while let Some(piece) = decoder.next_piece().unwrap() {
                    found.push(piece);
                }
            }
            assert_eq!(found, pieces);
        }
        let mut decoder = PieceDecoder::default();
        decoder.push(&[9, 0, 0, 0, 0]);
        assert!(decoder.next_piece().is_err());
    }
}
