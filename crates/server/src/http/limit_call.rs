//! The calls about quotas and rids: their paths, their names, and what their bodies are like.

use datacube::ErrorCode;
use i18n::text;

use super::caller::{Failure, failure};

/// `POST /cgi-bin/clear_quota/v2`, which takes a secret in place of a token.
pub const CLEAR_BY_SECRET: &str = "/cgi-bin/clear_quota/v2";

/// The calls that take a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    QuotaGet,
    QuotaClear,
    ClearQuota,
    RidGet,
}

impl Call {
    pub const ALL: [Call; 4] = [Call::QuotaGet, Call::QuotaClear, Call::ClearQuota, Call::RidGet];

    /// Where it is.
    pub fn path(self) -> &'static str {
        match self {
            Call::QuotaGet => "/cgi-bin/openapi/quota/get",
            Call::QuotaClear => "/cgi-bin/openapi/quota/clear",
            Call::ClearQuota => "/cgi-bin/clear_quota",
            Call::RidGet => "/cgi-bin/openapi/rid/get",
        }
    }

    /// As the metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Call::QuotaGet => "quota_get",
            Call::QuotaClear => "quota_clear",
            Call::ClearQuota => "clear_quota",
            Call::RidGet => "rid_get",
        }
    }

    /// An error with the body that would be right.
    pub fn in_need_of_body(self, code: ErrorCode) -> Failure {
        let example = self.example();
        failure(code, text!("POST {example}", example))
    }

    /// What its body is like.
    fn example(self) -> &'static str {
        match self {
            Call::QuotaGet | Call::QuotaClear => r#"{"cgi_path":"/datacube/getupstreammsgmonth"}"#,
            Call::ClearQuota => r#"{"appid":"..."}"#,
            Call::RidGet => r#"{"rid":"8hex-8hex-8hex"}"#,
        }
    }
}

/// The paths that are answered here.
pub fn paths() -> impl Iterator<Item = &'static str> {
    Call::ALL.into_iter().map(Call::path).chain([CLEAR_BY_SECRET])
}
