//! Keys and share links.

use i18n::text;
use maud::{Markup, html};

use crate::{
    layout::document,
    parts::{InputLine, account_link, card, copied, form_proof, nothing},
    view::{
        frame::{Frame, SignedIn},
        keys::{JustMade, KeyForm, KeyRow, KeysPage, ShareLinkForm, ShareLinkRow},
        time::BeijingTime,
    },
    words::Words,
};

/// The page `/ui/keys`.
pub fn keys(frame: &Frame, page: &KeysPage) -> String {
    let words = Words(frame.lang);
    let title = words.say(text!("Keys and links"));
    let key_list = html! {
        @if page.keys.is_empty() { p.quiet { (words.say(text!("No keys. The administrator's key of the configuration is not listed."))) } }
        @else { (key_table(frame, &page.keys, words)) }
        @if let Some(viewer) = &frame.signed_in { (key_form(viewer, &page.key_form, words)) }
    };
    let link_list = html! {
        p.quiet { (words.say(text!("A share link shows the page of one account to everybody who has it, without signing in."))) }
        @if !page.links.is_empty() { (link_table(frame, &page.links, words)) }
        @if let Some(viewer) = &frame.signed_in { (link_form(viewer, &page.link_form, words)) }
    };
    let content = html! {
        div.title { h1 { (title) } }
        @if let Some(made) = &page.made { (just_made(made, words)) }
        (card("", &words.say(text!("Keys")), &nothing(), &key_list))
        (card("", &words.say(text!("Share links")), &nothing(), &link_list))
    };
    document(frame, &title, &nothing(), &content)
}

fn just_made(made: &JustMade, words: Words) -> Markup {
    let (title, secret) = match made {
        JustMade::Key(secret) => (text!("The new key"), secret),
        JustMade::Link(secret) => (text!("The new share link"), secret),
    };
    html! {
        section.notice.good data-once="" {
            b { (words.say(title)) }
            (copied(&secret.0, words))
            (words.say(text!("Copy it now: it is not shown again.")))
        }
    }
}

fn key_table(frame: &Frame, keys: &[KeyRow], words: Words) -> Markup {
    let heads = [text!("Name"), text!("Scopes"), text!("Made"), text!("Ends")].map(|head| words.say(head));
    html! {
        table.list {
            caption.hidden { (words.say(text!("Keys"))) }
            thead { tr { @for head in &heads { th scope="col" { (head) } } td {} } }
            tbody {
                @for key in keys {
                    tr {
                        th scope="row" { (key.name) code.appid { (key.id) } }
                        td data-head=(heads[1]) { @for scope in &key.scopes { code { (scope) } " " } }
                        td data-head=(heads[2]) { (words.date(key.made.day)) }
                        td data-head=(heads[3]) { (end(key.ends, key.is_over, words)) }
                        td { (revoke(frame, "/ui/keys/remove", &key.id, &key.name, words)) }
                    }
                }
            }
        }
    }
}

fn link_table(frame: &Frame, links: &[ShareLinkRow], words: Words) -> Markup {
    let heads = [text!("Account"), text!("Made"), text!("Ends")].map(|head| words.say(head));
    html! {
        table.list {
            caption.hidden { (words.say(text!("Share links"))) }
            thead { tr { @for head in &heads { th scope="col" { (head) } } td {} } }
            tbody {
                @for link in links {
                    tr {
                        th scope="row" { (account_link(&link.account)) }
                        td data-head=(heads[1]) { (words.date(link.made.day)) }
                        td data-head=(heads[2]) { (end(Some(link.ends), link.is_over, words)) }
                        td { (revoke(frame, "/ui/links/remove", &link.id, link.account.shown(), words)) }
                    }
                }
            }
        }
    }
}

fn end(time: Option<BeijingTime>, is_over: bool, words: Words) -> String {
    match time {
        None => words.say(text!("never")),
        Some(time) if is_over => words.say(text!("ended {date}", date = words.date(time.day))),
        Some(time) => words.date(time.day),
    }
}

fn revoke(frame: &Frame, action: &str, id: &str, name: &str, words: Words) -> Markup {
    html! {
        @if let Some(viewer) = &frame.signed_in {
            form method="post" action=(action) {
                (form_proof(viewer))
                input type="hidden" name="id" value=(id);
                button.plain.danger { (words.say(text!("Revoke"))) span.hidden { " " (name) } }
            }
        }
    }
}

fn key_form(viewer: &SignedIn, form: &KeyForm, words: Words) -> Markup {
    let lines = [
        InputLine {
            name: "name",
            id: "key-name",
            label: words.say(text!("Name")),
            value: &form.name,
            hint: String::new(),
            error: None,
            is_required: true,
        },
        InputLine {
            name: "scopes",
            id: "key-scopes",
            label: words.say(text!("Scopes")),
            value: &form.scopes,
            hint: words.say(text!(
                "read, read:APPID, write, write:APPID or admin, with blanks between them. Empty: read."
            )),
            error: None,
            is_required: false,
        },
        days(&form.days, "key-days", words.say(text!("Empty: it does not end.")), words),
    ];
    html! {
        form method="post" action="/ui/keys" {
            (form_proof(viewer))
            div.fields { @for line in &lines { (line.draw(words)) } }
            @if let Some(error) = &form.error { p.error role="alert" { (words.say(error)) } }
            button { (words.say(text!("Make a key"))) }
        }
    }
}

fn link_form(viewer: &SignedIn, form: &ShareLinkForm, words: Words) -> Markup {
    let lines = [
        InputLine {
            name: "account",
            id: "link-appid",
            label: "AppID".to_owned(),
            value: &form.appid,
            hint: String::new(),
            error: None,
            is_required: true,
        },
        days(&form.days, "link-days", words.say(text!("Empty: 30 days.")), words),
    ];
    html! {
        form method="post" action="/ui/links" {
            (form_proof(viewer))
            div.fields { @for line in &lines { (line.draw(words)) } }
            @if let Some(error) = &form.error { p.error role="alert" { (words.say(error)) } }
            button { (words.say(text!("Make a share link"))) }
        }
    }
}

fn days<'a>(value: &'a str, id: &'a str, hint: String, words: Words) -> InputLine<'a> {
    InputLine {
        name: "days",
        id,
        label: words.say(text!("Days until it ends")),
        value,
        hint,
        error: None,
        is_required: false,
    }
}
