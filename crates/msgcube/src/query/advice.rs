//! The next step after an error: advice for the command line, or else the usual remedy of WeChat's error code.

use i18n::{Lang, Text, text};
use msgcube_client::{ClientError, WechatError};
use wechat::error_guide::Meaning;

/// Codes for which the command line has better advice than the usual remedy.
static ADVICE: &[(i32, Text)] = &[
    (40001, text!("Give appid and secret instead of a token, or fetch a new token.")),
    (40013, text!("Check --appid: it begins with wx and must be the account's own.")),
    (42001, text!("The token has expired: give appid and secret instead, or fetch a new token.")),
    (61500, text!("This server accepts other dates than WeChat: check --server.")),
    (61501, text!("Check that --to lies before today in Beijing.")),
    (
        61503,
        text!(
            "Yesterday's figures come in the morning: try again after 08:00 in Beijing, or end a day earlier."
        ),
    ),
];

/// The error with the next step to take.
pub fn explain(error: &ClientError, lang: Lang) -> String {
    match error {
        ClientError::Refused(refusal) => explain_refusal(refusal, lang),
        other => format!("{other}\n{}", next_step(other, lang)),
    }
}

fn explain_refusal(refusal: &WechatError, lang: Lang) -> String {
    let mut text = format!("{}: {} {}", refusal.call, refusal.code, refusal.message);
    if let Some(hint) = &refusal.hint {
        let chinese = hint.chinese.as_deref().unwrap_or(&hint.english);
        text = format!("{text}\n{}", lang.pick(hint.english.as_str(), chinese));
    }
    format!("{text}\n{}", advice_for_code(refusal.code, lang))
}

/// The next step after an error with this code of WeChat.
pub fn advice_for_code(code: i32, lang: Lang) -> String {
    let specific = ADVICE.iter().find(|(known, ..)| *known == code);
    let specific = specific.map(|(_, advice)| advice.clone());
    let usual = || Meaning::by_code(code).map(|meaning| meaning.remedy.clone());
    let list = text!("See the code in WeChat's list of return codes.");
    specific.or_else(usual).unwrap_or(list).in_lang(lang)
}

fn next_step(error: &ClientError, lang: Lang) -> String {
    match error {
        ClientError::Setting(_) => text!("Check --server.").in_lang(lang),
        ClientError::Range(_) => text!("--from must be before --to.").in_lang(lang),
        ClientError::Transport { .. } => {
            text!("Check --server and whether the server runs, then ask again.").in_lang(lang)
        }
        _ => text!("Something else than the interface answers there: check --server and any proxy.")
            .in_lang(lang),
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
        let refusal = WechatError { call: "getupstreammsg", code: 61501, message, hint: Some(hint) };
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
        assert_eq!(advice_for_code(61007, Lang::Zh), "请公众号授权权限集 1（消息管理）。");
    }

    #[test]
    fn codes_without_advice_lead_to_the_list() {
        let refusal = WechatError { call: "x", code: 12345, message: String::new(), hint: None };
        assert!(explain(&ClientError::Refused(refusal.into()), Lang::En).ends_with("list of return codes."));
    }
}
