//! View models: everything that the pages show, as plain values. Whoever serves the pages fills them.

pub mod account;
pub mod connect;
pub mod figures;
pub mod frame;
pub mod health;
pub mod keys;
pub mod live;
pub mod overview;
pub mod sign_in;
pub mod time;
