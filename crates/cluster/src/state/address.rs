//! The address of PostgreSQL as operators write it: what of it is for TLS, and what for the connection.

use std::{path::PathBuf, time::Duration};

use percent_encoding::percent_decode_str;
use system::secret::Secret;
use tokio_postgres::{
    Config,
    config::{Host, SslMode, TargetSessionAttrs},
};

use super::error::StateError;

/// All hosts of an address together are tried for about this long, so that a fence can still find the second one.
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
    let (mut rest, mut mode, mut authorities, mut is_system) = (Vec::new(), None, None, false);
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
        match name {
            "sslmode" => mode = Some(value),
            "sslrootcert" if value == "system" => is_system = true,
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
    // As in libpq.
    let usual = if is_system { "verify-full" } else { "prefer" };
    let mode = mode.as_deref().unwrap_or(usual);
    if is_system && mode != "verify-full" {
        return Err(wrong("with sslrootcert=system, sslmode must be verify-full"));
    }
    let (ssl_mode, trust) = match mode {
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

impl StateAddress {
    /// The same for each host alone, in their order.
    pub fn each_host(&self) -> Vec<Config> {
        let config = &self.config;
        let count = config.get_hosts().len().max(config.get_hostaddrs().len());
        (0..count).map(|at| of_host(config, at)).collect()
    }
}

/// The library cannot remove a host from an address, so everything else is copied.
fn of_host(config: &Config, at: usize) -> Config {
    let mut one = Config::new();
    match config.get_hosts().get(at) {
        Some(Host::Tcp(name)) => drop(one.host(name)),
        #[cfg(unix)]
        Some(Host::Unix(path)) => drop(one.host_path(path)),
        None => {}
    }
    config.get_hostaddrs().get(at).map(|address| one.hostaddr(*address));
    let ports = config.get_ports();
    ports.get(at).or(ports.first()).map(|port| one.port(*port));
    config.get_user().map(|user| one.user(user));
    config.get_password().map(|password| one.password(password));
    config.get_dbname().map(|name| one.dbname(name));
    config.get_application_name().map(|name| one.application_name(name));
    config.get_connect_timeout().map(|limit| one.connect_timeout(*limit));
    config.get_tcp_user_timeout().map(|limit| one.tcp_user_timeout(*limit));
    config.get_keepalives_interval().map(|interval| one.keepalives_interval(interval));
    config.get_keepalives_retries().map(|retries| one.keepalives_retries(retries));
    one.keepalives(config.get_keepalives()).keepalives_idle(config.get_keepalives_idle());
    one.ssl_mode(config.get_ssl_mode()).ssl_negotiation(config.get_ssl_negotiation());
    one.channel_binding(config.get_channel_binding()).load_balance_hosts(config.get_load_balance_hosts());
    one.target_session_attrs(config.get_target_session_attrs());
    one
}

/// Name and port of an address with one host.
pub fn host_name(config: &Config) -> String {
    let name = match (config.get_hosts().first(), config.get_hostaddrs().first()) {
        (Some(Host::Tcp(name)), _) => name.clone(),
        #[cfg(unix)]
        (Some(Host::Unix(path)), _) => path.display().to_string(),
        (None, address) => address.map(ToString::to_string).unwrap_or_default(),
    };
    format!("{name}:{}", config.get_ports().first().unwrap_or(&5432))
}

/// Sets what must hold for every connection.
fn complete(config: &mut Config) -> Result<(), StateError> {
    let (names, addresses) = (config.get_hosts().len(), config.get_hostaddrs().len());
    let (hosts, ports) = (names.max(addresses), config.get_ports().len());
    if (names > 0 && addresses > 0 && names != addresses) || (ports > 1 && ports != hosts) {
        return Err(StateError::Address("it must have as many ports as hosts, or one for all".to_owned()));
    }
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
        assert_eq!(mode("?sslrootcert=system"), mode("?sslmode=verify-full"));
        assert!(mode("?sslrootcert=system&sslmode=require").is_err());
        assert!(mode("?sslmode=maybe").is_err());
        assert!(mode("?sslcert=a.pem").is_err());
        assert!(mode("?options=-cfsync%3Doff").is_err());
    }

    #[test]
    fn each_host_is_tried_with_the_rest_of_the_address() {
        let address =
            of("postgres://u:p@one:5433,two/db?hostaddr=10.0.0.1,10.0.0.2&connect_timeout=6").unwrap();
        let hosts = address.each_host();
        assert_eq!(hosts.iter().map(host_name).collect::<Vec<_>>(), ["one:5433", "two:5432"]);
        let mut same = Config::new();
        same.host("two").port(5432).hostaddr([10, 0, 0, 2].into()).user("u").password("p").dbname("db");
        same.ssl_mode(SslMode::Prefer).application_name("msgcube").connect_timeout(Duration::from_secs(6));
        complete(&mut same).unwrap();
        assert_eq!(hosts[1], same);
        assert!(of("postgres://u@one,two/db?port=1,2,3").is_err());
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
