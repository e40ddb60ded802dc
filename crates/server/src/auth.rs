//! Authentication and limits: access tokens, API keys, daily quotas, and which of WeChat's tokens belong to which
//! account.

pub mod access_token;
pub mod api_keys;
pub mod own_secrets;
pub mod quota;
pub mod upstream_token_index;
