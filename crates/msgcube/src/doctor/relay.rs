//! Relay targets: whether an account's bot or a platform's server is reachable, speaks HTTP and answers in time. The
//! request has a wrong signature, so the target does nothing.

use std::time::Duration;

use axum::http::{Request, Uri};
use i18n::{format, text};
use msgcube_client::http::{Address, Trust};
use server::config::RelayConfig;

use super::{
    callback::unsigned_query,
    finding::Finding,
    installation::{Installation, invalid_request},
};
use crate::probe::{ProbeError, TimedAnswer, error_text, exchange::NoAnswer};

/// A slower answer is a warning. The whole callback has 4.9 s.
const SLOW: Duration = Duration::from_secs(4);
/// A slower connection is a warning. The server makes a second attempt after 1 s.
const SLOW_CONNECT: Duration = Duration::from_millis(800);

/// What kind of target is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TargetKind {
    Bot,
    Listener,
    /// `push_url` of a platform.
    Platform,
}

impl TargetKind {
    fn connect_id(self) -> &'static str {
        match self {
            TargetKind::Bot => "relay_connect",
            TargetKind::Listener => "relay_listener",
            TargetKind::Platform => "push_connect",
        }
    }

    fn answer_id(self) -> &'static str {
        if self == TargetKind::Platform { "push_answer" } else { "relay_answer" }
    }
}

/// Checks the bot and the listeners of a relay.
pub async fn check(installation: &Installation, relay: &RelayConfig) -> Vec<Finding> {
    let mut findings = check_target(installation, TargetKind::Bot, &relay.url).await;
    for listener in &relay.listeners {
        findings.push(connected(installation, TargetKind::Listener, listener).await);
    }
    findings
}

/// Checks the server that gets a platform's events.
pub async fn push_url(installation: &Installation, url: &Address) -> Vec<Finding> {
    check_target(installation, TargetKind::Platform, url).await
}

/// Sends a GET with a wrong signature and no body. Any answer shows that the target speaks HTTP.
async fn check_target(installation: &Installation, kind: TargetKind, url: &Address) -> Vec<Finding> {
    let connection = connected(installation, kind, url).await;
    if connection.severity == super::finding::Severity::Problem {
        return vec![connection];
    }
    let uri = url.with_query(Some(&unsigned_query(installation))).map_err(|error| invalid_request(&error));
    let asked = match uri {
        Ok(uri) => ask(installation, uri).await,
        Err(fault) => Err(fault),
    };
    vec![connection, answered(kind, url, asked)]
}

async fn ask(installation: &Installation, uri: Uri) -> Result<TimedAnswer, ProbeError> {
    installation.send(Trust::Authorities, Request::get(uri), String::new()).await
}

async fn connected(installation: &Installation, kind: TargetKind, url: &Address) -> Finding {
    let id = kind.connect_id();
    let connection = match url.with_query(None) {
        Ok(uri) => installation.prober.connect(&uri).await,
        Err(error) => Err(invalid_request(&error)),
    };
    let connection = connection.and_then(|connection| match &connection.presented {
        Some(shown) => shown.verdict.clone().map_err(ProbeError::Untrusted).map(|()| connection.took),
        None => Ok(connection.took),
    });
    match connection {
        Ok(took) => {
            let time = format::time(took);
            let found = text!("{url}: connected in {time}", url, time);
            if took <= SLOW_CONNECT {
                return Finding::ok(id, found);
            }
            let remedy =
                text!("each new connection takes this time: put it nearer, or find what is slow on the way");
            Finding::warning(id, found, remedy)
        }
        Err(fault) => unreachable_target(kind, url, &fault),
    }
}

fn unreachable_target(kind: TargetKind, url: &Address, fault: &ProbeError) -> Finding {
    let (id, why) = (kind.connect_id(), error_text::probe_error(fault));
    let found = text!("{url}: {why}", url, why);
    match kind {
        TargetKind::Listener => {
            let remedy = text!("start it, or remove it from relay.listeners; others do not wait for it");
            Finding::warning(id, found, remedy)
        }
        TargetKind::Bot => {
            let remedy = text!(
                "start the bot, or correct relay.url; meanwhile messages are counted, and users get no reply"
            );
            Finding::problem(id, found, remedy)
        }
        TargetKind::Platform => {
            let remedy =
                text!("start the platform's server, or correct push_url; events wait for it for a day");
            Finding::problem(id, found, remedy)
        }
    }
}

fn answered(kind: TargetKind, url: &Address, asked: Result<TimedAnswer, ProbeError>) -> Finding {
    let id = kind.answer_id();
    let remedy = match kind {
        TargetKind::Platform => {
            text!("make the platform's server answer sooner: success at once, its work afterwards")
        }
        TargetKind::Bot | TargetKind::Listener => text!(
            "make the bot answer sooner (success at once, its reply later by a customer service message): WeChat waits 5 s in all"
        ),
    };
    match asked {
        Ok(answer) => {
            let (status, took) = (answer.answer.status, format::time(answer.took));
            let found =
                text!("{url} answers in {took} (status {status} to a wrong signature)", url, took, status);
            if answer.took > SLOW { Finding::warning(id, found, remedy) } else { Finding::ok(id, found) }
        }
        Err(fault @ ProbeError::Silent(NoAnswer::Late)) => {
            Finding::problem(id, text!("{url}: {why}", url, why = error_text::probe_error(&fault)), remedy)
        }
        Err(fault) => {
            let remedy = text!(
                "the target does not speak HTTP, or closes the connection: see its log, and its address in the configuration"
            );
            Finding::problem(id, text!("{url}: {why}", url, why = error_text::probe_error(&fault)), remedy)
        }
    }
}
