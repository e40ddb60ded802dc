//! The consent page as it is shown, in Chinese and English.

use axum::{
    body::Body,
    http::{Response, StatusCode},
};
use i18n::Lang;

use super::{
    super::super::page::{Page, escape},
    Asked, Mistake, Obstacle,
};
use crate::accounts::platform_issuer::permission_set::{PERMISSION_SETS, PermissionSet};

/// The form, with what was entered wrongly.
pub fn form(asked: &Asked, mistake: Option<Mistake>) -> Response<Body> {
    let lang = asked.lang;
    let component = escape(&asked.component.config.appid);
    let title = lang.pick("Let a platform act for your account", "授权第三方平台");
    let asks = lang.pick(
        "This platform asks to act for an Official Account of yours:",
        "以下平台申请代你的公众号调用接口：",
    );
    let leads = lang.pick("Afterwards your browser goes to", "授权后将跳转到");
    let check = lang.pick(
        "Approve only if you know both. To take it back later, ask whoever runs this server.",
        "请确认你认识该平台和跳转地址。如需取消授权，请联系本服务的管理员。",
    );
    let address = escape(&asked.redirect_uri.text());
    let body = format!(
        "{bar}<p>{asks}</p><p class=\"notice\"><strong>{component}</strong></p>\
         <p>{leads} <strong>{host}</strong><br><span class=\"quiet\">{address}</span></p><p>{check}</p>{notice}\
         <form method=\"post\" action=\"/cgi-bin/componentloginpage\" autocomplete=\"off\">{hidden}{fields}{sets}{actions}</form>",
        bar = bar(title, asked),
        host = escape(&asked.redirect_uri.host()),
        notice = mistake.map(|mistake| notice(mistake, lang)).unwrap_or_default(),
        hidden = hidden(asked),
        fields = fields(asked, mistake),
        sets = sets(asked),
        actions = actions(lang),
    );
    // What was entered is at fault, and the page is there: a browser shows it whatever the status.
    let status = if mistake.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK };
    Page { status, lang, title: title.to_owned(), body, script: None }.response()
}

/// With a link to the same page in the other language.
fn bar(title: &str, asked: &Asked) -> String {
    let ticked: Vec<String> = asked.ticked.iter().map(ToString::to_string).collect();
    let mut query = form_urlencoded::Serializer::new(String::new());
    query
        .append_pair("component_appid", &asked.component.config.appid)
        .append_pair("pre_auth_code", &asked.pre_auth_code)
        .append_pair("redirect_uri", &asked.redirect_uri.text())
        .append_pair("biz_appid", &asked.appid)
        .append_pair("category_id_list", &ticked.join("|"))
        .append_pair("lang", asked.lang.pick("zh", "en"));
    let (name, code) = asked.lang.pick(("中文", "zh-CN"), ("English", "en"));
    let query = escape(&query.finish());
    let link = format!("<a href=\"?{query}\" lang=\"{code}\" hreflang=\"{code}\">{name}</a>");
    format!("<header class=\"bar\"><h1>{title}</h1>{link}</header>")
}

fn notice(mistake: Mistake, lang: Lang) -> String {
    let text = match mistake {
        Mistake::AccountOrSecret => lang.pick(
            "AppID or AppSecret is wrong. Nothing was granted.",
            "AppID 或 AppSecret 有误，未作任何授权。",
        ),
        // As the token endpoints say it, to whoever has the secret.
        Mistake::Address(address) => &match lang {
            Lang::En => format!(
                "The AppSecret is right, and is not taken from the address {address} (40164). Nothing was granted. Have whoever runs this server add the address to ip_allow of the account; behind a proxy it is the proxy's."
            ),
            Lang::Zh => format!(
                "AppSecret 正确，但不允许从 {address} 使用（40164），未作任何授权。请联系本服务的管理员，把该地址加入该公众号的 ip_allow；经过代理时为代理的地址。"
            ),
        },
        Mistake::Frozen => lang.pick(
            "The AppSecret is right, and frozen (40243). Nothing was granted. Have whoever runs this server set secret_frozen = false for the account.",
            "AppSecret 正确，但已冻结（40243），未作任何授权。请联系本服务的管理员，把该公众号设为 secret_frozen = false。",
        ),
        Mistake::NothingTicked => lang.pick("Tick at least one permission set.", "请至少勾选一项权限集。"),
    };
    format!("<p class=\"notice bad\" role=\"alert\">{text}</p>")
}

fn hidden(asked: &Asked) -> String {
    let values = [
        ("component_appid", asked.component.config.appid.as_str()),
        ("pre_auth_code", &asked.pre_auth_code),
        ("redirect_uri", &asked.redirect_uri.text()),
        ("lang", asked.lang.pick("en", "zh")),
    ];
    let inputs = values
        .map(|(name, value)| format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escape(value)));
    inputs.concat()
}

fn fields(asked: &Asked, mistake: Option<Mistake>) -> String {
    let lang = asked.lang;
    let appid = lang.pick("AppID of your account", "公众号 AppID");
    let secret = lang.pick("AppSecret of your account", "公众号 AppSecret");
    let why = lang.pick(
        "The one that this server knows for the account. It proves that the account is yours, and the platform does not get it.",
        "即本服务配置中该公众号的 secret，用于证明账号归你所有；平台不会得到它。",
    );
    let invalid = if mistake == Some(Mistake::AccountOrSecret) { " aria-invalid=\"true\"" } else { "" };
    format!(
        "<label for=\"appid\">{appid}</label>\
         <input id=\"appid\" name=\"appid\" value=\"{}\" maxlength=\"128\" required spellcheck=\"false\" autocapitalize=\"off\"{invalid}>\
         <label for=\"secret\">{secret}</label>\
         <input id=\"secret\" name=\"secret\" type=\"password\" maxlength=\"128\" required autocomplete=\"off\" aria-describedby=\"why\"{invalid}>\
         <p id=\"why\" class=\"quiet\">{why}</p>",
        escape(&asked.appid),
    )
}

