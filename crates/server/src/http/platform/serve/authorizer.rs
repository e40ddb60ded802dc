//! Answers a platform's calls about the accounts that authorised it.

use datacube::ErrorCode;
use i18n::text;
use serde_json::{Value, json};

use super::{Object, text_field};
use crate::{
    accounts::{
        platform_issuer::{AccountAuthorization, permission_set::permission_set},
        registry::ServedAccount,
    },
    config::{AccountConfig, AccountKind},
    http::{
        caller::{CallFailure, failure},
        state::App,
    },
};

/// Entries of one page of the list. Source: WeChat's page on api_get_authorizer_list.
const COUNT_MAX: u64 = 500;

/// The account in the request.
///
/// # Errors
/// If `authorizer_appid` is missing.
pub fn appid(object: &Object) -> Result<&str, CallFailure> {
    match text_field(object, "authorizer_appid") {
        "" => Err(failure(ErrorCode::APPID_MISSING, text!("authorizer_appid is missing"))),
        appid => Ok(appid),
    }
}

/// Unknown accounts get the same error, so that a caller cannot find out which accounts exist.
pub fn not_authorized() -> CallFailure {
    failure(
        ErrorCode::COMPONENT_NOT_AUTHORIZED,
        text!("this account has not authorised this platform, or has withdrawn the authorisation"),
    )
}

/// `func_info`: the permission sets of an authorization.
pub fn func_info(authorization: &AccountAuthorization) -> Vec<Value> {
    let category = |id: &u32| {
        let name = permission_set(*id).map(|set| set.name.chinese()).unwrap_or_default();
        json!({"funcscope_category": {"id": id, "type": 0, "name": name, "desc": ""}})
    };
    authorization.permission_sets.iter().map(category).collect()
}

/// Answers `api_get_authorizer_info`.
pub fn info(app: &App, platform: &str, object: &Object) -> Result<Value, CallFailure> {
    let appid = appid(object)?;
    let given = app.platforms.authorization(platform, appid).zip(app.accounts.get(appid));
    let (authorization, account) = given.ok_or_else(not_authorized)?;
    Ok(json!({
        "authorizer_info": authorizer_info(&account),
        "authorization_info": {
            "authorizer_appid": appid,
            "authorizer_refresh_token": app.platforms.refresh_token(&authorization),
            "func_info": func_info(&authorization),
        },
    }))
}

/// Unknown values are empty. The name is the appid.
fn authorizer_info(account: &ServedAccount) -> Value {
    let AccountConfig { appid, original_id, kind, certified, .. } = &account.config;
    let service_type = match kind {
        AccountKind::Subscription => 0,
        AccountKind::Service | AccountKind::Other => 2,
    };
    json!({
        "nick_name": appid,
        "head_img": "",
        "service_type_info": {"id": service_type},
        "verify_type_info": {"id": if *certified { 0 } else { -1 }},
        "user_name": original_id.as_deref().unwrap_or_default(),
        "alias": "",
        "qrcode_url": "",
        "business_info": {"open_pay": 0, "open_shake": 0, "open_scan": 0, "open_card": 0, "open_store": 0},
        "idc": 1,
        "principal_name": "",
        "signature": "",
        "account_status": 1,
    })
}

/// Answers `api_get_authorizer_list`.
pub fn list(app: &App, platform: &str, object: &Object) -> Result<Value, CallFailure> {
    let (offset, count) = (number(object, "offset")?, number(object, "count")?);
    if count > COUNT_MAX {
        return Err(failure(
            ErrorCode::TOO_MANY_ARGUMENTS,
            text!("count is at most {count_max}", count_max = COUNT_MAX),
        ));
    }
    let mut all = app.platforms.authorizations(platform);
    all.retain(|authorization| app.accounts.get(&authorization.account).is_some());
    let (offset, count) =
        (usize::try_from(offset).unwrap_or(usize::MAX), usize::try_from(count).unwrap_or(0));
    let list = all.iter().skip(offset).take(count).map(|authorization| {
        json!({
            "authorizer_appid": authorization.account,
            "refresh_token": app.platforms.refresh_token(authorization),
            "auth_time": authorization.authorized_s,
        })
    });
    Ok(json!({"total_count": all.len(), "list": list.collect::<Vec<_>>()}))
}

/// A number, written as a JSON number or as a string of digits.
fn number(object: &Object, name: &str) -> Result<u64, CallFailure> {
    let value = match object.get(name) {
        Some(Value::String(digits)) => digits.parse().ok(),
        Some(value) => value.as_u64(),
        None => None,
    };
    value.ok_or_else(|| failure(ErrorCode::DATA_FORMAT, text!("{name} must be a number, 0 or more", name)))
}
