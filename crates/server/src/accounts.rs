//! Which accounts and platforms there are, and what may change about them while the server runs.

pub mod platform_issuer;
pub mod platform_receiver;
pub mod registry;
pub mod service;
