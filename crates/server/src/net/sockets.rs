//! Listening sockets. A parent such as systemd opened them and keeps them open during a restart, or they are opened
//! here. Also the limit of connections.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use listenfd::ListenFd;
use storage::planned_stop::ListeningSocket;
use tokio::net::TcpSocket;

use crate::net::tls::Tls;

/// Limit of concurrent connections. Further ones wait in the socket's backlog.
const CONNECTIONS_MAX: usize = 8192;
/// Open files reserved for the store, the log and sockets.
const OTHER_FILES: u64 = 64;
/// Limit of connections that wait to be accepted. The system may set a lower one (`net.core.somaxconn`).
const BACKLOG: u32 = 4096;

/// Why a socket cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The address cannot be used.
    #[error("cannot listen on {address}: {source}; choose another address with --listen")]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// A socket from the parent is not a listening TCP socket.
    #[error(
        "socket {number} of LISTEN_FDS cannot be used: {source}; msgcube.socket may have ListenStream= with an address and a port only"
    )]
    Unusable {
        /// Its position among the handed-over sockets, from 1.
        number: usize,
        /// The system's error.
        source: io::Error,
    },
    /// A socket from the parent listens on another address than the configuration says.
    #[error(
        "the socket that was handed over listens on {found}, but the configuration has {}; make ListenStream= of msgcube.socket and the configuration say the same",
        configured(*.listen, *.admin_listen)
    )]
    Elsewhere {
        /// The address of the socket.
        found: SocketAddr,
        /// `listen` of the configuration.
        listen: SocketAddr,
        /// `admin_listen` of the configuration.
        admin_listen: Option<SocketAddr>,
    },
}

fn configured(listen: SocketAddr, admin_listen: Option<SocketAddr>) -> String {
    match admin_listen {
        Some(admin_listen) => format!("listen = \"{listen}\" and admin_listen = \"{admin_listen}\""),
        None => format!("listen = \"{listen}\""),
    }
}

/// A bound socket.
#[derive(Debug)]
pub struct Listener {
    socket: tokio::net::TcpListener,
    tls: Option<Arc<Tls>>,
    /// Another process has the socket open too, and keeps it open.
    is_handed_over: bool,
}

impl Listener {
    /// Opens a socket. Port 0 means any free port.
    pub fn bind(address: SocketAddr) -> io::Result<Listener> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // Closing connections of a former process must not block the address.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(Listener { socket: socket.listen(BACKLOG)?, tls: None, is_handed_over: false })
    }

    /// Takes a listening socket that another process keeps open.
    pub fn handed_over(socket: TcpListener) -> io::Result<Listener> {
        socket.set_nonblocking(true)?;
        Ok(Listener { socket: tokio::net::TcpListener::from_std(socket)?, tls: None, is_handed_over: true })
    }

    /// What the mark of a planned stop records about the socket.
    pub fn listening_socket(&self) -> ListeningSocket {
        let inode = rustix::fs::fstat(&self.socket).ok().map(|status| status.st_ino);
        ListeningSocket { inode, is_handed_over: self.is_handed_over }
    }

    /// Sets the certificate for HTTPS. None: plain HTTP.
    #[must_use]
    pub fn with_tls(self, tls: Option<Arc<Tls>>) -> Listener {
        Listener { tls, ..self }
    }

    /// The scheme of its URL: `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// The address that it listens on.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Whether another process keeps it open.
    pub fn is_handed_over(&self) -> bool {
        self.is_handed_over
    }

    /// The socket, and the TLS settings of its connections.
    pub fn into_parts(self) -> (tokio::net::TcpListener, Option<Arc<Tls>>) {
        (self.socket, self.tls)
    }
}

/// The limit of concurrent connections. Reserves some files for the store; half of the rest stays free for
/// connections to other servers.
pub fn connections_max() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let files = if setrlimit(Resource::Nofile, wanted).is_ok() { limit.maximum } else { limit.current };
    let left = files.map_or(u64::MAX, |files| (files.saturating_sub(OTHER_FILES) / 2).max(1));
    usize::try_from(left).unwrap_or(usize::MAX).min(CONNECTIONS_MAX)
}

/// Sockets that the parent process opened.
#[derive(Debug, Default)]
pub struct HandedOver(Vec<TcpListener>);

impl HandedOver {
    /// Takes the sockets that LISTEN_FDS and LISTEN_PID name. Removes both variables, so that no child process
    /// uses them.
    pub fn take() -> Result<HandedOver, SocketError> {
        let mut offered = ListenFd::from_env();
        let mut sockets = Vec::new();
        for number in 0..offered.len() {
            let taken = offered.take_tcp_listener(number);
            let taken = taken.map_err(|source| SocketError::Unusable { number: number + 1, source })?;
            sockets.extend(taken);
        }
        Ok(HandedOver(sockets))
    }

    /// The listeners of both addresses. Those that the parent did not open are opened here.
    pub fn listeners(
        self,
        listen: SocketAddr,
        admin_listen: Option<SocketAddr>,
    ) -> Result<(Listener, Option<Listener>), SocketError> {
        let (mut public, mut admin) = (None, None);
        for (number, socket) in (1..).zip(self.0) {
            let unusable = |source| SocketError::Unusable { number, source };
            let found = socket.local_addr().map_err(unusable)?;
            let place = if found == listen {
                &mut public
            } else if Some(found) == admin_listen {
                &mut admin
            } else {
                return Err(SocketError::Elsewhere { found, listen, admin_listen });
            };
            *place = Some(Listener::handed_over(socket).map_err(unusable)?);
        }
        let public = public.map_or_else(|| bind(listen), Ok)?;
        let admin = match (admin, admin_listen) {
            (None, Some(address)) => Some(bind(address)?),
            (admin, _) => admin,
        };
        Ok((public, admin))
    }
}

fn bind(address: SocketAddr) -> Result<Listener, SocketError> {
    Listener::bind(address).map_err(|source| SocketError::Listen { address, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket() -> (TcpListener, SocketAddr) {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    }

    #[tokio::test]
    async fn sockets_are_matched_by_address_in_any_order_and_missing_ones_are_opened() {
        let ((one, listen), (two, admin_listen)) = (socket(), socket());
        let (public, admin) = HandedOver(vec![two, one]).listeners(listen, Some(admin_listen)).unwrap();
        assert_eq!(public.address().unwrap(), listen);
        assert_eq!(admin.unwrap().address().unwrap(), admin_listen);
        let any = "127.0.0.1:0".parse().unwrap();
        let (one, listen) = socket();
        let (public, admin) = HandedOver(vec![one]).listeners(listen, Some(any)).unwrap();
        assert_eq!(public.address().unwrap(), listen);
        assert!(admin.is_some_and(|admin| admin.address().unwrap() != listen));
    }

    #[tokio::test]
    async fn a_socket_that_matches_neither_address_is_an_error_that_names_both() {
        let (one, found) = socket();
        let (listen, admin) = ("127.0.0.1:8060".parse().unwrap(), "127.0.0.1:8061".parse().unwrap());
        let error = HandedOver(vec![one]).listeners(listen, Some(admin)).unwrap_err().to_string();
        for part in [found, listen, admin] {
            assert!(error.contains(&part.to_string()), "{error}");
        }
    }
}
