//! Reads each request body to its end, even if the handler does not. Otherwise the answer would meet a client that still
//! sends, and the connection would be reset before the client reads the answer.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{BoxError, body::Body, http::Version};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Bytes, Incoming};

use super::{
    idle_timeout::Activity,
    poll_body::{self, PolledFrame, poll_frame_of},
};

/// Bytes that are read and discarded at most after the answer.
const BYTES_MAX: usize = 64 << 20;
const TIME_MAX: Duration = Duration::from_secs(30);

/// The body as the handler gets it.
pub fn body(incoming: Incoming, version: Version, activity: Arc<Activity>) -> Body {
    if incoming.is_end_stream() {
        return Body::empty();
    }
    let length = incoming.size_hint();
    let mut drained = Drained { incoming: Some(incoming), is_http2: version == Version::HTTP_2, activity };
    poll_body::body(&length, move |context, is_over| drained.next(context, is_over))
}

struct Drained {
    /// None once the end was read.
    incoming: Option<Incoming>,
    is_http2: bool,
    /// Gets told when the body ended.
    activity: Arc<Activity>,
}

/// An HTTP/2 stream may be reset with "no error", which hyper reports as the end of the body.
#[derive(Debug, thiserror::Error)]
#[error("the body broke off")]
struct BrokenOff;

impl Drained {
    fn next(&mut self, context: &mut Context<'_>, is_over: &mut bool) -> PolledFrame<Bytes, BoxError> {
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        let polled = poll_frame_of(incoming, context, is_over);
        let is_broken = self.is_http2 && matches!(polled, Poll::Ready(None)) && !*is_over;
        if let Poll::Ready(None | Some(Err(_))) = &polled {
            self.incoming = None;
            self.activity.body_ended();
        }
        if is_broken {
            return Poll::Ready(Some(Err(BrokenOff.into())));
        }
        polled.map_err(Into::into)
    }
}

impl Drop for Drained {
    fn drop(&mut self) {
        let activity = self.activity.clone();
        match (self.incoming.take(), tokio::runtime::Handle::try_current()) {
            (Some(incoming), Ok(runtime)) if !incoming.is_end_stream() => {
                runtime.spawn(async move {
                    // After the timeout too, the next bytes belong to another request or to none.
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
