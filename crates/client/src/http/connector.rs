//! TCP connections, direct or through the proxy that the environment names.

use std::{
    error::Error,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Uri, uri::Scheme};
use hyper_util::{
    client::{
        legacy::connect::{HttpConnector, proxy::Tunnel},
        proxy::matcher::Matcher,
    },
    rt::TokioIo,
};
use tokio::net::TcpStream;
use tower_service::Service;

type BoxError = Box<dyn Error + Send + Sync>;

/// Makes TCP connections.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    tcp: HttpConnector,
    proxies: Option<Arc<Matcher>>,
}

impl Connector {
    pub fn new(connect_time_max: Option<Duration>) -> Connector {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(connect_time_max);
        Connector { tcp, proxies: None }
    }

    pub fn with_proxy_of_environment(self) -> Connector {
        Connector { proxies: Some(Arc::new(Matcher::from_env())), ..self }
    }

    /// The tunnel to this address if a proxy applies. Only https goes through a proxy, which could read plain http.
    fn tunnel(&self, to: &Uri) -> Option<Tunnel<HttpConnector>> {
        let proxies = self.proxies.as_ref().filter(|_| to.scheme() == Some(&Scheme::HTTPS))?;
        let proxy = proxies.intercept(to)?;
        let tunnel = Tunnel::new(proxy.uri().clone(), self.tcp.clone());
        Some(match proxy.basic_auth() {
            Some(credentials) => tunnel.with_auth(credentials.clone()),
            None => tunnel,
        })
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        if let Some(mut tunnel) = self.tunnel(&to) {
            let connecting = tunnel.call(to);
            return Box::pin(async { connecting.await.map_err(Into::into) });
        }
        let connecting = self.tcp.call(to);
        Box::pin(async { connecting.await.map_err(Into::into) })
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::http::tests::request_head;

    #[tokio::test]
    async fn https_goes_through_the_proxy_unless_its_host_is_excluded() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = format!("http://user:pass@{}", listener.local_addr().unwrap());
        let proxies = Matcher::builder().all(proxy).no("near.example").build();
        let mut connector = Connector { proxies: Some(Arc::new(proxies)), ..Connector::new(None) };
        for text in ["http://api.example/", "https://near.example/"] {
            assert!(connector.tunnel(&text.parse().unwrap()).is_none(), "{text}");
        }
        let proxy_request = tokio::spawn(request_head(listener));
        assert!(connector.call("https://api.example/x".parse().unwrap()).await.is_err(), "the proxy closes");
        let head = proxy_request.await.unwrap();
        assert_eq!(head[0], "CONNECT api.example:443 HTTP/1.1");
        assert!(head.iter().any(|line| line == "Proxy-Authorization: Basic dXNlcjpwYXNz"), "{head:?}");
    }
}
