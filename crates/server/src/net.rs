//! Connections: sockets, TLS, bodies, the client for other servers.

pub mod body;
pub mod sockets;
pub mod tls;
