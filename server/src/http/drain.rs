//! Request bodies that are read to their end even if the handler did not: an answer given before that would meet a
//! client that is still sending, and the connection would be reset with the answer unread.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use super::activity::Activity;
use axum::{BoxError, body::Body, http::Version};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Bytes, Frame, Incoming, SizeHint};

/// What is read and thrown away at most, after the answer.
const BYTES_MAX: usize = 64 << 20;
const TIME_MAX: Duration = Duration::from_secs(30);

/// The body for a handler.
pub fn body(incoming: Incoming, version: Version, activity: Arc<Activity>) -> Body {
    if incoming.is_end_stream() {
        return Body::empty();
    }
    Body::new(Drained { incoming: Some(incoming), is_http2: version == Version::HTTP_2, activity })
}

struct Drained {
    /// None once its end was read.
    incoming: Option<Incoming>,
    is_http2: bool,
    /// Is told when the body is over.
    activity: Arc<Activity>,
}

/// On HTTP/2 a stream may be reset with "no error", which hyper takes for the end of its body.
#[derive(Debug, thiserror::Error)]
#[error("the body broke off")]
struct BrokenOff;

impl hyper::body::Body for Drained {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let is_http2 = self.is_http2;
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        let polled = Pin::new(&mut *incoming).poll_frame(context);
        let is_broken = is_http2 && matches!(polled, Poll::Ready(None)) && !incoming.is_end_stream();
        if let Poll::Ready(None | Some(Err(_))) = &polled {
            self.incoming = None;
            self.activity.body_ended();
        }
        if is_broken {
            return Poll::Ready(Some(Err(BrokenOff.into())));
        }
        polled.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint)
    }
}

impl Drop for Drained {
    fn drop(&mut self) {
        let activity = self.activity.clone();
        match (self.incoming.take(), tokio::runtime::Handle::try_current()) {
            (Some(incoming), Ok(runtime)) if !incoming.is_end_stream() => {
                runtime.spawn(async move {
                    // Out of time or not, what comes next belongs to another request or to none.
                    let _ = tokio::time::timeout(TIME_MAX, drain(incoming)).await;
                    activity.body_ended();
                });
            }
            (Some(_), _) => activity.body_ended(),
            (None, _) => {}
        }
    }
}

async fn drain(mut incoming: Incoming) {
    let mut left = BYTES_MAX;
    while let Some(Ok(frame)) = incoming.frame().await {
        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        if left == 0 {
            return;
        }
    }
}
