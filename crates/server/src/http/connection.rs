//! What handlers know of a connection: the peer's address, and how to close it without an answer.

use std::net::{IpAddr, SocketAddr};

/// The peer of the connection that a request came on. Requests of callbacks do not carry it.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

impl Peer {
    /// The peer's address. An IPv4 address that a dual-stack socket reports as IPv6 becomes IPv4 again.
    pub fn address(self) -> IpAddr {
        self.0.ip().to_canonical()
    }
}

/// Marks a response that must not be sent. HTTP/1.1 closes the connection, HTTP/2 resets the stream.
#[derive(Clone, Copy, Debug)]
pub struct CloseWithoutAnswer;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_address_is_shown_as_ipv4_also_on_a_dual_stack_socket() {
        for (socket, shown) in [
            ("192.0.2.7:1", "192.0.2.7"),
            ("[::ffff:192.0.2.7]:1", "192.0.2.7"),
            ("[2001:db8::1]:1", "2001:db8::1"),
        ] {
            assert_eq!(Peer(socket.parse().unwrap()).address().to_string(), shown);
        }
    }
}
