//! The paths of callbacks. Every module that answers, shows or calls one takes it from here.

/// Prefix of the paths for accounts' own callbacks.
pub const OF_ACCOUNTS: &str = "/callback/";
/// Prefix of all paths of third-party platforms.
pub const OF_PLATFORMS: &str = "/component/";
const EVENTS: &str = "/events";

/// Path of an account's own callbacks. All functions here insert appids as they are: percent-encode them first if
/// needed.
pub fn of_account(appid: &str) -> String {
    format!("{OF_ACCOUNTS}{appid}")
}

/// Path of an account's callbacks that come through a platform.
pub fn through_platform(platform: &str, appid: &str) -> String {
    format!("{OF_PLATFORMS}{platform}{OF_ACCOUNTS}{appid}")
}

/// Path of a platform's own events.
pub fn of_platform_events(platform: &str) -> String {
    format!("{OF_PLATFORMS}{platform}{EVENTS}")
}

/// What the path of a callback names, still percent-encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallbackPath<'a> {
    /// The platform that the callback comes through, if any.
    pub platform: Option<&'a str>,
    /// The account's appid.
    pub appid: &'a str,
}

impl CallbackPath<'_> {
    /// Parses a path. None if it is not the path of an account's callbacks.
    pub fn parse(path: &str) -> Option<CallbackPath<'_>> {
        if let Some(appid) = account(path) {
            return Some(CallbackPath { platform: None, appid });
        }
        let rest = path.strip_prefix(OF_PLATFORMS)?;
        let (platform, rest) = rest.split_at(rest.find('/')?);
        let appid = account(rest)?;
        is_segment(platform).then_some(CallbackPath { platform: Some(platform), appid })
    }
}

fn account(path: &str) -> Option<&str> {
    path.strip_prefix(OF_ACCOUNTS).filter(|appid| is_segment(appid))
}

fn is_segment(part: &str) -> bool {
    !part.is_empty() && !part.contains('/')
}

/// The path without a trailing slash, which some consoles and proxies add. None if it has none, or if it is not the
/// path of a callback.
pub fn without_slash(path: &str) -> Option<&str> {
    let path = path.strip_suffix('/')?;
    let platform = path.strip_prefix(OF_PLATFORMS).and_then(|rest| rest.strip_suffix(EVENTS));
    (platform.is_some_and(is_segment) || CallbackPath::parse(path).is_some()).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_was_made_here_is_read_back() {
        let own = CallbackPath { platform: None, appid: "wx1" };
        assert_eq!(CallbackPath::parse(&of_account("wx1")), Some(own));
        let through = CallbackPath { platform: Some("wxp"), appid: "wx1" };
        assert_eq!(CallbackPath::parse(&through_platform("wxp", "wx1")), Some(through));
    }

    #[test]
    fn only_whole_paths_are_callbacks() {
        for path in [
            "/callback",
            "/callback/",
            "/callback/wx1/",
            "/callback/wx1/x",
            "/x/callback/wx1",
            "/component/callback/wx1",
            "/component//callback/wx1",
            "/component/wxp/callback/",
            "/component/wxp/callback/wx1/x",
            "/component/wxp/x/callback/wx1",
            "/component/wxp/events",
        ] {
            assert_eq!(CallbackPath::parse(path), None, "{path}");
        }
    }

    #[test]
    fn one_slash_at_the_end_goes_where_wechat_sends_something() {
        for path in [of_account("wx1"), through_platform("wxp", "wx1"), of_platform_events("wxp")] {
            assert_eq!(without_slash(&format!("{path}/")), Some(path.as_str()));
            assert_eq!(without_slash(&path), None);
            assert_eq!(without_slash(&format!("{path}//")), None);
        }
        assert_eq!(without_slash("/component//events/"), None);
        assert_eq!(without_slash("/v1/accounts/"), None);
    }
}
