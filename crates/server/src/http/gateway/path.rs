//! Decides which paths are passed on, and which are ours in any spelling.

use percent_encoding::percent_decode_str;

use crate::{
    http::limit_call,
    intake::path::{OF_ACCOUNTS, OF_PLATFORMS},
};

/// Paths that are ours, with all paths below them.
const OWN: [&str; 9] = [
    "/cgi-bin/componentloginpage",
    "/v1",
    "/ui",
    "/cloud",
    "/metrics",
    "/healthz",
    "/readyz",
    "/debug",
    "/openapi.json",
];
/// Calls with users' tokens. They pass unchanged.
const USER_PATHS: &str = "/sns/";

/// True if some server could read this path as one of ours. Then it is not passed on.
pub fn is_own(path: &str) -> bool {
    let path = normalised(path);
    let is_below =
        |own: &str| path.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let callbacks = [OF_ACCOUNTS, OF_PLATFORMS].map(|below| below.trim_end_matches('/'));
    let is_token = matches!(path.as_str(), "/cgi-bin/token" | "/cgi-bin/stable_token");
    let is_interface = || datacube::INTERFACES.iter().any(|interface| interface.path() == path);
    let is_limit = || limit_call::paths().any(|limit| limit == path);
    path == "/" || is_token || OWN.into_iter().chain(callbacks).any(is_below) || is_interface() || is_limit()
}

/// True for the plain spelling of a call with a user's token. Another spelling might reach another path.
pub fn is_user_path(path: &str) -> bool {
    path.starts_with(USER_PATHS) && normalised(path) == path.trim_end_matches('/').to_ascii_lowercase()
}

/// The path decoded once, in lower case, without empty and dot segments. No server normalises more than this.
fn normalised(path: &str) -> String {
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
            "/ui",
            "/UI/accounts/wx1",
            "/x/..%2fui//login",
            "/debug/",
            "/OpenAPI.json",
            "//cgi-bin/componentloginpage",
        ] {
            assert!(is_own(path), "{path}");
        }
        for path in [
            "/cgi-bin/menu/get",
            "/v10",
            "/uix",
            "/cgi-bin/token2",
            "/datacube/getusersummary",
            "/sns/userinfo",
        ] {
            assert!(!is_own(path), "{path}");
        }
    }

    #[test]
    fn only_a_plain_path_of_users_needs_no_token_of_ours() {
        for path in ["/sns/userinfo", "/sns/oauth2/access_token", "/sns/userinfo/"] {
            assert!(is_user_path(path), "{path}");
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
            assert!(!is_user_path(path), "{path}");
        }
    }
}
