//! What to do next after an error, by WeChat's code, in both languages. Sources of the meanings: the error
//! tables of the interfaces' pages.

use msgcube_client::{ClientError, Refusal};

use crate::lang::Lang;

/// Code, advice in English and in Chinese.
static ADVICE: &[(i32, &str, &str)] = &[
    (-1, "The server is busy: try again in a minute.", "服务器繁忙：一分钟后重试。"),
    (
        40001,
        "Give appid and secret instead of a token, or fetch a new token.",
        "请改用 appid 和 secret，或重新获取 access_token。",
    ),
    (
        40013,
        "Check --appid: it begins with wx and must be the account's own.",
        "检查 --appid：以 wx 开头，必须是该公众号自己的。",
    ),
    (40125, "Check the secret; a reset in the console changes it.", "检查 secret；在后台重置后会改变。"),
    (
        40164,
        "Add this machine's address to the account's IP whitelist.",
        "把本机地址加入公众号的 IP 白名单。",
    ),
    (40243, "The secret is frozen: unfreeze it in the console.", "secret 已冻结：请到后台解冻。"),
    (
        42001,
        "The token has ended: give appid and secret instead, or fetch a new token.",
        "access_token 已过期：请改用 appid 和 secret，或重新获取。",
    ),
    (
        45009,
        "Today's calls are used up: try again after midnight in Beijing, or ask for a shorter range.",
        "今日调用次数已用完：北京时间零点后重试，或缩短日期范围。",
    ),
    (
        48001,
        "Only verified accounts have this interface: check the account's kind and verification.",
        "只有认证的公众号才有此接口：检查账号类型和认证状态。",
    ),
    (
        61003,
        "The account has withdrawn its authorisation: have it authorise the platform again.",
        "公众号已取消授权：请重新授权第三方平台。",
    ),
    (
        61007,
        "The platform lacks permission set 1 (messages): have the account authorise it.",
        "第三方平台缺少权限集 1（消息管理）：请公众号授权。",
    ),
    (
        61500,
        "This server takes other dates than WeChat: check --base.",
        "该服务器接受的日期与微信不同：检查 --base。",
    ),
    (61501, "Check that --to lies before today in Beijing.", "检查 --to 是否早于北京时间今天。"),
    (
        61503,
        "Yesterday's figures come in the morning: try again after 08:00 in Beijing, or end a day earlier.",
        "昨天的数据上午才有：北京时间 8 点后重试，或把 --to 提前一天。",
    ),
];

/// The error with the next step to take.
pub fn explain(error: &ClientError, lang: Lang) -> String {
    match error {
        ClientError::Refused(refusal) => refused(refusal, lang),
        other => format!("{other}\n{}", next_step(other, lang)),
    }
}

fn refused(refusal: &Refusal, lang: Lang) -> String {
    let mut text = format!("{}: {} {}", refusal.call, refusal.code, refusal.message);
    if let Some(hint) = &refusal.hint {
        let chinese = hint.chinese.as_deref().unwrap_or(&hint.english);
        text = format!("{text}\n{}", lang.pick(hint.english.as_str(), chinese));
    }
    format!("{text}\n{}", of_code(refusal.code, lang))
}

/// The next step after an error of this code.
pub fn of_code(code: i32, lang: Lang) -> &'static str {
    let fallback = ("See the code in WeChat's list of return codes.", "请在微信的返回码列表中查找该错误码。");
    let found = ADVICE.iter().find(|(known, ..)| *known == code);
    let (english, chinese) = found.map_or(fallback, |(_, english, chinese)| (english, chinese));
    lang.pick(english, chinese)
}

fn next_step(error: &ClientError, lang: Lang) -> &'static str {
    match error {
        ClientError::Setting(_) => lang.pick("Check --base.", "检查 --base。"),
        ClientError::Range(_) => lang.pick("Let --from lie before --to.", "--from 应早于 --to。"),
        ClientError::Transport { .. } => lang.pick(
            "Check --base and whether the server runs, then ask again.",
            "检查 --base 以及服务器是否在运行，然后重试。",
        ),
        _ => lang.pick(
            "Something else than the interface answers there: check --base and any proxy.",
            "应答的不是该接口：检查 --base 和代理。",
        ),
    }
}

#[cfg(test)]
mod tests {
    use msgcube_client::Hint;

    use super::*;

    #[test]
    fn a_refusal_shows_the_servers_hint_and_the_next_step_in_one_language() {
        let hint = Hint { english: "ask for one day".into(), chinese: Some("一天".into()) };
        let message = "date range error rid: 1-2-3".to_owned();
        let refusal = Refusal { call: "getupstreammsg", code: 61501, message, hint: Some(hint) };
        let error = ClientError::Refused(refusal.into());
        let english = explain(&error, Lang::En);
        assert_eq!(
            english.lines().collect::<Vec<_>>(),
            [
                "getupstreammsg: 61501 date range error rid: 1-2-3",
                "ask for one day",
                "Check that --to lies before today in Beijing."
            ]
        );
        assert!(explain(&error, Lang::Zh).contains("\n一天\n检查 --to"));
    }

    #[test]
    fn codes_without_advice_lead_to_the_list() {
        let refusal = Refusal { call: "x", code: 12345, message: String::new(), hint: None };
        assert!(explain(&ClientError::Refused(refusal.into()), Lang::En).ends_with("list of return codes."));
    }
}
