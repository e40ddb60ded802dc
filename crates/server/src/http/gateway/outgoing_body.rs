//! Request bodies for WeChat. Small ones are read whole: they are searched for our credentials, sent with their length,
//! and can be sent again. All others stream.

use std::time::Duration;

use axum::{
    body::{Body, HttpBody as _},
    http::StatusCode,
};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use system::byte_budget::{BudgetShare, ByteBudget};

use super::{idle_timeout_body, retry_copy::RetryCopy};

/// Larger bodies are not searched. Each call may hold this much without a budget, because permits limit the calls.
pub const SEARCHED_BYTES_MAX: usize = 64 << 10;
/// Bodies of unknown length up to this size are read whole and sent with `Content-Length`. Source: the contract.
const WHOLE_BYTES_MAX: usize = 1 << 20;

/// A body to send.
#[derive(Debug)]
pub enum OutgoingBody {
    /// The body was read whole.
    Whole { bytes: Bytes, _held: BudgetShare },
    /// The body streams, in chunks if its length is unknown.
    Streamed { copy: RetryCopy, is_chunked: bool },
}

/// Why a body cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFailure {
    Broken,
    TooSlow,
}

impl BodyFailure {
    /// The answer to the caller, if it is still connected.
    pub fn answer(self) -> (StatusCode, &'static str) {
        match self {
            BodyFailure::Broken => (StatusCode::BAD_REQUEST, "the body broke off"),
            BodyFailure::TooSlow => (StatusCode::REQUEST_TIMEOUT, "the body came too slowly"),
        }
    }
}

/// Reads a body if it is small. `reading` limits the memory of all bodies being read. `copies` limits the copies of
/// streaming bodies; without it no copy is kept.
///
/// # Errors
/// If the body breaks off or comes too slowly while it is read.
pub async fn read(
    mut body: Body,
    reading: &ByteBudget,
    copies: Option<&ByteBudget>,
    idle_max: Duration,
) -> Result<OutgoingBody, BodyFailure> {
    let said = body.size_hint().exact();
    if said.is_some_and(|bytes| bytes > SEARCHED_BYTES_MAX as u64) {
        return Ok(OutgoingBody::Streamed { copy: RetryCopy::new(body, copies), is_chunked: false });
    }
    let mut read = BytesMut::new();
    let mut share = reading.new_share();
    loop {
        let frame = tokio::time::timeout(idle_max, body.frame()).await.map_err(|_| BodyFailure::TooSlow)?;
        let Some(frame) = frame else {
            return Ok(OutgoingBody::Whole { bytes: read.freeze(), _held: share });
        };
        let Ok(data) = frame.map_err(|_| BodyFailure::Broken)?.into_data() else { continue };
        read.extend_from_slice(&data);
        let is_small = read.len() <= SEARCHED_BYTES_MAX;
        let more = read.len() - share.bytes();
        let is_kept = is_small || (read.len() <= WHOLE_BYTES_MAX && share.take(more));
        if !is_kept {
            let body = idle_timeout_body::chained(read.freeze(), body);
            return Ok(OutgoingBody::Streamed { copy: RetryCopy::new(body, copies), is_chunked: true });
        }
    }
}

impl OutgoingBody {
    /// The whole body, if it is small enough to be searched.
    pub fn searched(&mut self) -> Option<&mut Bytes> {
        match self {
            OutgoingBody::Whole { bytes, .. } if bytes.len() <= SEARCHED_BYTES_MAX => Some(bytes),
            _ => None,
        }
    }

    /// Whether the body was read whole, so hyper sets its length.
    pub fn is_whole(&self) -> bool {
        matches!(self, OutgoingBody::Whole { .. })
    }

    /// Whether the body is sent in chunks.
    pub fn is_chunked(&self) -> bool {
        matches!(self, OutgoingBody::Streamed { is_chunked: true, .. })
    }

