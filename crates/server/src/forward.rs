//! What msgcube sends to other servers: requests with real tokens, copies of callbacks and events, raw callbacks.

pub mod outbox;
pub mod raw_callback;
pub mod upstream_token;
