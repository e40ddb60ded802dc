//! A platform that is served as WeChat would: whether it takes its tickets, and whether accounts get to the consent page.

use i18n::words;
use serde_json::Value;
use server::config::ComponentConfig;

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
pub async fn check(scene: &Installation, platform: &ComponentConfig, place: Place<'_>) -> Vec<Finding> {
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
        let found = lang.pick(format!("{base}{PAGE} is there"), format!("{base}{PAGE} 可以访问"));
        return Finding::ok(ID, found);
    }
    if is_page {
        let found = lang
            .pick(format!("{base}{PAGE} does not know this platform"), format!("{base}{PAGE} 没有此平台"));
        let remedy = lang.pick(
            "restart msgcube: the configuration is read at the start",
            "请重启 msgcube：配置只在启动时读取",
        );
        return Finding::problem(ID, found, remedy);
    }
    let status = answer.said.status;
    let found = lang.pick(
        format!("what answers at {base}{PAGE} is not the page (status {status})"),
        format!("{base}{PAGE} 上应答的不是授权页（状态 {status}）"),
    );
    let remedy = lang.pick(
        format!("accounts cannot authorise the platform: pass {PAGE} on to msgcube"),
        format!("公众号无法授权该平台：请把 {PAGE} 转发给 msgcube"),
    );
    Finding::problem(ID, found, remedy)
}

/// Whether its server took the ticket of the moment.
pub fn ticket(scene: &Installation, ticket: &Value) -> Finding {
    const ID: &str = "ticket_pushed";
    let lang = scene.lang;
    let age_s = age_s(scene, &ticket["time"]);
    let is_recent = age_s.is_some_and(|age_s| age_s <= TICKET_LATE_S);
    let taken = match age_s.map(|age_s| words::span(lang, age_s)) {
        Some(age) => lang.pick(format!("took a ticket {age} ago"), format!("{age}前收下 ticket")),
        None => lang.pick("took no ticket since the start", "启动以来未收下 ticket").to_owned(),
    };
    let remedy = lang.pick(
        "the platform has to answer 200 and success within 10 s: see its log, and whether its token and encoding_aes_key are these",
        "平台须在 10 秒内应答 200 和 success：请查看平台日志，并核对其 token 与 encoding_aes_key",
    );
    match ticket["error"].as_str() {
        None if is_recent => Finding::ok(ID, taken),
        None if age_s.is_none() => Finding::note(ID, taken),
        None => Finding::warning(ID, taken, remedy),
        Some(error) => {
            let error = words::quote(error.as_bytes());
            let found = lang.pick(
                format!("{taken}; the last push failed: {error}"),
                format!("{taken}；最近一次推送失败：{error}"),
            );
            if is_recent { Finding::warning(ID, found, remedy) } else { Finding::problem(ID, found, remedy) }
        }
    }
}
