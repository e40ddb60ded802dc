//! Draws the pages.

use axum::{
    body::Body,
    http::{Response, StatusCode},
};
use i18n::{Lang, Text, text};
use system::secret::Secret;

use super::{
    super::{
        admin_api::beijing_time,
        page::{STYLE, escape},
    },
    seal,
    viewer::Viewer,
};
use crate::{
    accounts::registry::ServedAccount,
    auth::{
        api_keys::{ApiKey, Scope},
        share_links::ShareLink,
    },
};

/// Why somebody is not signed in.
#[derive(Clone, Copy, Debug)]
pub enum SignInFailure {
    /// The key is not valid. The page does not say why.
    WrongKey,
    /// There were too many tries.
    TooMany,
}

/// What a change of keys or links led to, for the top of the page.
pub enum ChangeNotice {
    /// What is wrong, and how to correct it.
    Failed(Text),
    /// A secret that is shown only now.
    MadeKey(Secret),
    /// The address of a new link, which is shown only now.
    MadeLink(Secret),
}

/// The page that leads to signing in, without anybody doing something.
pub fn no_session(lang: Lang, target: &str) -> Response<Body> {
    let to: String = form_urlencoded::byte_serialize(target.as_bytes()).collect();
    let refresh = format!("<meta http-equiv=\"refresh\" content=\"0;url=/ui/login?to={to}\">");
    let body = format!("<p><a href=\"/ui/login?to={to}\">{}</a></p>", text!("Sign in").in_lang(lang));
    document(StatusCode::UNAUTHORIZED, lang, &text!("Sign in"), &refresh, &body)
}

/// The form to sign in.
pub fn sign_in(status: StatusCode, lang: Lang, to: &str, failure: Option<SignInFailure>) -> Response<Body> {
    let notice = failure.map(|failure| match failure {
        SignInFailure::WrongKey => {
            text!("The key is refused: it is neither admin_key nor a valid key of `msgcube key add`.")
        }
        SignInFailure::TooMany => text!("Too many tries. Wait a minute, then try again."),
    });
    let notice = notice.map(|notice| bad_notice(&notice, lang)).unwrap_or_default();
    let body = format!(
        "{notice}<form method=\"post\" action=\"/ui/login\"><input type=\"hidden\" name=\"to\" value=\"{to}\">\
         <label for=\"key\">{label}</label><input id=\"key\" name=\"key\" type=\"password\" required autofocus \
         autocomplete=\"current-password\" spellcheck=\"false\"><p class=\"actions\"><button class=\"main\">{sign_in}</button></p></form>",
        to = escape(to),
        label = text!("admin_key, or a key of `msgcube key add`").in_lang(lang),
        sign_in = text!("Sign in").in_lang(lang),
    );
    document(status, lang, &text!("Sign in"), "", &body)
}

/// A form that did not come from a page of this session.
pub fn foreign_form(lang: Lang) -> Response<Body> {
    let found = text!(
        "Nothing was changed: the form did not come from a page of this session. Go back, load the page again, and repeat it."
    );
    let title = text!("Nothing was changed");
    document(StatusCode::FORBIDDEN, lang, &title, "", &bad_notice(&found, lang))
}

/// There is no such page, or nothing that this viewer may see.
pub fn not_found(viewer: &Viewer) -> Response<Body> {
    let found = text!("There is no such page, or your key does not show it.");
    page(viewer, StatusCode::NOT_FOUND, &text!("Not found"), &paragraph(&found, viewer.lang))
}

/// The share link is wrong, has ended or was revoked.
pub fn no_link(lang: Lang) -> Response<Body> {
    let found =
        text!("This link has ended, was revoked, or is not complete. Ask whoever sent it for another.");
    document(StatusCode::NOT_FOUND, lang, &text!("Not found"), "", &paragraph(&found, lang))
}

/// The page is only for an admin.
pub fn admin_only(viewer: &Viewer) -> Response<Body> {
    let found = text!("This page needs the scope admin.");
    page(viewer, StatusCode::FORBIDDEN, &text!("Not allowed"), &paragraph(&found, viewer.lang))
}

/// All accounts.
pub fn overview(viewer: &Viewer) -> Response<Body> {
    page(viewer, StatusCode::OK, &text!("Overview"), "")
}

/// One account.
pub fn account(viewer: &Viewer, account: &ServedAccount) -> Response<Body> {
    let body = format!("<p>{}</p>", escape(&account.config.appid));
    page(viewer, StatusCode::OK, &text!("Account"), &body)
}

/// Messages as they come in.
pub fn live(viewer: &Viewer) -> Response<Body> {
    page(viewer, StatusCode::OK, &text!("Live"), "")
}

/// Whether everything works.
pub fn health(viewer: &Viewer) -> Response<Body> {
    page(viewer, StatusCode::OK, &text!("Health"), "")
}

/// Adds an account.
pub fn connect(viewer: &Viewer) -> Response<Body> {
    page(viewer, StatusCode::OK, &text!("Connect"), "")
}

