//! A body in which one text is replaced while it streams, even across pieces.

use std::{
    mem,
    task::{Poll, ready},
};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use system::secret::Secret;

use super::{
    super::poll_body::{self, poll_frame_of},
    answer_inspection::replace_all,
};

/// The body with each `from` replaced by `to`. Its length may change. Trailers are not passed on.
pub fn body(mut body: Body, from: Secret, to: Secret) -> Body {
    let mut rewriter = Rewriter { from, to, pending: Vec::new() };
    let mut is_read = false;
    poll_body::body(&SizeHint::default(), move |context, _| {
        while !is_read {
            let out = match ready!(poll_frame_of(&mut body, context, &mut false)) {
                Some(Ok(frame)) => rewriter.next(&frame.into_data().unwrap_or_default()),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    is_read = true;
                    mem::take(&mut rewriter.pending).into()
                }
            };
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(out))));
            }
        }
        Poll::Ready(None)
    })
}

struct Rewriter {
    from: Secret,
    to: Secret,
    /// The end of the bytes so far, if `from` may begin in it.
    pending: Vec<u8>,
}

impl Rewriter {
    /// Adds bytes. Returns the bytes that can be sent.
    fn next(&mut self, data: &[u8]) -> Bytes {
        let (from, to) = (self.from.reveal().as_bytes(), self.to.reveal().as_bytes());
        self.pending.extend_from_slice(data);
        if let Some(replaced) = replace_all(&self.pending, from, to) {
            self.pending = replaced.into();
        }
        let begun = (1..from.len()).rev().find(|length| self.pending.ends_with(&from[..*length]));
        let rest = self.pending.split_off(self.pending.len() - begun.unwrap_or(0));
        mem::replace(&mut self.pending, rest).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_replaced_wherever_pieces_end_and_nothing_else_changes() {
        let text = "aab aaab tok aab to";
        for size in 1..=text.len() {
            for (from, to) in [("aab", "mine"), ("to", ""), ("tok", "t"), ("", "x"), ("not there", "x")] {
                let (from, to) = (Secret::new(from), Secret::new(to));
                let expected = if from.reveal().is_empty() {
                    text.to_owned()
                } else {
                    text.replace(from.reveal(), to.reveal())
                };
                let mut rewriter = Rewriter { from, to, pending: Vec::new() };
                let mut out = Vec::new();
                for piece in text.as_bytes().chunks(size) {
                    out.extend_from_slice(&rewriter.next(piece));
                }
                out.extend_from_slice(&rewriter.pending);
                assert_eq!(String::from_utf8(out).unwrap(), expected, "{size}");
            }
        }
    }
}
