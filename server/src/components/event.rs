//! What a platform is told: WeChat's pushes to its authorisation-event address, sealed as all pushes are.

use super::{Authorization, Component, code::CodeKind};
use crate::{
    callback::{
        cipher::AesKey,
        seal::{Envelope, Notice, Sealed},
    },
    random,
};

/// One push. Not shown: it holds a ticket or a code.
#[derive(Clone)]
pub struct Event {
    /// Whom it is for.
    pub component: String,
    /// `InfoType`
    pub info_type: &'static str,
    created_s: i64,
    fields: Vec<(&'static str, String)>,
}

impl Event {
    /// The ticket of the moment.
    pub fn ticket(component: &str, ticket: String, now_s: i64) -> Event {
        Event {
            component: component.to_owned(),
            info_type: "component_verify_ticket",
            created_s: now_s,
            fields: vec![("ComponentVerifyTicket", ticket)],
        }
    }

    /// An account authorised the platform, or changed what it gave; none if it is what it was.
    pub fn of_approval(
        former: Option<&Authorization>,
        authorization: &Authorization,
        code: Option<String>,
        pre_auth_code: Option<String>,
        now_s: i64,
    ) -> Option<Event> {
        let info_type = match former {
            None => "authorized",
            Some(former) if former.permission_sets == authorization.permission_sets => return None,
            Some(_) => "updateauthorized",
        };
        let fields = vec![
            ("AuthorizerAppid", authorization.account.clone()),
            ("AuthorizationCode", code?),
            ("AuthorizationCodeExpiredTime", (now_s + CodeKind::Auth.life_s()).to_string()),
            ("PreAuthCode", pre_auth_code.unwrap_or_default()),
        ];
        Some(Event { component: authorization.component.clone(), info_type, created_s: now_s, fields })
    }

    /// An account took back what it gave.
    pub fn unauthorized(authorization: &Authorization, now_s: i64) -> Event {
        Event {
            component: authorization.component.clone(),
            info_type: "unauthorized",
            created_s: now_s,
            fields: vec![("AuthorizerAppid", authorization.account.clone())],
        }
    }

    /// The push as it is sent.
    pub fn sealed(&self, component: &Component, now_s: i64) -> Result<Sealed, String> {
        let config = &component.config;
        let key = AesKey::parse(config.encoding_aes_key.reveal()).map_err(|error| error.to_string())?;
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| error.to_string())?;
        let nonce = random::alphanumeric(10).map_err(|error| error.to_string())?;
        let notice = Notice {
            appid: &config.appid,
            create_time: self.created_s,
            info_type: self.info_type,
            fields: self.fields.iter().map(|(name, value)| (*name, value.as_str())).collect(),
        };
        let envelope = Envelope { token: config.token.reveal(), timestamp: now_s, nonce: &nonce };
        Ok(envelope.notice(&key, random, &notice))
    }
}
