//! Sockets, TLS, and the reading of bodies.

pub mod body;
pub mod sockets;
pub mod tls;
