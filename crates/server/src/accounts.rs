//! Accounts and platforms: which exist, and how they change while the server runs.

pub mod activity;
pub mod platform_issuer;
pub mod platform_receiver;
pub mod registry;
pub mod service;
