//! The host of a certificate: a DNS name or an IP address.

use std::{fmt, net::IpAddr, str::FromStr};

use rustls_pki_types::{DnsName, ServerName};

/// A DNS name in lower case, or an IP address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateHost {
    /// A DNS name, such as `api.weixin.qq.com`.
    Name(DnsName<'static>),
    /// An IP address.
    Address(IpAddr),
}

impl FromStr for CertificateHost {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<CertificateHost, Self::Err> {
        if let Ok(address) = text.parse() {
            return Ok(CertificateHost::Address(address));
        }
        match DnsName::try_from(text.to_ascii_lowercase()) {
            Ok(name) if !text.ends_with('.') => Ok(CertificateHost::Name(name)),
            _ => Err("write a DNS name such as api.weixin.qq.com, or an IP address; no port, no wildcard"),
        }
    }
}

impl fmt::Display for CertificateHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CertificateHost::Name(name) => f.write_str(name.as_ref()),
            CertificateHost::Address(address) => address.fmt(f),
        }
    }
}

impl CertificateHost {
    /// The name that a client verifies.
    pub fn server_name(&self) -> ServerName<'static> {
        match self {
            CertificateHost::Name(name) => ServerName::DnsName(name.clone()),
            CertificateHost::Address(address) => ServerName::from(*address),
        }
    }
}

/// The hosts, separated by commas.
pub fn join(hosts: &[CertificateHost]) -> String {
    hosts.iter().map(CertificateHost::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_told_apart_and_anything_else_is_refused() {
        let host = |text: &str| text.parse::<CertificateHost>().map(|host| host.to_string());
        assert_eq!(host("API.weixin.qq.com").as_deref(), Ok("api.weixin.qq.com"));
        assert!(matches!("10.0.0.1".parse(), Ok(CertificateHost::Address(_))));
        assert!(matches!("2001:db8::1".parse(), Ok(CertificateHost::Address(_))));
        for wrong in ["", "*.qq.com", "a.com:443", "https://a.com", "a.com.", "a b"] {
            assert!(host(wrong).is_err(), "{wrong}");
        }
    }
}
