//! Who looks at a page: somebody with a session, with a share link, or at the machine of the demo.

use std::{convert::Infallible, fmt, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, Version, header, request::Parts, uri::Authority},
};
use i18n::Lang;
use storage::store::NotDurable;

use super::{
    super::{admin_api::access::access_now, connection::Peer, page::lang_of},
    own_cookies,
};
use crate::{
    auth::{
        api_keys::{Access, KeyHolder, Scope},
        sessions::{self, SessionHash},
        share_links::ShareLink,
    },
    http::state::App,
};

/// Headers that a proxy adds. A request with one of them comes from another machine, whatever its connection says.
const OF_PROXIES: [HeaderName; 9] = [
    header::FORWARDED,
    header::VIA,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-client-ip"),
    HeaderName::from_static("x-original-host"),
    HeaderName::from_static("cf-connecting-ip"),
];

/// How a viewer came in.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    Session(SessionHash),
    /// The id of a share link.
    Link(String),
    /// From this machine, in the demo.
    Local,
}

/// Somebody who may see pages.
#[derive(Clone)]
pub struct Viewer {
    /// What the viewer may see and do.
    pub access: Access,
    /// The language of the pages.
    pub lang: Lang,
    /// What each form of the viewer must send. Empty for share links, which have no forms that change something.
    pub csrf: String,
    /// The account that a share link shows. None for all who signed in.
    pub share: Option<String>,
    entry: Entry,
}

impl Viewer {
    /// Somebody with a share link.
    pub fn of_link(link: ShareLink, lang: Lang) -> Viewer {
        let (access, entry) = (Access::reading(&link.account), Entry::Link(link.id));
        Viewer { access, lang, csrf: String::new(), share: Some(link.account), entry }
    }

    /// Whether the viewer may do everything.
    pub fn is_admin(&self) -> bool {
        self.access.allows(&Scope::Admin)
    }

    /// What the viewer may see now. None: the session or the link has ended, so a stream must end too.
    pub fn access_now(&self, app: &App) -> Option<Access> {
        let now_s = app.clock.now_s();
        match &self.entry {
            Entry::Session(hash) => {
                let session = app.sessions.look_up(hash, now_s, |holder| access_now(app, holder));
                session.map(|session| session.access)
            }
            Entry::Link(id) => app.share_links.works(id, now_s).then(|| self.access.clone()),
            Entry::Local => Some(Access::everything()),
        }
    }

    /// Whose limit a live stream of the viewer counts for. No API key has such a name.
    pub fn stream_holder(&self, app: &App) -> String {
        match &self.entry {
            // An admin may have many browsers open. Any other key shares the limit among its sessions.
            Entry::Session(hash) if self.is_admin() => format!("session {hash:?}"),
            Entry::Session(_) => format!("pages of {}", self.key_id(app).unwrap_or_default()),
            Entry::Link(id) => format!("link {id}"),
            Entry::Local => "this machine".to_owned(),
        }
    }

    /// The name of the API key that the viewer signed in with. None for the admin key.
    pub fn key_name(&self, app: &App) -> Option<String> {
        self.key_id(app).and_then(|id| app.api_keys.name_of(&id))
    }

    /// The id of that key.
    fn key_id(&self, app: &App) -> Option<String> {
        let Entry::Session(hash) = &self.entry else { return None };
        let session = app.sessions.look_up(hash, app.clock.now_s(), |holder| access_now(app, holder))?;
        match session.holder {
            KeyHolder::Key(id) => Some(id),
            KeyHolder::Admin(_) => None,
        }
    }

    /// Ends the session, if there is one.
    ///
    /// # Errors
    /// If a shared store cannot be reached. Then other processes may still know the session.
    pub async fn sign_out(&self, app: &App) -> Result<(), NotDurable> {
        match &self.entry {
            Entry::Session(hash) => app.sessions.end(hash).await,
            Entry::Link(_) | Entry::Local => Ok(()),
        }
    }

    /// The viewer of a request. None without a session.
    pub fn of_request(app: &App, parts: &Parts) -> Option<Viewer> {
        let (lang, now_s) = (language(parts), app.clock.now_s());
        for id in own_cookies::values(&parts.headers, own_cookies::SESSION) {
            if let Some(session) = app.sessions.use_now(id, now_s, |holder| access_now(app, holder)) {
                let (csrf, entry) = (sessions::csrf_token(id), Entry::Session(session.id_hash));
                return Some(Viewer { access: session.access, lang, csrf, share: None, entry });
            }
        }
        let local = app.sessions.local_token().filter(|_| is_from_this_machine(parts))?;
        let (access, csrf) = (Access::everything(), local.reveal().to_owned());
        Some(Viewer { access, lang, csrf, share: None, entry: Entry::Local })
    }
}

/// Without the token of the forms.
impl fmt::Debug for Viewer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Viewer { access, lang, share, entry, .. } = self;
        f.debug_struct("Viewer")
            .field("access", access)
            .field("lang", lang)
            .field("share", share)
            .field("entry", entry)
            .finish_non_exhaustive()
    }
}

/// What is known of anybody.
#[derive(Clone, Copy, Debug)]
pub struct Visitor {
    /// The language of the pages.
    pub lang: Lang,
}

impl FromRequestParts<Arc<App>> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Visitor, Infallible> {
        Ok(Visitor { lang: language(parts) })
    }
}

/// The language that the query chooses, else the one chosen before, else the browser's.
pub fn language(parts: &Parts) -> Lang {
    let query = parts.uri.query().unwrap_or_default();
    let is_chosen = form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "lang");
    let before = own_cookies::values(&parts.headers, own_cookies::LANGUAGE).find_map(Lang::from_code);
    before.filter(|_| !is_chosen).unwrap_or_else(|| lang_of(query, &parts.headers))
}

/// The host and port that the request names.
pub fn host(parts: &Parts) -> Option<&str> {
    let in_header = || parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    parts.uri.authority().map(Authority::as_str).or_else(in_header)
}

/// Whether a request comes from a browser on this machine, and not through a proxy or by a name that leads here.
fn is_from_this_machine(parts: &Parts) -> bool {
    let peer = parts.extensions.get::<Peer>();
    peer.is_some_and(|peer| peer.address().is_loopback())
        && host(parts).is_some_and(is_loopback_host)
        && only_one_host(&parts.headers)
        // Browsers speak HTTP/1.1 or 2. Proxies often speak 1.0 to the server behind them.
        && parts.version >= Version::HTTP_11
        && !OF_PROXIES.iter().any(|name| parts.headers.contains_key(name))
}

fn only_one_host(headers: &HeaderMap) -> bool {
    headers.get_all(header::HOST).iter().all(|host| host.to_str().is_ok_and(is_loopback_host))
}

/// `localhost`, `127.0.0.1` or `[::1]`, with or without a port.
fn is_loopback_host(host: &str) -> bool {
    let is_port = |rest: &str| {
        rest.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok()) || rest.is_empty()
    };
    let host = host.to_ascii_lowercase();
    ["localhost", "127.0.0.1", "[::1]"].iter().any(|own| host.strip_prefix(own).is_some_and(is_port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_local() {
        for host in ["localhost", "LOCALHOST:8060", "127.0.0.1:1", "[::1]:80", "[::1]", "127.0.0.1"] {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in [
            "localhost.example.com",
            "127.0.0.1.example.com",
            "example.com",
            "127.0.0.1:x",
            "localhost:80:80",
            "127.0.0.2",
            "[::1]x",
            "",
        ] {
            assert!(!is_loopback_host(host), "{host}");
        }
    }
}
