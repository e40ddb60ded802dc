//! The running server: whether it is there and takes messages, and what it serves.

use i18n::{Lang, words};
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
        let found = lang.pick(
            "listen has port 0: the address is another at each start",
            "listen 的端口为 0，每次启动地址都不同",
        );
        let remedy =
            lang.pick("name the address that it printed with --server", "请用 --server 指定启动时打印的地址");
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
            let took = words::time(answer.took);
            let found = lang.pick(format!("{base} answers in {took}"), format!("{base} 在 {took} 内应答"));
            (true, Finding::ok("server_alive", found))
        }
        Ok(answer) => {
            let status = answer.said.status;
            let found = lang.pick(
                format!("what answers at {base} is no msgcube (status {status})"),
                format!("{base} 上应答的不是 msgcube（状态 {status}）"),
            );
            let remedy = lang.pick(
                "free the address, or give msgcube another listen",
                "请释放该地址，或为 msgcube 另设 listen",
            );
            (false, Finding::problem("server_alive", found, remedy))
        }
        Err(fault) => (false, not_there(lang, base, &fault)),
    }
}

fn not_there(lang: Lang, base: &Address, fault: &Fault) -> Finding {
    let why = remarks::fault(lang, fault);
    let found = lang.pick(format!("{base}: {why}"), format!("{base}：{why}"));
    let remedy = match fault {
        Fault::Tls(_)
        | Fault::Silent(NoAnswer::Closed | NoAnswer::BrokenOff | NoAnswer::NotHttp | NoAnswer::TooLarge) => lang.pick(
            "if [tls] was changed, restart msgcube; else see what listens there",
            "若修改过 [tls]，请重启 msgcube；否则请查看是什么程序在监听",
        ),
        _ => lang.pick(
            "start it: msgcube serve (or systemctl start msgcube); if it runs elsewhere, name it with --server",
            "请启动：msgcube serve（或 systemctl start msgcube）；若在别处运行，请用 --server 指定",
        ),
    };
    Finding::problem("server_alive", found, remedy)
}

async fn ready(scene: &Installation, place: Place<'_>) -> (bool, Finding) {
    let lang = scene.lang;
    let remedy = lang.pick(
        "see the disk above, and the server's log; messages are not counted meanwhile",
        "请查看上面的磁盘检查和服务日志；在此期间消息不会计入",
    );
    match scene.get(place, "/readyz").await {
        Ok(answer) => {
            let said: Value = serde_json::from_slice(&answer.said.body).unwrap_or_default();
            let reasons = joined(&said["reasons"]);
            let degraded = joined(&said["degraded"]);
            if answer.said.status != 200 {
                let found =
                    lang.pick(format!("takes no messages: {reasons}"), format!("不接收消息：{reasons}"));
                return (true, Finding::problem("server_ready", found, remedy));
            }
            if !degraded.is_empty() {
                let found = lang.pick(
                    format!("bots go on answering, and nothing is counted: {degraded}"),
                    format!("机器人仍在应答，但消息没有计入：{degraded}"),
                );
                return (true, Finding::problem("server_ready", found, remedy));
            }
            (false, Finding::ok("server_ready", lang.pick("messages become durable", "消息可以落盘")))
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
            Finding::ok("admin_listen", lang.pick(format!("{base} answers"), format!("{base} 有应答")))
        }
        Ok(answer) => not_ours(lang, &base, answer.said.status),
        Err(fault) => {
            let why = remarks::fault(lang, &fault);
            let remedy = lang.pick(
                "restart msgcube: admin_listen is read at the start",
                "请重启 msgcube：admin_listen 只在启动时读取",
            );
            Finding::problem("admin_listen", format!("{base}: {why}"), remedy)
        }
    })
}

fn not_ours(lang: Lang, base: &Address, status: u16) -> Finding {
    let found = lang.pick(format!("{base} answers {status}"), format!("{base} 应答 {status}"));
    let remedy =
        lang.pick("another program has this address: choose another", "该地址被其他程序占用，请另选");
    Finding::problem("admin_listen", found, remedy)
}

/// Whose key opens the own interface, and what is served.
async fn accounts(scene: &Installation) -> (Option<Vec<Value>>, Finding) {
    let lang = scene.lang;
    let skipped = |why: String| (None, Finding::skipped("server_accounts", why));
    match scene.get_own("/v1/accounts").await {
        None => skipped(
            lang.pick("no admin_key, so coverage is not known", "没有 admin_key，无法得知覆盖情况")
                .to_owned(),
        ),
        Some(Err(fault)) => skipped(remarks::fault(lang, &fault)),
        Some(Ok(answer)) if answer.said.status == 401 => {
            let found = lang.pick(
                "the running server has another admin_key than the configuration",
                "运行中的服务使用的 admin_key 与配置不同",
            );
            let remedy = lang.pick(
                "restart it after changing the configuration; set MSGCUBE_ADMIN_KEY here if it takes the key from there",
                "修改配置后请重启服务；若服务从 MSGCUBE_ADMIN_KEY 取得密钥，此处也请设置",
            );
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
    let found = lang.pick(
        format!("accounts: {configured} of the configuration, {added} added at run time"),
        format!("公众号：配置中 {configured} 个，运行时添加 {added} 个"),
    );
    let finding = Finding::ok("server_accounts", found);
    if added == 0 {
        return (Some(accounts), finding);
    }
    let remark = lang.pick(
        "; of the latter only the coverage is checked: their secrets are known to the server alone",
        "；后者只检查覆盖情况：其密钥只有服务知道",
    );
    let found = format!("{}{remark}", finding.found);
    (Some(accounts), Finding::note("server_accounts", found))
}

fn played_where(scene: &Installation) -> Option<Finding> {
    let lang = scene.lang;
    let has_callbacks = !scene.config.accounts.is_empty() || !scene.config.components.is_empty();
    if scene.url.is_some() || !has_callbacks {
        return None;
    }
    let found = lang.pick(
        "callbacks were played on this machine, so name, firewall, proxy and certificate were not tried",
        "回调只在本机模拟，未经过域名、防火墙、代理和证书",
    );
    let remedy = lang.pick("msgcube doctor --url https://YOUR_HOST", "msgcube doctor --url https://你的域名");
    Some(Finding::note("callback_place", found).remedied(remedy))
}
