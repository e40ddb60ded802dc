//! A callback as received, reduced to what is passed on to another server.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, Request, header},
};
use bytes::Bytes;
use msgcube_client::http::Address;

/// A callback as received.
#[derive(Clone, Debug)]
pub struct RawCallback {
    /// The query, without `?`.
    pub query: Option<String>,
    /// The header `Content-Type`.
    pub content_type: Option<HeaderValue>,
    /// The header `User-Agent`.
    pub user_agent: Option<HeaderValue>,
    /// The body, as it came.
    pub body: Bytes,
}

impl RawCallback {
    /// Takes the parts of a callback that are passed on.
    pub fn new(query: Option<&str>, headers: &HeaderMap, body: Bytes) -> RawCallback {
        RawCallback {
            query: query.map(ToOwned::to_owned),
            content_type: headers.get(header::CONTENT_TYPE).cloned(),
            user_agent: headers.get(header::USER_AGENT).cloned(),
            body,
        }
    }

    /// The request that passes the callback on. None if the address and query do not make a URL.
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
