//! The address of PostgreSQL as operators write it: what of it is for TLS, and what for the connection.

use std::{path::PathBuf, time::Duration};

use percent_encoding::percent_decode_str;
use system::secret::Secret;
use tokio_postgres::{
    Config,
    config::{SslMode, TargetSessionAttrs},
};

use super::error::StateError;

/// All hosts of an address together are tried for this long, so that a fence can still find the second one.
const CONNECT_LIMIT: Duration = Duration::from_secs(4);
const SILENCE_LIMIT: Duration = Duration::from_secs(10);

/// Whose certificates are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerTrust {
    /// Any: encrypted, but whoever can intercept the connection can read it. So libpq defines `prefer` and `require`.
    Anyone,
    /// Certificates of a known authority, for any host.
    Chain,
    /// Certificates of a known authority, for this host.
    ChainAndName,
}

/// An address that was understood.
#[derive(Clone, Debug)]
pub struct StateAddress {
    /// For the client library. Its `Debug` hides the password.
    pub config: Config,
    /// Whose certificates are accepted.
    pub trust: PeerTrust,
    /// File with the authorities, in place of the system's.
    pub authorities: Option<PathBuf>,
}

/// Reads an address. Errors do not quote it, since it contains the password.
pub fn read(url: &Secret) -> Result<StateAddress, StateError> {
    let wrong = |text: &str| StateError::Address(text.to_owned());
    let text = url.reveal().trim();
    if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
        return Err(wrong("it must begin with postgres:// like postgres://user:password@host/database"));
    }
    let (base, query) = text.split_once('?').unwrap_or((text, ""));
    let (mut rest, mut mode, mut authorities) = (Vec::new(), "prefer".to_owned(), None);
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
        match name {
            "sslmode" => mode = value,
            "sslrootcert" if value == "system" => {}
            "sslrootcert" => authorities = Some(PathBuf::from(value)),
            "sslcert" | "sslkey" | "sslpassword" | "sslcrl" | "sslcrldir" => {
                return Err(wrong(
                    "client certificates and lists of revoked ones are not supported; \
                                  remove sslcert, sslkey, sslpassword, sslcrl and sslcrldir",
                ));
            }
            _ => rest.push(parameter),
        }
    }
    let (ssl_mode, trust) = match mode.as_str() {
        "disable" => (SslMode::Disable, PeerTrust::Anyone),
        "allow" | "prefer" => (SslMode::Prefer, PeerTrust::Anyone),
        // libpq does the same: `require` with a file of authorities checks them.
        "require" if authorities.is_none() => (SslMode::Require, PeerTrust::Anyone),
        "require" | "verify-ca" => (SslMode::Require, PeerTrust::Chain),
        "verify-full" => (SslMode::Require, PeerTrust::ChainAndName),
        _ => return Err(wrong("sslmode must be disable, prefer, require, verify-ca or verify-full")),
    };
    let bare = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
    let mut config: Config = bare.parse().map_err(|_| {
        wrong(
            "it is not understood; write special characters of the password as %XX, and check the parameters",
        )
    })?;
    config.ssl_mode(ssl_mode).application_name("msgcube");
    complete(&mut config)?;
    Ok(StateAddress { config, trust, authorities })
}

/// Sets what must hold for every connection.
fn complete(config: &mut Config) -> Result<(), StateError> {
    let hosts = config.get_hosts().len().max(config.get_hostaddrs().len());
    if hosts == 0 || config.get_user().is_none() || config.get_dbname().is_none() {
        return Err(StateError::Address("user, host and database must be named".to_owned()));
    }
    if config.get_options().is_some() {
        return Err(StateError::Address("the parameter options is not supported".to_owned()));
    }
    config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_LIMIT / u32::try_from(hosts).unwrap_or(1).max(1));
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(SILENCE_LIMIT);
    }
    config.keepalives_idle(SILENCE_LIMIT).keepalives_interval(SILENCE_LIMIT / 5).keepalives_retries(3);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<StateAddress, StateError> {
        read(&Secret::new(text))
    }

    #[test]
    fn several_hosts_are_read_and_only_a_writable_one_is_taken() {
        let address = of("postgres://u:p@one:5433,two/db?connect_timeout=3").unwrap();
        assert_eq!(address.config.get_hosts().len(), 2);
        assert_eq!(address.config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
        assert_eq!(address.config.get_connect_timeout(), Some(&Duration::from_secs(3)));
        let address = of("postgres://u:p@one,two/db?target_session_attrs=any").unwrap();
        assert_eq!(address.config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
        assert_eq!(address.config.get_connect_timeout(), Some(&Duration::from_secs(2)));
    }

    #[test]
    fn the_modes_of_tls_mean_what_libpq_means() {
        let mode =
            |text: &str| of(&format!("postgres://u@h/db{text}")).map(|a| (a.config.get_ssl_mode(), a.trust));
        assert_eq!(mode(""), Ok((SslMode::Prefer, PeerTrust::Anyone)));
        assert_eq!(mode("?sslmode=disable"), Ok((SslMode::Disable, PeerTrust::Anyone)));
        assert_eq!(mode("?sslmode=require"), Ok((SslMode::Require, PeerTrust::Anyone)));
        assert_eq!(mode("?sslmode=require&sslrootcert=%2Fca.pem"), Ok((SslMode::Require, PeerTrust::Chain)));
        assert_eq!(mode("?sslmode=verify-full"), Ok((SslMode::Require, PeerTrust::ChainAndName)));
        assert!(mode("?sslmode=maybe").is_err());
        assert!(mode("?sslcert=a.pem").is_err());
        assert!(mode("?options=-cfsync%3Doff").is_err());
    }

    #[test]
    fn no_error_and_no_debug_shows_the_password() {
        for text in [
            "postgres://u:hidden@h/db?hidden=1",
            "postgres://u:hidden@h:port/db",
            "mysql://u:hidden@h/db",
            "postgres://u:hidden@h",
            "postgres://u:hid%den@h/db?sslmode=hidden",
        ] {
            let error = of(text).map(drop).expect_err(text);
            assert!(!format!("{error} {error:?}").contains("hid"), "{error}");
        }
        assert!(!format!("{:?}", of("postgres://u:hidden@h/db")).contains("hidden"));
    }
}
