//! What to do next after an error, in both languages: what the command line has for WeChat's code, else the code's
//! usual remedy.

use i18n::Lang;
use i18n::{Text, text};
use msgcube_client::{ClientError, Refusal};
use wechat::error_guide::Meaning;

/// Where the command line has a nearer remedy than the interface: code, advice in English and in Chinese.
static ADVICE: &[(i32, Text)] = &[
    (40001, text!("Give appid and secret instead of a token, or fetch a new token.")),
    (40013, text!("Check --appid: it begins with wx and must be the account's own.")),
    (42001, text!("The token has ended: give appid and secret instead, or fetch a new token.")),
    (61500, text!("This server takes other dates than WeChat: check --base.")),
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
pub fn of_code(code: i32, lang: Lang) -> String {
    let nearer = ADVICE.iter().find(|(known, ..)| *known == code);
    let nearer = nearer.map(|(_, advice)| advice.clone());
    let usual = || Meaning::of(code).map(|meaning| meaning.remedy.clone());
    let list = text!("See the code in WeChat's list of return codes.");
    nearer.or_else(usual).unwrap_or(list).in_lang(lang)
}

fn next_step(error: &ClientError, lang: Lang) -> String {
    match error {
        ClientError::Setting(_) => text!("Check --base.").in_lang(lang),
        ClientError::Range(_) => text!("Let --from lie before --to.").in_lang(lang),
        ClientError::Transport { .. } => {
            text!("Check --base and whether the server runs, then ask again.").in_lang(lang)
        }
        _ => text!("Something else than the interface answers there: check --base and any proxy.")
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
