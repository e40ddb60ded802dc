//! Connecting an account, in four steps.

use std::fmt;

use i18n::Text;

use super::{figures::AccountName, time::BeijingTime};

/// A secret that the page shows once. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct ShownSecret(pub String);

impl fmt::Debug for ShownSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShownSecret")
    }
}

/// The page `/ui/connect`. In the query: `appid`, the account that is being connected.
#[derive(Clone, Debug, Default)]
pub struct ConnectPage {
    /// The values of the form, as they were given.
    pub form: ConnectForm,
    /// The account, once step 1 is done.
    pub connecting: Option<Connecting>,
}

/// The form of step 1. Posted to the page itself: `csrf`, `appid`, `name`, `relay_url`.
#[derive(Clone, Debug, Default)]
pub struct ConnectForm {
    /// The AppID.
    pub appid: String,
    /// The name.
    pub name: String,
    /// Address of the bot behind msgcube. Empty: none.
    pub relay_url: String,
    /// What is wrong with the AppID, and what to do.
    pub appid_error: Option<Text>,
    /// What is wrong with the name.
    pub name_error: Option<Text>,
    /// What is wrong with the address.
    pub relay_error: Option<Text>,
}

/// An account on its way.
#[derive(Clone, Debug)]
pub struct Connecting {
    /// The account.
    pub account: AccountName,
    /// The address that WeChat calls.
    pub callback_url: String,
    /// The address is not public, or not known: WeChat cannot reach it. What to do.
    pub address_problem: Option<Text>,
    /// Its callbacks are encrypted: it has an EncodingAESKey.
    pub is_encrypted: bool,
    /// Its settings are in the configuration file.
    pub is_configured: bool,
    /// The secrets, directly after they were made. None: they are never shown again.
    pub secrets: Option<ConnectSecrets>,
    /// When the waiting began.
    pub waiting_since: BeijingTime,
    /// When WeChat checked the address.
    pub checked: Option<BeijingTime>,
    /// The last checks that failed, newest first. At most 10.
    pub failed_checks: Vec<FailedAddressCheck>,
    /// Callbacks with messages that were refused, by reason.
    pub refused: Vec<RefusedMessages>,
    /// The newest message.
    pub newest_message: Option<NewestMessage>,
}

/// What is copied to WeChat's console.
#[derive(Clone, Debug)]
pub struct ConnectSecrets {
    /// The token of callbacks.
    pub token: ShownSecret,
    /// The key of encrypted callbacks.
    pub encoding_aes_key: ShownSecret,
    /// The secret that programs use to ask msgcube for figures. It does not go to WeChat's console.
    pub secret: ShownSecret,
}

/// A check of the address that failed.
#[derive(Clone, Debug)]
pub struct FailedAddressCheck {
    /// When.
    pub time: BeijingTime,
    /// What was seen.
    pub reason: Text,
    /// What to do.
    pub remedy: Text,
}

/// Callbacks with messages that were refused for one reason.
#[derive(Clone, Debug)]
pub struct RefusedMessages {
    /// How many in the last 24 hours.
    pub count: u64,
    /// Why.
    pub reason: Text,
    /// What to do.
    pub remedy: Text,
}

/// The newest message of an account.
#[derive(Clone, Debug)]
pub struct NewestMessage {
    /// When.
    pub time: BeijingTime,
    /// The types of the messages of its day.
    pub kinds: Text,
}
