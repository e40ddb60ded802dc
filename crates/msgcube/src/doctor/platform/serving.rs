//! A platform that we serve in WeChat's place: whether it accepts tickets, and whether the consent page is reachable.

use i18n::{format, text};
use serde_json::Value;
use server::config::PlatformConfig;

use super::{TICKET_LATE_S, age_s};
use crate::{
    doctor::{
        callback::{path_part, verdict},
        finding::Finding,
        installation::{CallbackEndpoint, Installation},
    },
    probe::{ProbeError, TimedAnswer},
};

const PAGE: &str = "/cgi-bin/componentloginpage";

/// Checks the consent page.
pub async fn check(
    installation: &Installation,
    platform: &PlatformConfig,
    endpoint: CallbackEndpoint<'_>,
) -> Vec<Finding> {
    // Without a code and a redirect address the page only names the platform.
    let path = format!("{PAGE}?component_appid={}&lang=en", path_part(&platform.appid));
    vec![consent_page(endpoint, installation.get(endpoint, &path).await)]
}

fn consent_page(endpoint: CallbackEndpoint<'_>, answer: Result<TimedAnswer, ProbeError>) -> Finding {
    const ID: &str = "consent_page";
    let base = endpoint.base;
    let answer = match answer {
        Ok(answer) => answer,
        Err(fault) => return verdict::failed(ID, &fault),
    };
    let said = String::from_utf8_lossy(&answer.answer.body);
    // A page that asks for redirect_uri knows the platform.
    let is_page = answer.answer.status == 400 && said.starts_with("<!doctype html>");
    if is_page && said.contains("redirect_uri") {
        let found = text!("{base}{page} answers", base, page = PAGE);
        return Finding::ok(ID, found);
    }
    if is_page {
        let found = text!("{base}{page} does not know this platform", base, page = PAGE);
        let remedy =
            text!("run msgcube reload, which applies the configuration or says what needs a restart");
        return Finding::problem(ID, found, remedy);
    }
    let status = answer.answer.status;
    let found =
        text!("the answer at {base}{page} is not the page (status {status})", base, page = PAGE, status);
    let remedy = text!("accounts cannot authorise the platform: pass {page} on to msgcube", page = PAGE);
    Finding::problem(ID, found, remedy)
}

/// Checks whether the platform accepted the present ticket.
pub fn ticket(installation: &Installation, ticket: &Value) -> Finding {
    const ID: &str = "ticket_pushed";
    let age_s = age_s(installation, &ticket["time"]);
    let is_recent = age_s.is_some_and(|age_s| age_s <= TICKET_LATE_S);
    let taken = if let Some(age) = age_s.map(format::span) {
        text!("accepted a ticket {age} ago", age)
    } else {
        text!("accepted no ticket since the start")
    };
    let remedy = text!(
        "the platform has to answer 200 and success within 10 s: see its log, and whether its token and encoding_aes_key are the same"
    );
    match ticket["error"].as_str() {
        None if is_recent => Finding::ok(ID, taken),
        None if age_s.is_none() => Finding::note(ID, taken),
        None => Finding::warning(ID, taken, remedy),
        Some(error) => {
            let error = format::quote(error.as_bytes());
            let found = text!("{taken}; the last push failed: {error}", taken, error);
            if is_recent { Finding::warning(ID, found, remedy) } else { Finding::problem(ID, found, remedy) }
        }
    }
}
