//! Who may ask: access tokens, API keys, quotas, and which tokens of WeChat belong to which account.

pub mod access_token;
pub mod api_keys;
pub mod own_secrets;
pub mod quota;
pub mod upstream_token_index;
