//! Who stands behind: the bot of an account, or the server of a platform: whether it is there, speaks HTTP, and answers
//! in time. It is sent nothing that it could act upon.

use std::time::Duration;

use axum::http::{Request, Uri};
use i18n::text;
use i18n::{Lang, format};
use msgcube_client::http::{Address, Trust};
use server::config::RelayConfig;

use super::{
    callback::unsigned_query,
    finding::Finding,
    installation::{Installation, broken},
};
use crate::probe::{Answer, Fault, exchange::NoAnswer, remarks};

/// The whole callback has 4.9 s.
const SLOW: Duration = Duration::from_secs(4);
/// The server itself tries anew after 1 s.
const SLOW_CONNECT: Duration = Duration::from_millis(800);

/// Who is examined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    Bot,
    Listener,
    /// `push_url` of a platform.
    Platform,
}

impl Behind {
    fn connect_id(self) -> &'static str {
        match self {
            Behind::Bot => "relay_connect",
            Behind::Listener => "relay_listener",
            Behind::Platform => "push_connect",
        }
    }

    fn answer_id(self) -> &'static str {
        if self == Behind::Platform { "push_answer" } else { "relay_answer" }
    }
}

/// The bot and those who listen.
pub async fn check(scene: &Installation, relay: &RelayConfig) -> Vec<Finding> {
    let mut findings = target(scene, Behind::Bot, &relay.url).await;
    for listener in &relay.listeners {
        findings.push(connected(scene, Behind::Listener, listener).await);
    }
    findings
}

/// Where a platform's events go.
pub async fn push_url(scene: &Installation, url: &Address) -> Vec<Finding> {
    target(scene, Behind::Platform, url).await
}

/// A GET with a wrong signature and no body: whoever is there refuses it, or does not look; any answer shows that HTTP is
/// spoken there.
async fn target(scene: &Installation, behind: Behind, url: &Address) -> Vec<Finding> {
    let connection = connected(scene, behind, url).await;
    if connection.state == super::finding::State::Problem {
        return vec![connection];
    }
    let uri = url.with_query(Some(&unsigned_query(scene))).map_err(|error| broken(&error));
    let asked = match uri {
        Ok(uri) => ask(scene, uri).await,
        Err(fault) => Err(fault),
    };
    vec![connection, answered(scene.lang, behind, url, asked)]
}

async fn ask(scene: &Installation, uri: Uri) -> Result<Answer, Fault> {
    scene
        .lines
        .send(Trust::Authorities, Request::get(uri).body(String::new()).map_err(|error| broken(&error))?)
        .await
}

async fn connected(scene: &Installation, behind: Behind, url: &Address) -> Finding {
    let (lang, id) = (scene.lang, behind.connect_id());
    let line = match url.with_query(None) {
        Ok(uri) => scene.lines.connect(&uri).await,
        Err(error) => Err(broken(&error)),
    };
    let line = line.and_then(|line| match &line.shown {
        Some(shown) => shown.verdict.clone().map_err(Fault::Untrusted).map(|()| line.took),
        None => Ok(line.took),
    });
    match line {
        Ok(took) => {
            let time = format::time(took);
            let found = text!("{url}: connected in {time}", url, time).in_lang(lang);
            if took <= SLOW_CONNECT {
                return Finding::ok(id, found);
            }
            let remedy =
                text!("each new connection takes this time: put it nearer, or find what is slow on the way")
                    .in_lang(lang);
            Finding::warning(id, found, remedy)
        }
        Err(fault) => unreachable_target(lang, behind, url, &fault),
    }
}

fn unreachable_target(lang: Lang, behind: Behind, url: &Address, fault: &Fault) -> Finding {
    let (id, why) = (behind.connect_id(), remarks::fault(lang, fault));
    let found = text!("{url}: {why}", url, why).in_lang(lang);
    match behind {
        Behind::Listener => {
            let remedy =
                text!("start it, or take it out of relay.listeners; others do not wait for it").in_lang(lang);
            Finding::warning(id, found, remedy)
        }
        Behind::Bot => {
            let remedy = text!(
                "start the bot, or correct relay.url; meanwhile messages are counted, and users get no reply"
            )
            .in_lang(lang);
            Finding::problem(id, found, remedy)
        }
        Behind::Platform => {
            let remedy =
                text!("start the platform's server, or correct push_url; events wait for it for a day")
                    .in_lang(lang);
            Finding::problem(id, found, remedy)
        }
    }
}

fn answered(lang: Lang, behind: Behind, url: &Address, asked: Result<Answer, Fault>) -> Finding {
    let id = behind.answer_id();
    let remedy = match behind {
        Behind::Platform => text!("make the platform's server answer sooner: success at once, its work afterwards").in_lang(lang),
        Behind::Bot | Behind::Listener => text!("make the bot answer sooner (success at once, its reply later by a customer service message): WeChat waits 5 s in all").in_lang(lang),
    };
    match asked {
        Ok(answer) => {
            let (status, took) = (answer.said.status, format::time(answer.took));
            let found =
                text!("{url} answers in {took} (status {status} to a wrong signature)", url, took, status)
                    .in_lang(lang);
            if answer.took > SLOW { Finding::warning(id, found, remedy) } else { Finding::ok(id, found) }
        }
        Err(fault @ Fault::Silent(NoAnswer::Late)) => {
            Finding::problem(id, format!("{url}: {}", remarks::fault(lang, &fault)), remedy)
        }
        Err(fault) => {
            let remedy = text!("what listens there speaks no HTTP, or closes: see its log, and its address in the configuration").in_lang(lang);
            Finding::problem(id, format!("{url}: {}", remarks::fault(lang, &fault)), remedy)
        }
    }
}
