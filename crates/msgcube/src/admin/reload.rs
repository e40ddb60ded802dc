//! `msgcube reload`: the request to the server, and how its answer is shown.

use axum::http::Method;
use i18n::{Lang, text};
use serde_json::Value;

use super::{
    connection::{AdminConnection, AdminError},
    join_texts, list_field, text_field,
};

/// Makes the server read its configuration again.
pub async fn run(server: &AdminConnection) -> Result<Value, AdminError> {
    let answer = server.ask(Method::POST, &["reload"], None).await;
    // Key and address come from the file that changed, so the server may still use the former ones.
    answer.map_err(|error| match error {
        AdminError::Refused { status: 401, .. } => AdminError::FormerKey,
        AdminError::Lost { base, why } => AdminError::Moved { base, why },
        other => other,
    })
}

/// The answer as text for the screen.
pub fn answer_text(answer: &Value, lang: Lang) -> String {
    let accounts = &answer["accounts"];
    let changed = list_field(accounts, "changed")
        .map(|account| format!("{} ({})", text_field(account, "appid"), join_texts(&account["keys"])));
    let lines = [
        (text!("accounts added").in_lang(lang), join_texts(&accounts["added"])),
        (text!("accounts changed").in_lang(lang), changed.collect::<Vec<_>>().join(", ")),
        (text!("accounts removed").in_lang(lang), join_texts(&accounts["removed"])),
        (text!("settings changed").in_lang(lang), join_texts(&answer["settings"])),
        (text!("used only after a restart").in_lang(lang), join_texts(&answer["needs_restart"])),
    ];
    let lines = lines.into_iter().filter(|(_, names)| !names.is_empty());
    let lines: Vec<String> =
        lines.map(|(what, names)| format!("{what}{}{names}", text!(": ").in_lang(lang))).collect();
    if lines.is_empty() {
        return text!("reloaded; nothing has changed").in_lang(lang);
    }
    format!("{}\n{}", text!("reloaded").in_lang(lang), lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_changed_is_said_in_both_languages_and_nothing_else() {
        let answer = json!({
            "accounts": {
                "added": ["wx1", "wx2"],
                "changed": [{ "appid": "wx3", "keys": ["secret", "relay"] }],
                "removed": [],
            },
            "settings": [],
            "needs_restart": ["listen"],
        });
        assert_eq!(
            answer_text(&answer, Lang::En),
            "reloaded\naccounts added: wx1, wx2\naccounts changed: wx3 (secret, relay)\nused only after a restart: listen"
        );
        assert_eq!(
            answer_text(&answer, Lang::Zh),
            "已重新加载\n新增公众号：wx1, wx2\n修改的公众号：wx3 (secret, relay)\n重启后才生效：listen"
        );
        let nothing = json!({ "accounts": { "added": [], "changed": [], "removed": [] }, "settings": [], "needs_restart": [] });
        assert_eq!(answer_text(&nothing, Lang::En), "reloaded; nothing has changed");
    }
}
