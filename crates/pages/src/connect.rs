//! Connecting an account, in four steps.

use i18n::{Text, text};
use maud::{Markup, html};

use crate::{
    layout::{document, encoded},
    parts::{InputLine, copied, form_proof, nothing},
    view::{
        connect::{ConnectForm, ConnectPage, Connecting},
        frame::Frame,
    },
    words::Words,
};

/// How often a page that waits is loaded again, in seconds.
const REFRESH_S: u8 = 3;

/// The page `/ui/connect`. While WeChat is waited for, the script loads steps 3 and 4 again every three seconds. Without
/// the script the whole page is loaded again, unless it shows secrets.
pub fn connect(frame: &Frame, page: &ConnectPage) -> String {
    let words = Words(frame.lang);
    let title = words.say(text!("Connect an account"));
    let content = html! {
        div.narrow {
            div.title { h1 { (title) } }
            @match &page.connecting {
                None => {
                    (step(1, "now", &words.say(text!("Account")), &form(frame, &page.form, words)))
                    (step(2, "later", &words.say(text!("Copy four values to WeChat's console")), &nothing()))
                    (step(3, "later", &words.say(text!("WeChat checks the address")), &nothing()))
                    (step(4, "later", &words.say(text!("The first message arrives")), &nothing()))
                },
                Some(connecting) => (steps(frame, connecting, words)),
            }
        }
    };
    let is_waiting =
        |connecting: &&Connecting| connecting.newest_message.is_none() && connecting.secrets.is_none();
    let waiting = page.connecting.as_ref().filter(is_waiting);
    let head = html! {
        @if let Some(connecting) = waiting {
            noscript {
                meta http-equiv="refresh" content={ (REFRESH_S) ";url=" (continue_link(frame, connecting)) };
            }
        }
    };
    document(frame, &title, &head, &content)
}

/// One step. Its class is `done`, `now` or `later`.
fn step(number: usize, class: &str, title: &str, body: &Markup) -> Markup {
    html! {
        section class={ "card step " (class) } {
            b aria-hidden="true" { (number) }
            div { h2 { (title) } (body) }
        }
    }
}

fn form(frame: &Frame, form: &ConnectForm, words: Words) -> Markup {
    let line = |name: &'static str, label: String, value| InputLine {
        name,
        id: name,
        label,
        value,
        hint: String::new(),
        error: None,
        is_required: false,
    };
    let appid = InputLine {
        error: form.appid_error.as_ref(),
        is_required: true,
        ..line("appid", "AppID".to_owned(), &form.appid)
    };
    let name = InputLine {
        hint: words.say(text!("Shown on these pages. May be empty.")),
        error: form.name_error.as_ref(),
        ..line("name", words.say(text!("Name")), &form.name)
    };
    let relay = InputLine {
        hint: words.say(text!("Where your own program takes callbacks today. msgcube passes everything on and returns its replies. Empty: none.")),
        error: form.relay_error.as_ref(),
        ..line("relay_url", words.say(text!("Address of the bot behind it")), &form.relay_url)
    };
    html! {
        @if let Some(viewer) = &frame.signed_in {
            form method="post" action=(frame.path) {
                (form_proof(viewer))
                (appid.draw(words))
                (name.draw(words))
                (relay.draw(words))
                button.main { (words.say(text!("Continue"))) }
            }
        }
    }
}

fn steps(frame: &Frame, connecting: &Connecting, words: Words) -> Markup {
    let is_done = connecting.newest_message.is_some();
    let is_checked = is_done || connecting.checked.is_some();
    let class = |is_done: bool, is_now: bool| {
        if is_done {
            "done"
        } else if is_now {
            "now"
        } else {
            "later"
        }
    };
    let account = html! { p { (connecting.account.shown()) " " code { (connecting.account.appid) } } };
    html! {
        (step(1, "done", &words.say(text!("Account")), &account))
        (step(2, class(is_checked, true), &words.say(text!("Copy four values to WeChat's console")), &console(connecting, words)))
        div id="progress" data-refresh=[(!is_done).then(|| continue_link(frame, connecting))] data-seconds=(REFRESH_S) {
            (step(3, class(is_checked, true), &words.say(text!("WeChat checks the address")), &check(frame, connecting, words)))
            (step(4, class(is_done, is_checked), &words.say(text!("The first message arrives")), &first(connecting, is_checked, words)))
        }
    }
}

