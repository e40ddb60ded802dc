//! Texts for failed requests.

use i18n::{Text, text};
use rustls::CertificateError;

use super::{ProbeError, exchange::NoAnswer};

/// Why a request got no answer.
pub fn probe_error(error: &ProbeError) -> Text {
    match error {
        ProbeError::Name(why) => text!("the name cannot be resolved: {why}", why = Text::from_english(why)),
        ProbeError::Refused => text!("the connection is refused"),
        ProbeError::Unconnected(why) => text!("no connection: {why}", why = Text::from_english(why)),
        ProbeError::Tls(why) => text!("no TLS: {why}", why = Text::from_english(why)),
        ProbeError::Untrusted(error) => {
            let why = untrusted(error);
            text!("its certificate is not trusted: {why}", why)
        }
        ProbeError::Silent(NoAnswer::Late) => text!("connected, but no answer within 6 s"),
        ProbeError::Silent(why) => no_answer(*why),
    }
}

/// Why no answer was received on an open connection.
pub fn no_answer(why: NoAnswer) -> Text {
    match why {
        NoAnswer::Unreached => text!("could not be reached"),
        NoAnswer::Closed => text!("closed without an answer"),
        NoAnswer::BrokenOff => text!("the answer was cut off"),
        NoAnswer::NotHttp => text!("the answer is not HTTP/1.1"),
        NoAnswer::TooLarge => text!("the answer is over 8 MiB"),
        NoAnswer::Late => text!("no answer in time"),
    }
}

/// Why a certificate is not trusted.
pub fn untrusted(error: &rustls::Error) -> Text {
    let rustls::Error::InvalidCertificate(cause) = error else { return Text::plain(error.to_string()) };
    match cause {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            text!("it has expired")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            text!("it is not valid yet")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            text!("it is for another name")
        }
        CertificateError::UnknownIssuer => text!(
            "no authority that this system trusts has signed it, or its chain lacks an intermediate certificate"
        ),
        other => Text::plain(format!("{other:?}")),
    }
}
