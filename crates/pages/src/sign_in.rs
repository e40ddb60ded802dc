//! Signing in, and pages that say why there is no page.

use i18n::text;
use maud::html;

use crate::{
    layout::document,
    parts::nothing,
    view::{
        frame::Frame,
        sign_in::{ErrorPage, LoginPage},
    },
    words::Words,
};

/// The page `/ui/login`.
pub fn login(frame: &Frame, page: &LoginPage) -> String {
    let words = Words(frame.lang);
    let title = words.say(text!("Sign in"));
    if page.reloads {
        let head = html! { meta http-equiv="refresh" content={ "0;url=" (page.next) }; };
        let content = html! { p { a href=(page.next) { (words.say(text!("Continue"))) } } };
        return document(frame, &title, &head, &content);
    }
    let content = html! {
        div.narrow {
            div.title { h1 { (title) } }
            form.card method="post" action="/ui/login" {
                input type="hidden" name="to" value=(page.next);
                div.field {
                    label for="key" { (words.say(text!("Key"))) }
                    input id="key" name="key" type="password" autocomplete="current-password" required autofocus
                        aria-invalid=[page.error.as_ref().map(|_| "true")] aria-describedby="key-note";
                    p id="key-note" class=(if page.error.is_some() { "error" } else { "quiet" }) {
                        @match &page.error {
                            Some(error) => (words.say(error)),
                            None => (words.say(text!("An API key, or admin_key of the configuration."))),
                        }
                    }
                }
                button.main { (words.say(text!("Sign in"))) }
            }
            @if let Some(address) = &page.oidc { p { a.button href=(address) { (words.say(text!("Sign in with OIDC"))) } } }
        }
    };
    document(frame, &title, &nothing(), &content)
}

/// A page with an error.
pub fn error(frame: &Frame, page: &ErrorPage) -> String {
    let words = Words(frame.lang);
    let title = words.say(&page.title);
    let content = html! {
        div.title { h1 { (title) } p.quiet { (page.status) } }
        p { (words.say(&page.text)) }
        @if let Some((text, href)) = &page.remedy { p { a.button href=(href) { (words.say(text)) } } }
    };
    document(frame, &title, &nothing(), &content)
}
