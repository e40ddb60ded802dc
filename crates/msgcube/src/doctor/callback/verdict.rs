//! What the answer to a played callback means, and what is to be done.

use std::time::Duration;

use i18n::text;
use i18n::{Lang, format};
use msgcube_client::http::Address;
use wechat::callback;

use super::Mode;
use crate::{
    doctor::finding::Finding,
    probe::{Answer, Fault, exchange::NoAnswer, remarks},
};

/// WeChat waits 5 s, its way there included.
const SLOW: Duration = Duration::from_millis(4500);
/// How msgcube's own refusals begin for an account or a platform that it does not serve.
const UNKNOWN: [&[u8]; 2] = [b"no account has the appid", b"no [[component]]"];

/// WeChat's check of the address, rightly signed.
pub fn right_get(
    lang: Lang,
    base: &Address,
    below: &str,
    answer: Result<Answer, Fault>,
    echostr: &[u8],
) -> Finding {
    const ID: &str = "callback_get";
    let answer = match answer {
        Ok(answer) => answer,
        Err(fault) => return failed(lang, ID, &fault),
    };
    let took = format::time(answer.connect_took + answer.took);
    if answer.said.status == 200 && answer.said.body == echostr {
        let found = text!("{base}: WeChat's check of the address passes, {took}", base, took).in_lang(lang);
        return Finding::ok(ID, found);
    }
    if answer.said.status == 200 {
        let found = text!(
            "{base} answers something else than echostr: {body}",
            base,
            body = format::quote(&answer.said.body)
        )
        .in_lang(lang);
        let remedy = text!(
            "another server answers, or a proxy changes the query or the answer: pass {below} on unchanged",
            below
        )
        .in_lang(lang);
        return Finding::problem(ID, found, remedy);
    }
    refused(lang, ID, below, &answer)
}

/// The same with a wrong signature: only a server that checks it may be trusted with the rest.
pub fn wrong_signature(lang: Lang, id: &'static str, below: &str, answer: Result<Answer, Fault>) -> Finding {
    match answer {
        Ok(answer) if answer.said.status == 401 => {
            Finding::ok(id, text!("a wrong signature is refused (401)").in_lang(lang))
        }
        Ok(answer) => {
            let status = answer.said.status;
            let found =
                text!("a wrong signature is answered with {status} instead of 401", status).in_lang(lang);
            let remedy = text!("something before msgcube answers this address: pass {below} on to it", below)
                .in_lang(lang);
            Finding::problem(id, found, remedy)
        }
        Err(fault) => failed(lang, id, &fault),
    }
}

/// A message that counts nothing.
pub fn message(
    lang: Lang,
    mode: Mode,
    below: &str,
    is_relayed: bool,
    answer: Result<Answer, Fault>,
) -> Finding {
    taken(lang, mode.id(), below, is_relayed, answer)
}

/// An event of a platform that says nothing.
pub fn event(lang: Lang, id: &'static str, below: &str, answer: Result<Answer, Fault>) -> Finding {
    taken(lang, id, below, false, answer)
}

fn taken(
    lang: Lang,
    id: &'static str,
    below: &str,
    is_relayed: bool,
    answer: Result<Answer, Fault>,
) -> Finding {
    let answer = match answer {
        Ok(answer) => answer,
        Err(fault) => return failed(lang, id, &fault),
    };
    if !(200..300).contains(&answer.said.status) {
        return refused(lang, id, below, &answer);
    }
    let took = answer.connect_took + answer.took;
    let time = format::time(took);
    let is_ours = answer.said.body == b"success";
    if !is_ours && !is_relayed {
        let found = text!(
            "answered in {time} with something else than success: {body}",
            time,
            body = format::quote(&answer.said.body)
        )
        .in_lang(lang);
        let remedy = text!("another server answers: pass {below} on to msgcube", below).in_lang(lang);
        return Finding::warning(id, found, remedy);
    }
    let found = if is_relayed {
        text!("answered in {time}, the bot behind included", time).in_lang(lang)
    } else {
        text!("answered success in {time}", time).in_lang(lang)
    };
    if took <= SLOW {
        return Finding::ok(id, found);
    }
    let remedy = text!("WeChat gives up after 5 s and sends again: see the bot (relay_answer), the disk (disk_sync) and the way there").in_lang(lang);
    Finding::warning(id, found, remedy)
}

pub fn failed(lang: Lang, id: &'static str, fault: &Fault) -> Finding {
    let remedy = match fault {
        Fault::Name(_) => text!("correct the DNS record of this name").in_lang(lang),
        Fault::Refused => text!("nothing listens there: start the proxy in front (or msgcube), and open the port").in_lang(lang),
        Fault::Unconnected(_) => {
            text!("open the port in the firewall, and check the address").in_lang(lang)
        }
        Fault::Tls(_) => text!("see the proxy's TLS settings; is it https at all?").in_lang(lang),
        Fault::Untrusted(_) => text!("get a certificate of a public authority for this name, with its whole chain").in_lang(lang),
        Fault::Silent(NoAnswer::Late) => text!("WeChat gives up after 5 s: see the server's log and what stands before it").in_lang(lang),
        Fault::Silent(_) => text!("the message was not durable in time, or the bot was late: see server_ready, relay_answer and the server's log").in_lang(lang),
    };
    Finding::problem(id, remarks::fault(lang, fault), remedy)
}

/// An answer that WeChat would not take.
pub fn refused(lang: Lang, id: &'static str, below: &str, answer: &Answer) -> Finding {
    let (status, said) = (answer.said.status, format::quote(&answer.said.body));
    let found = match location(answer) {
        Some(location) => text!("redirected ({status}) to {location}", status, location).in_lang(lang),
        None => text!("answered {status}: {said}", status, said).in_lang(lang),
    };
    Finding::problem(id, found, against_refusal(lang, below, answer))
}

fn against_refusal(lang: Lang, below: &str, answer: &Answer) -> String {
    let is_unknown = UNKNOWN.iter().any(|begin| answer.said.body.starts_with(begin));
    match answer.said.status {
        300..=399 => text!("WeChat follows no redirect: enter the final address in the console, or answer {below} right there", below).in_lang(lang),
        404 | 405 if !is_unknown => text!("the proxy does not pass {below} on to msgcube: correct its paths", below).in_lang(lang),
        401 if callback::is_refused_as_plain(&answer.said.body) => text!("if its timestamp is named, the clocks of this machine and of the server differ: set both right; else \
                 choose safe mode at WeChat, or set require_encryption = false and restart msgcube").in_lang(lang),
        status => against_own_refusal(lang, status),
    }
}

fn against_own_refusal(lang: Lang, status: u16) -> String {
    match status {
        401 => text!("the running server has another token, or a proxy changes the query: restart msgcube after changing token").in_lang(lang),
        404 => text!("the running server does not know this appid: restart it after changing the configuration").in_lang(lang),
        400 | 403 => text!("if a key does not open it, the running server has another encoding_aes_key: restart it after changing the \
             key; else something before it refuses").in_lang(lang),
        _ => text!("see the log of the server and of the proxy in front").in_lang(lang),
    }
}

/// Where a redirect leads, without its query.
fn location(answer: &Answer) -> Option<String> {
    let location = answer.said.header("location").filter(|_| (300..400).contains(&answer.said.status))?;
    Some(format::quote(location.split('?').next().unwrap_or_default().as_bytes()))
}
