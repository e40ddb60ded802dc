//! The running server: whether it answers and accepts messages, and which accounts it serves.

use i18n::{Text, format, text};
use msgcube_client::http::{Address, Trust};
use serde_json::Value;

use super::{
    finding::Finding,
    installation::{CallbackEndpoint, Installation},
    refused,
};
use crate::probe::{ProbeError, error_text, exchange::NoAnswer};

/// What the running server reported.
#[derive(Debug, Default)]
pub struct ServerState {
    /// It answers.
    pub is_alive: bool,
    /// It reports that it cannot make messages durable.
    pub is_unready: bool,
    /// `GET /v1/accounts`, if it answered.
    pub accounts: Option<Vec<Value>>,
}

/// Checks the running server.
pub async fn check(installation: &Installation) -> (ServerState, Vec<Finding>) {
    let Some(endpoint) = installation.server() else {
        let found = text!("listen has port 0: the address changes at each start");
        let remedy = text!("give --server the address that it printed");
        return (ServerState::default(), vec![Finding::skipped("server_alive", found).with_remedy(remedy)]);
    };
    let (alive, finding) = alive(installation, endpoint).await;
    let mut findings = vec![finding];
    let mut served = ServerState { is_alive: alive, ..ServerState::default() };
    if alive {
        let (is_unready, finding) = ready(installation, endpoint).await;
        served.is_unready = is_unready;
        findings.push(finding);
        findings.extend(admin_address(installation).await);
        let (accounts, finding) = accounts(installation).await;
        served.accounts = accounts;
        findings.push(finding);
        findings.extend(refused::check(installation).await);
    }
    findings.extend(callbacks_played_here(installation));
    (served, findings)
}

async fn alive(installation: &Installation, endpoint: CallbackEndpoint<'_>) -> (bool, Finding) {
    let base = endpoint.base;
    match installation.get(endpoint, "/healthz").await {
        Ok(answer) if answer.answer.status == 200 && answer.answer.body == b"ok\n" => {
            let took = format::time(answer.took);
            let found = text!("{base} answers in {took}", base, took);
            (true, Finding::ok("server_alive", found))
        }
        Ok(answer) => {
            let status = answer.answer.status;
            let found = text!("the server at {base} is not msgcube (status {status})", base, status);
            let remedy = text!("free the address, or give msgcube another listen");
            (false, Finding::problem("server_alive", found, remedy))
        }
        Err(fault) => (false, unreachable_server(base, &fault)),
    }
}

fn unreachable_server(base: &Address, fault: &ProbeError) -> Finding {
    let why = error_text::probe_error(fault);
    let found = text!("{base}: {why}", base, why);
    let remedy = match fault {
        ProbeError::Tls(_)
        | ProbeError::Silent(
            NoAnswer::Closed | NoAnswer::BrokenOff | NoAnswer::NotHttp | NoAnswer::TooLarge,
        ) => text!("if [tls] was changed, restart msgcube; else see what listens there"),
        _ => text!(
            "start it: msgcube serve (or systemctl start msgcube); if it runs elsewhere, name it with --server"
        ),
    };
    Finding::problem("server_alive", found, remedy)
}

async fn ready(installation: &Installation, endpoint: CallbackEndpoint<'_>) -> (bool, Finding) {
    let remedy = text!("see the disk above, and the server's log; messages are not counted meanwhile");
    match installation.get(endpoint, "/readyz").await {
        Ok(answer) => {
            let said: Value = serde_json::from_slice(&answer.answer.body).unwrap_or_default();
            let reasons = joined(&said["reasons"]);
            let degraded = joined(&said["degraded"]);
            if answer.answer.status != 200 {
                let found = text!("accepts no messages: {reasons}", reasons);
                return (true, Finding::problem("server_ready", found, remedy));
            }
            if !degraded.is_empty() {
                let found = text!("bots still answer, but nothing is counted: {degraded}", degraded);
                return (true, Finding::problem("server_ready", found, remedy));
            }
            (false, Finding::ok("server_ready", text!("messages become durable")))
        }
        Err(fault) => (true, Finding::problem("server_ready", error_text::probe_error(&fault), remedy)),
    }
}

