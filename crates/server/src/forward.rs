//! What goes on to other servers: real tokens, event copies, raw callbacks.

pub mod outbox;
pub mod raw_callback;
pub mod upstream_token;
