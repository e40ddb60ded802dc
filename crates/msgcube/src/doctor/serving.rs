//! The running server: whether it is there and takes messages, and what it serves.

use i18n::text;
use i18n::{Lang, format};
use msgcube_client::http::{Address, Trust};
use serde_json::Value;

use super::{
    finding::Finding,
    installation::{Installation, Place},
    refused,
};
use crate::probe::{Fault, exchange::NoAnswer, remarks};

/// What the running server said.
#[derive(Debug, Default)]
pub struct Served {
    /// It is there.
    pub is_alive: bool,
    /// It says that it can make nothing durable.
    pub is_unready: bool,
    /// `GET /v1/accounts`, if it answered.
    pub accounts: Option<Vec<Value>>,
}

/// Asks it.
pub async fn check(scene: &Installation) -> (Served, Vec<Finding>) {
    let lang = scene.lang;
    let Some(place) = scene.server() else {
        let found = text!("listen has port 0: the address is another at each start").in_lang(lang);
        let remedy = text!("name the address that it printed with --server").in_lang(lang);
        return (Served::default(), vec![Finding::skipped("server_alive", found).remedied(remedy)]);
    };
    let (alive, finding) = alive(scene, place).await;
    let mut findings = vec![finding];
    let mut served = Served { is_alive: alive, ..Served::default() };
    if alive {
        let (is_unready, finding) = ready(scene, place).await;
        served.is_unready = is_unready;
        findings.push(finding);
        findings.extend(admin_address(scene).await);
        let (accounts, finding) = accounts(scene).await;
        served.accounts = accounts;
        findings.push(finding);
        findings.extend(refused::check(scene).await);
    }
    findings.extend(played_where(scene));
    (served, findings)
}

async fn alive(scene: &Installation, place: Place<'_>) -> (bool, Finding) {
    let (lang, base) = (scene.lang, place.base);
    match scene.get(place, "/healthz").await {
        Ok(answer) if answer.said.status == 200 && answer.said.body == b"ok\n" => {
            let took = format::time(answer.took);
            let found = text!("{base} answers in {took}", base, took).in_lang(lang);
            (true, Finding::ok("server_alive", found))
        }
        Ok(answer) => {
            let status = answer.said.status;
            let found =
                text!("what answers at {base} is no msgcube (status {status})", base, status).in_lang(lang);
            let remedy = text!("free the address, or give msgcube another listen").in_lang(lang);
            (false, Finding::problem("server_alive", found, remedy))
        }
        Err(fault) => (false, not_there(lang, base, &fault)),
    }
}

fn not_there(lang: Lang, base: &Address, fault: &Fault) -> Finding {
    let why = remarks::fault(lang, fault);
    let found = text!("{base}: {why}", base, why).in_lang(lang);
    let remedy = match fault {
        Fault::Tls(_)
        | Fault::Silent(NoAnswer::Closed | NoAnswer::BrokenOff | NoAnswer::NotHttp | NoAnswer::TooLarge) => text!("if [tls] was changed, restart msgcube; else see what listens there").in_lang(lang),
        _ => text!("start it: msgcube serve (or systemctl start msgcube); if it runs elsewhere, name it with --server").in_lang(lang),
    };
    Finding::problem("server_alive", found, remedy)
}

async fn ready(scene: &Installation, place: Place<'_>) -> (bool, Finding) {
    let lang = scene.lang;
    let remedy =
        text!("see the disk above, and the server's log; messages are not counted meanwhile").in_lang(lang);
    match scene.get(place, "/readyz").await {
        Ok(answer) => {
            let said: Value = serde_json::from_slice(&answer.said.body).unwrap_or_default();
            let reasons = joined(&said["reasons"]);
            let degraded = joined(&said["degraded"]);
            if answer.said.status != 200 {
                let found = text!("takes no messages: {reasons}", reasons).in_lang(lang);
                return (true, Finding::problem("server_ready", found, remedy));
            }
            if !degraded.is_empty() {
                let found =
                    text!("bots go on answering, and nothing is counted: {degraded}", degraded).in_lang(lang);
                return (true, Finding::problem("server_ready", found, remedy));
            }
            (false, Finding::ok("server_ready", text!("messages become durable").in_lang(lang)))
        }
        Err(fault) => (true, Finding::problem("server_ready", remarks::fault(lang, &fault), remedy)),
    }
}