fn joined(list: &Value) -> String {
    let texts = list.as_array().into_iter().flatten().filter_map(Value::as_str);
    texts.collect::<Vec<_>>().join("; ")
}

/// Checks the admin address, if there is one.
async fn admin_address(installation: &Installation) -> Option<Finding> {
    let address = installation.config.admin_listen.filter(|address| address.port() != 0)?;
    let is_encrypted = installation.config.tls.is_some() && !address.ip().is_loopback();
    let base = format!("{}://{address}", if is_encrypted { "https" } else { "http" });
    let base = Address::parse_base(&base).ok()?;
    Some(
        match installation.get(CallbackEndpoint { base: &base, trust: Trust::ThisMachine }, "/healthz").await
        {
            Ok(answer) if answer.answer.status == 200 => {
                Finding::ok("admin_listen", text!("{base} answers", base))
            }
            Ok(answer) => not_ours(&base, answer.answer.status),
            Err(fault) => {
                let why = error_text::probe_error(&fault);
                let remedy = text!("restart msgcube: admin_listen is read at the start");
                Finding::problem("admin_listen", text!("{base}: {why}", base, why), remedy)
            }
        },
    )
}

fn not_ours(base: &Address, status: u16) -> Finding {
    let found = text!("{base} answers {status}", base, status);
    let remedy = text!("another program has this address: choose another");
    Finding::problem("admin_listen", found, remedy)
}

/// Checks the admin key and lists the accounts that are served.
async fn accounts(installation: &Installation) -> (Option<Vec<Value>>, Finding) {
    let skipped = |why: Text| (None, Finding::skipped("server_accounts", why));
    match installation.get_admin("/v1/accounts").await {
        None => skipped(text!("no admin_key, so coverage is not known")),
        Some(Err(fault)) => skipped(error_text::probe_error(&fault)),
        Some(Ok(answer)) if answer.answer.status == 401 => {
            let found = text!("the running server has another admin_key than the configuration");
            let remedy = text!(
                "restart it after changing the configuration; set MSGCUBE_ADMIN_KEY here if the server uses it"
            );
            (None, Finding::problem("server_accounts", found, remedy))
        }
        Some(Ok(answer)) => match serde_json::from_slice::<Value>(&answer.answer.body) {
            Ok(said) if answer.answer.status == 200 => listed(installation, &said),
            _ => skipped(Text::plain(format!("GET /v1/accounts: {}", answer.answer.status))),
        },
    }
}

fn listed(installation: &Installation, said: &Value) -> (Option<Vec<Value>>, Finding) {
    let accounts = said["accounts"].as_array().cloned().unwrap_or_default();
    let is_configured =
        |account: &&Value| installation.config.accounts.iter().any(|known| account["appid"] == known.appid);
    let (number, configured) = (accounts.len(), accounts.iter().filter(is_configured).count());
    let added = number - configured;
    let found =
        text!("accounts: {configured} of the configuration, {added} added at run time", configured, added);
    let finding = Finding::ok("server_accounts", found);
    if added == 0 {
        return (Some(accounts), finding);
    }
    let remark =
        text!("; of the latter only the coverage is checked: their secrets are known to the server alone");
    let found = text!("{found}{remark}", found = finding.found, remark);
    (Some(accounts), Finding::note("server_accounts", found))
}

fn callbacks_played_here(installation: &Installation) -> Option<Finding> {
    let has_callbacks =
        !installation.config.accounts.is_empty() || !installation.config.components.is_empty();
    if installation.url.is_some() || !has_callbacks {
        return None;
    }
    let found = text!(
        "callbacks were played on this machine, so name, firewall, proxy and certificate were not tested"
    );
    let remedy = text!("msgcube doctor --url https://YOUR_HOST");
    Some(Finding::note("callback_place", found).with_remedy(remedy))
}
