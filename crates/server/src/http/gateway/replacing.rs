//! An answer in which one text is replaced while it goes by, also where two pieces share it.

use std::{
    mem,
    task::{Poll, ready},
};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use system::secret::Secret;

use super::{
    super::pieces::{self, pass},
    answer_in::replaced,
};

/// The body with each `from` made a `to`. Its length changes with it, and what follows the content is not passed on.
pub fn body(mut body: Body, from: Secret, to: Secret) -> Body {
    let mut replacing = Replacing { from, to, kept: Vec::new() };
    let mut is_read = false;
    pieces::body(&SizeHint::default(), move |context, _| {
        while !is_read {
            let out = match ready!(pass(&mut body, context, &mut false)) {
                Some(Ok(frame)) => replacing.next(&frame.into_data().unwrap_or_default()),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    is_read = true;
                    mem::take(&mut replacing.kept).into()
                }
            };
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(out))));
            }
        }
        Poll::Ready(None)
    })
}

struct Replacing {
    from: Secret,
    to: Secret,
    /// The end of what came, as far as `from` may begin in it.
    kept: Vec<u8>,
}

impl Replacing {
    /// What can go on.
    fn next(&mut self, data: &[u8]) -> Bytes {
        let (from, to) = (self.from.reveal().as_bytes(), self.to.reveal().as_bytes());
        self.kept.extend_from_slice(data);
        if let Some(replaced) = replaced(&self.kept, from, to) {
            self.kept = replaced.into();
        }
        let begun = (1..from.len()).rev().find(|length| self.kept.ends_with(&from[..*length]));
        let rest = self.kept.split_off(self.kept.len() - begun.unwrap_or(0));
        mem::replace(&mut self.kept, rest).into()
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
                let mut replacing = Replacing { from, to, kept: Vec::new() };
                let mut out = Vec::new();
                for piece in text.as_bytes().chunks(size) {
                    out.extend_from_slice(&replacing.next(piece));
                }
                out.extend_from_slice(&replacing.kept);
                assert_eq!(String::from_utf8(out).unwrap(), expected, "{size}");
            }
        }
    }
}
