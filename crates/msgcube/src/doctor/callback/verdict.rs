//! What the answer to a played callback means, and what to do.

use std::time::Duration;

use i18n::{Text, format, text};
use msgcube_client::http::Address;
use wechat::callback;

use super::PlayMode;
use crate::{
    doctor::finding::Finding,
    probe::{ProbeError, TimedAnswer, error_text, exchange::NoAnswer},
};

/// A slower answer is a warning. WeChat waits 5 s, with the way there.
const SLOW: Duration = Duration::from_millis(4500);
/// How msgcube's answers begin for an account or a platform that it does not serve.
const UNKNOWN: [&[u8]; 2] = [b"no account has the appid", b"no [[component]]"];

/// The finding for WeChat's check of the address with a right signature.
pub fn right_get(
    base: &Address,
    below: &str,
    answer: Result<TimedAnswer, ProbeError>,
    echostr: &[u8],
) -> Finding {
    const ID: &str = "callback_get";
    let answer = match answer {
        Ok(answer) => answer,
        Err(fault) => return failed(ID, &fault),
    };
    let took = format::time(answer.connect_took + answer.took);
    if answer.answer.status == 200 && answer.answer.body == echostr {
        let found = text!("{base}: WeChat's check of the address passes, {took}", base, took);
        return Finding::ok(ID, found);
    }
    if answer.answer.status == 200 {
        let found = text!(
            "{base} does not answer with echostr: {body}",
            base,
            body = format::quote(&answer.answer.body)
        );
        let remedy = text!(
            "another server answers, or a proxy changes the query or the answer: pass {below} on unchanged",
            below
        );
        return Finding::problem(ID, found, remedy);
    }
    refused(ID, below, &answer)
}

/// The finding for a check of the address with a wrong signature, which the server must refuse.
pub fn wrong_signature(id: &'static str, below: &str, answer: Result<TimedAnswer, ProbeError>) -> Finding {
    match answer {
        Ok(answer) if answer.answer.status == 401 => {
            Finding::ok(id, text!("a wrong signature is refused (401)"))
        }
        Ok(answer) => {
            let status = answer.answer.status;
            let found = text!("a wrong signature is answered with {status} instead of 401", status);
            let remedy =
                text!("something in front of msgcube answers this address: pass {below} on to it", below);
            Finding::problem(id, found, remedy)
        }
        Err(fault) => failed(id, &fault),
    }
}

/// The finding for a played message.
pub fn message(
    mode: PlayMode,
    below: &str,
    is_relayed: bool,
    answer: Result<TimedAnswer, ProbeError>,
) -> Finding {
    taken(mode.id(), below, is_relayed, answer)
}

/// The finding for a played event of a platform.
pub fn event(id: &'static str, below: &str, answer: Result<TimedAnswer, ProbeError>) -> Finding {
    taken(id, below, false, answer)
}

fn taken(
    id: &'static str,
    below: &str,
    is_relayed: bool,
    answer: Result<TimedAnswer, ProbeError>,
) -> Finding {
    let answer = match answer {
        Ok(answer) => answer,
        Err(fault) => return failed(id, &fault),
    };
    if !(200..300).contains(&answer.answer.status) {
        return refused(id, below, &answer);
    }
    let took = answer.connect_took + answer.took;
    let time = format::time(took);
    let is_ours = answer.answer.body == b"success";
    if !is_ours && !is_relayed {
        let found = text!(
            "answered in {time}, but not with success: {body}",
            time,
            body = format::quote(&answer.answer.body)
        );
        let remedy = text!("another server answers: pass {below} on to msgcube", below);
        return Finding::warning(id, found, remedy);
    }
    let found = if is_relayed {
        text!("answered in {time}, including the bot", time)
    } else {
        text!("answered success in {time}", time)
    };
    if took <= SLOW {
        return Finding::ok(id, found);
    }
    let remedy = text!(
        "WeChat gives up after 5 s and sends again: see the bot (relay_answer), the disk (disk_sync) and the way there"
    );
    Finding::warning(id, found, remedy)
}

pub fn failed(id: &'static str, fault: &ProbeError) -> Finding {
    let remedy = match fault {
        ProbeError::Name(_) => text!("correct the DNS record of this name"),
        ProbeError::Refused => {
            text!("nothing listens there: start the proxy in front (or msgcube), and open the port")
        }
        ProbeError::Unconnected(_) => {
            text!("open the port in the firewall, and check the address")
        }
        ProbeError::Tls(_) => text!("see the proxy's TLS settings; is it https at all?"),
        ProbeError::Untrusted(_) => {
            text!("get a certificate of a public authority for this name, with its whole chain")
        }
        ProbeError::Silent(NoAnswer::Late) => {
            text!("WeChat gives up after 5 s: see the server's log and what is in front of it")
        }
        ProbeError::Silent(_) => text!(
            "the message was not durable in time, or the bot was late: see server_ready, relay_answer and the server's log"
        ),
    };
    Finding::problem(id, error_text::probe_error(fault), remedy)
}

/// The finding for an answer that WeChat would not accept.
pub fn refused(id: &'static str, below: &str, answer: &TimedAnswer) -> Finding {
    let (status, said) = (answer.answer.status, format::quote(&answer.answer.body));
    let found = if let Some(location) = location(answer) {
        text!("redirected ({status}) to {location}", status, location)
    } else {
        text!("answered {status}: {said}", status, said)
    };
    Finding::problem(id, found, remedy_for_refusal(below, answer))
}

fn remedy_for_refusal(below: &str, answer: &TimedAnswer) -> Text {
    let is_unknown = UNKNOWN.iter().any(|begin| answer.answer.body.starts_with(begin));
    match answer.answer.status {
        300..=399 => text!(
            "WeChat follows no redirect: enter the final address in the console, or answer {below} without a redirect",
            below
        ),
        404 | 405 if !is_unknown => {
            text!("the proxy does not pass {below} on to msgcube: correct its paths", below)
        }
        401 if callback::is_refused_as_plain(&answer.answer.body) => text!(
            "if its timestamp is named, the clocks of this machine and of the server differ: set both right; else \
                 choose safe mode at WeChat, or set require_encryption = false and restart msgcube"
        ),
        status => remedy_for_own_refusal(status),
    }
}

fn remedy_for_own_refusal(status: u16) -> Text {
    match status {
        401 => text!(
            "the running server has another token, or a proxy changes the query: restart msgcube after changing token"
        ),
        404 => {
            text!("the running server does not know this appid: restart it after changing the configuration")
        }
        400 | 403 => text!(
            "if it cannot be decrypted, the running server has another encoding_aes_key: restart it after changing the key; else something in front of it refuses"
        ),
        _ => text!("see the log of the server and of the proxy in front"),
    }
}

/// The target of a redirect, without its query.
fn location(answer: &TimedAnswer) -> Option<String> {
    let location = answer.answer.header("location").filter(|_| (300..400).contains(&answer.answer.status))?;
    Some(format::quote(location.split('?').next().unwrap_or_default().as_bytes()))
}