/// Keys and share links, with their forms.
pub fn keys(
    viewer: &Viewer,
    keys: &[ApiKey],
    links: &[ShareLink],
    now_s: i64,
    notice: Option<&ChangeNotice>,
) -> Response<Body> {
    let lang = viewer.lang;
    let notice = notice.map(|notice| match notice {
        ChangeNotice::Failed(error) => bad_notice(error, lang),
        ChangeNotice::MadeKey(secret) | ChangeNotice::MadeLink(secret) => format!(
            "<div class=\"notice good\"><p>{}</p><pre>{}</pre></div>",
            text!("This is shown only now:").in_lang(lang),
            escape(secret.reveal())
        ),
    });
    let body = format!(
        "{notice}<h2>{keys_title}</h2>{keys}{key_form}<h2>{links_title}</h2>{links}{link_form}",
        notice = notice.unwrap_or_default(),
        keys_title = text!("Keys").in_lang(lang),
        keys = keys.iter().map(|key| key_row(viewer, key, now_s)).collect::<String>(),
        key_form = form(
            viewer,
            "/ui/keys",
            &text!("Make a key"),
            &[
                ("name", text!("name")),
                ("scopes", text!("scopes, such as read:APPID")),
                ("days", text!("days until it expires; empty: never")),
            ]
        ),
        links_title = text!("Share links").in_lang(lang),
        links = links.iter().map(|link| link_row(viewer, link, now_s)).collect::<String>(),
        link_form = form(
            viewer,
            "/ui/links",
            &text!("Make a share link"),
            &[("account", text!("AppID")), ("days", text!("days until it ends; empty: 30")),]
        ),
    );
    page(viewer, StatusCode::OK, &text!("Keys"), &body)
}

fn key_row(viewer: &Viewer, key: &ApiKey, now_s: i64) -> String {
    let scopes: Vec<String> = key.scopes.iter().map(Scope::to_string).collect();
    let about = format!("{} · {} · {}", key.id, key.name, scopes.join(" "));
    let is_over = key.expires_s.is_some_and(|expires_s| now_s >= expires_s);
    row(viewer, "/ui/keys/remove", &key.id, &about, key.expires_s, is_over)
}

fn link_row(viewer: &Viewer, link: &ShareLink, now_s: i64) -> String {
    let about = format!("{} · {}", link.id, link.account);
    row(viewer, "/ui/links/remove", &link.id, &about, Some(link.expires_s), link.is_over(now_s))
}

/// A key or link with a button that revokes it.
fn row(
    viewer: &Viewer,
    action: &str,
    id: &str,
    about: &str,
    expires_s: Option<i64>,
    is_over: bool,
) -> String {
    let until = expires_s.map(|expires_s| {
        let time = beijing_time(expires_s);
        let until = if is_over { text!("ended {time}", time) } else { text!("until {time}", time) };
        format!(" · {}", until.in_lang(viewer.lang))
    });
    format!(
        "<form method=\"post\" action=\"{action}\"><p>{about}{until} {csrf}\
         <input type=\"hidden\" name=\"id\" value=\"{id}\"><button>{revoke}</button></p></form>",
        about = escape(about),
        until = until.unwrap_or_default(),
        csrf = csrf(viewer),
        id = escape(id),
        revoke = text!("Revoke").in_lang(viewer.lang),
    )
}

fn form(viewer: &Viewer, action: &str, button: &Text, fields: &[(&str, Text)]) -> String {
    let field = |(name, label): &(&str, Text)| {
        let label = escape(&label.in_lang(viewer.lang));
        format!("<label>{label} <input name=\"{name}\"></label>")
    };
    format!(
        "<form method=\"post\" action=\"{action}\">{csrf}{fields}<p class=\"actions\"><button>{button}</button></p></form>",
        csrf = csrf(viewer),
        fields = fields.iter().map(field).collect::<String>(),
        button = escape(&button.in_lang(viewer.lang)),
    )
}

fn csrf(viewer: &Viewer) -> String {
    format!("<input type=\"hidden\" name=\"csrf\" value=\"{}\">", escape(&viewer.csrf))
}

fn paragraph(found: &Text, lang: Lang) -> String {
    format!("<p>{}</p>", escape(&found.in_lang(lang)))
}

fn bad_notice(found: &Text, lang: Lang) -> String {
    format!("<p class=\"notice bad\" role=\"alert\">{}</p>", escape(&found.in_lang(lang)))
}

/// A page with the way to the others. A share link has none.
fn page(viewer: &Viewer, status: StatusCode, title: &Text, body: &str) -> Response<Body> {
    let lang = viewer.lang;
    if viewer.share.is_some() {
        return document(status, lang, title, "", body);
    }
    let links = [
        ("/ui/", text!("Overview")),
        ("/ui/live", text!("Live")),
        ("/ui/health", text!("Health")),
        ("/ui/connect", text!("Connect")),
        ("/ui/keys", text!("Keys")),
    ];
    let is_shown = |path: &str| viewer.is_admin() || !matches!(path, "/ui/connect" | "/ui/keys");
    let links: Vec<String> = links
        .into_iter()
        .filter(|(path, _)| is_shown(path))
        .map(|(path, name)| format!("<a href=\"{path}\">{}</a>", escape(&name.in_lang(lang))))
        .collect();
    let body = format!(
        "<nav>{links}</nav>{body}<form method=\"post\" action=\"/ui/logout\">{csrf}<p><button>{out}</button></p></form>",
        links = links.join(" · "),
        csrf = csrf(viewer),
        out = text!("Sign out").in_lang(lang),
    );
    document(status, lang, title, "", &body)
}

fn document(status: StatusCode, lang: Lang, title: &Text, head: &str, body: &str) -> Response<Body> {
    let (code, title) = (lang.pick("en", "zh-CN"), escape(&title.in_lang(lang)));
    let other = lang.other();
    let html = format!(
        "<!doctype html>\n<html lang=\"{code}\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <link rel=\"icon\" href=\"data:,\"><title>{title} · msgcube</title><style>{STYLE}</style>{head}</head>\n\
         <body><main><h1>{title}</h1>{body}<p><a href=\"?lang={other_code}\" lang=\"{other_code}\">{other_name}</a></p></main></body></html>\n",
        other_code = other.code(),
        other_name = other.name(),
    );
    seal::html(status, html, STYLE, "")
}
