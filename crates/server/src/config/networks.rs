//! Lists of addresses and networks.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use super::ConfigFlaw;

/// Limit of entries in a list.
const NETWORKS_MAX: usize = 1024;

/// Single addresses and networks. An empty list names none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// Parses texts such as `192.0.2.1`, `192.0.2.0/24` and `2001:db8::/32`.
    pub fn parse(key: &str, texts: &[String]) -> Result<Networks, ConfigFlaw> {
        if texts.len() > NETWORKS_MAX {
            return Err(ConfigFlaw::new(key, format!("at most {NETWORKS_MAX} addresses or networks")));
        }
        let network = |text: &String| {
            let single = || text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
            text.parse::<IpNet>().or_else(|_| single()).map_err(|_| {
                let what =
                    format!("{text:?} is no address or network; write it like 192.0.2.1 or 192.0.2.0/24");
                ConfigFlaw::new(key, what)
            })
        };
        texts.iter().map(network).collect::<Result<_, _>>().map(Networks)
    }

    /// True if the list names none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an address is in the list. An IPv4 address that is mapped to IPv6 counts as IPv4.
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The key that a caller is counted by, if this is the list of proxies: its address, or its /64 network on
    /// IPv6, which usually is one subscriber. None for a proxy and for this machine, which forward many
    /// callers.
    pub fn counted_as(&self, address: IpAddr) -> Option<IpAddr> {
        let address = address.to_canonical();
        if address.is_loopback() || self.contain(address) {
            return None;
        }
        Some(match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        })
    }

    /// The entries as texts, in their short form.
    pub fn texts(&self) -> Vec<String> {
        let is_single = |network: &IpNet| network.prefix_len() == network.max_prefix_len();
        let text = |network: &IpNet| {
            if is_single(network) { network.addr().to_string() } else { network.to_string() }
        };
        self.0.iter().map(text).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Result<Networks, ConfigFlaw> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        Networks::parse("ip_allow", &texts)
    }

    #[test]
    fn an_address_is_found_singly_and_in_its_network() {
        let known = networks(&["192.0.2.7", "198.51.100.0/24", "2001:db8::/32"]).unwrap();
        let has = |text: &str| known.contain(text.parse().unwrap());
        assert!(has("192.0.2.7") && has("198.51.100.255") && has("2001:db8::1") && has("::ffff:192.0.2.7"));
        assert!(!has("192.0.2.8") && !has("198.51.101.0") && !has("2001:db9::1"));
        assert_eq!(known.texts(), ["192.0.2.7", "198.51.100.0/24", "2001:db8::/32"]);
        assert!(networks(&["::ffff:192.0.2.7"]).unwrap().contain("192.0.2.7".parse().unwrap()));
        assert!(!Networks::default().contain("192.0.2.7".parse().unwrap()));
    }

    #[test]
    fn shares_are_counted_by_address_or_network_and_not_for_proxies_and_this_machine() {
        let proxies = networks(&["192.0.2.0/24"]).unwrap();
        for (address, counted) in [
            ("198.51.100.7", Some("198.51.100.7")),
            ("::ffff:198.51.100.7", Some("198.51.100.7")),
            ("2001:db8:1:2:3:4:5:6", Some("2001:db8:1:2::")),
            ("192.0.2.7", None),
            ("::ffff:192.0.2.7", None),
            ("127.0.0.2", None),
            ("::1", None),
        ] {
            let counted = counted.map(|text: &str| text.parse::<IpAddr>().unwrap());
            assert_eq!(proxies.counted_as(address.parse().unwrap()), counted, "{address}");
        }
    }

    #[test]
    fn what_is_no_address_is_named() {
        for text in ["", "localhost", "192.0.2.0/33", "192.0.2", "*"] {
            let error = networks(&[text]).unwrap_err().to_string();
            assert!(error.starts_with("ip_allow: ") && error.contains(text), "{error}");
        }
    }
}
