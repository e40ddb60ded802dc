//! What each of WeChat's error codes means here and what to do about it, in English and in Chinese: for the debugging
//! page, the OpenAPI document, `msgcube query` and, word for word, COMPATIBILITY.md.

use i18n::Lang;
use serde::Serialize;

/// A text in both languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Text {
    /// English.
    pub en: &'static str,
    /// Chinese.
    pub zh: &'static str,
}

impl Text {
    /// The one in this language.
    pub fn in_lang(self, lang: Lang) -> &'static str {
        lang.pick(self.en, self.zh)
    }
}

/// What a code means.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Meaning {
    /// `errcode`
    #[serde(skip)]
    pub code: i32,
    /// When it is answered.
    pub when: Text,
    /// What to do about it.
    pub remedy: Text,
}

impl Meaning {
    /// Of a code, if it is one of WeChat's that are answered here.
    pub fn of(code: i32) -> Option<&'static Meaning> {
        MEANINGS.iter().find(|meaning| meaning.code == code)
    }
}

macro_rules! meanings {
    ($($code:literal when $when_en:literal $when_zh:literal do $do_en:literal $do_zh:literal;)*) => {
        &[$(Meaning {
            code: $code,
            when: Text { en: $when_en, zh: $when_zh },
            remedy: Text { en: $do_en, zh: $do_zh },
        }),*]
    };
}

