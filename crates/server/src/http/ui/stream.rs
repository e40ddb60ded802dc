//! A stream of server-sent events for a viewer. It ends as soon as its session, its key or its share link does.

use std::{sync::Arc, task::Poll, time::Duration};

use axum::{
    BoxError,
    body::Body,
    http::{HeaderName, HeaderValue, Response, header},
};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::{MissedTickBehavior, interval};

use super::{super::poll_body, viewer::Viewer};
use crate::http::state::App;

/// How often it is checked whether the viewer may go on.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// Checks between two comments, which keep proxies from closing a quiet stream.
const CHECKS_PER_COMMENT: u32 = 15;

/// The answer with these events, and a comment from time to time.
pub fn answer(app: Arc<App>, viewer: Viewer, mut events: Body) -> Response<Body> {
    let mut checks = interval(CHECK_EVERY);
    checks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut count = 0;
    let next = move |context: &mut std::task::Context<'_>, is_over: &mut bool| {
        while checks.poll_tick(context).is_ready() {
            if viewer.access_now(&app).is_none() {
                return Poll::Ready(None);
            }
            count += 1;
            if count % CHECKS_PER_COMMENT == 0 {
                // The caller asks again at once, which also asks for the next check.
                return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b":\n\n")))));
            }
        }
        poll_body::poll_frame_of(&mut events, context, is_over)
            .map(|frame| frame.map(|frame| frame.map_err(BoxError::from)))
    };
    let mut response = Response::new(poll_body::body(&SizeHint::default(), next));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

/// Events that only say when a browser should connect again, in milliseconds.
pub fn only_retry() -> Body {
    let mut first = Some(Bytes::from_static(b"retry: 3000\n\n"));
    poll_body::body(&SizeHint::default(), move |_, _| match first.take() {
        Some(first) => Poll::Ready(Some(Ok::<_, BoxError>(Frame::data(first)))),
        // The body around it asks again at each check.
        None => Poll::Pending,
    })
}
