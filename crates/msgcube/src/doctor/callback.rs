//! Plays callbacks as WeChat sends them: its check of the address, a wrong signature, and messages that are not counted.
//!
//! The message is from 1970, so it is quarantined and never counted. It always has the same MsgId, so it is stored once. It
//! is played only in modes that the account accepts: refusing an authentic message would be recorded as a loss.

pub mod verdict;

use form_urlencoded::Serializer;
use i18n::text;
use serde_json::Value;
use server::{config::AccountConfig, intake::path};
use system::{random, secret::Secret};
use wechat::callback::{
    cipher::AesKey,
    seal::{CallbackSigner, Draft, Encryption, Sealed},
    signature::sign,
};

use super::{
    finding::Finding,
    installation::{CallbackEndpoint, Installation},
    serving::ServerState,
};

/// The openid of the sender.
const USER: &str = "msgcube-doctor";
/// In 1970, before the first time that is counted.
const CREATE_TIME_S: i64 = 1;
const MSG_ID: u64 = 1;

/// The encryption mode of a played message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlayMode {
    Plain,
    Safe,
    Compatible,
}

impl PlayMode {
    fn id(self) -> &'static str {
        match self {
            PlayMode::Plain => "callback_plain",
            PlayMode::Safe => "callback_safe",
            PlayMode::Compatible => "callback_compatible",
        }
    }
}

/// A callback address, with what callbacks to it are signed and encrypted with.
#[derive(Clone, Debug)]
pub struct Entrance<'a> {
    pub path: String,
    /// The common beginning of addresses of this kind.
    pub below: &'static str,
    pub token: &'a Secret,
    pub key: Option<&'a Secret>,
    /// The appid in the ciphertext: the account's, or its platform's.
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

/// Checks one account's callbacks. If its bot does not answer well, only one message is played.
pub async fn check(
    installation: &Installation,
    account: &AccountConfig,
    served: &ServerState,
    is_bot_well: bool,
) -> Vec<Finding> {
    let Some(endpoint) = installation.callbacks() else { return Vec::new() };
    if installation.url.is_none() && !served.is_alive {
        let found = text!("the server does not answer");
        return vec![Finding::skipped("callback_get", found)];
    }
    let mut findings = Vec::new();
    let differs = differing_settings(installation, account).await;
    findings.extend(differs.clone());
    let entrance = Entrance::of(account);
    let (is_good, gets) = check_gets(installation, endpoint, &entrance).await;
    findings.extend(gets);
    if !is_good || !installation.plays_posts {
        return findings;
    }
    if differs.is_some() || served.is_unready {
        let found = text!("no message is played: it would be refused and recorded as a loss");
        findings.push(Finding::skipped("callback_post", found));
        return findings;
    }
    let modes = modes(account);
    let number = if is_bot_well { modes.len() } else { 1 };
    for mode in modes.into_iter().take(number) {
        findings.push(play(installation, endpoint, &entrance, mode, account.relay.is_some()).await);
    }
    findings
}

/// Plays WeChat's check of the address and, if it passes, the same with a wrong signature. Neither changes anything.
pub async fn check_gets(
    installation: &Installation,
    endpoint: CallbackEndpoint<'_>,
    entrance: &Entrance<'_>,
) -> (bool, Vec<Finding>) {
    let right = right_get(installation, endpoint, entrance).await;
    if right.severity != super::finding::Severity::Ok {
        return (false, vec![right]);
    }
    (true, vec![right, wrong_get(installation, endpoint, entrance).await])
}

/// The modes that the account accepts, the safest first.
fn modes(account: &AccountConfig) -> Vec<PlayMode> {
    let mut modes = Vec::new();
    if account.encoding_aes_key.is_some() {
        modes.extend([PlayMode::Safe, PlayMode::Compatible]);
    }
    if !account.require_encryption {
        modes.push(PlayMode::Plain);
    }
    modes
}