fn console(connecting: &Connecting, words: Words) -> Markup {
    html! {
        @if let Some(problem) = &connecting.address_problem { p.notice.warning { (words.say(problem)) } }
        p.quiet { (words.say(text!("In WeChat's console: Settings and development, Basic configuration, Server configuration."))) }
        p.quiet {
            (words.say(text!("WeChat calls https on port 443 or http on port 80, at a name that the internet reaches. The domain of an account in mainland China must be filed (ICP).")))
        }
        p { "URL" }
        (copied(&connecting.callback_url, words))
        @match &connecting.secrets {
            Some(secrets) => {
                details.folded data-once="" {
                    summary { (words.say(text!("Show token, key and secret (only this once)"))) }
                    p { "Token" }
                    (copied(&secrets.token.0, words))
                    p { "EncodingAESKey" }
                    (copied(&secrets.encoding_aes_key.0, words))
                    p { (words.say(text!("Secret: not for WeChat's console, but for programs that ask msgcube for figures"))) }
                    (copied(&secrets.secret.0, words))
                }
                p.quiet { (words.say(text!("Copy them now: they are not shown again after you leave this page."))) }
            },
            None => p.quiet { (words.say(where_secrets_are(connecting))) },
        }
        p { (words.say(if connecting.is_encrypted { text!("Message encryption: safe mode.") } else { text!("Message encryption: plain text. With an encoding_aes_key in the settings of the account, safe mode.") })) }
        p.notice.warning {
            (words.say(text!("Enabling the server configuration switches off the automatic replies and the menu that were set in the console.")))
        }
    }
}

fn where_secrets_are(connecting: &Connecting) -> Text {
    if connecting.is_configured {
        text!(
            "Token and EncodingAESKey are in the configuration file: token and encoding_aes_key of this account, or the files that they name."
        )
    } else {
        text!(
            "Token and EncodingAESKey were shown once. If they are lost, make new ones with msgcube account rotate-key {appid} --what token and --what encoding-aes-key.",
            appid = &connecting.account.appid
        )
    }
}

fn check(frame: &Frame, connecting: &Connecting, words: Words) -> Markup {
    let waiting = i18n::format::span(frame.now.unix_s() - connecting.waiting_since.unix_s());
    html! {
        p role="status" {
            @match connecting.checked {
                Some(time) => (words.say(text!("checked at {time}", time = words.moment(time)))),
                None if connecting.newest_message.is_some() => (words.say(text!("the address works: messages arrive"))),
                None => (words.say(text!("waiting for WeChat's check of the address, since {span}", span = waiting))),
            }
        }
        @if connecting.checked.is_none() && connecting.newest_message.is_none() {
            @for failed in &connecting.failed_checks {
                p.notice.warning {
                    b { (failed.time.hour_and_minute()) } " " (words.say(&failed.reason)) br; (words.say(&failed.remedy))
                }
            }
            @if connecting.failed_checks.is_empty() {
                p.quiet { (words.say(text!("If WeChat's console says that it failed and nothing is shown here, WeChat called another address: compare the URL there with the one above, letter by letter."))) }
            }
            p { a.button href=(continue_link(frame, connecting)) { (words.say(text!("Look again"))) } }
        }
    }
}

fn first(connecting: &Connecting, is_checked: bool, words: Words) -> Markup {
    html! {
        @match &connecting.newest_message {
            Some(message) => {
                p role="status" { (words.say(text!("messages arrive ({kinds}); the newest is of {time}", kinds = &message.kinds, time = words.moment(message.time)))) }
                p { a.button.main href={ "/ui/accounts/" (encoded(&connecting.account.appid)) } { (words.say(text!("Open the account"))) } }
            },
            None if is_checked => p role="status" { (words.say(text!("waiting: write something to the account now"))) },
            None => {},
        }
        @for refused in &connecting.refused {
            p.notice.warning {
                (words.say(text!("{count} callbacks were refused in the last 24 hours.", count = refused.count))) " "
                (words.say(&refused.reason)) br; (words.say(&refused.remedy))
            }
        }
    }
}

/// The address that continues at the step reached.
fn continue_link(frame: &Frame, connecting: &Connecting) -> String {
    format!("{}?appid={}", frame.path, encoded(&connecting.account.appid))
}
