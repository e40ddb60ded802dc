//! The account, address and keys of a callback, from the command line, its URL and the configuration.

use msgcube_client::http::Address;
use percent_encoding::percent_decode_str;
use server::{
    config::{AccountConfig, Config, PlatformConfig, Role},
    intake::path,
};
use system::secret::Secret;
use zeroize::Zeroizing;

use super::{
    SendArgs,
    error::{ConfiguredTargets, SendError},
};

/// The default address of `msgcube serve`.
const BASE_DEFAULT: &str = "http://127.0.0.1:8060";
/// The default ToUserName of a configured account. It accepts any unless original_id is set.
const TO_USER_DEFAULT: &str = "gh_msgcube";

/// The account, address and keys of a callback.
pub(super) struct CallbackTarget {
    pub(super) address: String,
    /// The account's appid; empty if it is not known.
    pub(super) appid: String,
    /// The appid at the end of the ciphertext: the platform's, if a platform brings the account.
    pub(super) ciphertext_appid: String,
    pub(super) to_user: String,
    pub(super) token: Zeroizing<String>,
    pub(super) encoding_aes_key: Option<Zeroizing<String>>,
    pub(super) is_encrypted: bool,
    /// The configuration says that plain callbacks are refused.
    pub(super) requires_encryption: bool,
}

/// The settings of the account in the configuration.
#[derive(Default)]
struct Configured {
    appid: String,
    original_id: Option<String>,
    token: Zeroizing<String>,
    encoding_aes_key: Option<Zeroizing<String>>,
    requires_encryption: bool,
}

/// The appids in the path of a callback URL.
#[derive(Default)]
struct UrlParts {
    component: Option<String>,
    appid: Option<String>,
}

impl CallbackTarget {
    /// The command line takes precedence over the configuration.
    pub(super) fn find(args: &SendArgs, config: Option<&Config>) -> Result<CallbackTarget, SendError> {
        let url_parts = args.url.as_deref().map(UrlParts::of).unwrap_or_default();
        let component = args.component.clone().or(url_parts.component);
        let configured = match (config, &component) {
            (None, _) => Configured::default(),
            (Some(config), None) => Configured::account(config, args.account.appid.as_deref())?,
            (Some(config), Some(component)) => {
                let appid = url_parts.appid.as_deref().or(args.account.appid.as_deref()).unwrap_or_default();
                Configured::through_platform(config, component, appid)?
            }
        };
        let requires_encryption = configured.requires_encryption;
        let token = args.token.clone().map_or(configured.token, Zeroizing::new);
        if token.is_empty() {
            return Err(SendError::NoToken);
        }
        let given = args.account.appid.clone().unwrap_or(configured.appid);
        let is_encrypted = args.safe || component.is_some();
        let ciphertext_appid = component.clone().unwrap_or_else(|| given.clone());
        let appid = url_parts.appid.unwrap_or(given);
        let is_named = if args.url.is_some() {
            !is_encrypted || !ciphertext_appid.is_empty()
        } else {
            !appid.is_empty()
        };
        if !is_named {
            return Err(SendError::NoAppid);
        }
        let to_user = match args.to.clone().or(configured.original_id) {
            Some(to_user) => to_user,
            None if component.is_some() => return Err(SendError::NoToUser),
            None => TO_USER_DEFAULT.to_owned(),
        };
        let encoding_aes_key =
            args.encoding_aes_key.clone().map(Zeroizing::new).or(configured.encoding_aes_key);
        let address = address(args, config, component.as_deref(), &appid);
        Ok(CallbackTarget {
            address,
            appid,
            ciphertext_appid,
            to_user,
            token,
            encoding_aes_key,
            is_encrypted,
            requires_encryption,
        })
    }
}

fn address(args: &SendArgs, config: Option<&Config>, component: Option<&str>, appid: &str) -> String {
    if let Some(url) = &args.url {
        return url.clone();
    }
    let base = args.address.server.as_ref().map(Address::uri_text).or_else(|| config.map(Config::base_url));
    let base = base.as_deref().unwrap_or(BASE_DEFAULT).trim_end_matches('/');
    let path = match component {
        Some(platform) => path::through_platform(platform, appid),
        None => path::of_account(appid),
    };
    format!("{base}{path}")
}

fn copy_secret(secret: &Secret) -> Zeroizing<String> {
    Zeroizing::new(secret.reveal().to_owned())
}

impl Configured {
    fn account(config: &Config, appid: Option<&str>) -> Result<Configured, SendError> {
        let configured = ConfiguredTargets::of(config);
        let found = match (appid, config.accounts.as_slice()) {
            (None, [account]) => account,
            (None, _) => return Err(SendError::WhichAccount { configured }),
            (Some(appid), _) => {
                let none = || SendError::NoAccount { appid: appid.to_owned(), configured };
                account_of(config, appid).ok_or_else(none)?
            }
        };
        Ok(Configured {
            appid: found.appid.clone(),
            original_id: found.original_id.clone(),
            token: copy_secret(&found.token),
            encoding_aes_key: found.encoding_aes_key.as_ref().map(copy_secret),
            requires_encryption: found.require_encryption,
        })
    }

    /// The keys for an account that a platform brings. The configuration may name its `ToUserName`.
    fn through_platform(config: &Config, component: &str, appid: &str) -> Result<Configured, SendError> {
        let is_it = |known: &&PlatformConfig| known.appid == component && known.role == Role::Receive;
        let found = config.components.iter().find(is_it);
        let none = || SendError::NoPlatform {
            appid: component.to_owned(),
            configured: ConfiguredTargets::of(config),
        };
        let found = found.ok_or_else(none)?;
        Ok(Configured {
            appid: appid.to_owned(),
            original_id: account_of(config, appid).and_then(|account| account.original_id.clone()),
            token: copy_secret(&found.token),
            encoding_aes_key: Some(copy_secret(&found.encoding_aes_key)),
            requires_encryption: true,
        })
    }
}

fn account_of<'a>(config: &'a Config, appid: &str) -> Option<&'a AccountConfig> {
    config.accounts.iter().find(|account| account.appid == appid)
}

impl UrlParts {
    fn of(url: &str) -> UrlParts {
        let path = url.split(['?', '#']).next().unwrap_or_default();
        let path = path.strip_suffix('/').unwrap_or(path);
        let decoded = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
        let mut parts = path.rsplit('/');
        match std::array::from_fn(|_| parts.next().unwrap_or_default()) {
            [appid, "callback", component, "component"] => {
                UrlParts { component: Some(decoded(component)), appid: Some(decoded(appid)) }
            }
            [appid, "callback", ..] => UrlParts { component: None, appid: Some(decoded(appid)) },
            _ => UrlParts::default(),
        }
    }
}
