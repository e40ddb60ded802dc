//! What each of WeChat's error codes means here and what to do about it, in English and in Chinese: for the debugging
//! page, the OpenAPI document, `msgcube query` and, word for word, COMPATIBILITY.md.

use serde::Serialize;

use crate::lang::Lang;

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
        when "the store cannot be read, or a token cannot be made durable (full disk): see /readyz and the log"
             "无法读取存储，或 token 无法落盘（磁盘已满）：见 /readyz 和日志"
        do "Look at /readyz and the server's log, and try again in a minute."
           "查看 /readyz 和服务日志，一分钟后重试。";
    40001
        when "unknown, malformed or superseded token; an expired one after 24 h"
             "access_token 不存在、格式错误或已被替换；过期超过 24 小时的也是"
        do "Fetch a new token by stable_token, from the same server and for the right account."
           "在同一服务上用 stable_token 重新获取，并确认是该公众号的。";
    40002
        when "token endpoints, grant_type is not client_credential"
             "获取 token 时 grant_type 不是 client_credential"
        do "Send grant_type=client_credential."
           "grant_type 填 client_credential。";
    40013
        when "component calls, unknown component_appid; token endpoints, unknown appid; checked before grant_type and secret. clear_quota, an appid that is missing or another's"
             "获取 token 时 appid 未知，先于 grant_type 和 secret 检查；第三方平台接口的 component_appid 未知；clear_quota 的 appid 缺失或不是本账号"
        do "Check the appid: it begins with wx and must be the account's own."
           "检查 appid：以 wx 开头，必须是该公众号自己的。";
    40125
        when "token endpoints, api_component_token and api_start_push_ticket, wrong secret"
             "获取 token、api_component_token、api_start_push_ticket 时 secret 错误"
        do "Check the secret; a reset in the console changes WeChat's, rotating changes the one here."
           "检查 secret；在微信后台重置或在本服务轮换后会改变。";
    40164
        when "token endpoints and clear_quota/v2, the address of the connection is not in ip_allow; A.B.C.D is that address, IPv6 as such"
             "获取 token 或调用 clear_quota/v2 时，连接的来源地址不在 ip_allow 中；A.B.C.D 即该地址，IPv6 原样显示"
        do "Add the caller's address to the account's IP whitelist (here: ip_allow)."
           "把调用方的 IP 加入公众号的 IP 白名单（本服务：ip_allow）。";
    40170
        when "api_get_authorizer_list, count over 500"
             "api_get_authorizer_list 的 count 超过 500"
        do "Ask for at most 500, and for the rest by offset."
           "每次最多 500 个，其余用 offset 翻页。";
    40243
        when "token endpoints and clear_quota/v2, secret_frozen = true"
             "获取 token 或调用 clear_quota/v2 时，该账号设了 secret_frozen = true"
        do "Unfreeze the secret in the console (here: secret_frozen = false)."
           "到微信后台解冻 secret（本服务：secret_frozen = false）。";
    41001
        when "no access_token in the query, or an empty one"
             "URL 中没有 access_token，或为空"
        do "Add ?access_token=… to the address."
           "在地址后加 ?access_token=…。";
    41002
        when "token endpoints, no appid; component calls, no component_appid or authorizer_appid"
             "获取 token 时没有 appid；第三方平台接口没有 component_appid 或 authorizer_appid"
        do "Send the account's appid."
           "请传公众号的 appid。";
    41004
        when "token endpoints, no secret"
             "获取 token 时缺少 secret"
        do "Send the account's secret."
           "请传公众号的 secret。";
    42001
        when "for 24 h after a token's end, then 40001"
             "access_token 过期后的 24 小时内；之后为 40001"
        do "Fetch a new token by stable_token."
           "用 stable_token 重新获取。";
    43002
        when "any method but POST"
             "请求方法不是 POST"
        do "Send a POST with a JSON body."
           "请用 POST，请求体为 JSON。";
    44002
        when "a body without a byte"
             "请求体为空"
        do "Send the parameters as a JSON object in the body."
           "把参数以 JSON 对象放在请求体中。";
    45009
        when "quota_per_day used up"
             "quota_per_day 已用完"
        do "Try again after midnight in Beijing, or clear the quota by clear_quota."
           "北京时间零点后重试，或用 clear_quota 清零。";
    47001
        when "the body is not a JSON object, or is over 1 MiB"
             "请求体不是 JSON 对象，或超过 1 MiB"
        do "Send a JSON object: no form, no text, no list."
           "请发送 JSON 对象，不要用表单、文本或数组。";
    48001
        when "kind = \"other\", or certified = false"
             "账号类型不符（kind = \"other\"），或未认证（certified = false）"
        do "Only certified service and subscription accounts have this interface: check kind and certified."
           "只有认证的服务号和订阅号才有此接口：检查 kind 和 certified。";
    48006
        when "clear_quota, more than 10 a month"
             "clear_quota 每月超过 10 次"
        do "Wait for next month, or for midnight in Beijing, when the daily quota starts anew."
           "等到下个月，或等北京时间零点当日额度恢复。";
    61003
        when "authorisation withdrawn, or never given"
             "公众号已取消授权，或从未授权"
        do "Have the account authorise the platform again."
           "请公众号重新授权第三方平台。";
    61005
        when "api_component_token, a ticket older than 12 h"
             "api_component_token 的 ticket 超过 12 小时"
        do "Use the newest component_verify_ticket; one is pushed every 10 minutes."
           "使用最新的 component_verify_ticket，每 10 分钟推送一次。";
    61006
        when "api_component_token, a ticket that was never issued to this platform"
             "api_component_token 的 ticket 不是发给该平台的"
        do "Use a component_verify_ticket that was pushed to this very platform."
           "使用推送给该平台的 component_verify_ticket。";
    61007
        when "permission set 1 not granted"
             "未授予权限集 1（消息管理）"
        do "Have the account authorise the platform with permission set 1 (messages)."
           "请公众号授权权限集 1（消息管理）。";
    61009
        when "api_query_auth, a code that was never issued to this platform"
             "api_query_auth 的授权码不是发给该平台的"
        do "Use the auth_code that came back from the consent page of this platform."
           "使用该平台授权页返回的 auth_code。";
    61010
        when "api_query_auth, a code used before or older than 600 s"
             "api_query_auth 的授权码已用过，或超过 600 秒"
        do "A code works once: have the account authorise again for a new one."
           "授权码只能用一次：请重新授权以获取新的。";
    61011
        when "component_appid is not the platform that the token stands for"
             "component_appid 与 token 所属的平台不同"
        do "Send the component_appid that the component_access_token was issued to."
           "component_appid 应为该 component_access_token 所属的平台。";
    61014
        when "an account's token on a component interface"
             "第三方平台接口使用了公众号的 token"
        do "Use the component_access_token of api_component_token."
           "请使用 api_component_token 返回的 component_access_token。";
    61015
        when "a component's own token"
             "使用了第三方平台自己的 token"
        do "Use the authorizer_access_token of the account."
           "请使用该公众号的 authorizer_access_token。";
    61023
        when "api_authorizer_token, unknown or superseded"
             "api_authorizer_token 的 refresh_token 未知或已被替换"
        do "Use the newest authorizer_refresh_token, or have the account authorise again."
           "使用最新的 authorizer_refresh_token，或请公众号重新授权。";
    61500
        when "a date missing, not a string, not YYYY-MM-DD, or not in the calendar"
             "日期缺失、不是字符串、不是 YYYY-MM-DD 格式，或日历上不存在"
        do "Write begin_date and end_date like \"2014-12-07\"."
           "begin_date 和 end_date 的格式如 \"2014-12-07\"。";
    61501
        when "begin after end, longer than the span, end after yesterday"
             "begin_date 晚于 end_date、超过最大天数，或 end_date 晚于昨天"
        do "Keep end_date before today in Beijing, and the range within the days that the interface takes."
           "end_date 应早于北京时间今天，范围不超过接口允许的天数。";
    61503
        when "only with not_ready_before: end_date is yesterday and it is earlier than that hour"
             "仅在配置了 not_ready_before 时：end_date 为昨天，且当前早于该时刻"
        do "Try again later in the morning, or end a day earlier."
           "上午晚些时候重试，或把 end_date 提前一天。";
    76001
        when "rid/get, a rid of the last 7 days that is not kept"
             "rid/get：最近 7 天内、但没有保存的 rid"
        do "Only errors of the last 7 days are kept: make the call again and ask for its rid."
           "只保存最近 7 天的错误：请重新调用，再查询新的 rid。";
    76002
        when "rid/get, not of a rid's form"
             "rid/get 的 rid 格式错误"
        do "Copy the rid from errmsg: three groups of eight hexadecimal digits."
           "从 errmsg 中复制 rid：三组八位十六进制数。";
    76003
        when "rid/get, another account's call; quota/get, a cgi_path that does not begin with /"
             "rid/get：其他账号的调用；quota/get：cgi_path 不以 / 开头"
        do "Ask with a token of the account that made the call."
           "使用发起该调用的公众号的 token。";
    76004
        when "rid/get, older than 7 days or in the future"
             "rid/get 的 rid 超过 7 天，或来自未来"
        do "Make the call again and ask for its rid."
           "请重新调用，再查询新的 rid。";
    76021
        when "quota/get and quota/clear without [upstream], a path that is not one of the seven"
             "quota/get、quota/clear：没有 [upstream] 时，七个接口以外的路径"
        do "Write the path without host and query, such as /datacube/getupstreammsg."
           "只写路径，不含域名和参数，如 /datacube/getupstreammsg。";
    76022
        when "quota/get and quota/clear, one of the seven where they answer 48001; a path below /sns/ or /cgi-bin/component/"
             "quota/get、quota/clear：对七个接口返回 48001 的账号；/sns/ 或 /cgi-bin/component/ 之下的路径"
        do "Ask for an interface that the account has."
           "请查询该账号有权调用的接口。";
};

#[cfg(test)]
mod tests {
    use msgcube_client::ERROR_CODES;

    use super::*;

    #[test]
    fn every_code_has_a_meaning_and_nothing_else_has() {
        let known: Vec<i32> = ERROR_CODES.iter().map(|error| error.code).collect();
        assert_eq!(MEANINGS.iter().map(|meaning| meaning.code).collect::<Vec<_>>(), known);
    }

    #[test]
    fn remedies_are_sentences_in_both_languages() {
        for Meaning { code, when, remedy } in MEANINGS {
            assert!(remedy.en.ends_with('.') && remedy.zh.ends_with('。'), "{code}");
            assert!(!when.en.ends_with('.') && !when.zh.ends_with('。'), "{code}: as it stands in a table");
        }
    }
}
