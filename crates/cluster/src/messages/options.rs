//! How ClickHouse is reached: the options, and the HTTP client made of them.

use std::time::Duration;

use clickhouse::Client;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use msgcube_client::http::{Address, Trust, tls_config};
use system::secret::Secret;

use super::error::ClickHouseError;

/// Most time to connect to a server.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);
/// Idle connections are closed after this time: older servers close theirs after 3 s.
const IDLE_MAX: Duration = Duration::from_secs(2);
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// How to reach ClickHouse.
#[derive(Clone, Debug)]
pub struct ClickHouseOptions {
    /// `http://host:port` or `https://…` of the servers. With a cluster: at least one of each shard.
    pub urls: Vec<String>,
    /// The user.
    pub user: String,
    /// The user's password. It may be empty.
    pub password: Secret,
    /// The database.
    pub database: String,
    /// The cluster in ClickHouse's configuration. None: one server, without replication.
    pub cluster: Option<String>,
}

/// A server as it is configured, before it was asked anything.
#[derive(Clone, Debug)]
pub struct NamedServer {
    /// The address as it is shown.
    pub url: String,
    /// A client without database and settings.
    pub client: Client,
}

impl ClickHouseOptions {
    /// The servers, if the options can be right. They share their connections.
    pub(super) fn servers(&self) -> Result<Vec<NamedServer>, ClickHouseError> {
        let refused = |what: String| Err(ClickHouseError::Options(what));
        for (key, name) in [("database", Some(&self.database)), ("cluster", self.cluster.as_ref())] {
            if name.is_some_and(|name| !is_name(name)) {
                return refused(format!("{key} must be 1 to 64 letters, digits, _ or -"));
            }
        }
        match (self.urls.len(), &self.cluster) {
            (0, _) => return refused("urls must name a server".to_owned()),
            (2.., None) => {
                return refused(
                    "several urls need cluster, the name of the cluster in ClickHouse".to_owned(),
                );
            }
            _ => {}
        }
        let client = self.client();
        let server = |url: &String| {
            let address = Address::parse_base(url).map_err(|what| {
                ClickHouseError::Options(format!("urls: the address of a ClickHouse server {what}"))
            })?;
            let client = client.clone().with_url(address.uri_text());
            Ok(NamedServer { url: address.to_string(), client })
        };
        self.urls.iter().map(server).collect()
    }

    fn client(&self) -> Client {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIME_MAX));
        tcp.set_keepalive(Some(TCP_KEEPALIVE));
        let https = HttpsConnectorBuilder::new().with_tls_config(tls_config(Trust::Authorities));
        let https = https.https_or_http().enable_http1().wrap_connector(tcp);
        let mut http = legacy::Client::builder(TokioExecutor::new());
        http.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE_MAX);
        Client::with_http_client(http.build(https))
            .with_user(&self.user)
            .with_password(self.password.reveal())
            .with_product_info("msgcube", env!("CARGO_PKG_VERSION"))
    }
}

fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=64).contains(&name.len()) && name.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(urls: &[&str], database: &str, cluster: Option<&str>) -> ClickHouseOptions {
        ClickHouseOptions {
            urls: urls.iter().map(ToString::to_string).collect(),
            user: "u".to_owned(),
            password: Secret::new("hidden"),
            database: database.to_owned(),
            cluster: cluster.map(ToOwned::to_owned),
        }
    }

    #[test]
    fn options_that_cannot_be_right_are_refused_with_their_key_and_without_the_password() {
        let cases = [
            (options(&[], "msgcube", None), "urls must name"),
            (options(&["http://a:8123", "http://b:8123"], "msgcube", None), "need cluster"),
            (options(&["ftp://a"], "msgcube", None), "must begin with http"),
            (options(&["http://u:hidden@a:8123"], "msgcube", None), "must not hold a user name"),
            (options(&["http://a:8123"], "msg cube", None), "database must be"),
            (options(&["http://a:8123"], "msgcube", Some("w'x")), "cluster must be"),
            (options(&["http://a:8123"], "", None), "database must be"),
        ];
        for (options, expected) in cases {
            let error = options.servers().unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("hidden"), "{error}");
        }
        assert!(!format!("{:?}", options(&["http://a:8123"], "msgcube", None)).contains("hidden"));
        assert_eq!(
            options(&["http://a:8123/", "https://b/ch"], "msgcube", Some("c")).servers().unwrap().len(),
            2
        );
    }
}
