//! A callback as it came, and as it goes on to another server: what of it is passed on, and nothing else.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, Request, header},
};
use bytes::Bytes;
use msgcube_client::http::Address;

/// A callback as it came.
#[derive(Clone, Debug)]
pub struct RawCallback {
    pub query: Option<String>,
    pub content_type: Option<HeaderValue>,
    pub user_agent: Option<HeaderValue>,
    pub body: Bytes,
}

impl RawCallback {
    /// What of a callback is passed on.
    pub fn new(query: Option<&str>, headers: &HeaderMap, body: Bytes) -> RawCallback {
        RawCallback {
            query: query.map(ToOwned::to_owned),
            content_type: headers.get(header::CONTENT_TYPE).cloned(),
            user_agent: headers.get(header::USER_AGENT).cloned(),
            body,
        }
    }

    /// The callback as it goes on. None if there is no such address.
    pub fn request(&self, target: &Address) -> Option<Request<Body>> {
        let uri = target.with_query(self.query.as_deref()).ok()?;
        let mut request = Request::new(Body::from(self.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        let headers = [(header::CONTENT_TYPE, &self.content_type), (header::USER_AGENT, &self.user_agent)];
        for (name, value) in headers {
            if let Some(value) = value {
                request.headers_mut().insert(name, value.clone());
            }
        }
        Some(request)
    }
}
