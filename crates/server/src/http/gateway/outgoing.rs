//! Bodies on their way to WeChat. Small ones are read whole: they are searched for what is ours, go on with their length,
//! and can be sent once more. All others stream.

use std::time::Duration;

use axum::{
    body::{Body, HttpBody as _},
    http::StatusCode,
};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use system::byte_budget::{Budget, Share};

use super::{copy::Copy, timely};

/// Larger bodies are not searched. Each call may hold as much without a share of any budget: its place bounds it.
pub const SEARCHED_BYTES_MAX: usize = 64 << 10;
/// Bodies without a known length are read up to this many bytes, and then go on with `Content-Length`. Source: the contract.
const WHOLE_BYTES_MAX: usize = 1 << 20;

/// A body that goes on.
#[derive(Debug)]
pub enum Outgoing {
    /// All of it is here.
    Whole { bytes: Bytes, _held: Share },
    /// It goes on as it comes, in chunks if nobody said its length.
    Streamed { copy: Copy, is_chunked: bool },
}

/// Why a body cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    Broken,
    TooSlow,
}

impl Lost {
    /// What its caller hears, should it still be there.
    pub fn said(self) -> (StatusCode, &'static str) {
        match self {
            Lost::Broken => (StatusCode::BAD_REQUEST, "the body broke off"),
            Lost::TooSlow => (StatusCode::REQUEST_TIMEOUT, "the body came too slowly"),
        }
    }
}

/// Reads a body if it is small. `reading` bounds what all hold that are being read, `copies` what is kept of those that
/// stream; without that nothing is.
pub async fn read(
    mut body: Body,
    reading: &Budget,
    copies: Option<&Budget>,
    idle_max: Duration,
) -> Result<Outgoing, Lost> {
    let said = body.size_hint().exact();
    if said.is_some_and(|bytes| bytes > SEARCHED_BYTES_MAX as u64) {
        return Ok(Outgoing::Streamed { copy: Copy::new(body, copies), is_chunked: false });
    }
    let mut read = BytesMut::new();
    let mut share = reading.share();
    loop {
        let frame = tokio::time::timeout(idle_max, body.frame()).await.map_err(|_| Lost::TooSlow)?;
        let Some(frame) = frame else { return Ok(Outgoing::Whole { bytes: read.freeze(), _held: share }) };
        let Ok(data) = frame.map_err(|_| Lost::Broken)?.into_data() else { continue };
        read.extend_from_slice(&data);
        let is_small = read.len() <= SEARCHED_BYTES_MAX;
        let more = read.len() - share.bytes();
        let is_kept = is_small || (read.len() <= WHOLE_BYTES_MAX && share.take(more));
        if !is_kept {
            let body = timely::rejoined(read.freeze(), body);
            return Ok(Outgoing::Streamed { copy: Copy::new(body, copies), is_chunked: true });
        }
    }
}

impl Outgoing {
    /// All of the body, if it is to be searched.
    pub fn searched(&mut self) -> Option<&mut Bytes> {
        match self {
            Outgoing::Whole { bytes, .. } if bytes.len() <= SEARCHED_BYTES_MAX => Some(bytes),
            _ => None,
        }
    }

    /// Whether its length goes on with it anew.
    pub fn is_whole(&self) -> bool {
        matches!(self, Outgoing::Whole { .. })
    }

    /// Whether it goes on in chunks.
    pub fn is_chunked(&self) -> bool {
        matches!(self, Outgoing::Streamed { is_chunked: true, .. })
    }

    /// The body as it goes on.
    pub fn stream(&self) -> Body {
        match self {
            Outgoing::Whole { bytes, .. } => Body::from(bytes.clone()),
            Outgoing::Streamed { copy, .. } => copy.stream(),
        }
    }

    /// True if the body broke off before its end.
    pub fn is_broken(&self) -> bool {
        matches!(self, Outgoing::Streamed { copy, .. } if copy.is_broken())
    }

    /// A count that changes while the body moves.
    pub fn moved(&self) -> u64 {
        match self {
            Outgoing::Whole { .. } => 0,
            Outgoing::Streamed { copy, .. } => copy.moved(),
        }
    }

    /// All of the body, to be sent once more, if it is small.
    pub async fn whole(&self, idle_max: Duration) -> Option<Bytes> {
        match self {
            Outgoing::Whole { bytes, .. } => Some(bytes.clone()),
            Outgoing::Streamed { copy, .. } => copy.whole(idle_max).await,
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

    /// A body in pieces, whose end is not known with the last one.
    struct Pieces(usize, usize);

    impl futures_core::Stream for Pieces {
        type Item = Result<Bytes, std::io::Error>;
        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            let piece = (self.0 > 0).then(|| Ok(Bytes::from(vec![7; self.1])));
            self.0 = self.0.saturating_sub(1);
            Poll::Ready(piece)
        }
    }

    async fn gone_on(body: Body, budget: &Budget) -> (Outgoing, usize) {
        let outgoing = read(body, budget, None, Duration::from_secs(60)).await.unwrap();
        let sent = outgoing.stream().collect().await.unwrap().to_bytes().len();
        (outgoing, sent)
    }

    #[tokio::test]
    async fn what_fits_goes_on_with_a_length_and_the_rest_as_it_comes() {
        let budget = Budget::new(3 << 20);
        for (body, bytes, is_whole, is_searched) in [
            (Body::empty(), 0, true, true),
            (Body::from(vec![7; 64 << 10]), 64 << 10, true, true),
            (Body::from(vec![7; (64 << 10) + 1]), (64 << 10) + 1, false, false),
            (Body::from_stream(Pieces(4, 16 << 10)), 64 << 10, true, true),
            (Body::from_stream(Pieces(5, 16 << 10)), 80 << 10, true, false),
            (Body::from_stream(Pieces(64, 16 << 10)), 1 << 20, true, false),
            (Body::from_stream(Pieces(65, 16 << 10)), 65 << 14, false, false),
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
        let mut others = budget.share();
        assert!(others.take(3 << 20));
        let (full, sent) = gone_on(Body::from_stream(Pieces(5, 16 << 10)), &budget).await;
        assert!(full.is_chunked() && sent == 80 << 10, "without memory it goes on as it comes");
        assert!(
            gone_on(Body::from_stream(Pieces(4, 16 << 10)), &budget).await.0.is_whole(),
            "a place is enough"
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
        let budget = Budget::new(0);
        let lost = read(Body::from_stream(Never), &budget, None, Duration::from_millis(1)).await;
        assert_eq!(lost.unwrap_err(), Lost::TooSlow);
    }
}
