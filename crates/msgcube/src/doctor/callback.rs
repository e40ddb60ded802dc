//! Callbacks as WeChat makes them: its check of the address, a wrong signature, and messages that count nothing.
//!
//! The message is from 1970, which is never counted, has always the same number, so that it is kept once, and is only
//! played in the kinds that the account takes: refusing an authentic one would be noted as a loss.

pub mod verdict;

use form_urlencoded::Serializer;
use i18n::text;
use serde_json::Value;
use server::{config::AccountConfig, intake::path};
use system::{random, secret::Secret};
use wechat::callback::{
    cipher::AesKey,
    seal::{Draft, Encryption, Envelope, Sealed},
    signature::sign,
};

use super::{
    finding::Finding,
    installation::{Installation, Place},
    serving::Served,
};

/// Who writes the message.
const USER: &str = "msgcube-doctor";
/// 1970, before everything that is counted.
const CREATE_TIME_S: i64 = 1;
const MSG_ID: u64 = 1;

/// How a message is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Plain,
    Safe,
    Compatible,
}

impl Mode {
    fn id(self) -> &'static str {
        match self {
            Mode::Plain => "callback_plain",
            Mode::Safe => "callback_safe",
            Mode::Compatible => "callback_compatible",
        }
    }
}

/// Where callbacks come in, and what they are signed and sealed with.
#[derive(Clone, Debug)]
pub struct Entrance<'a> {
    pub path: String,
    /// What the addresses of this sort begin with.
    pub below: &'static str,
    pub token: &'a Secret,
    pub key: Option<&'a Secret>,
    /// Whose appid stands in what is sealed: the account's, or its platform's.
    pub appid: &'a str,
    pub to_user: &'a str,
}

impl Entrance<'_> {
    fn of(account: &AccountConfig) -> Entrance<'_> {
        Entrance {
            path: path::of_account(&path_part(&account.appid)),
            below: path::OF_ACCOUNTS,
            token: &account.token,
            key: account.encoding_aes_key.as_ref(),
            appid: &account.appid,
            to_user: account.original_id.as_deref().unwrap_or("gh_msgcube"),
        }
    }
}

/// One account's callbacks. While its bot does not answer well, one message is enough.
pub async fn check(
    scene: &Installation,
    account: &AccountConfig,
    served: &Served,
    is_bot_well: bool,
) -> Vec<Finding> {
    let lang = scene.lang;
    let Some(place) = scene.callbacks() else { return Vec::new() };
    if scene.url.is_none() && !served.is_alive {
        let found = text!("the server does not answer").in_lang(lang);
        return vec![Finding::skipped("callback_get", found)];
    }
    let mut findings = Vec::new();
    let differs = differing(scene, account).await;
    findings.extend(differs.clone());
    let entrance = Entrance::of(account);
    let (is_good, gets) = gets(scene, place, &entrance).await;
    findings.extend(gets);
    if !is_good || !scene.plays_posts {
        return findings;
    }
    if differs.is_some() || served.is_unready {
        let found =
            text!("no message is played: refused as things are, it would be noted as a loss").in_lang(lang);
        findings.push(Finding::skipped("callback_post", found));
        return findings;
    }
    let modes = modes(account);
    let number = if is_bot_well { modes.len() } else { 1 };
    for mode in modes.into_iter().take(number) {
        findings.push(play(scene, place, &entrance, mode, account.relay.is_some()).await);
    }
    findings
}

/// WeChat's check of the address, and if it passes, the same with a wrong signature. They change nothing.
pub async fn gets(scene: &Installation, place: Place<'_>, entrance: &Entrance<'_>) -> (bool, Vec<Finding>) {
    let right = right_get(scene, place, entrance).await;
    if right.state != super::finding::State::Ok {
        return (false, vec![right]);
    }
    (true, vec![right, wrong_get(scene, place, entrance).await])
}

/// The kinds that the account takes, the safest first.
fn modes(account: &AccountConfig) -> Vec<Mode> {
    let mut modes = Vec::new();
    if account.encoding_aes_key.is_some() {
        modes.extend([Mode::Safe, Mode::Compatible]);
    }
    if !account.require_encryption {
        modes.push(Mode::Plain);
    }
    modes
}

