//! Parses an address to listen on, and explains what is wrong with one.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::{Deserialize, Deserializer, de::Error as _};

/// Why a text is not an address to listen on. The message gives an example that works.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListenError {
    /// Only digits.
    #[error("{0} is a port alone: write {1}, or 0.0.0.0:{0} for every address of this machine")]
    PortAlone(u16, SocketAddr),
    /// An IP address or `localhost` without a port.
    #[error("a port is missing: write {0}")]
    NoPort(SocketAddr),
    /// A host name other than `localhost` may have several addresses, or change.
    #[error("{0} is a name: write an address of this machine such as {1}, or 0.0.0.0:{2} for all of them")]
    Name(String, SocketAddr, u16),
    /// A URL, as in a browser.
    #[error("write it without http:// or https:// and without a path, such as 127.0.0.1:8060")]
    Url,
    /// Not a number, or over 65535.
    #[error("the port must be a number from 0 to 65535, such as in 127.0.0.1:8060")]
    Port,
    /// Anything else.
    #[error(
        "write an address and a port, such as 127.0.0.1:8060, or 0.0.0.0:8060 for every address of this machine"
    )]
    Form,
}

/// Parses an address with a port. `localhost` is 127.0.0.1.
pub fn listen_address(text: &str) -> Result<SocketAddr, ListenError> {
    let here = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    if text.contains('/') {
        return Err(ListenError::Url);
    }
    if let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Err(ListenError::NoPort(SocketAddr::new(ip, 8060)));
    }
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(match text.parse() {
            Ok(port) if is_number(text) => ListenError::PortAlone(port, here(port)),
            _ if is_number(text) => ListenError::Port,
            _ if text.eq_ignore_ascii_case("localhost") => ListenError::NoPort(here(8060)),
            _ => ListenError::Form,
        });
    };
    let Some(port) = port.parse().ok().filter(|_| is_number(port)) else { return Err(ListenError::Port) };
    match host {
        "" => Err(ListenError::PortAlone(port, here(port))),
        host if host.eq_ignore_ascii_case("localhost") => Ok(here(port)),
        host if host.bytes().any(|byte| byte.is_ascii_alphabetic()) && !host.contains(':') => {
            Err(ListenError::Name(host.to_owned(), here(port), port))
        }
        _ => Err(ListenError::Form),
    }
}

/// An address in a configuration. A port alone may be written without quotes; it gets an error with an example.
#[derive(Clone, Copy, Debug)]
pub struct Listen(pub SocketAddr);

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Listen, D::Error> {
        let text = match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            _ => return Err(D::Error::custom(ListenError::Form)),
        };
        listen_address(&text).map(Listen).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_localhost_are_taken() {
        for (text, address) in [
            ("127.0.0.1:8060", "127.0.0.1:8060"),
            ("[::1]:0", "[::1]:0"),
            ("localhost:80", "127.0.0.1:80"),
            ("LocalHost:0", "127.0.0.1:0"),
        ] {
            assert_eq!(listen_address(text).unwrap().to_string(), address, "{text}");
        }
    }

    #[test]
    fn each_mistake_is_named_with_an_address_that_works() {
        for (text, said) in [
            ("80", "80 is a port alone: write 127.0.0.1:80, or 0.0.0.0:80 for"),
            (":8060", "8060 is a port alone"),
            ("127.0.0.1", "a port is missing: write 127.0.0.1:8060"),
            ("::1", "a port is missing: write [::1]:8060"),
            ("localhost", "a port is missing: write 127.0.0.1:8060"),
            (
                "wx.example.com:443",
                "wx.example.com is a name: write an address of this machine such as 127.0.0.1:443",
            ),
            ("http://127.0.0.1:8060", "without http://"),
            ("127.0.0.1:99999", "0 to 65535"),
            ("99999", "0 to 65535"),
            ("127.0.0.1:+80", "0 to 65535"),
            ("", "write an address and a port, such as 127.0.0.1:8060"),
            ("x", "write an address and a port"),
            ("1.2.3.4.5:80", "write an address and a port"),
        ] {
            let error = listen_address(text).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
            // The example in the message works.
            let words = error.split([' ', ',']).filter_map(|word| word.parse::<SocketAddr>().ok());
            assert!(text == "99999" || words.count() > 0, "{error}");
        }
    }
}
