//! Authentication and limits: access tokens, API keys, sessions and share links of the pages, daily quotas, and which of WeChat's tokens belong to which
//! account.

pub mod access_token;
pub mod api_keys;
mod digest;
pub mod own_secrets;
pub mod quota;
pub mod revocable;
pub mod sessions;
pub mod share_links;
pub mod upstream_token_index;

#[cfg(test)]
mod tests;