/// Whether the running server has other settings than the configuration. A refused message would make a gap then.
async fn differing_settings(installation: &Installation, account: &AccountConfig) -> Option<Finding> {
    let answer =
        installation.get_admin(&format!("/v1/accounts/{}", path_part(&account.appid))).await?.ok()?;
    let remedy = text!("run msgcube reload, which applies the configuration or says what needs a restart");
    if answer.answer.status == 404 {
        let found = text!("the running server does not know this account");
        return Some(Finding::problem("settings_in_use", found, remedy));
    }
    let said: Value =
        serde_json::from_slice(&answer.answer.body).ok().filter(|_| answer.answer.status == 200)?;
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
    let found = text!("the running server has other settings than the configuration: {names}", names);
    (!names.is_empty()).then(|| Finding::problem("settings_in_use", found, remedy))
}

/// An appid, percent-encoded for a path.
pub fn path_part(appid: &str) -> String {
    percent_encoding::utf8_percent_encode(appid, percent_encoding::NON_ALPHANUMERIC).to_string()
}

pub fn nonce() -> String {
    // Without random bytes a fixed value is fine: no security depends on it.
    random::hexadecimal(5).unwrap_or_else(|_| "1234567890".to_owned())
}

async fn right_get(
    installation: &Installation,
    endpoint: CallbackEndpoint<'_>,
    entrance: &Entrance<'_>,
) -> Finding {
    let (timestamp, nonce) = (installation.clock.now_s().to_string(), nonce());
    let signature = sign([entrance.token.reveal(), &timestamp, &nonce].map(str::as_bytes));
    let echostr = format!("{nonce}-+/=%&");
    let query = query(&String::from_utf8_lossy(&signature), &timestamp, &nonce, &echostr);
    let answer = installation.get(endpoint, &format!("{}?{query}", entrance.path)).await;
    verdict::right_get(endpoint.base, entrance.below, answer, echostr.as_bytes())
}

async fn wrong_get(
    installation: &Installation,
    endpoint: CallbackEndpoint<'_>,
    entrance: &Entrance<'_>,
) -> Finding {
    let answer =
        installation.get(endpoint, &format!("{}?{}", entrance.path, unsigned_query(installation))).await;
    verdict::wrong_signature("callback_wrong_signature", entrance.below, answer)
}

/// The query of WeChat's check of the address.
pub fn query(signature: &str, timestamp: &str, nonce: &str, echostr: &str) -> String {
    let mut query = Serializer::new(String::new());
    query.append_pair("signature", signature).append_pair("echostr", echostr);
    query.append_pair("timestamp", timestamp).append_pair("nonce", nonce).finish()
}

/// Plays a message that is not counted.
pub async fn play(
    installation: &Installation,
    endpoint: CallbackEndpoint<'_>,
    entrance: &Entrance<'_>,
    mode: PlayMode,
    is_relayed: bool,
) -> Finding {
    let sealed = match seal(installation, entrance, mode) {
        Ok(sealed) => sealed,
        Err(why) => return Finding::skipped(mode.id(), why),
    };
    let answer =
        installation.post(endpoint, &format!("{}?{}", entrance.path, sealed.query), sealed.body).await;
    verdict::message(mode, entrance.below, is_relayed, answer)
}

fn seal(installation: &Installation, entrance: &Entrance<'_>, mode: PlayMode) -> Result<Sealed, String> {
    let draft = Draft {
        to_user: entrance.to_user,
        from_user: USER,
        create_time: CREATE_TIME_S,
        msg_type: "text",
        fields: vec![("Content", "msgcube doctor")],
        msg_id: Some(MSG_ID),
    };
    let nonce = nonce();
    let signer = CallbackSigner {
        token: entrance.token.reveal(),
        timestamp: installation.clock.now_s(),
        nonce: &nonce,
    };
    let (PlayMode::Safe | PlayMode::Compatible, Some(key)) = (mode, entrance.key) else {
        return Ok(signer.plain(&draft));
    };
    let key = AesKey::parse(key.reveal()).map_err(|error| error.to_string())?;
    let compatible = mode == PlayMode::Compatible;
    let encryption = Encryption { key: &key, appid: entrance.appid, random: random_block()?, compatible };
    Ok(signer.encrypted(&encryption, &draft))
}

/// The random bytes at the beginning of an encrypted message.
pub fn random_block() -> Result<[u8; 16], String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| error.to_string())?;
    Ok(random)
}

/// A query with a wrong signature. Any HTTP server answers something to it.
pub fn unsigned_query(installation: &Installation) -> String {
    query(&"0".repeat(40), &installation.clock.now_s().to_string(), &nonce(), "msgcube")
}
