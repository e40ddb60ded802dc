//! WeChat's error codes that the interface uses, with their texts. Source: the error tables of WeChat's pages and public
//! reports of real answers; COMPATIBILITY.md lists both.

use std::fmt;

/// A code with its text. On the wire the text ends with ` rid: …`, which is left out here.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorCode {
    /// `errcode` on the wire.
    pub code: i32,
    /// `errmsg` on the wire. In the text of 40164, the caller's address takes the place of `A.B.C.D`.
    pub text: &'static str,
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.text)
    }
}

macro_rules! error_codes {
    ($($name:ident = $code:literal $text:literal;)*) => {
        impl ErrorCode {
            $(#[doc = concat!("`", stringify!($code), "` ", $text)]
            pub const $name: ErrorCode = ErrorCode { code: $code, text: $text };)*

            /// Finds a code by its number.
            pub fn by_number(code: i32) -> Option<ErrorCode> {
                ERROR_CODES.iter().find(|known| known.code == code).copied()
            }
        }

        /// All codes, sorted by number.
        pub static ERROR_CODES: &[ErrorCode] = &[$(ErrorCode::$name),*];
    };
}

error_codes! {
    SYSTEM_ERROR = -1 "system error";
    INVALID_CREDENTIAL = 40001 "invalid credential, access_token is invalid or not latest";
    INVALID_GRANT_TYPE = 40002 "invalid grant_type";
    INVALID_APPID = 40013 "invalid appid";
    INVALID_APPSECRET = 40125 "invalid appsecret";
    INVALID_IP = 40164 "invalid ip A.B.C.D, not in whitelist";
    TOO_MANY_ARGUMENTS = 40170 "args count exceed count limit";
    APPSECRET_FROZEN = 40243 "appsecret frozen";
    ACCESS_TOKEN_MISSING = 41001 "access_token missing";
    APPID_MISSING = 41002 "appid missing";
    APPSECRET_MISSING = 41004 "appsecret missing";
    ACCESS_TOKEN_EXPIRED = 42001 "access_token expired";
    REQUIRE_POST = 43002 "require POST method";
    EMPTY_BODY = 44002 "empty post data";
    DAILY_QUOTA = 45009 "reach max api daily quota limit";
    DATA_FORMAT = 47001 "data format error";
    API_UNAUTHORIZED = 48001 "api unauthorized";
    CLEARED_TOO_OFTEN = 48006 "forbid to clear quota because of reaching the limit";
    COMPONENT_NOT_AUTHORIZED = 61003 "component is not authorized by this account";
    COMPONENT_TICKET_EXPIRED = 61005 "component ticket is expired";
    COMPONENT_TICKET_INVALID = 61006 "component ticket is invalid";
    API_UNAUTHORIZED_TO_COMPONENT = 61007 "api is unauthorized to component";
    CODE_INVALID = 61009 "code is invalid";
    CODE_EXPIRED = 61010 "code is expired";
    INVALID_COMPONENT = 61011 "invalid component";
    ACCOUNT_TOKEN = 61014 "must use component token for component api";
    COMPONENT_TOKEN = 61015 "must use biz account token for not component api";
    REFRESH_TOKEN_INVALID = 61023 "refresh_token is invalid";
    DATE_FORMAT = 61500 "date format error";
    DATE_RANGE = 61501 "date range error";
    NOT_READY = 61503 "data not ready, please try later";
    RID_NOT_FOUND = 76001 "rid not found";
    RID_INVALID = 76002 "rid is error";
    RID_OF_ANOTHER = 76003 "could not query this rid,no permission";
    RID_TOO_OLD = 76004 "rid time is error";
    CGI_PATH_NOT_FOUND = 76021 "cgi_path not found, please check";
    CGI_PATH_OF_ANOTHER = 76022 "could not use this cgi_path,no permission";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_and_unique() {
        assert!(ERROR_CODES.windows(2).all(|pair| pair[0].code < pair[1].code));
        assert_eq!(ErrorCode::by_number(61501), Some(ErrorCode::DATE_RANGE));
        assert_eq!(ErrorCode::by_number(0), None);
    }
}
