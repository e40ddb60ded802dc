//! What to do next after an error, in both languages: what the command line has for WeChat's code, else the code's
//! usual remedy.

use i18n::Lang;
use msgcube_client::{ClientError, Refusal};
use wechat::error_guide::Meaning;

/// Where the command line has a nearer remedy than the interface: code, advice in English and in Chinese.
static ADVICE: &[(i32, &str, &str)] = &[
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
    (
        42001,
        "The token has ended: give appid and secret instead, or fetch a new token.",
        "access_token 已过期：请改用 appid 和 secret，或重新获取。",
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
    let nearer = ADVICE.iter().find(|(known, ..)| *known == code);
    let nearer = nearer.map(|(_, english, chinese)| lang.pick(*english, *chinese));
    let usual = || Meaning::of(code).map(|meaning| meaning.remedy.in_lang(lang));
    let list = ("See the code in WeChat's list of return codes.", "请在微信的返回码列表中查找该错误码。");
    nearer.or_else(usual).unwrap_or(lang.pick(list.0, list.1))
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
    fn codes_without_a_nearer_remedy_have_the_usual_one() {
        assert_eq!(of_code(61007, Lang::Zh), "请公众号授权权限集 1（消息管理）。");
    }

    #[test]
    fn codes_without_advice_lead_to_the_list() {
        let refusal = Refusal { call: "x", code: 12345, message: String::new(), hint: None };
        assert!(explain(&ClientError::Refused(refusal.into()), Lang::En).ends_with("list of return codes."));
    }
}
