//! Whether WeChat gives a token for an account, asked in the mode that takes nobody's. The token itself is dropped.

use i18n::{Lang, words};
use server::{
    config::{AccountConfig, UpstreamConfig},
    forward::upstream_token::{self, Failure},
};

use super::{finding::Finding, installation::Installation};

const ID: &str = "real_token";

/// What WeChat's codes ask for. Source: its page on stable_token and its list of codes.
const CODES: [(i64, &str, &str); 11] = [
    (-1, "WeChat is busy: try again in a minute", "微信系统繁忙：请一分钟后再试"),
    (
        40001,
        "the AppSecret is wrong: copy it from WeChat's console into upstream_secret (or secret)",
        "AppSecret 错误：请从微信后台复制到 upstream_secret（或 secret）",
    ),
    (
        40002,
        "the server there knows no stable_token: check [upstream] base",
        "对端不支持 stable_token：请检查 [upstream] base",
    ),
    (40013, "WeChat does not know this appid: correct it", "微信没有此 AppID：请更正"),
    (
        40125,
        "WeChat has another AppSecret: copy it from the console into upstream_secret (or secret)",
        "AppSecret 与微信的不一致：请从微信后台复制到 upstream_secret（或 secret）",
    ),
    (
        40164,
        "enter this machine's address in the whitelist of IP addresses in WeChat's console",
        "请把本机地址加入微信后台的 IP 白名单",
    ),
    (
        40243,
        "the AppSecret is frozen: unfreeze it in WeChat's console",
        "AppSecret 已被冻结：请在微信后台解冻",
    ),
    (
        41004,
        "no AppSecret was sent: set upstream_secret or secret",
        "缺少 AppSecret：请设置 upstream_secret 或 secret",
    ),
    (
        45009,
        "the day's calls are used up: wait until tomorrow, or clear the quota in WeChat's console",
        "当日调用次数已用完：请等到明天，或在微信后台清零",
    ),
    (45011, "asked too often: try again in a minute", "调用过于频繁：请一分钟后再试"),
    (
        50004,
        "WeChat forbids this account the interface: see the account's notices in the console",
        "该公众号被禁止使用此接口：请查看微信后台的通知",
    ),
];

/// Asks for one account.
pub async fn check(scene: &Installation, upstream: &UpstreamConfig, account: &AccountConfig) -> Finding {
    let lang = scene.lang;
    let asked = upstream.token_url.as_ref().unwrap_or(&upstream.base);
    match upstream_token::probe(upstream, account).await {
        Ok(seconds_left) => {
            let left = words::span(lang, seconds_left);
            let found = lang.pick(
                format!("{asked} gives a token ({left} left), asked without forcing a new one"),
                format!("{asked} 返回了 token（剩余 {left}），未强制刷新"),
            );
            Finding::ok(ID, found)
        }
        Err(failure) => refused(lang, &asked.to_string(), &failure),
    }
}

fn refused(lang: Lang, asked: &str, failure: &Failure) -> Finding {
    let Some((code, text)) = failure.code() else {
        let found = lang.pick(format!("{asked}: {failure}"), format!("{asked}：{failure}"));
        let remedy = lang.pick(
            "check [upstream], and that this machine gets out to it",
            "请检查 [upstream]，以及本机能否访问该地址",
        );
        return Finding::problem(ID, found, remedy);
    };
    let said = words::quote(text.as_bytes());
    let found = lang.pick(format!("{asked} answers {code}: {said}"), format!("{asked} 返回 {code}：{said}"));
    let known = CODES.iter().find(|(known, ..)| *known == code);
    let remedy = known.map_or_else(
        || lang.pick("look the code up in WeChat's list", "请在微信的返回码列表中查询").to_owned(),
        |(_, en, zh)| lang.pick(*en, *zh).to_owned(),
    );
    let remedy = match refused_address(&text).filter(|_| code == 40164) {
        Some(address) => lang.pick(
            format!("enter {address} in the whitelist of IP addresses in WeChat's console"),
            format!("请把 {address} 加入微信后台的 IP 白名单"),
        ),
        None => remedy,
    };
    if code == -1 { Finding::warning(ID, found, remedy) } else { Finding::problem(ID, found, remedy) }
}

/// The address that WeChat saw, out of `invalid ip 1.2.3.4 ipv6 ::ffff:1.2.3.4, not in whitelist`.
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
