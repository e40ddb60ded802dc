//! What each of WeChat's error codes means and what to do about it. Used by the debugging page, the OpenAPI document and
//! `msgcube query`; COMPATIBILITY.md has the same texts.

use i18n::{Text, text};

/// The meaning of one error code.
#[derive(Debug)]
pub struct Meaning {
    /// `errcode` on the wire.
    pub code: i32,
    /// When the server answers with this code.
    pub when: Text,
    /// What to do about it.
    pub remedy: Text,
}

impl Meaning {
    /// The meaning of a code. None if this server never answers with it.
    pub fn by_code(code: i32) -> Option<&'static Meaning> {
        MEANINGS.iter().find(|meaning| meaning.code == code)
    }
}

/// The meanings of all error codes, sorted by code.
pub static MEANINGS: &[Meaning] = &[
    Meaning {
        code: -1,
        when: text!(
            "The store cannot be read, or a token cannot be made durable, as with a full disk: /readyz and the log say more."
        ),
        remedy: text!("Look at /readyz and the server's log, and try again in a minute."),
    },
    Meaning {
        code: 40001,
        when: text!("The token is unknown, malformed or superseded, or it expired more than 24 h ago."),
        remedy: text!("Fetch a new token by stable_token, from the same server and for the right account."),
    },
    Meaning {
        code: 40002,
        when: text!("A token was asked for with another grant_type than client_credential."),
        remedy: text!("Send grant_type=client_credential."),
    },
    Meaning {
        code: 40013,
        when: text!(
            "No account here has this appid; at the token endpoints that is checked before grant_type and secret. For calls of a platform: its component_appid is unknown. For clear_quota: the appid is missing or another's."
        ),
        remedy: text!("Check the appid: it begins with wx and must be the account's own."),
    },
    Meaning {
        code: 40125,
        when: text!(
            "The secret is wrong: the account's where a token is asked for, the platform's at api_component_token and api_start_push_ticket."
        ),
        remedy: text!(
            "Check the secret; a reset in the console changes WeChat's, rotating changes the one here."
        ),
    },
    Meaning {
        code: 40164,
        when: text!(
            "A token was asked for, or clear_quota/v2 called, from an address that is not in ip_allow. errmsg contains that address, also if it is IPv6."
        ),
        remedy: text!("Add the caller's address to the account's IP whitelist (here: ip_allow)."),
    },
    Meaning {
        code: 40170,
        when: text!("api_get_authorizer_list was called with a count over 500."),
        remedy: text!("Ask for at most 500, and for the rest by offset."),
    },
    Meaning {
        code: 40243,
        when: text!(
            "The account's secret is frozen (secret_frozen = true), so it gives no token and opens no clear_quota/v2."
        ),
        remedy: text!("Unfreeze the secret in the console (here: secret_frozen = false)."),
    },
    Meaning {
        code: 41001,
        when: text!("The query has no access_token, or an empty one."),
        remedy: text!("Add ?access_token=… to the address."),
    },
    Meaning {
        code: 41002,
        when: text!(
            "A token was asked for without an appid, or a call of a platform has no component_appid or authorizer_appid."
        ),
        remedy: text!("Send the account's appid."),
    },
    Meaning {
        code: 41004,
        when: text!("A token was asked for without a secret."),
        remedy: text!("Send the account's secret."),
    },
    Meaning {
        code: 42001,
        when: text!("The token expired, not more than 24 h ago; after that it is 40001."),
        remedy: text!("Fetch a new token by stable_token."),
    },
    Meaning {
        code: 43002,
        when: text!("The method is not POST."),
        remedy: text!("Send a POST with a JSON body."),
    },
    Meaning {
        code: 44002,
        when: text!("The body is empty."),
        remedy: text!("Send the parameters as a JSON object in the body."),
    },
    Meaning {
        code: 45009,
        when: text!("The account's calls of the day (quota_per_day) are used up."),
        remedy: text!("Try again after midnight in Beijing, or clear the quota by clear_quota."),
    },
    Meaning {
        code: 47001,
        when: text!("The body is not a JSON object, or is over 1 MiB."),
        remedy: text!("Send a JSON object: no form, no text, no list."),
    },
    Meaning {
        code: 48001,
        when: text!("The account does not have this interface: kind = \"other\", or certified = false."),
        remedy: text!(
            "Only certified service and subscription accounts have this interface: check kind and certified."
        ),
    },
    Meaning {
        code: 48006,
        when: text!("clear_quota was called more than 10 times this month."),
        remedy: text!("Wait for next month, or for midnight in Beijing, when the daily quota starts anew."),
    },
    Meaning {
        code: 61003,
        when: text!("The account has withdrawn its authorisation of the platform, or never gave one."),
        remedy: text!("Have the account authorise the platform again."),
    },
    Meaning {
        code: 61005,
        when: text!("The ticket sent to api_component_token is older than 12 h."),
        remedy: text!("Use the newest component_verify_ticket; one is pushed every 10 minutes."),
    },
    Meaning {
        code: 61006,
        when: text!("The ticket sent to api_component_token was never issued to this platform."),
        remedy: text!("Use a component_verify_ticket that was pushed to this platform."),
    },
    Meaning {
        code: 61007,
        when: text!("The account did not give the platform permission set 1 (messages)."),
        remedy: text!("Have the account authorise the platform with permission set 1 (messages)."),
    },
    Meaning {
        code: 61009,
        when: text!("The code sent to api_query_auth was never issued to this platform."),
        remedy: text!("Use the auth_code that came back from the consent page of this platform."),
    },
    Meaning {
        code: 61010,
        when: text!("The code sent to api_query_auth was used before, or is older than 600 s."),
        remedy: text!("A code works once: have the account authorise again for a new one."),
    },
    Meaning {
        code: 61011,
        when: text!("component_appid is not the platform that the token was issued to."),
        remedy: text!("Send the component_appid that the component_access_token was issued to."),
    },
    Meaning {
        code: 61014,
        when: text!("An account's token was used on an interface of platforms."),
        remedy: text!("Use the component_access_token of api_component_token."),
    },
    Meaning {
        code: 61015,
        when: text!("A platform's own token was used on an interface of accounts."),
        remedy: text!("Use the authorizer_access_token of the account."),
    },
    Meaning {
        code: 61023,
        when: text!("The refresh token sent to api_authorizer_token is unknown or superseded."),
        remedy: text!("Use the newest authorizer_refresh_token, or have the account authorise again."),
    },
    Meaning {
        code: 61500,
        when: text!("A date is missing, not a string, not written as YYYY-MM-DD, or not in the calendar."),
        remedy: text!("Write begin_date and end_date like \"2014-12-07\"."),
    },
    Meaning {
        code: 61501,
        when: text!(
            "begin_date is after end_date, the range is longer than the interface takes, or end_date is after yesterday."
        ),
        remedy: text!(
            "Keep end_date before today in Beijing, and the range within the days that the interface takes."
        ),
    },
    Meaning {
        code: 61503,
        when: text!(
            "end_date is yesterday, and the time is before the hour of not_ready_before. Only if that is set."
        ),
        remedy: text!("Try again later in the morning, or end a day earlier."),
    },
    Meaning {
        code: 76001,
        when: text!("The rid given to rid/get is from the last 7 days, but its call is not stored."),
        remedy: text!(
            "Errors are kept for 7 days at most, and until a restart: make the call again and ask for its rid."
        ),
    },
    Meaning {
        code: 76002,
        when: text!("The text given to rid/get does not have the form of a rid."),
        remedy: text!("Copy the rid from errmsg: three groups of eight hexadecimal digits."),
    },
    Meaning {
        code: 76003,
        when: text!(
            "rid/get was asked for another account's call, or quota/get for a cgi_path that does not begin with /."
        ),
        remedy: text!("Ask with a token of the account that made the call."),
    },
    Meaning {
        code: 76004,
        when: text!("rid/get was asked for a rid that is older than 7 days or of the future."),
        remedy: text!("Make the call again and ask for its rid."),
    },
    Meaning {
        code: 76021,
        when: text!(
            "quota/get or quota/clear was asked for a path that is not one of the seven, and there is no [upstream]."
        ),
        remedy: text!("Write the path without host and query, such as /datacube/getupstreammsg."),
    },
    Meaning {
        code: 76022,
        when: text!(
            "quota/get or quota/clear was asked for one of the seven where they answer 48001, or for a path below /sns/ or /cgi-bin/component/."
        ),
        remedy: text!("Ask for an interface that the account has."),
    },
];

#[cfg(test)]
mod tests {
    use datacube::ERROR_CODES;

    use super::*;

    #[test]
    fn exactly_the_known_codes_have_a_meaning() {
        let known: Vec<i32> = ERROR_CODES.iter().map(|error| error.code).collect();
        assert_eq!(MEANINGS.iter().map(|meaning| meaning.code).collect::<Vec<_>>(), known);
    }

    #[test]
    fn each_meaning_is_a_sentence_in_both_languages() {
        for Meaning { code, when, remedy } in MEANINGS {
            for text in [when, remedy] {
                assert!(text.english().ends_with('.') && text.chinese().ends_with('。'), "{code}: {text:?}");
            }
        }
    }
}
