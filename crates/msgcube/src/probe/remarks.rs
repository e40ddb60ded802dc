//! Why a server gave no answer, in both languages.

use i18n::Lang;
use rustls::CertificateError;

use super::{Fault, exchange::NoAnswer};
use crate::chinese;

/// What went wrong.
pub fn fault(lang: Lang, fault: &Fault) -> String {
    let zh = |why: &str| chinese::error(Lang::Zh, why);
    match fault {
        Fault::Name(why) => {
            lang.pick(format!("the name leads nowhere: {why}"), format!("域名无法解析：{}", zh(why)))
        }
        Fault::Refused => lang.pick("the connection is refused", "连接被拒绝").to_owned(),
        Fault::Unconnected(why) => {
            lang.pick(format!("no connection: {why}"), format!("无法连接：{}", zh(why)))
        }
        Fault::Tls(why) => lang.pick(format!("no TLS: {why}"), format!("TLS 握手失败：{}", zh(why))),
        Fault::Untrusted(error) => {
            let why = untrusted(lang, error);
            lang.pick(format!("its certificate is not trusted: {why}"), format!("证书不受信任：{why}"))
        }
        Fault::Silent(NoAnswer::Late) => {
            lang.pick("connected, and no answer within 6 s", "已连接，但 6 秒内没有应答").to_owned()
        }
        Fault::Silent(why) => no_answer(lang, *why).to_owned(),
    }
}

/// What became of a request on a connection.
pub fn no_answer(lang: Lang, why: NoAnswer) -> &'static str {
    match why {
        NoAnswer::Unreached => lang.pick("could not be reached", "无法连接"),
        NoAnswer::Closed => lang.pick("closed without an answer", "连接被关闭，没有应答"),
        NoAnswer::BrokenOff => lang.pick("the answer broke off", "应答中断"),
        NoAnswer::NotHttp => lang.pick("what came is no HTTP/1.1", "应答不是 HTTP/1.1"),
        NoAnswer::TooLarge => lang.pick("the answer is over 8 MiB", "应答超过 8 MiB"),
        NoAnswer::Late => lang.pick("no answer in time", "超时没有应答"),
    }
}

/// What a verifier has against a certificate.
pub fn untrusted(lang: Lang, error: &rustls::Error) -> String {
    let rustls::Error::InvalidCertificate(cause) = error else { return error.to_string() };
    match cause {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            lang.pick("it is over", "已过期").to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            lang.pick("it is not valid yet", "尚未生效").to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            lang.pick("it is for another name", "不适用于此域名").to_owned()
        }
        CertificateError::UnknownIssuer => lang
            .pick(
                "no authority of this system vouches for it, or a certificate between is missing in its chain",
                "系统信任的颁发机构都没有签发它，或证书链缺少中间证书",
            )
            .to_owned(),
        other => format!("{other:?}"),
    }
}
