//! The consent page as it is shown, in Chinese and English.

use axum::{
    body::Body,
    http::{Response, StatusCode},
};
use i18n::Lang;
use i18n::text;

use super::{
    super::super::page::{Page, escape},
    Asked, Mistake, Obstacle,
};
use crate::accounts::platform_issuer::permission_set::{PERMISSION_SETS, PermissionSet};

/// The form, with what was entered wrongly.
pub fn form(asked: &Asked, mistake: Option<Mistake>) -> Response<Body> {
    let lang = asked.lang;
    let component = escape(&asked.component.config.appid);
    let title = text!("Let a platform act for your account").in_lang(lang);
    let asks = text!("This platform asks to act for an Official Account of yours:").in_lang(lang);
    let leads = text!("Afterwards your browser goes to").in_lang(lang);
    let check = text!("Approve only if you know both. To take it back later, ask whoever runs this server.")
        .in_lang(lang);
    let address = escape(&asked.redirect_uri.text());
    let body = format!(
        "{bar}<p>{asks}</p><p class=\"notice\"><strong>{component}</strong></p>\
         <p>{leads} <strong>{host}</strong><br><span class=\"quiet\">{address}</span></p><p>{check}</p>{notice}\
         <form method=\"post\" action=\"/cgi-bin/componentloginpage\" autocomplete=\"off\">{hidden}{fields}{sets}{actions}</form>",
        bar = bar(&title, asked),
        host = escape(&asked.redirect_uri.host()),
        notice = mistake.map(|mistake| notice(mistake, lang)).unwrap_or_default(),
        hidden = hidden(asked),
        fields = fields(asked, mistake),
        sets = sets(asked),
        actions = actions(lang),
    );
    // What was entered is at fault, and the page is there: a browser shows it whatever the status.
    let status = if mistake.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK };
    Page { status, lang, title: title.clone(), body, script: None }.response()
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
    let (name, code) = (asked.lang.other().name(), asked.lang.pick("zh-CN", "en"));
    let query = escape(&query.finish());
    let link = format!("<a href=\"?{query}\" lang=\"{code}\" hreflang=\"{code}\">{name}</a>");
    format!("<header class=\"bar\"><h1>{title}</h1>{link}</header>")
}

fn notice(mistake: Mistake, lang: Lang) -> String {
    let text = match mistake {
        Mistake::AccountOrSecret => text!("AppID or AppSecret is wrong. Nothing was granted.").in_lang(lang),
        // As the token endpoints say it, to whoever has the secret.
        Mistake::Address(address) => text!("The AppSecret is right, and is not taken from the address {address} (40164). Nothing was granted. Have whoever runs this server add the address to ip_allow of the account; behind a proxy it is the proxy's.", address).in_lang(lang),
        Mistake::Frozen => text!("The AppSecret is right, and frozen (40243). Nothing was granted. Have whoever runs this server set secret_frozen = false for the account.").in_lang(lang),
        Mistake::NothingTicked => text!("Tick at least one permission set.").in_lang(lang),
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
    let appid = text!("AppID of your account").in_lang(lang);
    let secret = text!("AppSecret of your account").in_lang(lang);
    let why = text!("The one that this server knows for the account. It proves that the account is yours, and the platform does not get it.").in_lang(lang);
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
    let legend = text!("Permission sets").in_lang(asked.lang);
    let (ticked, others): (Vec<_>, Vec<_>) =
        PERMISSION_SETS.iter().partition(|set| asked.ticked.contains(&set.id));
    let choice = |set: &&PermissionSet, tick: &str| {
        let (id, name) = (set.id, set.name.in_lang(asked.lang));
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
    let more = text!("Further permission sets").in_lang(asked.lang);
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

/// Nothing was granted, as was wished.
pub fn cancelled(asked: &Asked) -> Response<Body> {
    let title = text!("Nothing was granted").in_lang(asked.lang);
    let text = text!("You can close this page.").in_lang(asked.lang);
    let body = format!("<h1>{title}</h1><p>{text}</p>");
    Page { status: StatusCode::OK, lang: asked.lang, title: title.clone(), body, script: None }.response()
}

/// What is wrong, and what would be right. No way leads on from here: the address may be anyone's.
pub fn obstacle(obstacle: Obstacle, lang: Lang) -> Response<Body> {
    let title = text!("This authorisation cannot go on").in_lang(lang);
    let text = match obstacle {
        Obstacle::UnknownPlatform => text!("No platform of this server has the component_appid of the address. The platform has to correct its link.").in_lang(lang),
        Obstacle::RedirectUri => text!("The redirect_uri of the address is missing, or is no address that begins with http:// or https://. The platform has to correct its link.").in_lang(lang),
        Obstacle::RedirectUser => text!("The redirect_uri of the address has a user name or password in it (before the @). The platform has to take it out of its link.").in_lang(lang),
        Obstacle::RedirectAnswer => text!("The redirect_uri of the address has auth_code or expires_in in its query, which only this server may add. The platform has to take them out of its link.").in_lang(lang),
        Obstacle::CodeInvalid => text!("The pre_auth_code of the address was not given to this platform. The platform has to get one from api_create_preauthcode.").in_lang(lang),
        Obstacle::CodeExpired => text!("The pre_auth_code of the address was used, or is older than 30 minutes. Begin again at the platform.").in_lang(lang),
        Obstacle::TooManyTries => text!("Too many tries with a wrong AppID or AppSecret. Nothing was granted. Begin again at the platform.").in_lang(lang),
        Obstacle::NotDurable => text!("The server cannot keep the authorisation at the moment. Nothing was granted; try again in a minute.").in_lang(lang),
        Obstacle::Form => text!("The form did not arrive as a whole. Go back and send it again.").in_lang(lang),
        Obstacle::Busy => text!("The server reads too many forms at the moment. Nothing was granted; go back and send it again in a minute.").in_lang(lang),
    };
    let status = match obstacle {
        Obstacle::TooManyTries => StatusCode::TOO_MANY_REQUESTS,
        Obstacle::NotDurable | Obstacle::Busy => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    };
    let body = format!("<h1>{title}</h1><p class=\"notice bad\">{text}</p>");
    Page { status, lang, title: title.clone(), body, script: None }.response()
}