fn joined(list: &Value) -> String {
    let texts = list.as_array().into_iter().flatten().filter_map(Value::as_str);
    texts.collect::<Vec<_>>().join("; ")
}

/// The operator's own address, if there is one.
async fn admin_address(scene: &Installation) -> Option<Finding> {
    let address = scene.config.admin_listen.filter(|address| address.port() != 0)?;
    let lang = scene.lang;
    let is_encrypted = scene.config.tls.is_some() && !address.ip().is_loopback();
    let base = format!("{}://{address}", if is_encrypted { "https" } else { "http" });
    let base = Address::parse_base(&base).ok()?;
    Some(match scene.get(Place { base: &base, trust: Trust::ThisMachine }, "/healthz").await {
        Ok(answer) if answer.said.status == 200 => {
            Finding::ok("admin_listen", text!("{base} answers", base).in_lang(lang))
        }
        Ok(answer) => not_ours(lang, &base, answer.said.status),
        Err(fault) => {
            let why = remarks::fault(lang, &fault);
            let remedy = text!("restart msgcube: admin_listen is read at the start").in_lang(lang);
            Finding::problem("admin_listen", format!("{base}: {why}"), remedy)
        }
    })
}

fn not_ours(lang: Lang, base: &Address, status: u16) -> Finding {
    let found = text!("{base} answers {status}", base, status).in_lang(lang);
    let remedy = text!("another program has this address: choose another").in_lang(lang);
    Finding::problem("admin_listen", found, remedy)
}

/// Whose key opens the own interface, and what is served.
async fn accounts(scene: &Installation) -> (Option<Vec<Value>>, Finding) {
    let lang = scene.lang;
    let skipped = |why: String| (None, Finding::skipped("server_accounts", why));
    match scene.get_own("/v1/accounts").await {
        None => skipped(text!("no admin_key, so coverage is not known").in_lang(lang)),
        Some(Err(fault)) => skipped(remarks::fault(lang, &fault)),
        Some(Ok(answer)) if answer.said.status == 401 => {
            let found =
                text!("the running server has another admin_key than the configuration").in_lang(lang);
            let remedy = text!("restart it after changing the configuration; set MSGCUBE_ADMIN_KEY here if it takes the key from there").in_lang(lang);
            (None, Finding::problem("server_accounts", found, remedy))
        }
        Some(Ok(answer)) => match serde_json::from_slice::<Value>(&answer.said.body) {
            Ok(said) if answer.said.status == 200 => listed(scene, &said),
            _ => skipped(format!("GET /v1/accounts: {}", answer.said.status)),
        },
    }
}

fn listed(scene: &Installation, said: &Value) -> (Option<Vec<Value>>, Finding) {
    let lang = scene.lang;
    let accounts = said["accounts"].as_array().cloned().unwrap_or_default();
    let is_configured =
        |account: &&Value| scene.config.accounts.iter().any(|known| account["appid"] == known.appid);
    let (number, configured) = (accounts.len(), accounts.iter().filter(is_configured).count());
    let added = number - configured;
    let found =
        text!("accounts: {configured} of the configuration, {added} added at run time", configured, added)
            .in_lang(lang);
    let finding = Finding::ok("server_accounts", found);
    if added == 0 {
        return (Some(accounts), finding);
    }
    let remark =
        text!("; of the latter only the coverage is checked: their secrets are known to the server alone")
            .in_lang(lang);
    let found = format!("{}{remark}", finding.found);
    (Some(accounts), Finding::note("server_accounts", found))
}

fn played_where(scene: &Installation) -> Option<Finding> {
    let lang = scene.lang;
    let has_callbacks = !scene.config.accounts.is_empty() || !scene.config.components.is_empty();
    if scene.url.is_some() || !has_callbacks {
        return None;
    }
    let found = text!(
        "callbacks were played on this machine, so name, firewall, proxy and certificate were not tried"
    )
    .in_lang(lang);
    let remedy = text!("msgcube doctor --url https://YOUR_HOST").in_lang(lang);
    Some(Finding::note("callback_place", found).remedied(remedy))
}
