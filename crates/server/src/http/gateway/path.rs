//! Which paths go on, and which are ours however they are written.

use percent_encoding::percent_decode_str;

use crate::{
    http::limit_call,
    intake::path::{OF_ACCOUNTS, OF_PLATFORMS},
};

/// Paths, and all below them, that are ours alone.
const OWN: [&str; 8] = [
    "/cgi-bin/componentloginpage",
    "/v1",
    "/cloud",
    "/metrics",
    "/healthz",
    "/readyz",
    "/debug",
    "/openapi.json",
];
/// Calls whose tokens belong to users: they go through untouched.
const OF_USERS: &str = "/sns/";

/// True if a path, read as a server might read it, is one that is answered here or nowhere.
pub fn is_own(path: &str) -> bool {
    let meant = meant(path);
    let is_below =
        |own: &str| meant.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let callbacks = [OF_ACCOUNTS, OF_PLATFORMS].map(|below| below.trim_end_matches('/'));
    let is_token = matches!(meant.as_str(), "/cgi-bin/token" | "/cgi-bin/stable_token");
    let is_interface = || datacube::INTERFACES.iter().any(|interface| interface.path() == meant);
    let is_limit = || limit_call::paths().any(|path| path == meant);
    meant == "/" || is_token || OWN.into_iter().chain(callbacks).any(is_below) || is_interface() || is_limit()
}

/// True for a call with a user's token, written plainly: any other way of writing it might lead elsewhere.
pub fn is_of_users(path: &str) -> bool {
    path.starts_with(OF_USERS) && meant(path) == path.trim_end_matches('/').to_ascii_lowercase()
}

/// The path decoded once, in lower case, without empty and dot segments: the most that a server makes of it.
fn meant(path: &str) -> String {
    let decoded = percent_decode_str(path).decode_utf8_lossy().to_ascii_lowercase().replace('\\', "/");
    let mut segments: Vec<&str> = Vec::new();
    for segment in decoded.split('/') {
        match segment.split(';').next().unwrap_or_default() {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    format!("/{}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_ours_stays_ours_however_it_is_written() {
        for path in [
            "/",
            "//",
            "/v1",
            "/v1/x",
            "/V1/",
            "//v1/x",
            "/%76%31",
            "/x/../v1",
            "/x/%2e%2e/v1",
            "/x/..%2fv1",
            "/cgi-bin/%74oken",
            "/cgi-bin/token/",
            "/cgi-bin//stable_token",
            "/cgi-bin/token;x=1",
            "//datacube/getupstreammsg",
            "/cgi-bin/clear_quota/v2/",
            "/cgi-bin/openapi/%72id/get",
            "/callback/wx1/y",
            "/healthz",
            "/debug/",
            "/OpenAPI.json",
            "//cgi-bin/componentloginpage",
        ] {
            assert!(is_own(path), "{path}");
        }
        for path in
            ["/cgi-bin/menu/get", "/v10", "/cgi-bin/token2", "/datacube/getusersummary", "/sns/userinfo"]
        {
            assert!(!is_own(path), "{path}");
        }
    }

    #[test]
    fn only_a_plain_path_of_users_needs_no_token_of_ours() {
        for path in ["/sns/userinfo", "/sns/oauth2/access_token", "/sns/userinfo/"] {
            assert!(is_of_users(path), "{path}");
        }
        for path in [
            "/sns/../cgi-bin/menu/get",
            "/sns/%2e%2e/cgi-bin/token",
            "/sns/..%2fcgi-bin/x",
            "/sns//x",
            "/sns/./x",
            "/SNS/x",
            "/snsx/y",
            "/sns/%75serinfo",
        ] {
            assert!(!is_of_users(path), "{path}");
        }
    }
}
