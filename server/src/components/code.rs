//! Pre-auth codes and authorization codes: they hold what they stand for, and only that they were used is kept.

use std::collections::BTreeSet;

use msgcube_client::ErrorCode;
use serde::{Deserialize, Serialize};

use super::vouched::Purpose;
use crate::{
    data_key::DataKey,
    random::{self, RandomError},
    store::{Change, Store},
};

const FACT_PREFIX: &str = "component-code/";
/// Used codes that are not too old yet, at most.
const USED_MAX: usize = 100_000;

/// Which code. Neither stands in for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeKind {
    /// What an account's operator comes to the page with.
    PreAuth,
    /// What the platform gets for an approval.
    Auth,
}

impl CodeKind {
    /// How long it is good. Source: WeChat's pages on api_create_preauthcode and on the authorisation.
    pub fn life_s(self) -> i64 {
        match self {
            CodeKind::PreAuth => 1800,
            CodeKind::Auth => 600,
        }
    }

    fn purpose(self, component: &str) -> Purpose<'_> {
        let prefix = match self {
            CodeKind::PreAuth => "preauthcode@@@",
            CodeKind::Auth => "queryauthcode@@@",
        };
        Purpose { prefix, component }
    }
}

/// What a code holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    #[serde(rename = "e")]
    pub expires_s: i64,
    #[serde(rename = "n")]
    pub nonce: String,
    /// The account that approved; none in a pre-auth code.
    #[serde(rename = "a", default, skip_serializing_if = "String::is_empty")]
    pub account: String,
    /// Which authorization of it: one that was taken back and given again is another.
    #[serde(rename = "i", default, skip_serializing_if = "String::is_empty")]
    pub authorization: String,
}

impl Code {
    /// A new one.
    pub fn new(kind: CodeKind, account: &str, authorization: &str, now_s: i64) -> Result<Code, RandomError> {
        Ok(Code {
            expires_s: now_s + kind.life_s(),
            nonce: random::hexadecimal(12)?,
            account: account.to_owned(),
            authorization: authorization.to_owned(),
        })
    }

    /// The code as it is given out.
    pub fn text(&self, kind: CodeKind, component: &str, key: &DataKey) -> String {
        // Texts and a number always are JSON.
        kind.purpose(component).text(&serde_json::to_vec(self).unwrap_or_default(), key)
    }

    /// Reads a code of this platform that is not too old. It may have been used.
    pub fn read(
        kind: CodeKind,
        text: &str,
        component: &str,
        key: &DataKey,
        now_s: i64,
    ) -> Result<Code, ErrorCode> {
        let payload = kind.purpose(component).read(text, key).ok_or(ErrorCode::CODE_INVALID)?;
        let code: Code = serde_json::from_slice(&payload).map_err(|_| ErrorCode::CODE_INVALID)?;
        if now_s < code.expires_s { Ok(code) } else { Err(ErrorCode::CODE_EXPIRED) }
    }
}

/// Codes that were used and are not too old yet: end and nonce.
#[derive(Debug, Default)]
pub struct UsedCodes(BTreeSet<(i64, String)>);

impl UsedCodes {
    /// Those of a store.
    pub fn load(store: &Store) -> UsedCodes {
        let codes = store.facts(FACT_PREFIX).into_iter().filter_map(|(key, _)| {
            let (expires_s, nonce) = key.strip_prefix(FACT_PREFIX)?.split_once('/')?;
            Some((expires_s.parse().ok()?, nonce.to_owned()))
        });
        UsedCodes(codes.collect())
    }

    /// Whether a code was used.
    pub fn has(&self, code: &Code) -> bool {
        self.0.contains(&(code.expires_s, code.nonce.clone()))
    }

    /// Whether further ones can be noted.
    pub fn has_room(&self, now_s: i64) -> bool {
        self.0.range((now_s, String::new())..).count() < USED_MAX
    }

    /// What makes it durable that a code was used; those that are too old by now go.
    pub fn changes(&self, code: &Code, now_s: i64) -> Vec<Change> {
        let old =
            self.0.range(..(now_s, String::new())).map(|(expires_s, nonce)| fact(*expires_s, nonce, None));
        old.chain([fact(code.expires_s, &code.nonce, Some(b"used".to_vec()))]).collect()
    }

    /// Once it is durable.
    pub fn note(&mut self, code: &Code, now_s: i64) {
        self.0 = self.0.split_off(&(now_s, String::new()));
        self.0.insert((code.expires_s, code.nonce.clone()));
    }
}

fn fact(expires_s: i64, nonce: &str, value: Option<Vec<u8>>) -> Change {
    Change::Fact { key: format!("{FACT_PREFIX}{expires_s}/{nonce}"), value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_only_as_what_it_was_given_out_as() {
        let key = DataKey::for_test(1);
        let code = Code::new(CodeKind::Auth, "wx1", "id", 1_000).unwrap();
        let text = code.text(CodeKind::Auth, "wxc", &key);
        let read = |kind, text: &str, component, now_s| Code::read(kind, text, component, &key, now_s);
        assert_eq!(read(CodeKind::Auth, &text, "wxc", 1_599), Ok(code.clone()));
        assert_eq!(read(CodeKind::Auth, &text, "wxc", 1_600), Err(ErrorCode::CODE_EXPIRED));
        assert_eq!(read(CodeKind::Auth, &text, "wxd", 1_000), Err(ErrorCode::CODE_INVALID));
        assert_eq!(read(CodeKind::PreAuth, &text, "wxc", 1_000), Err(ErrorCode::CODE_INVALID));
        let renamed = text.replace("queryauthcode@@@", "preauthcode@@@");
        assert_eq!(read(CodeKind::PreAuth, &renamed, "wxc", 1_000), Err(ErrorCode::CODE_INVALID));
        assert!(text.len() < 512 && !text.contains("wx1"), "{text}");
    }

    #[test]
    fn used_codes_are_kept_until_they_would_be_too_old() {
        let mut used = UsedCodes::default();
        let old = Code {
            expires_s: 10,
            nonce: "a".to_owned(),
            account: String::new(),
            authorization: String::new(),
        };
        let young = Code { expires_s: 50, nonce: "b".to_owned(), ..old.clone() };
        used.note(&old, 0);
        assert!(used.has(&old) && !used.has(&young));
        assert_eq!(used.changes(&young, 10).len(), 1);
        assert_eq!(used.changes(&young, 11).len(), 2, "the old one goes");
        used.note(&young, 11);
        assert!(!used.has(&old) && used.has(&young));
    }
}