/// The running server may have read another configuration. A refused message would be a gap then.
async fn differing(scene: &Installation, account: &AccountConfig) -> Option<Finding> {
    let answer = scene.get_own(&format!("/v1/accounts/{}", path_part(&account.appid))).await?.ok()?;
    let lang = scene.lang;
    let remedy = text!("restart msgcube: the configuration is read at the start").in_lang(lang);
    if answer.said.status == 404 {
        let found = text!("the running server does not know this account").in_lang(lang);
        return Some(Finding::problem("settings_in_use", found, remedy));
    }
    let said: Value = serde_json::from_slice(&answer.said.body).ok().filter(|_| answer.said.status == 200)?;
    let has_key =
        said["secrets"].as_array().is_some_and(|all| all.iter().any(|one| one == "encoding_aes_key"));
    let pairs = [
        ("require_encryption", said["require_encryption"] == account.require_encryption),
        ("original_id", said["original_id"].as_str() == account.original_id.as_deref()),
        ("encoding_aes_key", has_key == account.encoding_aes_key.is_some()),
        ("relay", said["relay"].is_null() == account.relay.is_none()),
    ];
    let names: Vec<&str> = pairs.iter().filter(|(_, is_same)| !is_same).map(|(name, _)| *name).collect();
    let names = names.join(", ");
    let found =
        text!("the running server has other settings than the configuration: {names}", names).in_lang(lang);
    (!names.is_empty()).then(|| Finding::problem("settings_in_use", found, remedy))
}

/// An appid may be any printable text, a path may not.
pub fn path_part(appid: &str) -> String {
    percent_encoding::utf8_percent_encode(appid, percent_encoding::NON_ALPHANUMERIC).to_string()
}

pub fn nonce() -> String {
    // Without random bytes a fixed one does as well: nothing rests on it.
    random::hexadecimal(5).unwrap_or_else(|_| "1234567890".to_owned())
}

async fn right_get(scene: &Installation, place: Place<'_>, entrance: &Entrance<'_>) -> Finding {
    let (timestamp, nonce) = (scene.clock.now_s().to_string(), nonce());
    let signature = sign([entrance.token.reveal(), &timestamp, &nonce].map(str::as_bytes));
    let echostr = format!("{nonce}-+/=%&");
    let query = query(&String::from_utf8_lossy(&signature), &timestamp, &nonce, &echostr);
    let answer = scene.get(place, &format!("{}?{query}", entrance.path)).await;
    verdict::right_get(scene.lang, place.base, entrance.below, answer, echostr.as_bytes())
}

async fn wrong_get(scene: &Installation, place: Place<'_>, entrance: &Entrance<'_>) -> Finding {
    let answer = scene.get(place, &format!("{}?{}", entrance.path, unsigned_query(scene))).await;
    verdict::wrong_signature(scene.lang, "callback_wrong_signature", entrance.below, answer)
}

/// The query of WeChat's check of the address.
pub fn query(signature: &str, timestamp: &str, nonce: &str, echostr: &str) -> String {
    let mut query = Serializer::new(String::new());
    query.append_pair("signature", signature).append_pair("echostr", echostr);
    query.append_pair("timestamp", timestamp).append_pair("nonce", nonce).finish()
}

/// A message that counts nothing.
pub async fn play(
    scene: &Installation,
    place: Place<'_>,
    entrance: &Entrance<'_>,
    mode: Mode,
    is_relayed: bool,
) -> Finding {
    let sealed = match seal(scene, entrance, mode) {
        Ok(sealed) => sealed,
        Err(why) => return Finding::skipped(mode.id(), why),
    };
    let answer = scene.post(place, &format!("{}?{}", entrance.path, sealed.query), sealed.body).await;
    verdict::message(scene.lang, mode, entrance.below, is_relayed, answer)
}

fn seal(scene: &Installation, entrance: &Entrance<'_>, mode: Mode) -> Result<Sealed, String> {
    let draft = Draft {
        to_user: entrance.to_user,
        from_user: USER,
        create_time: CREATE_TIME_S,
        msg_type: "text",
        fields: vec![("Content", "msgcube doctor")],
        msg_id: Some(MSG_ID),
    };
    let nonce = nonce();
    let envelope = Envelope { token: entrance.token.reveal(), timestamp: scene.clock.now_s(), nonce: &nonce };
    let (Mode::Safe | Mode::Compatible, Some(key)) = (mode, entrance.key) else {
        return Ok(envelope.plain(&draft));
    };
    let key = AesKey::parse(key.reveal()).map_err(|error| error.to_string())?;
    let compatible = mode == Mode::Compatible;
    let encryption = Encryption { key: &key, appid: entrance.appid, random: random_block()?, compatible };
    Ok(envelope.encrypted(&encryption, &draft))
}

/// What an encrypted message begins with.
pub fn random_block() -> Result<[u8; 16], String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| error.to_string())?;
    Ok(random)
}

/// What whoever stands behind is asked, without a body: anything that speaks HTTP says something to it.
pub fn unsigned_query(scene: &Installation) -> String {
    query(&"0".repeat(40), &scene.clock.now_s().to_string(), &nonce(), "msgcube")
}
