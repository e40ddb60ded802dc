//! Heads of requests and answers that are passed on: removes headers, and puts the real token in place of ours.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Request, header, request::Parts},
};
use msgcube_client::http::UNRESERVED;
use percent_encoding::utf8_percent_encode;
use system::secret::Secret;

use crate::{forward::upstream_token::UpstreamTokens, http::own_cookies};

/// Headers of a single connection. Source: RFC 9110, section 7.6.1, and the older list of RFC 2616.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];
/// Further request headers that are not passed on: our keys, our host, what hyper handles itself, and `Accept-Encoding`,
/// because a compressed answer cannot be searched.
const NOT_PASSED: [HeaderName; 4] =
    [header::AUTHORIZATION, header::HOST, header::EXPECT, header::ACCEPT_ENCODING];

/// Removes the request headers that are not passed on.
pub fn clean(headers: &mut HeaderMap) {
    strip(headers);
    NOT_PASSED.iter().for_each(|name| drop(headers.remove(name)));
    own_cookies::remove_from_request(headers);
    // The address of a page that was called with a token contains the token, and that of a share link is one.
    let is_telling = |referer: &HeaderValue| {
        let contains = |text: &[u8]| referer.as_bytes().windows(text.len()).any(|part| part == text);
        contains(b"access_token") || contains(b"/ui/")
    };
    if headers.get(header::REFERER).is_some_and(is_telling) {
        headers.remove(header::REFERER);
    }
}

/// Builds the request for WeChat. Its headers must be clean already.
pub fn request(
    parts: &Parts,
    upstream: &UpstreamTokens,
    token: Option<&Secret>,
    body: Body,
) -> Result<Request<Body>, http::Error> {
    let query = parts.uri.query().map(|query| match token {
        Some(token) => with_token(query, token.reveal()),
        None => query.to_owned(),
    });
    let path = parts.uri.path();
    let uri =
        upstream.config.base.below(&query.map_or(path.to_owned(), |query| format!("{path}?{query}")))?;
    let mut request = Request::new(body);
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = parts.headers.clone();
    Ok(request)
}

/// Answer headers that hold for all of our address, not only for one answer: they would send the addresses of our pages
/// elsewhere, sign everybody out, or speak in our name.
const OF_WHOLE_ORIGIN: [HeaderName; 10] = [
    HeaderName::from_static("nel"),
    HeaderName::from_static("report-to"),
    HeaderName::from_static("reporting-endpoints"),
    HeaderName::from_static("clear-site-data"),
    HeaderName::from_static("service-worker-allowed"),
    header::STRICT_TRANSPORT_SECURITY,
    header::PUBLIC_KEY_PINS,
    header::ALT_SVC,
    HeaderName::from_static("x-msgcube-hint"),
    HeaderName::from_static("x-msgcube-hint-zh"),
];

/// Removes the answer headers that are not passed back.
pub fn clean_answer(headers: &mut HeaderMap) {
    strip(headers);
    OF_WHOLE_ORIGIN.iter().for_each(|name| drop(headers.remove(name)));
    own_cookies::remove_from_answer(headers);
}

/// Removes the headers of a single connection, including those that `Connection` names.
pub fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    HOP_BY_HOP.iter().chain(&named).for_each(|name| drop(headers.remove(name)));
}

/// The query with its token replaced by this one. The rest stays byte for byte. Further tokens are removed, because they
/// would be ours too.
fn with_token(query: &str, token: &str) -> String {
    let mut is_there = false;
    let pairs = query.split('&').filter_map(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        if !is_access_token(name) {
            return Some(pair.to_owned());
        }
        let first = !std::mem::replace(&mut is_there, true);
        first.then(|| format!("access_token={}", utf8_percent_encode(token, UNRESERVED)))
    });
    pairs.collect::<Vec<_>>().join("&")
}

/// The query without the tokens that `with_token` replaces or removes.
pub fn without_token(query: &str) -> String {
    let is_other = |pair: &&str| !is_access_token(pair.split('=').next().unwrap_or_default());
    query.split('&').filter(is_other).collect::<Vec<_>>().join("&")
}

fn is_access_token(name: &str) -> bool {
    form_urlencoded::parse(name.as_bytes()).next().is_some_and(|(name, _)| name == "access_token")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_of_a_query_changes() {
        let cases = [
            ("access_token=ours", "access_token=R-1"),
            ("type=%E4%B8%AD+x&access_token=ours&a&=b", "type=%E4%B8%AD+x&access_token=R-1&a&=b"),
            ("access%5Ftoken=ours&access_token=ours", "access_token=R-1"),
            ("xaccess_token=1&access_token=", "xaccess_token=1&access_token=R-1"),
        ];
        for (query, expected) in cases {
            assert_eq!(with_token(query, "R-1"), expected);
        }
        assert_eq!(with_token("access_token=x", "a&b=c%"), "access_token=a%26b%3Dc%25");
    }

    #[test]
    fn headers_of_one_connection_stay_there() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Private"),
            ("x-private", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("content-type", "text/plain"),
        ] {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        strip(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["content-type"]);
    }

    #[test]
    fn an_answer_keeps_only_headers_of_its_own() {
        let mut headers = HeaderMap::new();
        let removed =
            ["nel", "clear-site-data", "strict-transport-security", "x-msgcube-hint", "keep-alive", "x-once"];
        for name in removed.into_iter().chain(["etag", "x-errno"]) {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("1"));
        }
        headers.insert(header::CONNECTION, HeaderValue::from_static("X-Once"));
        clean_answer(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["etag", "x-errno"]);
    }
}
