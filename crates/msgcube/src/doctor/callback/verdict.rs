//! What the answer to a played callback means, and what is to be done.

use std::time::Duration;

use i18n::{Lang, words};
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
    let took = words::time(answer.connect_took + answer.took);
    if answer.said.status == 200 && answer.said.body == echostr {
        let found = lang.pick(
            format!("{base}: WeChat's check of the address passes, {took}"),
            format!("{base}：通过微信的地址校验，{took}"),
        );
        return Finding::ok(ID, found);
    }
    if answer.said.status == 200 {
        let found = lang.pick(
            format!("{base} answers something else than echostr: {}", words::quote(&answer.said.body)),
            format!("{base} 返回的不是 echostr：{}", words::quote(&answer.said.body)),
        );
        let remedy = lang.pick(
            format!(
                "another server answers, or a proxy changes the query or the answer: pass {below} on unchanged"
            ),
            format!("应答的是其他服务，或代理改动了参数或应答：请原样转发 {below}"),
        );
        return Finding::problem(ID, found, remedy);
    }
    refused(lang, ID, below, &answer)
}

/// The same with a wrong signature: only a server that checks it may be trusted with the rest.
pub fn wrong_signature(lang: Lang, id: &'static str, below: &str, answer: Result<Answer, Fault>) -> Finding {
    match answer {
        Ok(answer) if answer.said.status == 401 => {
            Finding::ok(id, lang.pick("a wrong signature is refused (401)", "错误的签名被拒绝（401）"))
        }
        Ok(answer) => {
            let status = answer.said.status;
            let found = lang.pick(
                format!("a wrong signature is answered with {status} instead of 401"),
                format!("对错误的签名应答 {status}，而不是 401"),
            );
            let remedy = lang.pick(
                format!("something before msgcube answers this address: pass {below} on to it"),
                format!("应答的不是 msgcube：请把 {below} 转发给它"),
            );
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
    let time = words::time(took);
    let is_ours = answer.said.body == b"success";
    if !is_ours && !is_relayed {
        let found = lang.pick(
            format!(
                "answered in {time} with something else than success: {}",
                words::quote(&answer.said.body)
            ),
            format!("{time} 内应答，但不是 success：{}", words::quote(&answer.said.body)),
        );
        let remedy = lang.pick(
            format!("another server answers: pass {below} on to msgcube"),
            format!("应答的是其他服务：请把 {below} 转发给 msgcube"),
        );
        return Finding::warning(id, found, remedy);
    }
    let found = if is_relayed {
        lang.pick(
            format!("answered in {time}, the bot behind included"),
            format!("{time} 内应答（包括后面的机器人）"),
        )
    } else {
        lang.pick(format!("answered success in {time}"), format!("{time} 内应答 success"))
    };
    if took <= SLOW {
        return Finding::ok(id, found);
    }
    let remedy = lang.pick(
        "WeChat gives up after 5 s and sends again: see the bot (relay_answer), the disk (disk_sync) and the way there",
        "微信 5 秒后放弃并重发：请检查机器人（relay_answer）、磁盘（disk_sync）和网络",
    );
    Finding::warning(id, found, remedy)
}

pub fn failed(lang: Lang, id: &'static str, fault: &Fault) -> Finding {
    let remedy = match fault {
        Fault::Name(_) => lang.pick("correct the DNS record of this name", "请更正该域名的 DNS 记录"),
        Fault::Refused => lang.pick(
            "nothing listens there: start the proxy in front (or msgcube), and open the port",
            "没有程序在监听：请启动前面的代理（或 msgcube），并开放端口",
        ),
        Fault::Unconnected(_) => {
            lang.pick("open the port in the firewall, and check the address", "请在防火墙开放端口，并检查地址")
        }
        Fault::Tls(_) => lang.pick("see the proxy's TLS settings; is it https at all?", "请检查代理的 TLS 设置；该端口是 https 吗？"),
        Fault::Untrusted(_) => lang.pick(
            "get a certificate of a public authority for this name, with its whole chain",
            "请为该域名申请公共颁发机构签发的证书，并附完整证书链",
        ),
        Fault::Silent(NoAnswer::Late) => lang.pick(
            "WeChat gives up after 5 s: see the server's log and what stands before it",
            "微信 5 秒后放弃：请查看服务日志，以及前面的代理",
        ),
        Fault::Silent(_) => lang.pick(
            "the message was not durable in time, or the bot was late: see server_ready, relay_answer and the server's log",
            "消息未能及时落盘，或机器人超时：请查看 server_ready、relay_answer 和服务日志",
        ),
    };
    Finding::problem(id, remarks::fault(lang, fault), remedy)
}

/// An answer that WeChat would not take.
pub fn refused(lang: Lang, id: &'static str, below: &str, answer: &Answer) -> Finding {
    let (status, said) = (answer.said.status, words::quote(&answer.said.body));
    let found = match location(answer) {
        Some(location) => lang.pick(
            format!("redirected ({status}) to {location}"),
            format!("被重定向（{status}）到 {location}"),
        ),
        None => lang.pick(format!("answered {status}: {said}"), format!("应答 {status}：{said}")),
    };
    Finding::problem(id, found, against_refusal(lang, below, answer))
}

fn against_refusal(lang: Lang, below: &str, answer: &Answer) -> String {
    let is_unknown = UNKNOWN.iter().any(|begin| answer.said.body.starts_with(begin));
    match answer.said.status {
        300..=399 => lang.pick(
            format!(
                "WeChat follows no redirect: enter the final address in the console, or answer {below} right there"
            ),
            format!("微信不跟随重定向：请在后台填写最终地址，或直接在此地址应答 {below}"),
        ),
        404 | 405 if !is_unknown => lang.pick(
            format!("the proxy does not pass {below} on to msgcube: correct its paths"),
            format!("代理没有把 {below} 转发给 msgcube：请更正代理的路径设置"),
        ),
        401 if callback::is_refused_as_plain(&answer.said.body) => lang
            .pick(
                "if its timestamp is named, the clocks of this machine and of the server differ: set both right; else \
                 choose safe mode at WeChat, or set require_encryption = false and restart msgcube",
                "若提到 timestamp，则本机与服务器的时钟不一致，请校准；否则请在微信后台选择安全模式，或设置 require_encryption = false 并重启 msgcube",
            )
            .to_owned(),
        status => against_own_refusal(lang, status).to_owned(),
    }
}

fn against_own_refusal(lang: Lang, status: u16) -> &'static str {
    match status {
        401 => lang.pick(
            "the running server has another token, or a proxy changes the query: restart msgcube after changing token",
            "运行中的服务使用的 token 不同，或代理改动了参数：修改 token 后请重启 msgcube",
        ),
        404 => lang.pick(
            "the running server does not know this appid: restart it after changing the configuration",
            "运行中的服务没有此 AppID：修改配置后请重启",
        ),
        400 | 403 => lang.pick(
            "if a key does not open it, the running server has another encoding_aes_key: restart it after changing the \
             key; else something before it refuses",
            "若是密钥无法解密，则运行中的服务使用的 encoding_aes_key 不同：修改后请重启；否则是前面的代理拒绝了请求",
        ),
        _ => lang.pick(
            "see the log of the server and of the proxy in front",
            "请查看服务日志和前面代理的日志",
        ),
    }
}

/// Where a redirect leads, without its query.
fn location(answer: &Answer) -> Option<String> {
    let location = answer.said.header("location").filter(|_| (300..400).contains(&answer.said.status))?;
    Some(words::quote(location.split('?').next().unwrap_or_default().as_bytes()))
}
