//! The HTML of the consent page, in Chinese and English.

use axum::{
    body::Body,
    http::{Response, StatusCode},
};
use i18n::{Lang, text};

use super::{
    super::super::page::{Page, escape},
    ConsentRequest, Mistake, Obstacle,
};
use crate::accounts::platform_issuer::permission_set::{PERMISSION_SETS, PermissionSet};

/// The form, with a notice if the entered values were wrong.
pub fn form(consent: &ConsentRequest, mistake: Option<Mistake>) -> Response<Body> {
    let lang = consent.lang;
    let platform = escape(&consent.platform.config.appid);
    let title = text!("Let a platform act for your account").in_lang(lang);
    let asks = text!("This platform asks to act for an Official Account of yours:").in_lang(lang);
    let leads = text!("Afterwards your browser goes to").in_lang(lang);
    let check =
        text!("Approve only if you know both. To withdraw this later, ask the administrator of this server.")
            .in_lang(lang);
    let address = escape(&consent.redirect_uri.url());
    let body = format!(
        "{bar}<p>{asks}</p><p class=\"notice\"><strong>{platform}</strong></p>\
         <p>{leads} <strong>{host}</strong><br><span class=\"quiet\">{address}</span></p><p>{check}</p>{notice}\
         <form method=\"post\" action=\"/cgi-bin/componentloginpage\" autocomplete=\"off\">{hidden}{fields}{sets}{actions}</form>",
        bar = bar(&title, consent),
        host = escape(&consent.redirect_uri.host()),
        notice = mistake.map(|mistake| notice(mistake, lang)).unwrap_or_default(),
        hidden = hidden(consent),
        fields = fields(consent, mistake),
        sets = sets(consent),
        actions = actions(lang),
    );
    // Browsers show the page whatever the status is.
    let status = if mistake.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK };
    Page { status, lang, title, body, script: None }.response()
}

/// The title with a link to the same page in the other language.
fn bar(title: &str, consent: &ConsentRequest) -> String {
    let ticked: Vec<String> = consent.ticked.iter().map(ToString::to_string).collect();
    let mut query = form_urlencoded::Serializer::new(String::new());
    query
        .append_pair("component_appid", &consent.platform.config.appid)
        .append_pair("pre_auth_code", &consent.pre_auth_code)
        .append_pair("redirect_uri", &consent.redirect_uri.url())
        .append_pair("biz_appid", &consent.appid)
        .append_pair("category_id_list", &ticked.join("|"))
        .append_pair("lang", consent.lang.pick("zh", "en"));
    let (name, code) = (consent.lang.other().name(), consent.lang.pick("zh-CN", "en"));
    let query = escape(&query.finish());
    let link = format!("<a href=\"?{query}\" lang=\"{code}\" hreflang=\"{code}\">{name}</a>");
    format!("<header class=\"bar\"><h1>{title}</h1>{link}</header>")
}

fn notice(mistake: Mistake, lang: Lang) -> String {
    let text = match mistake {
        Mistake::AccountOrSecret => text!("AppID or AppSecret is wrong. Nothing was granted.").in_lang(lang),
        // The token endpoints say the same to a caller with the right secret.
        Mistake::Address(address) => text!("The AppSecret is right, but the address {address} is not allowed (40164). Nothing was granted. Ask the administrator of this server to add the address to ip_allow of the account; behind a proxy, it is the proxy's address.", address).in_lang(lang),
        Mistake::Frozen => text!("The AppSecret is right, but frozen (40243). Nothing was granted. Ask the administrator of this server to set secret_frozen = false for the account.").in_lang(lang),
        Mistake::NothingTicked => text!("Tick at least one permission set.").in_lang(lang),
    };
    format!("<p class=\"notice bad\" role=\"alert\">{text}</p>")
}

fn hidden(consent: &ConsentRequest) -> String {
    let values = [
        ("component_appid", consent.platform.config.appid.as_str()),
        ("pre_auth_code", &consent.pre_auth_code),
        ("redirect_uri", &consent.redirect_uri.url()),
        ("lang", consent.lang.pick("en", "zh")),
    ];
    let inputs = values
        .map(|(name, value)| format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escape(value)));
    inputs.concat()
}