fn sets(asked: &Asked) -> String {
    let legend = asked.lang.pick("Permission sets", "权限集");
    let (ticked, others): (Vec<_>, Vec<_>) =
        PERMISSION_SETS.iter().partition(|set| asked.ticked.contains(&set.id));
    let choice = |set: &&PermissionSet, tick: &str| {
        let (id, name) = (set.id, set.name(asked.lang));
        // Sets without a name of their own have their number as one.
        let number = if name.ends_with(&id.to_string()) {
            String::new()
        } else {
            format!(" <span class=\"quiet\">{id}</span>")
        };
        format!(
            "<label class=\"choice\"><input type=\"checkbox\" name=\"permission_set\" value=\"{id}\"{tick}>{name}{number}</label>"
        )
    };
    let ticked: String = ticked.iter().map(|set| choice(set, " checked")).collect();
    let others: String = others.iter().map(|set| choice(set, "")).collect();
    let more = asked.lang.pick("Further permission sets", "其他权限集");
    format!(
        "<fieldset><legend>{legend}</legend><div class=\"row\">{ticked}</div>\
         <details><summary>{more}</summary><div class=\"row\">{others}</div></details></fieldset>"
    )
}

fn actions(lang: Lang) -> String {
    let (approve, cancel) = lang.pick(("Approve", "Cancel"), ("同意授权", "取消"));
    format!(
        "<div class=\"actions\"><button class=\"main\" name=\"decision\" value=\"approve\">{approve}</button>\
         <button name=\"decision\" value=\"cancel\" formnovalidate>{cancel}</button></div>"
    )
}

/// Nothing was granted, as was wished.
pub fn cancelled(asked: &Asked) -> Response<Body> {
    let title = asked.lang.pick("Nothing was granted", "未作授权");
    let text = asked.lang.pick("You can close this page.", "可以关闭此页面。");
    let body = format!("<h1>{title}</h1><p>{text}</p>");
    Page { status: StatusCode::OK, lang: asked.lang, title: title.to_owned(), body, script: None }.response()
}

/// What is wrong, and what would be right. No way leads on from here: the address may be anyone's.
pub fn obstacle(obstacle: Obstacle, lang: Lang) -> Response<Body> {
    let title = lang.pick("This authorisation cannot go on", "无法继续授权");
    let text = match obstacle {
        Obstacle::UnknownComponent => lang.pick(
            "No platform of this server has the component_appid of the address. The platform has to correct its link.",
            "链接中的 component_appid 不是本服务的第三方平台，请平台更正链接。",
        ),
        Obstacle::RedirectUri => lang.pick(
            "The redirect_uri of the address is missing, or is no address that begins with http:// or https://. The platform has to correct its link.",
            "链接缺少 redirect_uri，或其不是以 http:// 或 https:// 开头的地址，请平台更正链接。",
        ),
        Obstacle::RedirectUser => lang.pick(
            "The redirect_uri of the address has a user name or password in it (before the @). The platform has to take it out of its link.",
            "链接的 redirect_uri 中含有用户名或密码（@ 之前的部分），请平台从链接中去掉。",
        ),
        Obstacle::RedirectAnswer => lang.pick(
            "The redirect_uri of the address has auth_code or expires_in in its query, which only this server may add. The platform has to take them out of its link.",
            "链接的 redirect_uri 已带有 auth_code 或 expires_in 参数，它们只由本服务添加，请平台从链接中去掉。",
        ),
        Obstacle::CodeInvalid => lang.pick(
            "The pre_auth_code of the address was not given to this platform. The platform has to get one from api_create_preauthcode.",
            "链接中的 pre_auth_code 并非发给此平台，平台须用 api_create_preauthcode 获取。",
        ),
        Obstacle::CodeExpired => lang.pick(
            "The pre_auth_code of the address was used, or is older than 30 minutes. Begin again at the platform.",
            "链接中的 pre_auth_code 已使用或已超过 30 分钟，请回到平台重新开始。",
        ),
        Obstacle::TooManyTries => lang.pick(
            "Too many tries with a wrong AppID or AppSecret. Nothing was granted. Begin again at the platform.",
            "AppID 或 AppSecret 错误次数过多，未作任何授权。请回到平台重新开始。",
        ),
        Obstacle::NotDurable => lang.pick(
            "The server cannot keep the authorisation at the moment. Nothing was granted; try again in a minute.",
            "服务器暂时无法保存授权，未作任何授权，请稍后重试。",
        ),
        Obstacle::Form => lang.pick(
            "The form did not arrive as a whole. Go back and send it again.",
            "表单未完整送达，请返回重新提交。",
        ),
        Obstacle::Busy => lang.pick(
            "The server reads too many forms at the moment. Nothing was granted; go back and send it again in a minute.",
            "服务器当前接收的表单过多，未作任何授权，请稍后返回重新提交。",
        ),
    };
    let status = match obstacle {
        Obstacle::TooManyTries => StatusCode::TOO_MANY_REQUESTS,
        Obstacle::NotDurable | Obstacle::Busy => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    };
    let body = format!("<h1>{title}</h1><p class=\"notice bad\">{text}</p>");
    Page { status, lang, title: title.to_owned(), body, script: None }.response()
}
