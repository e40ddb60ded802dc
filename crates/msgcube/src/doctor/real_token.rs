//! Whether WeChat gives a token for an account. Asks in normal mode, which invalidates no token. The token is not kept.

use i18n::{Text, format, text};
use server::{
    config::{AccountConfig, UpstreamConfig},
    forward::upstream_token::{self, TokenFailure},
};

use super::finding::Finding;

const ID: &str = "real_token";

/// Remedies for WeChat's error codes. Source: its page on stable_token and its list of codes.
static REMEDIES: [(i64, Text); 11] = [
    (-1, text!("WeChat is busy: try again in a minute")),
    (40001, text!("the AppSecret is wrong: copy it from WeChat's console into upstream_secret (or secret)")),
    (40002, text!("the server there knows no stable_token: check [upstream] base")),
    (40013, text!("WeChat does not know this appid: correct it")),
    (40125, text!("WeChat has another AppSecret: copy it from the console into upstream_secret (or secret)")),
    (40164, text!("enter this machine's address in the whitelist of IP addresses in WeChat's console")),
    (40243, text!("the AppSecret is frozen: unfreeze it in WeChat's console")),
    (41004, text!("no AppSecret was sent: set upstream_secret or secret")),
    (
        45009,
        text!("the day's calls are used up: wait until tomorrow, or clear the quota in WeChat's console"),
    ),
    (45011, text!("asked too often: try again in a minute")),
    (
        50004,
        text!("WeChat has blocked this interface for the account: see the account's notices in the console"),
    ),
];

/// Checks one account.
pub async fn check(upstream: &UpstreamConfig, account: &AccountConfig) -> Finding {
    let asked = upstream.token_url.as_ref().unwrap_or(&upstream.base);
    match upstream_token::probe(upstream, account).await {
        Ok(seconds_left) => {
            let left = format::span(seconds_left);
            let found =
                text!("{asked} gives a token ({left} left), asked without forcing a new one", asked, left);
            Finding::ok(ID, found)
        }
        Err(failure) => refused(&asked.to_string(), &failure),
    }
}

fn refused(asked: &str, failure: &TokenFailure) -> Finding {
    let Some((code, text)) = failure.code() else {
        let found = text!("{asked}: {failure}", asked, failure);
        let remedy = text!("check [upstream], and that this machine can reach it");
        return Finding::problem(ID, found, remedy);
    };
    let said = format::quote(text.as_bytes());
    let found = text!("{asked} answers {code}: {said}", asked, code, said);
    let known = REMEDIES.iter().find(|(known, ..)| *known == code);
    let remedy =
        known.map_or_else(|| text!("look the code up in WeChat's list"), |(_, remedy)| remedy.clone());
    let remedy = match refused_address(&text).filter(|_| code == 40164) {
        Some(address) => {
            text!("enter {address} in the whitelist of IP addresses in WeChat's console", address)
        }
        None => remedy,
    };
    if code == -1 { Finding::warning(ID, found, remedy) } else { Finding::problem(ID, found, remedy) }
}

/// The address that WeChat saw, from an error such as `invalid ip 1.2.3.4 ipv6 ::ffff:1.2.3.4, not in whitelist`.
fn refused_address(text: &str) -> Option<std::net::IpAddr> {
    text.split([' ', ',']).find_map(|word| word.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_to_enter_is_found_in_what_wechat_says() {
        let said = "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist rid: 6721f2a1-0a1b2c3d-4e5f6071";
        assert_eq!(refused_address(said), "203.0.113.7".parse().ok());
        assert_eq!(refused_address("invalid ip 2001:db8::1, not in whitelist"), "2001:db8::1".parse().ok());
        assert_eq!(refused_address("nothing"), None);
    }
}
