//! WeChat's interfaces about quotas and request ids: their paths, names and example bodies.

use datacube::ErrorCode;
use i18n::text;

use super::caller::{CallFailure, failure};

/// `POST /cgi-bin/clear_quota/v2`, which takes a secret instead of a token.
pub const CLEAR_BY_SECRET: &str = "/cgi-bin/clear_quota/v2";

/// The interfaces that take a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitCall {
    QuotaGet,
    QuotaClear,
    ClearQuota,
    RidGet,
}

impl LimitCall {
    /// Every interface, for the router.
    pub const ALL: [LimitCall; 4] =
        [LimitCall::QuotaGet, LimitCall::QuotaClear, LimitCall::ClearQuota, LimitCall::RidGet];

    /// The path of the interface.
    pub fn path(self) -> &'static str {
        match self {
            LimitCall::QuotaGet => "/cgi-bin/openapi/quota/get",
            LimitCall::QuotaClear => "/cgi-bin/openapi/quota/clear",
            LimitCall::ClearQuota => "/cgi-bin/clear_quota",
            LimitCall::RidGet => "/cgi-bin/openapi/rid/get",
        }
    }

    /// The name in the metrics.
    pub fn name(self) -> &'static str {
        match self {
            LimitCall::QuotaGet => "quota_get",
            LimitCall::QuotaClear => "quota_clear",
            LimitCall::ClearQuota => "clear_quota",
            LimitCall::RidGet => "rid_get",
        }
    }

    /// An error whose hint shows a valid body.
    pub fn body_failure(self, code: ErrorCode) -> CallFailure {
        let example = self.example_body();
        failure(code, text!("POST {example}", example))
    }

    /// A valid body.
    fn example_body(self) -> &'static str {
        match self {
            LimitCall::QuotaGet | LimitCall::QuotaClear => r#"{"cgi_path":"/datacube/getupstreammsgmonth"}"#,
            LimitCall::ClearQuota => r#"{"appid":"..."}"#,
            LimitCall::RidGet => r#"{"rid":"8hex-8hex-8hex"}"#,
        }
    }
}

/// The paths of all interfaces about quotas and request ids.
pub fn paths() -> impl Iterator<Item = &'static str> {
    LimitCall::ALL.into_iter().map(LimitCall::path).chain([CLEAR_BY_SECRET])
}
