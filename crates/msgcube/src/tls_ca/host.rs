//! Whom a certificate is for: a DNS name or an IP address.

use std::{fmt, net::IpAddr, str::FromStr};

use rustls_pki_types::{DnsName, ServerName};

/// A DNS name in lower case, or an IP address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A name, such as `api.weixin.qq.com`.
    Name(DnsName<'static>),
    /// An address.
    Address(IpAddr),
}

impl FromStr for Host {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Host, Self::Err> {
        if let Ok(address) = text.parse() {
            return Ok(Host::Address(address));
        }
        match DnsName::try_from(text.to_ascii_lowercase()) {
            Ok(name) if !text.ends_with('.') => Ok(Host::Name(name)),
            _ => Err("write a DNS name such as api.weixin.qq.com, or an IP address; no port, no wildcard"),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name.as_ref()),
            Host::Address(address) => address.fmt(f),
        }
    }
}

impl Host {
    /// As a client asks for it.
    pub fn server_name(&self) -> ServerName<'static> {
        match self {
            Host::Name(name) => ServerName::DnsName(name.clone()),
            Host::Address(address) => ServerName::from(*address),
        }
    }
}

/// `a, b`.
pub fn join(hosts: &[Host]) -> String {
    hosts.iter().map(Host::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_told_apart_and_anything_else_is_refused() {
        let host = |text: &str| text.parse::<Host>().map(|host| host.to_string());
        assert_eq!(host("API.weixin.qq.com").as_deref(), Ok("api.weixin.qq.com"));
        assert!(matches!("10.0.0.1".parse(), Ok(Host::Address(_))));
        assert!(matches!("2001:db8::1".parse(), Ok(Host::Address(_))));
        for wrong in ["", "*.qq.com", "a.com:443", "https://a.com", "a.com.", "a b"] {
            assert!(host(wrong).is_err(), "{wrong}");
        }
    }
}
