//! A platform that is served as WeChat would: whether it takes its tickets, and whether accounts get to the consent page.

use i18n::format;
use i18n::text;
use serde_json::Value;
use server::config::PlatformConfig;

use super::{TICKET_LATE_S, age_s};
use crate::{
    doctor::{
        callback::{path_part, verdict},
        finding::Finding,
        installation::{Installation, Place},
    },
    probe::{Answer, Fault},
};

const PAGE: &str = "/cgi-bin/componentloginpage";

/// The consent page.
pub async fn check(scene: &Installation, platform: &PlatformConfig, place: Place<'_>) -> Vec<Finding> {
    // Without a code and an address to go back to it names the platform, and asks nobody anything.
    let path = format!("{PAGE}?component_appid={}&lang=en", path_part(&platform.appid));
    vec![consent_page(scene, place, scene.get(place, &path).await)]
}

fn consent_page(scene: &Installation, place: Place<'_>, answer: Result<Answer, Fault>) -> Finding {
    const ID: &str = "consent_page";
    let (lang, base) = (scene.lang, place.base);
    let answer = match answer {
        Ok(answer) => answer,
        Err(fault) => return verdict::failed(lang, ID, &fault),
    };
    let said = String::from_utf8_lossy(&answer.said.body);
    // What the page misses says that it knows the platform.
    let is_page = answer.said.status == 400 && said.starts_with("<!doctype html>");
    if is_page && said.contains("redirect_uri") {
        let found = text!("{base}{page} is there", base, page = PAGE).in_lang(lang);
        return Finding::ok(ID, found);
    }
    if is_page {
        let found = text!("{base}{page} does not know this platform", base, page = PAGE).in_lang(lang);
        let remedy = text!("restart msgcube: the configuration is read at the start").in_lang(lang);
        return Finding::problem(ID, found, remedy);
    }
    let status = answer.said.status;
    let found =
        text!("what answers at {base}{page} is not the page (status {status})", base, page = PAGE, status)
            .in_lang(lang);
    let remedy =
        text!("accounts cannot authorise the platform: pass {page} on to msgcube", page = PAGE).in_lang(lang);
    Finding::problem(ID, found, remedy)
}

/// Whether its server took the ticket of the moment.
pub fn ticket(scene: &Installation, ticket: &Value) -> Finding {
    const ID: &str = "ticket_pushed";
    let lang = scene.lang;
    let age_s = age_s(scene, &ticket["time"]);
    let is_recent = age_s.is_some_and(|age_s| age_s <= TICKET_LATE_S);
    let taken = match age_s.map(|age_s| format::span(age_s).in_lang(lang)) {
        Some(age) => text!("took a ticket {age} ago", age).in_lang(lang),
        None => text!("took no ticket since the start").in_lang(lang),
    };
    let remedy = text!("the platform has to answer 200 and success within 10 s: see its log, and whether its token and encoding_aes_key are these").in_lang(lang);
    match ticket["error"].as_str() {
        None if is_recent => Finding::ok(ID, taken),
        None if age_s.is_none() => Finding::note(ID, taken),
        None => Finding::warning(ID, taken, remedy),
        Some(error) => {
            let error = format::quote(error.as_bytes());
            let found = text!("{taken}; the last push failed: {error}", taken, error).in_lang(lang);
            if is_recent { Finding::warning(ID, found, remedy) } else { Finding::problem(ID, found, remedy) }
        }
    }
}
