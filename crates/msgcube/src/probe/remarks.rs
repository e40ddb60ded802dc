//! Why a server gave no answer, in both languages.

use i18n::Lang;
use i18n::{Text, text};
use rustls::CertificateError;

use super::{Fault, exchange::NoAnswer};

/// What went wrong.
pub fn fault(lang: Lang, fault: &Fault) -> String {
    match fault {
        Fault::Name(why) => text!("the name leads nowhere: {why}", why = Text::of_english(why)).in_lang(lang),
        Fault::Refused => text!("the connection is refused").in_lang(lang),
        Fault::Unconnected(why) => text!("no connection: {why}", why = Text::of_english(why)).in_lang(lang),
        Fault::Tls(why) => text!("no TLS: {why}", why = Text::of_english(why)).in_lang(lang),
        Fault::Untrusted(error) => {
            let why = untrusted(lang, error);
            text!("its certificate is not trusted: {why}", why).in_lang(lang)
        }
        Fault::Silent(NoAnswer::Late) => text!("connected, and no answer within 6 s").in_lang(lang),
        Fault::Silent(why) => no_answer(lang, *why),
    }
}

/// What became of a request on a connection.
pub fn no_answer(lang: Lang, why: NoAnswer) -> String {
    match why {
        NoAnswer::Unreached => text!("could not be reached").in_lang(lang),
        NoAnswer::Closed => text!("closed without an answer").in_lang(lang),
        NoAnswer::BrokenOff => text!("the answer broke off").in_lang(lang),
        NoAnswer::NotHttp => text!("what came is no HTTP/1.1").in_lang(lang),
        NoAnswer::TooLarge => text!("the answer is over 8 MiB").in_lang(lang),
        NoAnswer::Late => text!("no answer in time").in_lang(lang),
    }
}

/// What a verifier has against a certificate.
pub fn untrusted(lang: Lang, error: &rustls::Error) -> String {
    let rustls::Error::InvalidCertificate(cause) = error else { return error.to_string() };
    match cause {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            text!("it is over").in_lang(lang)
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            text!("it is not valid yet").in_lang(lang)
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            text!("it is for another name").in_lang(lang)
        }
        CertificateError::UnknownIssuer => text!(
            "no authority of this system vouches for it, or a certificate between is missing in its chain"
        )
        .in_lang(lang),
        other => format!("{other:?}"),
    }
}