/// One for each of the error codes, in their order.
pub static MEANINGS: &[Meaning] = meanings! {
    -1
        when "The store cannot be read, or a token cannot be made durable, as with a full disk: /readyz and the log say more."
             "无法读取存储，或 token 无法落盘（例如磁盘已满）；/readyz 和日志中有详情。"
        do "Look at /readyz and the server's log, and try again in a minute."
           "查看 /readyz 和服务日志，一分钟后重试。";
    40001
        when "The token is unknown, malformed or superseded, or it expired more than 24 h ago."
             "access_token 不存在、格式错误、已被替换，或过期超过 24 小时。"
        do "Fetch a new token by stable_token, from the same server and for the right account."
           "在同一服务上用 stable_token 重新获取，并确认是该公众号的。";
    40002
        when "A token was asked for with another grant_type than client_credential."
             "获取 token 时 grant_type 不是 client_credential。"
        do "Send grant_type=client_credential."
           "grant_type 填 client_credential。";
    40013
        when "No account here has this appid; at the token endpoints that is checked before grant_type and secret. For calls of a platform: its component_appid is unknown. For clear_quota: the appid is missing or another's."
             "本服务没有该 appid 的公众号（获取 token 时先于 grant_type 和 secret 检查）。第三方平台接口：component_appid 未知。clear_quota：appid 缺失或不是本账号的。"
        do "Check the appid: it begins with wx and must be the account's own."
           "检查 appid：以 wx 开头，必须是该公众号自己的。";
    40125
        when "The secret is wrong: the account's where a token is asked for, the platform's at api_component_token and api_start_push_ticket."
             "secret 错误：获取 token 时指公众号的，api_component_token、api_start_push_ticket 指第三方平台的。"
        do "Check the secret; a reset in the console changes WeChat's, rotating changes the one here."
           "检查 secret；在微信后台重置或在本服务轮换后会改变。";
    40164
        when "A token was asked for, or clear_quota/v2 called, from an address that is not in ip_allow. errmsg names that address, IPv6 as such."
             "获取 token 或调用 clear_quota/v2 的来源地址不在 ip_allow 中。errmsg 中的地址即来源地址，IPv6 原样显示。"
        do "Add the caller's address to the account's IP whitelist (here: ip_allow)."
           "把调用方的 IP 加入公众号的 IP 白名单（本服务：ip_allow）。";
    40170
        when "api_get_authorizer_list was called with a count over 500."
             "api_get_authorizer_list 的 count 超过 500。"
        do "Ask for at most 500, and for the rest by offset."
           "每次最多 500 个，其余用 offset 翻页。";
    40243
        when "The account's secret is frozen (secret_frozen = true), so it gives no token and opens no clear_quota/v2."
             "该公众号的 secret 已冻结（secret_frozen = true），不能用于获取 token 或调用 clear_quota/v2。"
        do "Unfreeze the secret in the console (here: secret_frozen = false)."
           "到微信后台解冻 secret（本服务：secret_frozen = false）。";
    41001
        when "The query has no access_token, or an empty one."
             "URL 中没有 access_token，或为空。"
        do "Add ?access_token=… to the address."
           "在地址后加 ?access_token=…。";
    41002
        when "A token was asked for without an appid, or a call of a platform has no component_appid or authorizer_appid."
             "获取 token 时没有传 appid，或第三方平台接口没有传 component_appid 或 authorizer_appid。"
        do "Send the account's appid."
           "请传公众号的 appid。";
    41004
        when "A token was asked for without a secret."
             "获取 token 时没有传 secret。"
        do "Send the account's secret."
           "请传公众号的 secret。";
    42001
        when "The token expired, not more than 24 h ago; after that it is 40001."
             "access_token 已过期，且未超过 24 小时；之后返回 40001。"
        do "Fetch a new token by stable_token."
           "用 stable_token 重新获取。";
    43002
        when "The method is not POST."
             "请求方法不是 POST。"
        do "Send a POST with a JSON body."
           "请用 POST，请求体为 JSON。";
    44002
        when "The body is empty."
             "请求体为空。"
        do "Send the parameters as a JSON object in the body."
           "把参数以 JSON 对象放在请求体中。";
    45009
        when "The account's calls of the day (quota_per_day) are used up."
             "当日调用次数（quota_per_day）已用完。"
        do "Try again after midnight in Beijing, or clear the quota by clear_quota."
           "北京时间零点后重试，或用 clear_quota 清零。";
    47001
        when "The body is not a JSON object, or is over 1 MiB."
             "请求体不是 JSON 对象，或超过 1 MiB。"
        do "Send a JSON object: no form, no text, no list."
           "请发送 JSON 对象，不要用表单、文本或数组。";
    48001
        when "The account does not have this interface: kind = \"other\", or certified = false."
             "该账号没有此接口的权限：类型不符（kind = \"other\"），或未认证（certified = false）。"
        do "Only certified service and subscription accounts have this interface: check kind and certified."
           "只有认证的服务号和订阅号才有此接口：检查 kind 和 certified。";
    48006
        when "clear_quota was called more than 10 times this month."
             "本月调用 clear_quota 超过 10 次。"
        do "Wait for next month, or for midnight in Beijing, when the daily quota starts anew."
           "等到下个月，或等北京时间零点当日额度恢复。";
    61003
        when "The account took its authorisation of the platform back, or never gave one."
             "公众号已取消对该平台的授权，或从未授权。"
        do "Have the account authorise the platform again."
           "请公众号重新授权第三方平台。";
    61005
        when "The ticket sent to api_component_token is older than 12 h."
             "api_component_token 收到的 ticket 已超过 12 小时。"
        do "Use the newest component_verify_ticket; one is pushed every 10 minutes."
           "使用最新的 component_verify_ticket，每 10 分钟推送一次。";
    61006
        when "The ticket sent to api_component_token was never issued to this platform."
             "api_component_token 收到的 ticket 不是推送给该平台的。"
        do "Use a component_verify_ticket that was pushed to this very platform."
           "使用推送给该平台的 component_verify_ticket。";
    61007
        when "The account did not give the platform permission set 1 (messages)."
             "公众号未授予该平台权限集 1（消息管理）。"
        do "Have the account authorise the platform with permission set 1 (messages)."
           "请公众号授权权限集 1（消息管理）。";
    61009
        when "The code sent to api_query_auth was never issued to this platform."
             "api_query_auth 收到的授权码不是发给该平台的。"
        do "Use the auth_code that came back from the consent page of this platform."
           "使用该平台授权页返回的 auth_code。";
    61010
        when "The code sent to api_query_auth was used before, or is older than 600 s."
             "api_query_auth 收到的授权码已用过，或已超过 600 秒。"
        do "A code works once: have the account authorise again for a new one."
           "授权码只能用一次：请重新授权以获取新的。";
    61011
        when "component_appid is not the platform that the token stands for."
             "component_appid 与 token 所属的平台不同。"
        do "Send the component_appid that the component_access_token was issued to."
           "component_appid 应为该 component_access_token 所属的平台。";
    61014
        when "An account's token was used on an interface of platforms."
             "在第三方平台接口上使用了公众号的 token。"
        do "Use the component_access_token of api_component_token."
           "请使用 api_component_token 返回的 component_access_token。";
    61015
        when "A platform's own token was used on an interface of accounts."
             "在公众号接口上使用了第三方平台自己的 token。"
        do "Use the authorizer_access_token of the account."
           "请使用该公众号的 authorizer_access_token。";
    61023
        when "The refresh token sent to api_authorizer_token is unknown or superseded."
             "api_authorizer_token 收到的 refresh_token 未知或已被替换。"
        do "Use the newest authorizer_refresh_token, or have the account authorise again."
           "使用最新的 authorizer_refresh_token，或请公众号重新授权。";
    61500
        when "A date is missing, not a string, not written as YYYY-MM-DD, or not in the calendar."
             "日期缺失、不是字符串、不是 YYYY-MM-DD 格式，或日历上不存在。"
        do "Write begin_date and end_date like \"2014-12-07\"."
           "begin_date 和 end_date 的格式如 \"2014-12-07\"。";
    61501
        when "begin_date is after end_date, the range is longer than the interface takes, or end_date is after yesterday."
             "begin_date 晚于 end_date、范围超过最大天数，或 end_date 晚于昨天。"
        do "Keep end_date before today in Beijing, and the range within the days that the interface takes."
           "end_date 应早于北京时间今天，范围不超过接口允许的天数。";
    61503
        when "end_date is yesterday, and it is earlier than the hour of not_ready_before; only where that is set."
             "end_date 为昨天，且当前早于 not_ready_before 的时刻；仅在配置了它时返回。"
        do "Try again later in the morning, or end a day earlier."
           "上午晚些时候重试，或把 end_date 提前一天。";
    76001
        when "rid/get was asked for a rid of the last 7 days of which no call is kept."
             "rid/get 查询的 rid 在最近 7 天内，但没有保存其调用。"
        do "Errors are kept for 7 days at most, and until a restart: make the call again and ask for its rid."
           "错误最多保存 7 天，重启后不再保留：请重新调用，再查询新的 rid。";
    76002
        when "What rid/get was asked for does not have the form of a rid."
             "rid/get 收到的 rid 格式错误。"
        do "Copy the rid from errmsg: three groups of eight hexadecimal digits."
           "从 errmsg 中复制 rid：三组八位十六进制数。";
    76003
        when "rid/get was asked for another account's call, or quota/get for a cgi_path that does not begin with /."
             "rid/get 查询的是其他账号的调用，或 quota/get 的 cgi_path 不以 / 开头。"
        do "Ask with a token of the account that made the call."
           "使用发起该调用的公众号的 token。";
    76004
        when "rid/get was asked for a rid that is older than 7 days or of the future."
             "rid/get 查询的 rid 超过 7 天，或来自未来。"
        do "Make the call again and ask for its rid."
           "请重新调用，再查询新的 rid。";
    76021
        when "quota/get or quota/clear was asked for a path that is not one of the seven, and there is no [upstream]."
             "quota/get、quota/clear 的路径不是七个接口之一，且没有配置 [upstream]。"
        do "Write the path without host and query, such as /datacube/getupstreammsg."
           "只写路径，不含域名和参数，如 /datacube/getupstreammsg。";
    76022
        when "quota/get or quota/clear was asked for one of the seven where they answer 48001, or for a path below /sns/ or /cgi-bin/component/."
             "quota/get、quota/clear 查询的是七个接口中返回 48001 的，或 /sns/、/cgi-bin/component/ 之下的路径。"
        do "Ask for an interface that the account has."
           "请查询该账号有权调用的接口。";
};

#[cfg(test)]
mod tests {
    use datacube::ERROR_CODES;

    use super::*;

    #[test]
    fn every_code_has_a_meaning_and_nothing_else_has() {
        let known: Vec<i32> = ERROR_CODES.iter().map(|error| error.code).collect();
        assert_eq!(MEANINGS.iter().map(|meaning| meaning.code).collect::<Vec<_>>(), known);
    }

    #[test]
    fn people_read_sentences_in_both_languages() {
        for Meaning { code, when, remedy } in MEANINGS {
            for text in [when, remedy] {
                assert!(text.en.ends_with('.') && text.zh.ends_with('。'), "{code}: {text:?}");
            }
        }
    }
}
