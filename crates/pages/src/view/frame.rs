//! What is around every page: language, navigation, who is signed in.

use i18n::{Lang, Text};

use super::{figures::AlertLevel, time::BeijingTime};

/// An entry of the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NavEntry {
    /// All accounts.
    Overview,
    /// What comes in now.
    Live,
    /// What is well and what is not.
    Health,
    /// Connecting an account. Administrators only.
    Connect,
    /// Keys and share links. Administrators only.
    Keys,
}

impl NavEntry {
    /// All entries, in the order they are shown.
    pub const ALL: [NavEntry; 5] =
        [NavEntry::Overview, NavEntry::Live, NavEntry::Health, NavEntry::Connect, NavEntry::Keys];

    /// Its address.
    pub fn path(self) -> &'static str {
        match self {
            NavEntry::Overview => "/ui/",
            NavEntry::Live => "/ui/live",
            NavEntry::Health => "/ui/health",
            NavEntry::Connect => "/ui/connect",
            NavEntry::Keys => "/ui/keys",
        }
    }
}

/// Who looks at the page.
#[derive(Clone)]
pub struct SignedIn {
    /// The name of the key. Empty: the administrator's key of the configuration.
    pub key_name: String,
    /// The token of the session, which every form sends back. Printable ASCII.
    pub csrf: String,
}

/// A sentence above the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageNotice {
    /// How serious it is.
    pub level: AlertLevel,
    /// The sentence.
    pub text: Text,
}

/// What is around a page.
#[derive(Clone)]
pub struct Frame {
    /// The language.
    pub lang: Lang,
    /// When the figures were read.
    pub now: BeijingTime,
    /// The address of the page without its query, such as `/ui/accounts/wx1`. Forms are sent there.
    pub path: String,
    /// The query as the browser sent it, without `?`. Links keep it and change only their own part.
    pub query: String,
    /// The entries that the viewer may open. None at all: no navigation is shown, as for share links and sign-in.
    pub entries: Vec<NavEntry>,
    /// The entry that is shown now.
    pub current: Option<NavEntry>,
    /// Who is signed in. None: nobody, so forms that change something and "Sign out" are left out.
    pub signed_in: Option<SignedIn>,
    /// Address of the stream of live numbers. None: the page has no live numbers.
    pub live: Option<String>,
    /// Sentences above the page, worst first.
    pub notices: Vec<PageNotice>,
}
