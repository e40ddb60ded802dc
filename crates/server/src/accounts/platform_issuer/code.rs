//! Pre-auth codes and authorization codes. A code carries its data; only its use is stored.

use std::collections::{BTreeSet, HashMap};

use datacube::ErrorCode;
use serde::{Deserialize, Serialize};
use storage::store::{Change, Store};
use system::{
    data_key::DataKey,
    random::{self, RandomError},
};

use super::signed_text::Purpose;

/// Prefix of the keys of these facts.
pub const FACT_PREFIX: &str = "component-code/";
/// Limit of used codes of a platform that have not expired.
const USED_MAX: usize = 100_000;

/// The kind of a code. One kind is not accepted as the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeKind {
    /// Opens the approval page.
    PreAuth,
    /// The platform gets it for an approval.
    Auth,
}

impl CodeKind {
    /// How long it is valid, in seconds. Source: WeChat's pages on api_create_preauthcode and on authorisation.
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

/// The data in a code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    /// End of validity, Unix seconds.
    #[serde(rename = "e")]
    pub expires_s: i64,
    /// Random text that makes the code unique.
    #[serde(rename = "n")]
    pub nonce: String,
    /// The account that approved. Empty in a pre-auth code.
    #[serde(rename = "a", default, skip_serializing_if = "String::is_empty")]
    pub account: String,
    /// The `id` of the authorization. It changes when an authorization is withdrawn and granted again.
    #[serde(rename = "i", default, skip_serializing_if = "String::is_empty")]
    pub authorization: String,
}

impl Code {
    /// Makes a new code.
    pub fn new(kind: CodeKind, account: &str, authorization: &str, now_s: i64) -> Result<Code, RandomError> {
        Ok(Code {
            expires_s: now_s + kind.life_s(),
            nonce: random::hexadecimal(12)?,
            account: account.to_owned(),
            authorization: authorization.to_owned(),
        })
    }

    /// The signed text of the code.
    pub fn encode(&self, kind: CodeKind, component: &str, key: &DataKey) -> String {
        // A struct of strings and a number always becomes JSON.
        kind.purpose(component).sign(&serde_json::to_vec(self).unwrap_or_default(), key)
    }

    /// Reads a code of this platform that has not expired. It may have been used.
    pub fn decode(
        kind: CodeKind,
        text: &str,
        component: &str,
        key: &DataKey,
        now_s: i64,
    ) -> Result<Code, ErrorCode> {
        let payload = kind.purpose(component).verify(text, key).ok_or(ErrorCode::CODE_INVALID)?;
        let code: Code = serde_json::from_slice(&payload).map_err(|_| ErrorCode::CODE_INVALID)?;
        if now_s < code.expires_s { Ok(code) } else { Err(ErrorCode::CODE_EXPIRED) }
    }
}

/// Codes that were used and have not expired, by platform: expiry and nonce.
#[derive(Debug, Default)]
pub struct UsedCodes(HashMap<String, BTreeSet<(i64, String)>>);

/// Stands for the platform in old facts, which do not name one.
const UNKNOWN_PLATFORM: &str = "used";

impl UsedCodes {
    /// Reads the used codes of a store.
    pub fn load(store: &Store) -> UsedCodes {
        let mut used = UsedCodes::default();
        for (key, component) in store.facts(FACT_PREFIX) {
            used.apply_fact(&key, Some(&component));
        }
        used
    }

    /// Applies a fact that is durable. Returns false if it is not of a used code.
    pub fn apply_fact(&mut self, key: &str, component: Option<&[u8]>) -> bool {
        let Some(code) = key.strip_prefix(FACT_PREFIX) else { return false };
        let code = code.split_once('/');
        let code = code.and_then(|(expires_s, nonce)| Some((expires_s.parse().ok()?, nonce.to_owned())));
        match (code, component) {
            (None, _) => {}
            (Some(code), Some(component)) => {
                let component = String::from_utf8_lossy(component).into_owned();
                self.0.entry(component).or_default().insert(code);
            }
            // The platform is not known. A nonce is of one code only.
            (Some(code), None) => {
                self.0.retain(|_, codes| {
                    codes.remove(&code);
                    !codes.is_empty()
                });
            }
        }
        true
    }

