//! The address that WeChat calls, and whether it can.

use std::net::IpAddr;

use i18n::{Text, text};
use msgcube_client::http::Address;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::intake::path;

/// Ends of names that only one machine or network knows. Source: RFC 6761, 6762, 8375, and ICANN for `internal`.
const PRIVATE_ENDS: [&str; 6] = [".localhost", ".local", ".internal", ".lan", ".home.arpa", ".test"];

/// The address of an account's callbacks, and why WeChat cannot call it. Without `public_url` only the path is known.
pub fn callback(public_url: Option<&Address>, appid: &str) -> (String, Option<Text>) {
    let path = path::of_account(&utf8_percent_encode(appid, NON_ALPHANUMERIC).to_string());
    match public_url {
        Some(url) => (format!("{}{path}", url.origin()), problem(url)),
        None => (
            path,
            Some(text!(
                "public_url is not set, so only the path of the address is known. Put public_url = \"https://your.domain\" at the top of the configuration, then run msgcube reload."
            )),
        ),
    }
}

fn problem(url: &Address) -> Option<Text> {
    let (host, port) = (url.host(), url.port());
    if url.ip().map_or_else(|| is_private_name(host), is_private_ip) {
        return Some(text!(
            "WeChat cannot reach {host}: only this machine or network knows it. Set public_url to a domain that the internet reaches, then run msgcube reload.",
            host
        ));
    }
    let wanted = if url.is_https() { 443 } else { 80 };
    (port != wanted).then(|| {
        text!("public_url names port {port}, and WeChat calls only port 443 for https and port 80 for http. Let msgcube be reached there, correct public_url, then run msgcube reload.", port)
    })
}

fn is_private_name(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    !host.contains('.') || PRIVATE_ENDS.iter().any(|end| host.ends_with(end))
}

fn is_private_ip(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            let is_carriers = first == 100 && (64..128).contains(&second);
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified() || is_carriers
        }
        IpAddr::V6(ip) => {
            ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_on_the_usual_ports_have_no_problem() {
        let shown = |url: &str| {
            let url = Address::parse(url).unwrap();
            callback(Some(&url), "wx1").1.map(|problem| problem.english())
        };
        for url in
            ["https://wx.example.com", "http://wx.example.com:80", "http://8.8.8.8", "https://[2001:db8::1]"]
        {
            assert_eq!(shown(url), None, "{url}");
        }
        for url in [
            "https://localhost",
            "https://msgcube",
            "http://127.0.0.1",
            "http://10.1.2.3",
            "http://192.168.1.9",
            "http://100.64.0.1",
            "https://[::1]",
            "https://[fd00::1]",
            "https://box.LOCAL",
            "https://box.lan.",
        ] {
            assert!(shown(url).is_some_and(|problem| problem.contains("cannot reach")), "{url}");
        }
        for url in ["https://wx.example.com:8443", "http://wx.example.com:443", "https://wx.example.com:80"] {
            assert!(shown(url).is_some_and(|problem| problem.contains("port 443")), "{url}");
        }
        let url = Address::parse("https://WX.example.com").unwrap();
        assert_eq!(callback(Some(&url), "wx1").0, "https://wx.example.com/callback/wx1");
        assert_eq!(callback(None, "wx1").0, "/callback/wx1");
    }
}
