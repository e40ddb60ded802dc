//! Signing in, and pages that say why there is no page.

use i18n::Text;

/// The page `/ui/login`. Posted to `/ui/login` with `key` and `to`.
#[derive(Clone, Debug, Default)]
pub struct LoginPage {
    /// Where to go afterwards: a path below `/ui/` with its query. The server checks it again.
    pub next: String,
    /// Why the last try failed.
    pub error: Option<Text>,
    /// Loads `next` once more instead of the form. Browsers leave the cookie out when another site led here; loading it
    /// again from this site sends the cookie.
    pub reloads: bool,
    /// Where "Sign in with OIDC" leads. None: it is not configured.
    pub oidc: Option<String>,
}

/// A page with an error.
#[derive(Clone, Debug)]
pub struct ErrorPage {
    /// The HTTP status.
    pub status: u16,
    /// What happened, in a few words.
    pub title: Text,
    /// What it means and what to do.
    pub text: Text,
    /// One click to what works: what it says, and its address.
    pub remedy: Option<(Text, String)>,
}
