//! The settings of cloud calls: of one cloud environment, its keys, and the accounts that it may ask for.

use std::{net::IpAddr, path::PathBuf};

use ipnet::IpNet;
use serde::Deserialize;

use super::{Flaw, SecretFiles, check_text};
use crate::secret::Secret;

/// Most entries of a list of addresses.
const NETWORKS_MAX: usize = 1024;

/// One cloud environment.
#[derive(Clone, Debug)]
pub struct CloudConfig {
    /// Its name.
    pub env: String,
    /// The name of the key.
    pub secret_id: String,
    /// The key that calls are signed with.
    pub secret_key: Secret,
    /// The accounts that it may ask for; the first is meant where a call names none.
    pub appids: Vec<String>,
    /// Who may call without a token.
    pub allow_from: Networks,
}

/// Addresses, singly or as networks. Empty: none is named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// Reads `192.0.2.1`, `192.0.2.0/24`, `2001:db8::/32`, and so on.
    pub fn parse(key: &str, texts: &[String]) -> Result<Networks, Flaw> {
        if texts.len() > NETWORKS_MAX {
            return Err(Flaw::new(key, format!("at most {NETWORKS_MAX} addresses or networks")));
        }
        let network = |text: &String| {
            let single = || text.parse::<IpAddr>().map(IpNet::from);
            text.parse::<IpNet>().or_else(|_| single()).map_err(|_| {
                let what = "is no address or network; write it like 192.0.2.1 or 192.0.2.0/24";
                Flaw::new(key, format!("{text:?} {what}"))
            })
        };
        texts.iter().map(network).collect::<Result<_, _>>().map(Networks)
    }

    /// True if nothing is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an address is among them. An IPv4 address stays one however the socket writes it.
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// An environment as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloudTable {
    env: String,
    secret_id: String,
    secret_key: Option<Secret>,
    secret_key_file: Option<PathBuf>,
    appids: Vec<String>,
    #[serde(default)]
    allow_from: Vec<String>,
}

impl CloudTable {
    /// The settings, checked.
    pub fn checked(self, files: SecretFiles<'_>) -> Result<CloudConfig, Flaw> {
        let cloud = CloudConfig {
            secret_key: files.needed("secret_key", self.secret_key, self.secret_key_file)?,
            allow_from: Networks::parse("allow_from", &self.allow_from)?,
            env: self.env,
            secret_id: self.secret_id,
            appids: self.appids,
        };
        let texts = [
            ("env", cloud.env.as_str()),
            ("secret_id", &cloud.secret_id),
            ("secret_key", cloud.secret_key.reveal()),
        ];
        let appids = cloud.appids.iter().map(|appid| ("appids", appid.as_str()));
        for (key, text) in texts.into_iter().chain(appids) {
            check_text(text).map_err(|what| Flaw::new(key, what))?;
        }
        if cloud.appids.is_empty() {
            return Err(Flaw::new("appids", "name the accounts that it may ask for"));
        }
        Ok(cloud)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Result<Networks, Flaw> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        Networks::parse("ip_allow", &texts)
    }

    #[test]
    fn an_address_is_found_singly_and_in_its_network() {
        let known = networks(&["192.0.2.7", "198.51.100.0/24", "2001:db8::/32"]).unwrap();
        let has = |text: &str| known.contain(text.parse().unwrap());
        assert!(has("192.0.2.7") && has("198.51.100.255") && has("2001:db8::1") && has("::ffff:192.0.2.7"));
        assert!(!has("192.0.2.8") && !has("198.51.101.0") && !has("2001:db9::1"));
        assert!(!Networks::default().contain("192.0.2.7".parse().unwrap()));
    }

    #[test]
    fn what_is_no_address_is_named() {
        for text in ["", "localhost", "192.0.2.0/33", "192.0.2", "*"] {
            let error = networks(&[text]).unwrap_err().to_string();
            assert!(error.starts_with("ip_allow: ") && error.contains(text), "{error}");
        }
    }
}
