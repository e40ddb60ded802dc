//! `msgcube reload`.

use axum::http::Method;
use i18n::Lang;
use i18n::text;
use serde_json::Value;

use super::{
    connection::{AdminError, Connection},
    joined, list, text,
};

/// Lets the server read its configuration again.
pub async fn run(server: &Connection) -> Result<Value, AdminError> {
    let answer = server.ask(Method::POST, &["reload"], None).await;
    // Key and address are read from the very file that changed.
    answer.map_err(|error| match error {
        AdminError::Refused { status: 401, .. } => AdminError::FormerKey,
        AdminError::Lost { base, why } => AdminError::Moved { base, why },
        other => other,
    })
}

/// The answer for people.
pub fn shown(answer: &Value, lang: Lang) -> String {
    let accounts = &answer["accounts"];
    let changed = list(accounts, "changed")
        .map(|account| format!("{} ({})", text(account, "appid"), joined(&account["keys"])));
    let lines = [
        (text!("accounts added").in_lang(lang), joined(&accounts["added"])),
        (text!("accounts changed").in_lang(lang), changed.collect::<Vec<_>>().join(", ")),
        (text!("accounts removed").in_lang(lang), joined(&accounts["removed"])),
        (text!("settings changed").in_lang(lang), joined(&answer["settings"])),
        (text!("used only after a restart").in_lang(lang), joined(&answer["needs_restart"])),
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
            shown(&answer, Lang::En),
            "reloaded\naccounts added: wx1, wx2\naccounts changed: wx3 (secret, relay)\nused only after a restart: listen"
        );
        assert_eq!(
            shown(&answer, Lang::Zh),
            "已重新加载\n新增公众号：wx1, wx2\n修改的公众号：wx3 (secret, relay)\n重启后才生效：listen"
        );
        let nothing = json!({ "accounts": { "added": [], "changed": [], "removed": [] }, "settings": [], "needs_restart": [] });
        assert_eq!(shown(&nothing, Lang::En), "reloaded; nothing has changed");
    }
}
