//! Keys and share links.

use i18n::Text;

use super::{connect::ShownSecret, figures::AccountName, time::BeijingTime};

/// The page `/ui/keys`.
#[derive(Clone, Debug, Default)]
pub struct KeysPage {
    /// The keys, newest first.
    pub keys: Vec<KeyRow>,
    /// The share links, newest first.
    pub links: Vec<ShareLinkRow>,
    /// A key or link that was just made. It is never shown again.
    pub made: Option<JustMade>,
    /// The form for a key. Posted to `/ui/keys` with `csrf`, `name`, `scopes`, `days`.
    pub key_form: KeyForm,
    /// The form for a link. Posted to `/ui/links` with `csrf`, `account`, `days`.
    pub link_form: ShareLinkForm,
}

/// A key. Revoked by a POST to `/ui/keys/remove` with `csrf`, `id`.
#[derive(Clone, Debug)]
pub struct KeyRow {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it permits, such as `read:wx1`.
    pub scopes: Vec<String>,
    /// When it was made.
    pub made: BeijingTime,
    /// When it ends. None: never.
    pub ends: Option<BeijingTime>,
    /// It is over.
    pub is_over: bool,
}

/// A share link. Revoked by a POST to `/ui/links/remove` with `csrf`, `id`.
#[derive(Clone, Debug)]
pub struct ShareLinkRow {
    /// Its id, which is not its token.
    pub id: String,
    /// The account it shows.
    pub account: AccountName,
    /// When it was made.
    pub made: BeijingTime,
    /// When it ends.
    pub ends: BeijingTime,
    /// It is over.
    pub is_over: bool,
}

/// A secret that was just made.
#[derive(Clone, Debug)]
pub enum JustMade {
    /// The text of a key.
    Key(ShownSecret),
    /// The complete address of a share link.
    Link(ShownSecret),
}

/// The values of the form for a key, as they were given.
#[derive(Clone, Debug, Default)]
pub struct KeyForm {
    /// The name.
    pub name: String,
    /// The scopes, with blanks between them. Empty: `read`.
    pub scopes: String,
    /// Days until it ends. Empty: never.
    pub days: String,
    /// What is wrong, and what to do.
    pub error: Option<Text>,
}

/// The values of the form for a share link, as they were given.
#[derive(Clone, Debug, Default)]
pub struct ShareLinkForm {
    /// The AppID.
    pub appid: String,
    /// Days until it ends. Empty: 30.
    pub days: String,
    /// What is wrong, and what to do.
    pub error: Option<Text>,
}