    /// The body for a request.
    pub fn stream(&self) -> Body {
        match self {
            OutgoingBody::Whole { bytes, .. } => Body::from(bytes.clone()),
            OutgoingBody::Streamed { copy, .. } => copy.stream(),
        }
    }

    /// True if the body broke off before its end.
    pub fn is_broken(&self) -> bool {
        matches!(self, OutgoingBody::Streamed { copy, .. } if copy.is_broken())
    }

    /// A number that changes while the body moves.
    pub fn moved(&self) -> u64 {
        match self {
            OutgoingBody::Whole { .. } => 0,
            OutgoingBody::Streamed { copy, .. } => copy.moved(),
        }
    }

    /// The whole body, to be sent again, if it is small.
    pub async fn whole(&self, idle_max: Duration) -> Option<Bytes> {
        match self {
            OutgoingBody::Whole { bytes, .. } => Some(bytes.clone()),
            OutgoingBody::Streamed { copy, .. } => copy.whole(idle_max).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::Pin,
        task::{Context, Poll},
    };

    use super::*;

    /// A body of this many pieces of this many bytes. It does not tell its end with the last piece.
    struct ChunkStream(usize, usize);

    impl futures_core::Stream for ChunkStream {
        type Item = Result<Bytes, std::io::Error>;
        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            let piece = (self.0 > 0).then(|| Ok(Bytes::from(vec![7; self.1])));
            self.0 = self.0.saturating_sub(1);
            Poll::Ready(piece)
        }
    }

    async fn gone_on(body: Body, budget: &ByteBudget) -> (OutgoingBody, usize) {
        let outgoing = read(body, budget, None, Duration::from_secs(60)).await.unwrap();
        let sent = outgoing.stream().collect().await.unwrap().to_bytes().len();
        (outgoing, sent)
    }

    #[tokio::test]
    async fn what_fits_goes_on_with_a_length_and_the_rest_as_it_comes() {
        let budget = ByteBudget::new(3 << 20);
        for (body, bytes, is_whole, is_searched) in [
            (Body::empty(), 0, true, true),
            (Body::from(vec![7; 64 << 10]), 64 << 10, true, true),
            (Body::from(vec![7; (64 << 10) + 1]), (64 << 10) + 1, false, false),
            (Body::from_stream(ChunkStream(4, 16 << 10)), 64 << 10, true, true),
            (Body::from_stream(ChunkStream(5, 16 << 10)), 80 << 10, true, false),
            (Body::from_stream(ChunkStream(64, 16 << 10)), 1 << 20, true, false),
            (Body::from_stream(ChunkStream(65, 16 << 10)), 65 << 14, false, false),
        ] {
            let (mut outgoing, sent) = gone_on(body, &budget).await;
            assert_eq!(
                (sent, outgoing.is_whole(), outgoing.searched().is_some()),
                (bytes, is_whole, is_searched)
            );
            assert!(!is_whole || outgoing.stream().size_hint().exact() == Some(bytes as u64));
            assert_eq!(outgoing.is_chunked(), bytes == 65 << 14);
        }
        assert_eq!(budget.bytes(), 0, "all is given back");
        let mut others = budget.new_share();
        assert!(others.take(3 << 20));
        let (full, sent) = gone_on(Body::from_stream(ChunkStream(5, 16 << 10)), &budget).await;
        assert!(full.is_chunked() && sent == 80 << 10, "without memory it goes on as it comes");
        assert!(
            gone_on(Body::from_stream(ChunkStream(4, 16 << 10)), &budget).await.0.is_whole(),
            "a permit is enough"
        );
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_not_waited_for_for_ever() {
        struct Never;
        impl futures_core::Stream for Never {
            type Item = Result<Bytes, std::io::Error>;
            fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
                Poll::Pending
            }
        }
        let budget = ByteBudget::new(0);
        let lost = read(Body::from_stream(Never), &budget, None, Duration::from_millis(1)).await;
        assert_eq!(lost.unwrap_err(), BodyFailure::TooSlow);
    }
}
