//! Why a server gave no answer, in both languages.

use rustls::CertificateError;

use super::Fault;
use crate::{chinese, lang::Lang};

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
        Fault::Silent(why) => lang.pick(
            format!("closed without an answer ({why})"),
            format!("连接被关闭，没有应答（{}）", zh(why)),
        ),
        Fault::Late => {
            lang.pick("connected, and no answer within 6 s", "已连接，但 6 秒内没有应答").to_owned()
        }
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