    /// Whether a code was used.
    pub fn has(&self, component: &str, code: &Code) -> bool {
        let mut codes =
            [component, UNKNOWN_PLATFORM].into_iter().filter_map(|component| self.0.get(component));
        codes.any(|codes| codes.contains(&(code.expires_s, code.nonce.clone())))
    }

    /// Whether another used code of a platform can be stored. The next use removes expired ones.
    pub fn has_room(&self, component: &str, now_s: i64) -> bool {
        let Some(codes) = self.0.get(component) else { return true };
        codes.len() < USED_MAX || codes.first().is_some_and(|(expires_s, _)| *expires_s < now_s)
    }

    /// The changes that store the use of a code and delete expired ones.
    pub fn changes(&self, component: &str, code: &Code, now_s: i64) -> Vec<Change> {
        let old = self.0.values().flat_map(|codes| codes.range(..(now_s, String::new())));
        let old = old.map(|(expires_s, nonce)| fact(*expires_s, nonce, None));
        old.chain([fact(code.expires_s, &code.nonce, Some(component.into()))]).collect()
    }

    /// Records the use of a code once it is durable.
    pub fn record_use(&mut self, component: &str, code: &Code, now_s: i64) {
        for codes in self.0.values_mut() {
            while codes.first().is_some_and(|(expires_s, _)| *expires_s < now_s) {
                codes.pop_first();
            }
        }
        let codes = self.0.entry(component.to_owned()).or_default();
        codes.insert((code.expires_s, code.nonce.clone()));
    }
}

#[cfg(test)]
impl UsedCodes {
    /// What it holds, in words.
    pub fn described(&self) -> Vec<String> {
        let lines = |(component, codes): (&String, &BTreeSet<_>)| {
            codes.iter().map(|code| format!("{component} {code:?}")).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(lines).collect()
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
        let key = DataKey::from_bytes([1; 32]);
        let code = Code::new(CodeKind::Auth, "wx1", "id", 1_000).unwrap();
        let text = code.encode(CodeKind::Auth, "wxc", &key);
        let read = |kind, text: &str, component, now_s| Code::decode(kind, text, component, &key, now_s);
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
        used.record_use("wxc", &old, 0);
        assert!(used.has("wxc", &old) && !used.has("wxc", &young));
        assert_eq!(used.changes("wxc", &young, 10).len(), 1);
        assert_eq!(used.changes("wxc", &young, 11).len(), 2, "the old one goes");
        used.record_use("wxc", &young, 11);
        assert!(!used.has("wxc", &old) && used.has("wxc", &young));
    }

    #[test]
    fn a_platform_that_used_as_many_codes_as_are_kept_leaves_room_for_others_and_has_it_again_later() {
        let mut used = UsedCodes::default();
        let code = Code::new(CodeKind::Auth, "", "", 0).unwrap();
        for number in 0..USED_MAX {
            used.record_use("wxfull", &Code { nonce: number.to_string(), ..code.clone() }, 0);
        }
        assert!(!used.has_room("wxfull", 600) && used.has_room("wxother", 600));
        assert!(used.has_room("wxfull", 601));
    }

    #[test]
    fn used_codes_are_known_after_a_restart_also_those_of_nobody() {
        let store = Store::Memory(storage::store::Memory::default());
        let used = UsedCodes::default();
        let code = Code::new(CodeKind::Auth, "", "", 0).unwrap();
        let former = Code { nonce: "former".to_owned(), ..code.clone() };
        let mut changes = used.changes("wxc", &code, 0);
        changes.push(fact(former.expires_s, &former.nonce, Some(b"used".to_vec())));
        store.commit(&changes).unwrap();
        let used = UsedCodes::load(&store);
        assert!(used.has("wxc", &code) && used.has("wxc", &former) && !used.has("wxother", &code));
    }
}