fn fields(consent: &ConsentRequest, mistake: Option<Mistake>) -> String {
    let lang = consent.lang;
    let appid = text!("AppID of your account").in_lang(lang);
    let secret = text!("AppSecret of your account").in_lang(lang);
    let why = text!("The AppSecret that this server knows for the account. It proves that the account is yours. The platform does not get it.").in_lang(lang);
    let invalid = if mistake == Some(Mistake::AccountOrSecret) { " aria-invalid=\"true\"" } else { "" };
    format!(
        "<label for=\"appid\">{appid}</label>\
         <input id=\"appid\" name=\"appid\" value=\"{}\" maxlength=\"128\" required spellcheck=\"false\" autocapitalize=\"off\"{invalid}>\
         <label for=\"secret\">{secret}</label>\
         <input id=\"secret\" name=\"secret\" type=\"password\" maxlength=\"128\" required autocomplete=\"off\" aria-describedby=\"why\"{invalid}>\
         <p id=\"why\" class=\"quiet\">{why}</p>",
        escape(&consent.appid),
    )
}

fn sets(consent: &ConsentRequest) -> String {
    let legend = text!("Permission sets").in_lang(consent.lang);
    let (ticked, others): (Vec<_>, Vec<_>) =
        PERMISSION_SETS.iter().partition(|set| consent.ticked.contains(&set.id));
    let choice = |set: &&PermissionSet, tick: &str| {
        let (id, name) = (set.id, set.name.in_lang(consent.lang));
        // A set without a name of its own is named by its number.
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
    let more = text!("More permission sets").in_lang(consent.lang);
    format!(
        "<fieldset><legend>{legend}</legend><div class=\"row\">{ticked}</div>\
         <details><summary>{more}</summary><div class=\"row\">{others}</div></details></fieldset>"
    )
}

fn actions(lang: Lang) -> String {
    let (approve, cancel) = (text!("Approve").in_lang(lang), text!("Cancel").in_lang(lang));
    format!(
        "<div class=\"actions\"><button class=\"main\" name=\"decision\" value=\"approve\">{approve}</button>\
         <button name=\"decision\" value=\"cancel\" formnovalidate>{cancel}</button></div>"
    )
}

/// The page after the operator refused.
pub fn cancelled(consent: &ConsentRequest) -> Response<Body> {
    let title = text!("Nothing was granted").in_lang(consent.lang);
    let text = text!("You can close this page.").in_lang(consent.lang);
    let body = format!("<h1>{title}</h1><p>{text}</p>");
    Page { status: StatusCode::OK, lang: consent.lang, title, body, script: None }.response()
}

/// The page that says what is wrong and how to correct it. It has no link onward, because anyone may have made the address.
pub fn obstacle(obstacle: Obstacle, lang: Lang) -> Response<Body> {
    let title = text!("This authorisation cannot continue").in_lang(lang);
    let text = match obstacle {
        Obstacle::UnknownPlatform => text!("No platform of this server has the component_appid of the address. The platform has to correct its link.").in_lang(lang),
        Obstacle::RedirectUri => text!("The redirect_uri of the address is missing or does not begin with http:// or https://. The platform has to correct its link.").in_lang(lang),
        Obstacle::RedirectUser => text!("The redirect_uri of the address has a user name or password in it (before the @). The platform has to take it out of its link.").in_lang(lang),
        Obstacle::RedirectAnswer => text!("The redirect_uri of the address has auth_code or expires_in in its query, which only this server may add. The platform has to take them out of its link.").in_lang(lang),
        Obstacle::CodeInvalid => text!("The pre_auth_code of the address was not given to this platform. The platform has to get one from api_create_preauthcode.").in_lang(lang),
        Obstacle::CodeExpired => text!("The pre_auth_code of the address was used already or is older than 30 minutes. Start again at the platform.").in_lang(lang),
        Obstacle::TooManyTries => text!("Too many tries with a wrong AppID or AppSecret. Nothing was granted. Start again at the platform.").in_lang(lang),
        Obstacle::NotDurable => text!("The server cannot save the authorisation at the moment. Nothing was granted. Try again in a minute.").in_lang(lang),
        Obstacle::Form => text!("The form did not arrive completely. Go back and send it again.").in_lang(lang),
        Obstacle::Busy => text!("The server is reading too many forms at the moment. Nothing was granted. Go back and send it again in a minute.").in_lang(lang),
    };
    let status = match obstacle {
        Obstacle::TooManyTries => StatusCode::TOO_MANY_REQUESTS,
        Obstacle::NotDurable | Obstacle::Busy => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    };
    let body = format!("<h1>{title}</h1><p class=\"notice bad\">{text}</p>");
    Page { status, lang, title, body, script: None }.response()
}
