//! An answer in which one text is replaced while it goes by, also where two pieces share it.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::Frame;

use super::answer_in::replaced;
use crate::secret::Secret;

/// The body with each `from` made a `to`. Its length changes with it, and what follows the content is not passed on.
pub fn body(body: Body, from: Secret, to: Secret) -> Body {
    Body::new(Replacing { body, from, to, kept: Vec::new(), is_over: false })
}

struct Replacing {
    body: Body,
    from: Secret,
    to: Secret,
    /// The end of what came, as far as `from` may begin in it.
    kept: Vec<u8>,
    is_over: bool,
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

impl hyper::body::Body for Replacing {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        while !self.is_over {
            let out = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => self.next(&frame.into_data().unwrap_or_default()),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    self.is_over = true;
                    mem::take(&mut self.kept).into()
                }
            };
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(out))));
            }
        }
        Poll::Ready(None)
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
                let mut replacing =
                    Replacing { body: Body::empty(), from, to, kept: Vec::new(), is_over: false };
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
