//! Reading a segment from its first to its last byte without changing it, for backup and verify.

use super::{super::frame, Header, segment::HEADER_BYTES};

/// The first damage of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// What is wrong, with the byte.
    pub what: String,
    /// The first frame that cannot be read.
    pub from_frame: u64,
}

/// Checks a segment and returns the number of the frame after its last one. `next`: the header of the next segment,
/// which says how many bytes of this one are valid. None for the newest segment, whose last frame may be torn.
pub fn examine(bytes: &[u8], first_frame: u64, next: Option<Header>) -> Result<u64, Flaw> {
    let flaw = |what: String, from_frame| Flaw { what, from_frame };
    match Header::decode(bytes) {
        Some((_, header)) if header.first_frame == first_frame => {}
        None if next.is_none() && bytes.len() <= HEADER_BYTES => return Ok(first_frame),
        _ => return Err(flaw("its header is damaged".to_owned(), first_frame)),
    }
    let limit = next.map_or(u64::MAX, |next| next.previous_valid_bytes);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).max(HEADER_BYTES);
    let counted = &bytes[..limit.min(bytes.len())];
    let (mut at, mut expected) = (HEADER_BYTES, first_frame);
    while at < counted.len() {
        match frame::parse(&counted[at..]) {
            Some((number, payload)) if number == expected => {
                expected += 1;
                at += frame::HEADER_BYTES + payload.len();
            }
            Some(_) => return Err(flaw(format!("frame {expected} is missing at byte {at}"), expected)),
            None if next.is_none()
                && !frame::follows(&counted[at + 1..], expected)
                && frame::is_torn(counted, at, expected) =>
            {
                break;
            }
            None => return Err(flaw(format!("the frame at byte {at} is damaged"), expected)),
        }
    }
    match next {
        Some(next) if next.first_frame != expected => {
            let what = format!("the frames from {expected} to {} are missing at its end", next.first_frame);
            Err(flaw(what, expected))
        }
        _ => Ok(expected),
    }
}
